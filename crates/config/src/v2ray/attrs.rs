use crate::{
    Spanned,
    json::{Kind, part_of},
    model::{AttributeEntry, AttributeTest},
    object::{Field, read_map},
    report::{Report, quote},
};

const SHAPES: &str = "there are `attrs['k'] == 'v'`, `attrs['k'].startswith('v')`, `attrs['k'].find('v') >= 0`, \
                      `attrs['k'].index('v') >= 0` and `'v' in attrs['k']`, joined by `and`";

/// Reads `attrs`: V2Ray's expression, or Xray's object. `None` if there is no condition.
pub(super) fn read(field: Field<'_>, report: &mut Report<'_>) -> Option<Vec<Spanned<AttributeEntry>>> {
    match &field.value.kind {
        Kind::String(text) if text.is_empty() => None,
        Kind::String(text) => match read_expression(text) {
            Ok(parts) => {
                let span = |part: &Part| part_of(text, field.value.span, part.start..part.end);
                Some(parts.into_iter().map(|part| Spanned::new(part.entry.clone(), span(&part))).collect())
            }
            Err(at) => {
                let rest = text.get(at..).unwrap_or_default();
                let message = match rest {
                    "" => "this expression ends too early".to_owned(),
                    rest => format!("this expression is not understood from {} on", quote(rest)),
                };
                report.error(part_of(text, field.value.span, at..text.len()), message).help(SHAPES);
                None
            }
        },
        Kind::Object(_) => {
            let members = read_map(field, report);
            let entries: Vec<_> = members
                .iter()
                .filter_map(|member| {
                    let Some(expression) = member.value.text() else {
                        let found = member.value.found();
                        report.error(
                            member.value.span,
                            format!("expected a regular expression, found {found}"),
                        );
                        return None;
                    };
                    let key = member.key.to_lowercase().into();
                    let test = AttributeTest::Regexp(expression.into());
                    Some(Spanned::new(AttributeEntry { key, test }, member.value.span))
                })
                .collect();
            (!members.is_empty()).then_some(entries)
        }
        Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Array(_) => {
            field.expected("an expression or an object", report);
            None
        }
    }
}

/// One test of an expression with its place in it.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    start: usize,
    end: usize,
    entry: AttributeEntry,
}

/// Reads the shapes that the manual of V2Ray shows; the error is the place where it stops being
/// one of them.
fn read_expression(text: &str) -> Result<Vec<Part>, usize> {
    let mut scanner = Scanner { text, at: 0 };
    let mut parts = Vec::new();
    loop {
        scanner.skip_spaces();
        let start = scanner.at;
        let entry = scanner.test().ok_or(scanner.at)?;
        parts.push(Part { start, end: scanner.at, entry });
        let before = scanner.at;
        scanner.skip_spaces();
        if scanner.rest().is_empty() {
            return Ok(parts);
        }
        if before == scanner.at || !scanner.word("and") {
            return Err(scanner.at);
        }
    }
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl Scanner<'_> {
    fn test(&mut self) -> Option<AttributeEntry> {
        if self.rest().starts_with(['\'', '"']) {
            let value = self.string()?;
            self.skip_spaces();
            self.word("in").then_some(())?;
            let key = self.attribute()?;
            return Some(AttributeEntry { key, test: AttributeTest::Contains(value) });
        }
        let key = self.attribute()?;
        self.skip_spaces();
        let test = if self.mark("==") {
            self.skip_spaces();
            AttributeTest::Equals(self.string()?)
        } else if self.mark(".startswith") {
            AttributeTest::StartsWith(self.argument()?)
        } else if self.mark(".index") || self.mark(".find") {
            let value = self.argument()?;
            for mark in [">=", "0"] {
                self.skip_spaces();
                self.mark(mark).then_some(())?;
            }
            AttributeTest::Contains(value)
        } else {
            return None;
        };
        Some(AttributeEntry { key, test })
    }

    /// `attrs['k']`.
    fn attribute(&mut self) -> Option<Box<str>> {
        self.skip_spaces();
        let key = self.mark("attrs").then_some(()).and_then(|()| self.enclosed("[", "]"))?;
        Some(key.to_lowercase().into())
    }

    /// `('v')`.
    fn argument(&mut self) -> Option<Box<str>> {
        self.enclosed("(", ")")
    }

    fn enclosed(&mut self, open: &str, close: &str) -> Option<Box<str>> {
        self.skip_spaces();
        self.mark(open).then_some(())?;
        self.skip_spaces();
        let inner = self.string()?;
        self.skip_spaces();
        self.mark(close).then_some(inner)
    }

    fn string(&mut self) -> Option<Box<str>> {
        let quote = self.rest().chars().next().filter(|&c| c == '\'' || c == '"')?;
        let mut value = String::new();
        let mut characters = self.rest().char_indices().skip(1);
        while let Some((offset, character)) = characters.next() {
            if character == quote {
                self.at += offset + 1;
                return Some(value.into());
            }
            let plain = if character == '\\' { unescape(characters.next()?.1)? } else { character };
            value.push(plain);
        }
        None
    }

    fn skip_spaces(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn mark(&mut self, mark: &str) -> bool {
        let found = self.rest().starts_with(mark);
        self.at += if found { mark.len() } else { 0 };
        found
    }

    /// A word that ends where it should.
    fn word(&mut self, word: &str) -> bool {
        let behind = self.rest().strip_prefix(word);
        let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        behind.is_some_and(ends) && self.mark(word)
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }
}

/// The escapes of Starlark strings that stand for one printable character or a line feed.
fn unescape(letter: char) -> Option<char> {
    match letter {
        '\\' | '\'' | '"' => Some(letter),
        'n' => Some('\n'),
        't' => Some('\t'),
        'r' => Some('\r'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str, test: AttributeTest) -> AttributeEntry {
        AttributeEntry { key: key.into(), test }
    }

    #[test]
    fn every_shape_is_read() {
        for (text, expected) in [
            ("attrs[':method'] == 'GET'", entry(":method", AttributeTest::Equals("GET".into()))),
            (" attrs [ \"Accept\" ]=='a\\'b' ", entry("accept", AttributeTest::Equals("a'b".into()))),
            ("attrs[':path'].startswith('/test')", entry(":path", AttributeTest::StartsWith("/test".into()))),
            ("attrs['a'].index(\"b\") >= 0", entry("a", AttributeTest::Contains("b".into()))),
            ("attrs['a'].find('b')>=0", entry("a", AttributeTest::Contains("b".into()))),
            ("'b' in attrs['a']", entry("a", AttributeTest::Contains("b".into()))),
        ] {
            let parts = read_expression(text).map(|parts| parts.into_iter().map(|part| part.entry).collect());
            assert_eq!(parts, Ok(vec![expected]), "{text}");
        }
    }

    #[test]
    fn tests_are_joined_by_and() {
        let parts = read_expression("attrs['a'] == 'b'  and 'd' in attrs['c']").unwrap();
        let places: Vec<_> = parts.iter().map(|part| (part.start, part.end)).collect();
        assert_eq!(places, [(0, 17), (23, 40)]);
    }

    #[test]
    fn everything_else_is_refused_at_its_place() {
        for (text, at) in [
            ("True", 0),
            ("attrs['a'] != 'b'", 11),
            ("attrs['a'] == 'b' or True", 18),
            ("attrs['a'] == 'b'and 'c' in attrs['d']", 17),
            ("attrs['a'] == 'b' and", 21),
            ("attrs[a] == 'b'", 6),
            ("attrs['a'].endswith('b')", 10),
            ("attrs['a'].find('b') > 0", 21),
            ("attrs['a'] == 'b", 14),
            ("attrs['a'] == '\\x41'", 14),
            ("'a' inattrs['b']", 4),
        ] {
            assert_eq!(read_expression(text), Err(at), "{text}");
        }
    }
}
