//! Rules of AdGuard DNS filters, as far as rule sets have them.

use super::{
    DefaultRule, DomainMatch,
    item::{ANY_LABEL, OPEN_LABEL, ROOT_LABEL},
};

/// What a rule of an AdGuard DNS filter asks of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdGuardMeaning<'a> {
    /// To be this name, or one below it.
    Name(DomainMatch, &'a str),
    /// To have this text somewhere.
    Keyword(&'a str),
    /// To match this expression, in the syntax that Go and Rust share.
    Regexp(String),
}

/// Says what a rule without modifiers means: `||` in front is a boundary between labels, `|` the
/// beginning, `^` behind the end, and `*` any text.
///
/// ```
/// use waypost_geodata::rule_set::{AdGuardMeaning, DomainMatch, adguard_meaning};
///
/// let whole = adguard_meaning("||example.org^");
/// assert_eq!(whole, AdGuardMeaning::Name(DomainMatch::Suffix, "example.org"));
/// assert_eq!(adguard_meaning("|ads*.example"), AdGuardMeaning::Regexp(r"^ads.*\.example".to_owned()));
/// ```
#[must_use]
pub fn adguard_meaning(line: &str) -> AdGuardMeaning<'_> {
    let Parts { front, text, is_closed } = Parts::of(line);
    let is_name = !text.contains('*') && !text.starts_with('.') && !text.ends_with('.');
    match (front, is_closed) {
        (Front::Boundary, true) if is_name => AdGuardMeaning::Name(DomainMatch::Suffix, text),
        (Front::Start, true) if is_name => AdGuardMeaning::Name(DomainMatch::Full, text),
        (Front::Open, false) if !text.contains('*') => AdGuardMeaning::Keyword(text),
        (Front::Boundary | Front::Start | Front::Open, _) => {
            let begin = match front {
                Front::Boundary => r"(?:^|\.)",
                Front::Start => "^",
                Front::Open => "",
            };
            let mut expression = begin.to_owned();
            for (index, part) in text.split('*').enumerate() {
                expression.push_str(if index > 0 { ".*" } else { "" });
                escape(part, &mut expression);
            }
            expression.push_str(if is_closed { "$" } else { "" });
            AdGuardMeaning::Regexp(expression)
        }
    }
}

/// Escapes what has a meaning in expressions.
fn escape(text: &str, expression: &mut String) {
    for character in text.chars() {
        if character.is_ascii_punctuation() && !matches!(character, '-' | '_') {
            expression.push('\\');
        }
        expression.push(character);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Front {
    Boundary,
    Start,
    Open,
}

struct Parts<'a> {
    front: Front,
    text: &'a str,
    is_closed: bool,
}

impl<'a> Parts<'a> {
    fn of(line: &'a str) -> Self {
        let (front, rest) = if let Some(rest) = line.strip_prefix("||") {
            (Front::Boundary, rest)
        } else if let Some(rest) = line.strip_prefix('|') {
            (Front::Start, rest)
        } else {
            (Front::Open, line)
        };
        match rest.strip_suffix('^') {
            Some(text) => Self { front, text, is_closed: true },
            None => Self { front, text: rest.strip_suffix('.').unwrap_or(rest), is_closed: false },
        }
    }
}

/// Puts what the AdGuard rules of `rule` mean where its other names are; all of these are one group.
pub(super) fn spell_out(rule: &mut DefaultRule) {
    for line in std::mem::take(&mut rule.adguard) {
        match adguard_meaning(&line) {
            AdGuardMeaning::Name(how, name) if rule.domains.push(how, name).is_ok() => {}
            AdGuardMeaning::Name(_, text) | AdGuardMeaning::Keyword(text) => {
                rule.domain_keywords.push(text.into());
            }
            AdGuardMeaning::Regexp(expression) => rule.domain_regexps.push(expression.into()),
        }
    }
}

/// The rule that a key of the trie stands for, if it is one.
pub(super) fn line_of_key(key: &[u8]) -> Option<String> {
    let (is_closed, key) = match key {
        [OPEN_LABEL, rest @ ..] => (false, rest),
        key => (true, key),
    };
    let (front, reversed) = match key {
        [rest @ .., ROOT_LABEL] => ("||", rest),
        [rest @ .., ANY_LABEL] => ("", rest),
        rest => ("|", rest),
    };
    if reversed.is_empty() || reversed.iter().any(|&byte| byte < b' ') {
        return None;
    }
    let mut line = front.to_owned();
    line.extend(std::str::from_utf8(reversed).ok()?.chars().rev());
    line.push_str(if is_closed { "^" } else { "" });
    Some(line)
}

/// The key of the trie that a rule becomes.
pub(super) fn key_of_line(line: &str, key: &mut Vec<u8>) {
    let Parts { front, text, is_closed } = Parts::of(line);
    if !is_closed {
        key.push(OPEN_LABEL);
    }
    super::trie_write::push_reversed(text, key);
    match front {
        Front::Boundary => key.push(ROOT_LABEL),
        Front::Start => {}
        Front::Open => key.push(ANY_LABEL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_mean_names_where_they_can() {
        use AdGuardMeaning::{Keyword, Name};
        let regexp = |text: &str| AdGuardMeaning::Regexp(text.to_owned());
        for (line, expected) in [
            ("||a.b^", Name(DomainMatch::Suffix, "a.b")),
            ("|a.b^", Name(DomainMatch::Full, "a.b")),
            ("a.b", Keyword("a.b")),
            ("a.b.", Keyword("a.b")),
            ("a.b^", regexp(r"a\.b$")),
            ("||a.b", regexp(r"(?:^|\.)a\.b")),
            ("|a.b", regexp(r"^a\.b")),
            ("||a*b^", regexp(r"(?:^|\.)a.*b$")),
            ("||.a^", regexp(r"(?:^|\.)\.a$")),
        ] {
            assert_eq!(adguard_meaning(line), expected, "{line}");
        }
    }

    #[test]
    fn keys_and_lines_are_the_same() {
        for line in ["||a.b^", "|a.b^", "a.b", "a.b^", "||a.b", "|a*.b", "*a^"] {
            let mut key = Vec::new();
            key_of_line(line, &mut key);
            assert_eq!(line_of_key(&key).as_deref(), Some(line));
        }
    }
}
