use regex_syntax::hir::{Class, Hir, HirKind};

use super::parse;

/// Whether `expression` is only found in texts with an upper-case letter, so that it is found in no
/// name: names are in lower case. An expression that is wrong, or that fits no name in any letter
/// case, is not what is asked for.
///
/// ```
/// use waypost_geosite::go_regexp::needs_upper_case;
///
/// assert!(needs_upper_case(r"^Example\.com$"));
/// assert!(!needs_upper_case(r"(?i)^Example\.com$"));
/// assert!(!needs_upper_case(r"^(Example|example)\.com$"));
/// ```
#[must_use]
pub fn needs_upper_case(expression: &str) -> bool {
    parse(expression)
        .is_ok_and(|parsed| !fits(&parsed, is_in_names) && fits(&parsed, is_in_names_of_any_case))
}

fn is_in_names(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.')
}

fn is_in_names_of_any_case(byte: u8) -> bool {
    is_in_names(byte.to_ascii_lowercase())
}

/// Whether there is a text of `allowed` bytes that `part` is found in, as far as its characters go:
/// what anchors and word boundaries want counts as given.
fn fits(part: &Hir, allowed: fn(u8) -> bool) -> bool {
    match part.kind() {
        HirKind::Empty | HirKind::Look(_) => true,
        HirKind::Literal(literal) => literal.0.iter().all(|&byte| allowed(byte)),
        HirKind::Class(Class::Unicode(class)) => (0..=0x7F_u8).filter(|&byte| allowed(byte)).any(|byte| {
            class.ranges().iter().any(|range| (range.start()..=range.end()).contains(&char::from(byte)))
        }),
        HirKind::Class(Class::Bytes(class)) => (0..=0x7F_u8)
            .filter(|&byte| allowed(byte))
            .any(|byte| class.ranges().iter().any(|range| (range.start()..=range.end()).contains(&byte))),
        HirKind::Repetition(repetition) => repetition.min == 0 || fits(&repetition.sub, allowed),
        HirKind::Capture(capture) => fits(&capture.sub, allowed),
        HirKind::Concat(parts) => parts.iter().all(|part| fits(part, allowed)),
        HirKind::Alternation(ways) => ways.iter().any(|way| fits(way, allowed)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(expected: bool, expressions: &[&str]) {
        for expression in expressions {
            assert!(parse(expression).is_ok(), "{expression}");
            assert_eq!(needs_upper_case(expression), expected, "{expression}");
        }
    }

    #[test]
    fn an_upper_case_letter_that_has_to_be_there_is_found() {
        check(
            true,
            &[
                "Example",
                r"^Ex\.com$",
                "[A-Z]+x",
                "(a|b)C",
                "(A|B)",
                r"\QA.b\E",
                r"\x41",
                r"\101",
                "(?P<name>A)",
                "[[:upper:]]",
                r"\p{Lu}",
                "(?i:a)B",
                "(?i)a(?-i)B",
                "A{2,}",
            ],
        );
    }

    #[test]
    fn an_upper_case_letter_that_is_syntax_is_not() {
        check(
            false,
            &[
                r"\D\S\W\B\Aa\pL",
                r"\Qa.b\E",
                "(?P<Name>a)",
                "(?U)a+",
                "[[:alpha:]]",
                r"\p{Latin}",
                r"[\D]",
                r"\PN",
            ],
        );
    }

    #[test]
    fn an_upper_case_letter_that_need_not_be_there_is_not() {
        check(false, &["(?i)Example", "A?a", "A*", "A{0,3}", "[A-Za-z]", "(A|a)", "a|B", "", "^$", "[^A]"]);
    }

    #[test]
    fn what_fits_no_name_for_another_reason_is_not_meant() {
        check(false, &["a b", "A b", "\u{fc}", "~"]);
        assert!(!needs_upper_case("(A"));
    }
}
