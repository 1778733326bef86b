use super::Number;
use crate::{Source, Span, report::quote};

/// After this many flaws the text is probably not JSON at all.
const MAX_FLAWS: usize = 20;

/// One word of the text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// One of `{}[]:,`.
    Mark(u8),
    String(Box<str>),
    Number(Number),
    /// Letters that are not in quotes: `true`, `null`, or a mistake.
    Word(Box<str>),
    End,
}

/// A mistake inside a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flaw {
    pub(super) span: Span,
    pub(super) message: String,
    /// Whether the rest of the text makes no sense after it.
    pub(super) fatal: bool,
}

pub(super) struct Lexer<'a> {
    source: &'a Source,
    at: usize,
    /// Where the file ends.
    end: usize,
    pub(super) flaws: Vec<Flaw>,
}

impl<'a> Lexer<'a> {
    /// Begins with the file at this place.
    pub(super) fn new(source: &'a Source, file: Span) -> Self {
        Self { source, at: file.start, end: file.end, flaws: Vec::new() }
    }

    /// The next token behind white space and comments.
    pub(super) fn next(&mut self) -> (Token, Span) {
        loop {
            self.skip_comments();
            let start = self.at;
            let Some(first) = self.peek() else { return (Token::End, self.from(start)) };
            let token = match first {
                '{' | '}' | '[' | ']' | ':' | ',' => {
                    self.at += 1;
                    self.source.text().as_bytes().get(start).copied().map(Token::Mark)
                }
                '"' => Some(self.string()),
                '\'' => Some(self.single_quoted()),
                '-' | '0'..='9' | '+' | '.' => Some(self.number()),
                c if c.is_alphabetic() || c == '_' || c == '$' => Some(self.word()),
                stray => {
                    self.at += stray.len_utf8();
                    self.flaw(start, format!("unexpected character {}", name(stray)));
                    None
                }
            };
            if let Some(token) = token {
                return (token, self.from(start));
            }
        }
    }

    fn rest(&self) -> &'a str {
        self.source.slice(self.at, self.end)
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn from(&self, start: usize) -> Span {
        Span { start, end: self.at }
    }

    fn flaw(&mut self, start: usize, message: String) {
        let span = self.from(start);
        self.flaws.push(Flaw { span, message, fatal: false });
        if self.flaws.len() >= MAX_FLAWS {
            self.at = self.end;
        }
    }

    fn fatal(&mut self, span: Span, message: &str) {
        self.flaws.push(Flaw { span, message: message.to_owned(), fatal: true });
        self.at = self.end;
    }

    fn skip_comments(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r']);
            self.at += rest.len() - trimmed.len();
            if trimmed.starts_with('#') || trimmed.starts_with("//") {
                self.at += trimmed.find('\n').unwrap_or(trimmed.len());
            } else if let Some(comment) = trimmed.strip_prefix("/*") {
                match comment.find("*/") {
                    Some(length) => self.at += length + 4,
                    None => {
                        let span = Span { start: self.at, end: self.at + 2 };
                        self.fatal(span, "this comment is not closed, expected `*/`");
                    }
                }
            } else {
                return;
            }
        }
    }

    fn string(&mut self) -> Token {
        let start = self.at;
        let mut value = String::new();
        self.at += 1;
        loop {
            let rest = self.rest();
            let plain = rest.find(|c: char| c == '"' || c == '\\' || c < ' ').unwrap_or(rest.len());
            value.push_str(rest.get(..plain).unwrap_or_default());
            self.at += plain;
            let here = self.at;
            match self.peek() {
                Some('"') => {
                    self.at += 1;
                    return Token::String(value.into());
                }
                Some('\\') => value.push(self.escape()),
                Some('\n' | '\r') | None => {
                    self.fatal(
                        Span { start, end: here },
                        "this string is not closed, or a `\"` is missing before it",
                    );
                    return Token::String(value.into());
                }
                Some(control) => {
                    self.at += 1;
                    let code = u32::from(control);
                    let message =
                        format!("control character U+{code:04X} in a string, write it as `\\u{code:04x}`");
                    self.flaw(here, message);
                }
            }
        }
    }

    /// Reads one escape; what is wrong becomes a replacement character and a flaw.
    fn escape(&mut self) -> char {
        let start = self.at;
        self.at += 1;
        let Some(letter) = self.peek().filter(|&c| c >= ' ') else {
            self.flaw(start, "a backslash has to be followed by a character".to_owned());
            return char::REPLACEMENT_CHARACTER;
        };
        self.at += letter.len_utf8();
        match letter {
            '"' | '\\' | '/' => letter,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => self.unicode_escape(start),
            other => {
                let message = format!("unknown escape `\\{other}`, write `\\\\` for a backslash");
                self.flaw(start, message);
                char::REPLACEMENT_CHARACTER
            }
        }
    }

    fn unicode_escape(&mut self, start: usize) -> char {
        let Some(first) = self.four_digits() else {
            self.flaw(start, "`\\u` has to be followed by four hexadecimal digits".to_owned());
            return char::REPLACEMENT_CHARACTER;
        };
        let mut code = first;
        if (0xd800..0xdc00).contains(&first) && self.rest().starts_with("\\u") {
            let before = self.at;
            self.at += 2;
            match self.four_digits() {
                Some(second) if (0xdc00..0xe000).contains(&second) => {
                    code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                }
                Some(_) | None => self.at = before,
            }
        }
        char::from_u32(code).unwrap_or_else(|| {
            self.flaw(start, format!("`\\u{first:04x}` is half of a surrogate pair without the other half"));
            char::REPLACEMENT_CHARACTER
        })
    }

    fn four_digits(&mut self) -> Option<u32> {
        let digits = self.rest().get(..4)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }

    fn single_quoted(&mut self) -> Token {
        let start = self.at;
        let line = self.rest().lines().next().unwrap_or_default();
        let inner = line.get(1..).unwrap_or_default();
        let length = inner.find('\'').unwrap_or(inner.len());
        self.at += (length + 2).min(line.len());
        self.flaw(start, "strings are written in double quotes".to_owned());
        Token::String(inner.get(..length).unwrap_or_default().into())
    }

    fn number(&mut self) -> Token {
        let start = self.at;
        let rest = self.rest();
        let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_');
        let text = rest.get(..rest.find(|c| !part(c)).unwrap_or(rest.len())).unwrap_or_default();
        self.at += text.len();
        Token::Number(read_number(text).unwrap_or_else(|| {
            self.flaw(start, format!("not a JSON number: {}", quote(text)));
            Number::Unsigned(0)
        }))
    }

    fn word(&mut self) -> Token {
        let rest = self.rest();
        let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '-' | '.');
        let text = rest.get(..rest.find(|c| !part(c)).unwrap_or(rest.len())).unwrap_or_default();
        self.at += text.len();
        Token::Word(text.into())
    }
}

/// Reads a number in the grammar of RFC 8259 §6.
fn read_number(text: &str) -> Option<Number> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let magnitude = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match magnitude.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (magnitude, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let valid = digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|text| digits(text.strip_prefix(['+', '-']).unwrap_or(text)));
    if !valid {
        return None;
    }
    if fraction.is_none() && exponent.is_none() {
        if let Ok(number) = text.parse() {
            return Some(Number::Unsigned(number));
        }
        if let Ok(number) = text.parse::<i64>() {
            return Some(if number == 0 { Number::Unsigned(0) } else { Number::Signed(number) });
        }
    }
    text.parse().ok().map(Number::Float)
}

/// A character as it can be shown: itself, or its number if it is invisible.
fn name(character: char) -> String {
    if character.is_control() || character.is_whitespace() || matches!(character, '\u{200b}'..='\u{feff}') {
        format!("U+{:04X}", u32::from(character))
    } else {
        format!("`{character}`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_string(text: &str, value: &str, flaws: &[(usize, usize, &str)]) {
        let source = Source::new("x", text).unwrap();
        let mut lexer = Lexer::new(&source, Span { start: 0, end: source.text().len() });
        let (token, _) = lexer.next();
        assert_eq!(token, Token::String(value.into()), "{text}");
        let found: Vec<_> =
            lexer.flaws.iter().map(|flaw| (flaw.span.start, flaw.span.end, flaw.message.as_str())).collect();
        assert_eq!(found, flaws, "{text}");
    }

    #[test]
    fn escapes_are_read_and_wrong_ones_placed() {
        check_string(r#""a\"\\\/\b\f\n\r\té""#, "a\"\\/\u{8}\u{c}\n\r\té", &[]);
        check_string(r#""\ud83c\udfaf""#, "🎯", &[]);
        let half = "`\\ud83c` is half of a surrogate pair without the other half";
        check_string(r#""ab\ud83cx""#, "ab\u{fffd}x", &[(3, 9, half)]);
        check_string(r#""\ud83cA""#, "\u{fffd}A", &[(1, 7, half)]);
        check_string(r#""\x""#, "\u{fffd}", &[(1, 3, "unknown escape `\\x`, write `\\\\` for a backslash")]);
        let digits = "`\\u` has to be followed by four hexadecimal digits";
        check_string(r#""\u12""#, "\u{fffd}12", &[(1, 3, digits)]);
        check_string("\"\\u+123\"", "\u{fffd}+123", &[(1, 3, digits)]);
        check_string("\"\\u12ü3\"", "\u{fffd}12ü3", &[(1, 3, digits)]);
        let tab = "control character U+0009 in a string, write it as `\\u0009`";
        check_string("\"a\tb\"", "ab", &[(2, 3, tab)]);
        check_string("\"a", "a", &[(0, 2, "this string is not closed, or a `\"` is missing before it")]);
        check_string("'a'", "a", &[(0, 3, "strings are written in double quotes")]);
    }

    #[test]
    fn whole_numbers_are_exact() {
        for (text, expected) in [
            ("0", Some(Number::Unsigned(0))),
            ("-0", Some(Number::Unsigned(0))),
            ("18446744073709551615", Some(Number::Unsigned(u64::MAX))),
            ("-9223372036854775808", Some(Number::Signed(i64::MIN))),
            ("18446744073709551616", Some(Number::Float(18_446_744_073_709_551_616.0))),
            ("1.5", Some(Number::Float(1.5))),
            ("1e2", Some(Number::Float(100.0))),
            ("080", None),
            ("0x50", None),
            ("+80", None),
            (".5", None),
            ("1.", None),
            ("1e", None),
            ("-", None),
            ("1_000", None),
        ] {
            assert_eq!(read_number(text), expected, "{text}");
        }
    }

    #[test]
    fn every_kind_of_comment_is_skipped() {
        let source = Source::new("x", "// a\n # b \"\n /* c\n */ [ /**/").unwrap();
        let mut lexer = Lexer::new(&source, Span { start: 0, end: source.text().len() });
        assert_eq!(lexer.next().0, Token::Mark(b'['));
        assert_eq!(lexer.next().0, Token::End);
        assert_eq!(lexer.flaws, []);
    }

    #[test]
    fn an_open_comment_is_fatal() {
        let source = Source::new("x", "[ /* ").unwrap();
        let mut lexer = Lexer::new(&source, Span { start: 0, end: source.text().len() });
        assert_eq!((lexer.next().0, lexer.next().0), (Token::Mark(b'['), Token::End));
        assert_eq!(
            lexer.flaws.iter().map(|flaw| (flaw.span.start, flaw.fatal)).collect::<Vec<_>>(),
            [(2, true)]
        );
    }
}
