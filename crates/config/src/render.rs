use std::borrow::Cow;

use unicode_width::UnicodeWidthChar;

use crate::{Diagnostic, Severity, Source, credentials::hide_keys};

/// How many columns of a line are shown.
const MAX_COLUMNS: usize = 100;

/// How many columns stay visible before the caret when a line is cut.
const COLUMNS_BEFORE: usize = 50;

/// How [`render`] writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// Text only.
    #[default]
    Plain,
    /// With ANSI escape sequences for a terminal.
    Color,
}

/// A diagnostic with its place in lines and columns, ready to be written as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiagnosticRecord {
    /// The name of the file.
    pub file: String,
    /// Byte of the file that the first character begins with, from 0; a byte order mark does not count.
    pub offset: usize,
    /// Byte behind the last character.
    pub end_offset: usize,
    /// Line of the first character, from 1.
    pub line: usize,
    /// Column of the first character, from 1.
    pub column: usize,
    /// Line of the end.
    pub end_line: usize,
    /// Column behind the last character.
    pub end_column: usize,
    /// `error` or `warning`.
    pub severity: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl DiagnosticRecord {
    /// Looks the place of a diagnostic up.
    #[must_use]
    pub fn new(source: &Source, diagnostic: &Diagnostic) -> Self {
        let (start, end) = (source.position(diagnostic.span.start), source.position(diagnostic.span.end));
        Self {
            file: source.file_of(diagnostic.span.start).to_owned(),
            offset: diagnostic.span.start - source.file_start(diagnostic.span.start),
            end_offset: diagnostic.span.end - source.file_start(diagnostic.span.start),
            line: start.line,
            column: start.column,
            end_line: end.line,
            end_column: end.column,
            severity: diagnostic.severity.as_str(),
            message: diagnostic.message.clone(),
            help: diagnostic.help.clone(),
        }
    }
}

/// Writes diagnostics for people: `FILE:LINE:COLUMN: error: TEXT`, the line with a caret, help.
///
/// Control characters are replaced, long lines are cut around the place, and passwords, ids of users,
/// private keys and the login of a URL are masked, so that the output can be pasted into a bug report.
///
/// ```
/// use waypost_config::{Options, Source, Style, parse, render};
///
/// let source = Source::new("c.json", r#"{"outbonds": []}"#)?;
/// let outcome = parse(&source, &Options::default());
/// let text = render(&source, &outcome.diagnostics, Style::Plain);
/// assert!(text.contains("c.json:1:2: error: unknown key `outbonds`"));
/// assert!(text.contains("help: did you mean `outbounds`?"));
/// # Ok::<(), waypost_config::SourceError>(())
/// ```
#[must_use]
pub fn render(source: &Source, diagnostics: &[Diagnostic], style: Style) -> String {
    let mut out = String::new();
    for (index, diagnostic) in diagnostics.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        render_one(source, diagnostic, style, &mut out);
    }
    out
}

fn render_one(source: &Source, diagnostic: &Diagnostic, style: Style, out: &mut String) {
    let paint = |code: &str, text: &str| match style {
        Style::Plain => text.to_owned(),
        Style::Color => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
    };
    let color = match diagnostic.severity {
        Severity::Error => "1;31",
        Severity::Warning => "1;33",
    };
    let position = source.position(diagnostic.span.start);
    let severity = paint(color, diagnostic.severity.as_str());
    let message = paint("1", &harmless(&diagnostic.message));
    out.push_str(&format!(
        "{}:{position}: {severity}: {message}\n",
        harmless(source.file_of(diagnostic.span.start))
    ));

    let snippet = Snippet::new(source, diagnostic);
    let number = position.line.to_string();
    let indent = " ".repeat(number.len());
    let bar = paint("1;34", "|");
    let number = paint("1;34", &number);
    let caret = format!("{}{}", " ".repeat(snippet.before), paint(color, &"^".repeat(snippet.marked)));
    let text = format!("{number} {bar} {}", snippet.text);
    out.push_str(&format!("{indent} {bar}\n{}\n{indent} {bar} {caret}\n", text.trim_end()));
    if let Some(help) = &diagnostic.help {
        let mut lines = help.lines();
        let first = harmless(lines.next().unwrap_or_default());
        out.push_str(&format!("{indent} {} help: {first}\n", paint("1;34", "=")));
        for line in lines {
            out.push_str(format!("{indent}   {}", harmless(line)).trim_end());
            out.push('\n');
        }
    }
}

/// A line cut to what fits, with the columns of the marked part.
struct Snippet {
    text: String,
    before: usize,
    marked: usize,
}

impl Snippet {
    fn new(source: &Source, diagnostic: &Diagnostic) -> Self {
        let line = source.line_span(diagnostic.span.start);
        let start = diagnostic.span.start.clamp(line.start, line.end);
        let end = diagnostic.span.end.clamp(start, line.end);
        let text = mask_secrets(source.slice(line.start, line.end));
        let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
        let (before, behind) = (part(0, start - line.start), part(start - line.start, text.len()));
        // What the part behind does not need is left for the part before.
        let (_, long) = first_columns(behind, MAX_COLUMNS - COLUMNS_BEFORE);
        let room = if long { COLUMNS_BEFORE } else { MAX_COLUMNS - columns(behind) };
        let (head, head_cut) = last_columns(before, room);
        let (tail, tail_cut) = first_columns(behind, MAX_COLUMNS.saturating_sub(columns(&head)));
        let (marked, _) = first_columns(part(start - line.start, end - line.start), columns(&tail));
        let mark = |cut: bool| if cut { "…" } else { "" };
        Self {
            before: columns(&head) + columns(mark(head_cut)),
            marked: columns(&marked).max(1),
            text: format!("{}{head}{tail}{}", mark(head_cut), mark(tail_cut)).trim_end().to_owned(),
        }
    }
}

/// The keys whose values are secrets, or may be.
const SECRET_KEYS: [&str; 13] = [
    "pass",
    "password",
    "id",
    "uuid",
    "psk",
    "ipsk",
    "secret",
    "client_key",
    "privateKey",
    "echServerKeys",
    "private_key",
    "mldsa65Seed",
    "seed",
];
/// The keys whose values have secrets behind words.
const KEYS_WITH_SECRETS: [&str; 2] = ["decryption", "encryption"];
/// What a private key in PEM begins with (RFC 7468 §10).
const PRIVATE_KEY: &str = "PRIVATE KEY-----";

/// Replaces the characters of secrets by `*`; the length in bytes stays the same.
fn mask_secrets(line: &str) -> String {
    let mut masked = String::with_capacity(line.len());
    let mut rest = line;
    let is_one_of = |key: &str, keys: &[&str]| keys.iter().any(|known| key.eq_ignore_ascii_case(known));
    let (mut key, mut in_list) = ("", false);
    while let Some(open) = rest.find('"') {
        let (before, quoted) = rest.split_at(open + 1);
        let length = closing_quote(quoted);
        let (inner, behind) = quoted.split_at(length);
        masked.push_str(before);
        let between = before.replace(['"', ' ', '\t'], "");
        let behind_key = is_one_of(key, &SECRET_KEYS);
        in_list = behind_key && between == ":[" || in_list && between == ",";
        let hidden = in_list || behind_key && between == ":" || inner.contains(PRIVATE_KEY);
        in_list |= inner.contains(PRIVATE_KEY);
        if hidden {
            masked.push_str(&"*".repeat(inner.len()));
        } else if between == ":" && is_one_of(key, &KEYS_WITH_SECRETS) {
            masked.push_str(&hide_keys(inner));
        } else {
            masked.push_str(&mask_login(inner));
        }
        key = inner;
        let closed = usize::from(behind.starts_with('"'));
        masked.push_str(behind.get(..closed).unwrap_or_default());
        rest = behind.get(closed..).unwrap_or_default();
    }
    masked.push_str(rest);
    masked
}

/// Hides the login of a URL.
fn mask_login(text: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = text.split_once("://") else { return text.into() };
    let end = rest.find('/').unwrap_or(rest.len());
    let Some(at) = rest.get(..end).and_then(|authority| authority.rfind('@')) else { return text.into() };
    format!("{scheme}://{}{}", "*".repeat(at), rest.get(at..).unwrap_or_default()).into()
}

/// The length of a string up to the quote that closes it.
fn closing_quote(text: &str) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at,
            _ => {}
        }
    }
    text.len()
}

fn first_columns(text: &str, limit: usize) -> (String, bool) {
    take_columns(text.chars(), limit)
}

fn last_columns(text: &str, limit: usize) -> (String, bool) {
    let (reversed, cut) = take_columns(text.chars().rev(), limit);
    (reversed.chars().rev().collect(), cut)
}

fn take_columns(characters: impl Iterator<Item = char>, limit: usize) -> (String, bool) {
    let mut taken = String::new();
    let mut used = 0;
    for character in characters {
        let character = replace(character);
        used += character.width().unwrap_or_default();
        // Characters without width are bounded too, or a line of them would be shown in full.
        if used > limit || taken.len() > 8 * MAX_COLUMNS {
            return (taken, true);
        }
        taken.push(character);
    }
    (taken, false)
}

fn columns(text: &str) -> usize {
    text.chars().map(|character| replace(character).width().unwrap_or_default()).sum()
}

fn harmless(text: &str) -> String {
    text.chars().map(replace).collect()
}

/// Replaces what could move the cursor, change colours or reverse the direction of writing.
fn replace(character: char) -> char {
    match character {
        '\t' => ' ',
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' => '\u{fffd}',
        control if control.is_control() => '\u{fffd}',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Span;

    #[track_caller]
    fn check(text: &str, span: (usize, usize), expected: &str) {
        let source = Source::new("f", text).unwrap();
        let span = Span { start: span.0, end: span.1 };
        let diagnostic =
            Diagnostic { severity: Severity::Error, span, message: "m".into(), help: Some("h".into()) };
        let rendered = render(&source, &[diagnostic], Style::Plain);
        assert_eq!(rendered, expected, "{rendered}");
    }

    #[test]
    fn help_may_have_several_lines() {
        let source = Source::new("f", "x").unwrap();
        let span = Span { start: 0, end: 1 };
        let help = Some("h\n  \u{1b}[1mmore\n\nend".into());
        let diagnostic = Diagnostic { severity: Severity::Error, span, message: "m".into(), help };
        let rendered = render(&source, &[diagnostic], Style::Plain);
        assert!(rendered.ends_with("  = help: h\n      \u{fffd}[1mmore\n\n    end\n"), "{rendered:?}");
    }

    #[test]
    fn the_caret_stands_below_the_place() {
        check("a\n  bcd\n", (4, 6), "f:2:3: error: m\n  |\n2 |   bcd\n  |   ^^\n  = help: h\n");
        check("漢b", (3, 4), "f:1:2: error: m\n  |\n1 | 漢b\n  |   ^\n  = help: h\n");
        check("a", (1, 1), "f:1:2: error: m\n  |\n1 | a\n  |  ^\n  = help: h\n");
    }

    #[test]
    fn a_place_of_several_lines_is_marked_to_the_end_of_the_first() {
        check("{ab\nc}", (0, 6), "f:1:1: error: m\n  |\n1 | {ab\n  | ^^^\n  = help: h\n");
    }

    #[test]
    fn long_lines_are_cut_around_the_place() {
        let text = format!("{}X{}", "a".repeat(300), "b".repeat(300));
        let line = format!("…{}X{}…", "a".repeat(50), "b".repeat(49));
        let caret = format!("{}^", " ".repeat(51));
        check(&text, (300, 301), &format!("f:1:301: error: m\n  |\n1 | {line}\n  | {caret}\n  = help: h\n"));
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        check(
            "\u{1b}[31m\u{202e}x",
            (8, 9),
            "f:1:7: error: m\n  |\n1 | \u{fffd}[31m\u{fffd}x\n  |       ^\n  = help: h\n",
        );
        assert_eq!(harmless("a\u{1b}\nb"), "a\u{fffd}\u{fffd}b");
    }

    #[test]
    fn passwords_are_masked() {
        assert_eq!(
            mask_secrets(r#"{"user": "pass", "Pass" : "se\"cret", "x": "y"}"#),
            r#"{"user": "pass", "Pass" : "********", "x": "y"}"#
        );
        assert_eq!(mask_secrets(r#""pass": "ü"#), r#""pass": "**"#);
        assert_eq!(mask_secrets(r#""id": 7, "x": "id", "y""#), r#""id": 7, "x": "id", "y""#);
        assert_eq!(mask_secrets(r#""ipsk": ["a", "b"], "c""#), r#""ipsk": ["*", "*"], "c""#);
        assert_eq!(
            mask_secrets(r#""key": ["-----BEGIN PRIVATE KEY-----", "MIGH"], "key": ["a"]"#),
            r#""key": ["***************************", "****"], "key": ["a"]"#
        );
        assert_eq!(mask_secrets(r#""PrivateKey": "ab", "x": "y""#), r#""PrivateKey": "**", "x": "y""#);
        let keys = |key: &str| format!(r#""decryption": "mlkem768x25519plus.native.600s.{key}""#);
        assert_eq!(mask_secrets(&keys(&"k".repeat(43))), keys(&"*".repeat(43)));
        assert_eq!(mask_secrets(r#""pass", "shown""#), r#""pass", "shown""#);
        assert_eq!(mask_secrets(r#""url": "http://me:x@h/@""#), r#""url": "http://****@h/@""#);
        assert_eq!(mask_secrets(r#""url": "http://me:x@y"#), r#""url": "http://****@y"#);
    }

    #[test]
    fn colour_is_only_in_colour() {
        let source = Source::new("f", "x").unwrap();
        let span = Span { start: 0, end: 1 };
        let diagnostic = Diagnostic { severity: Severity::Warning, span, message: "m".into(), help: None };
        assert!(!render(&source, std::slice::from_ref(&diagnostic), Style::Plain).contains('\u{1b}'));
        assert!(render(&source, &[diagnostic], Style::Color).contains("\u{1b}[1;33mwarning\u{1b}[0m"));
    }
}
