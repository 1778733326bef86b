//! Regular expressions in Go's syntax.
//!
//! V2Ray's files are written for Go's `regexp` package. Most expressions mean the same to Rust's
//! `regex`; some would be refused, and a few would silently mean something else (`[a&&b]` is an
//! intersection there, `\<` the start of a word). [`translate`] rewrites an expression so that the
//! same text means the same thing, and refuses what Go refuses.
//!
//! Source: the syntax page of Go's `regexp/syntax`, and that of Rust's `regex` 1.13.

mod letter_case;

use std::{iter::Peekable, str::CharIndices};

use regex_syntax::hir::Hir;

pub use self::letter_case::needs_upper_case;

/// Why an expression is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `a**` and the like: Go repeats a repetition only in parentheses.
    #[error("the repetition at character {at} follows another one; put the first in parentheses")]
    NestedRepetition {
        /// Position of the second operator, in characters from 1.
        at: usize,
    },
    /// `a{1001}`: Go repeats at most 1000 times.
    #[error("the repetition at character {at} counts to more than 1000")]
    RepetitionCount {
        /// Position of the brace.
        at: usize,
    },
    /// `(?x)` and other flags that Go does not have.
    #[error("unknown flag `{flag}` at character {at}; Go has `i`, `m`, `s` and `U`")]
    Flag {
        /// The flag.
        flag: char,
        /// Its position.
        at: usize,
    },
    /// `\1`: Go has no back-references.
    #[error("the back-reference at character {at} is not supported")]
    BackReference {
        /// Its position.
        at: usize,
    },
    /// An escape that Go does not know.
    #[error("unknown escape `\\{escape}` at character {at}")]
    Escape {
        /// The character behind the backslash.
        escape: char,
        /// Position of the backslash.
        at: usize,
    },
    /// The expression ends within an escape.
    #[error("the expression ends with a lone backslash")]
    TrailingBackslash,
    /// Anything else that is wrong with the syntax.
    #[error("{reason}")]
    Syntax {
        /// What the parser says.
        reason: Box<str>,
    },
    /// The compiled expression would be too large.
    #[error("the compiled expressions are larger than {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: usize,
    },
}

impl Error {
    pub(crate) fn from_engine(error: &regex::Error) -> Self {
        if let regex::Error::CompiledTooBig(limit_bytes) = error {
            return Self::TooLarge { limit_bytes: *limit_bytes };
        }
        Self::Syntax { reason: last_line(&error.to_string()) }
    }
}

/// Checks that `expression` is one that Go accepts, without compiling it.
///
/// # Errors
///
/// See [`Error`].
pub fn check(expression: &str) -> Result<(), Error> {
    parse(expression).map(drop)
}

fn parse(expression: &str) -> Result<Hir, Error> {
    let translated = translate(expression)?;
    regex_syntax::ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .build()
        .parse(&translated)
        .map_err(|error| Error::Syntax { reason: last_line(&error.to_string()) })
}

/// Compiles `expression` for texts that need not be domain names.
///
/// # Errors
///
/// If Go would refuse it, or if it compiles to more than `size_limit_bytes`.
pub fn compile(expression: &str, size_limit_bytes: usize) -> Result<regex::Regex, Error> {
    regex::RegexBuilder::new(&translate(expression)?)
        .size_limit(size_limit_bytes)
        .build()
        .map_err(|error| Error::from_engine(&error))
}

/// Rewrites `expression` from Go's syntax to that of the `regex` crate.
///
/// The result has the same meaning with Unicode mode on or off: `\d`, `\w`, `\s` and `\b` are ASCII
/// in it, as in Go. It may still have a mistake that the `regex` crate reports.
///
/// # Errors
///
/// If Go would refuse the expression where the `regex` crate would not.
pub fn translate(expression: &str) -> Result<String, Error> {
    let mut translator = Translator {
        rest: expression.char_indices().peekable(),
        text: expression,
        out: String::with_capacity(expression.len() + 16),
        at: 0,
        after_repetition: false,
    };
    while let Some(c) = translator.next() {
        translator.outside_class(c)?;
    }
    Ok(translator.out)
}

/// Go's limit for `{n,m}` (`regexp/syntax`: 1000).
const MAX_REPETITION: u32 = 1000;

struct Translator<'a> {
    rest: Peekable<CharIndices<'a>>,
    text: &'a str,
    out: String,
    /// Characters read so far.
    at: usize,
    /// Whether the last element was a repetition.
    after_repetition: bool,
}

impl Translator<'_> {
    fn next(&mut self) -> Option<char> {
        self.at += 1;
        self.rest.next().map(|(_, c)| c)
    }

    fn peek(&mut self) -> Option<char> {
        self.rest.peek().map(|&(_, c)| c)
    }

    fn next_if(&mut self, expected: char) -> bool {
        let hit = self.peek() == Some(expected);
        if hit {
            self.next();
        }
        hit
    }

    /// What has not been read yet.
    fn remaining(&mut self) -> &str {
        let start = self.rest.peek().map_or(self.text.len(), |&(start, _)| start);
        self.text.get(start..).unwrap_or_default()
    }

    fn outside_class(&mut self, c: char) -> Result<(), Error> {
        match c {
            '\\' => self.escape(),
            '[' => self.class(),
            '(' => self.group(),
            '*' | '+' | '?' => self.repetition(|out| out.push(c)),
            '{' => self.brace(),
            _ => {
                self.literal(c);
                Ok(())
            }
        }
    }

    fn literal(&mut self, c: char) {
        self.after_repetition = false;
        if c.is_ascii() {
            self.out.push(c);
        } else {
            self.out.push_str("(?u:");
            self.out.push(c);
            self.out.push(')');
        }
    }

    fn quoted(&mut self, c: char) {
        self.after_repetition = false;
        if c.is_ascii() {
            self.out.push_str(&regex_syntax::escape(c.encode_utf8(&mut [0; 4])));
        } else {
            self.literal(c);
        }
    }

    fn repetition(&mut self, write: impl FnOnce(&mut String)) -> Result<(), Error> {
        if self.after_repetition {
            return Err(Error::NestedRepetition { at: self.at });
        }
        write(&mut self.out);
        if self.next_if('?') {
            self.out.push('?');
        }
        self.after_repetition = true;
        Ok(())
    }

    /// `{n}`, `{n,}` and `{n,m}` repeat; any other brace is a literal to Go.
    fn brace(&mut self) -> Result<(), Error> {
        let at = self.at;
        let remaining = self.remaining();
        let Some((counts, _)) = remaining.split_once('}') else {
            self.quoted('{');
            return Ok(());
        };
        let (least, most) =
            counts.split_once(',').map_or((counts, None), |(least, most)| (least, Some(most)));
        let number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !number(least) || most.is_some_and(|most| !most.is_empty() && !number(most)) {
            self.quoted('{');
            return Ok(());
        }
        let too_many =
            |digits: &str| digits.parse::<u32>().map_or(!digits.is_empty(), |count| count > MAX_REPETITION);
        if too_many(least) || most.is_some_and(too_many) {
            return Err(Error::RepetitionCount { at });
        }
        let counts = counts.to_owned();
        for _ in 0..=counts.chars().count() {
            self.next();
        }
        self.repetition(|out| {
            out.push('{');
            out.push_str(&counts);
            out.push('}');
        })
    }

    /// The opening of a group; only its flags need a look.
    fn group(&mut self) -> Result<(), Error> {
        self.after_repetition = false;
        self.out.push('(');
        if !self.next_if('?') {
            return Ok(());
        }
        self.out.push('?');
        if matches!(self.peek(), Some('P' | '<')) {
            return Ok(());
        }
        while let Some(c) = self.next() {
            match c {
                'i' | 'm' | 's' | 'U' | '-' => self.out.push(c),
                ':' | ')' => {
                    self.out.push(c);
                    return Ok(());
                }
                flag => return Err(Error::Flag { flag, at: self.at }),
            }
        }
        Ok(())
    }

    fn escape(&mut self) -> Result<(), Error> {
        self.after_repetition = false;
        let at = self.at;
        let c = self.next().ok_or(Error::TrailingBackslash)?;
        match c {
            'Q' => self.quotation(),
            'A' | 'z' => self.out.extend(['\\', c]),
            'b' | 'B' => {
                self.out.push_str("(?-u:\\");
                self.out.push(c);
                self.out.push(')');
            }
            _ => self.shared_escape(c, at)?,
        }
        Ok(())
    }

    /// `\Q…\E`, or `\Q…` to the end.
    fn quotation(&mut self) {
        while let Some(c) = self.next() {
            if c == '\\' && self.next_if('E') {
                return;
            }
            self.quoted(c);
        }
    }

    /// Escapes that mean the same inside and outside of a class.
    fn shared_escape(&mut self, c: char, at: usize) -> Result<(), Error> {
        match c {
            'd' => self.out.push_str("[0-9]"),
            'D' => self.out.push_str("[^0-9]"),
            'w' => self.out.push_str("[0-9A-Za-z_]"),
            'W' => self.out.push_str("[^0-9A-Za-z_]"),
            's' => self.out.push_str("[\\t\\n\\x0C\\r ]"),
            'S' => self.out.push_str("[^\\t\\n\\x0C\\r ]"),
            'a' | 'f' | 't' | 'n' | 'r' | 'v' | 'x' => self.out.extend(['\\', c]),
            'p' | 'P' => self.unicode_class(c),
            '0'..='7' => self.octal(c, at)?,
            _ if c.is_ascii() && !c.is_ascii_alphanumeric() => {
                let escaped = regex_syntax::escape(c.encode_utf8(&mut [0; 4]));
                self.out.push_str(&escaped);
            }
            _ => return Err(Error::Escape { escape: c, at }),
        }
        Ok(())
    }

    /// `\pN`, `\p{Greek}`: needs Unicode mode for itself.
    fn unicode_class(&mut self, c: char) {
        self.out.push_str("(?u:\\");
        self.out.push(c);
        if let Some(name) = self.next() {
            self.out.push(name);
            if name == '{' {
                self.copy_through('}');
            }
        }
        self.out.push(')');
    }

    /// `\0`, `\12`, `\123`: one to three octal digits, the first non-zero one not alone.
    fn octal(&mut self, first: char, at: usize) -> Result<(), Error> {
        if first != '0' && !matches!(self.peek(), Some('0'..='7')) {
            return Err(Error::BackReference { at });
        }
        let mut value = first.to_digit(8).unwrap_or_default();
        for _ in 0..2 {
            let Some(digit) = self.peek().and_then(|c| c.to_digit(8)) else { break };
            self.next();
            value = value * 8 + digit;
        }
        self.out.push_str(&format!("\\x{{{value:X}}}"));
        Ok(())
    }

    fn class(&mut self) -> Result<(), Error> {
        self.after_repetition = false;
        self.out.push('[');
        if self.next_if('^') {
            self.out.push('^');
        }
        let mut first = true;
        while let Some(c) = self.next() {
            match c {
                ']' if !first => {
                    self.out.push(']');
                    return Ok(());
                }
                ']' => self.out.push_str("\\]"),
                '\\' => {
                    let at = self.at;
                    let c = self.next().ok_or(Error::TrailingBackslash)?;
                    self.class_escape(c, at)?;
                }
                '[' => self.class_bracket(),
                // Doubled, these are set operations to Rust and plain characters to Go.
                '&' | '~' => self.out.extend(['\\', c]),
                '-' if self.peek() == Some('-') => self.out.push_str("\\-"),
                _ => self.out.push(c),
            }
            first = false;
        }
        Ok(())
    }

    /// `\pN` needs no group of its own in a class, where none is possible.
    fn class_escape(&mut self, c: char, at: usize) -> Result<(), Error> {
        match c {
            'p' | 'P' => {
                self.out.extend(['\\', c]);
                Ok(())
            }
            _ => self.shared_escape(c, at),
        }
    }

    /// `[:alpha:]` is a class in both; any other bracket is a literal to Go.
    fn class_bracket(&mut self) {
        let posix = self.remaining().strip_prefix(':').and_then(|rest| rest.split_once(":]")).is_some_and(
            |(name, _)| name.trim_start_matches('^').bytes().all(|byte| byte.is_ascii_lowercase()),
        );
        if !posix {
            self.out.push_str("\\[");
            return;
        }
        self.out.push('[');
        self.copy_through(']');
    }

    /// Copies up to and with `last`.
    fn copy_through(&mut self, last: char) {
        while let Some(c) = self.next() {
            self.out.push(c);
            if c == last {
                return;
            }
        }
    }
}

/// The `regex` crate draws the expression with a caret; the last line alone says what is wrong.
fn last_line(message: &str) -> Box<str> {
    let line = message.lines().last().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).into()
}

#[cfg(test)]
mod tests {
    use regex::bytes::RegexBuilder;

    use super::*;

    #[track_caller]
    fn check_matches(expression: &str, yes: &[&str], no: &[&str]) {
        for unicode in [false, true] {
            let translated = translate(expression).unwrap();
            let regex = RegexBuilder::new(&translated).unicode(unicode).build().unwrap();
            for text in yes {
                assert!(regex.is_match(text.as_bytes()), "{expression} as {translated} on {text}");
            }
            for text in no {
                assert!(!regex.is_match(text.as_bytes()), "{expression} as {translated} on {text}");
            }
        }
        assert_eq!(check(expression), Ok(()));
    }

    #[test]
    fn what_go_reads_differently_means_what_go_means() {
        check_matches(r"^\Qa.b\E$", &["a.b"], &["axb"]);
        check_matches(r"^\Qa.b", &["a.b"], &["axb"]);
        check_matches("^a{$", &["a{"], &["a"]);
        check_matches("^a{x}$", &["a{x}"], &["a"]);
        check_matches("^a{,5}$", &["a{,5}"], &["aaa"]);
        check_matches("^[[]$", &["["], &["]"]);
        check_matches("^[a&&b]$", &["a", "&", "b"], &["c"]);
        check_matches("^[a--b]$", &["a", "b"], &["z"]);
        check_matches("^[a~~b]$", &["~"], &["c"]);
        check_matches(r"^\<a\>$", &["<a>"], &["a"]);
        check_matches(r"^\101$", &["A"], &["101"]);
        check_matches(r"^\0$", &["\0"], &["0"]);
        check_matches(r"^\d\w\s$", &["1a ", "1_\t"], &["\u{0661}a ", "1\u{e4} "]);
        check_matches(r"^[\d.]+$", &["1.2"], &["a"]);
        check_matches(r"\bb\b", &["a b c"], &["abc"]);
        check_matches(r"^[]a]$", &["]", "a"], &["b"]);
        check_matches(r"^[[:alpha:]]$", &["x"], &["1"]);
        check_matches(r"^[a\-z]$", &["-"], &["m"]);
        check_matches(r"^a\_b\-c$", &["a_b-c"], &["ab"]);
    }

    #[test]
    fn ordinary_expressions_are_left_alone() {
        for expression in [
            r"^(.+\.)?odd[1-7]\.example\.org(\.[a-z]{2})?$",
            r"(?i)^a",
            "a*?b+?c??d{2,3}?",
            "(?P<n>a)(?<m>b)",
            r"\x41\x{41}",
        ] {
            assert_eq!(translate(expression).as_deref(), Ok(expression));
            assert_eq!(check(expression), Ok(()));
        }
        check_matches("\u{fc}", &["\u{fc}"], &["u"]);
        check_matches(r"^\pN$", &["1"], &["a"]);
    }

    #[test]
    fn what_go_refuses_is_refused() {
        assert_eq!(check("a++"), Err(Error::NestedRepetition { at: 3 }));
        assert_eq!(check("a**"), Err(Error::NestedRepetition { at: 3 }));
        assert_eq!(check("a{2}{3}"), Err(Error::NestedRepetition { at: 7 }));
        assert_eq!(check("a{1001}"), Err(Error::RepetitionCount { at: 2 }));
        assert_eq!(check("(?x)a b"), Err(Error::Flag { flag: 'x', at: 3 }));
        assert_eq!(check(r"(a)\1"), Err(Error::BackReference { at: 4 }));
        for escape in ['C', 'Z', 'h', 'e'] {
            assert_eq!(check(&format!("\\{escape}")), Err(Error::Escape { escape, at: 1 }));
        }
        assert_eq!(check("a\\"), Err(Error::TrailingBackslash));
        for expression in ["(", "a)", "[", "(?=a)", "(?<!a)", "*a", "[z-a]", "(?P=a)"] {
            assert!(check(expression).is_err(), "{expression}");
        }
    }
}
