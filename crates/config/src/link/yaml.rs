//! YAML 1.2, as far as files of Clash need it: a tree of texts, lists and maps. Numbers and words stay
//! the texts that they are written as, so that a password `0123` is that.

use std::collections::BTreeMap;

use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput};

use super::SubscriptionError;

/// How deep lists and maps may be inside one another; files of Clash need about eight.
const MAX_DEPTH: usize = 64;
/// How many values a file may have, with those that an alias repeats.
const MAX_VALUES: usize = 2_000_000;
/// A long text counts as one more value for each of these bytes, as an alias repeats them all.
const BYTES_OF_A_VALUE: usize = 64;

/// A value with the line that it begins on, from 1.
#[derive(Clone)]
pub(super) struct Yaml {
    pub(super) line: usize,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Null,
    Text(String),
    List(Vec<Yaml>),
    Map(Vec<(String, Yaml)>),
}

impl Yaml {
    /// Reads the first document of a text.
    pub(super) fn parse(text: &str) -> Result<Self, SubscriptionError> {
        let mut reader = Reader { parser: Parser::new_from_str(text), anchors: BTreeMap::new(), n_values: 0 };
        loop {
            match reader.next()? {
                (Event::StreamStart | Event::DocumentStart(..), _) => {}
                (Event::StreamEnd | Event::DocumentEnd, _) => return Ok(Self { line: 1, kind: Kind::Null }),
                (event, span) => return reader.value(event, span, 0).map(|(value, _size)| value),
            }
        }
    }

    /// The member with this key; `None` for `null`, too.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        let named = self.members().iter().find(|(name, _)| name == key);
        named.map(|(_, value)| value).filter(|value| !matches!(value.kind, Kind::Null))
    }

    /// The text of a member; empty if it is none.
    pub(super) fn text(&self, key: &str) -> &str {
        self.get(key).and_then(Self::as_text).unwrap_or_default()
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            Kind::Null | Kind::List(_) | Kind::Map(_) => None,
        }
    }

    /// The elements of a list; none if it is no list.
    pub(super) fn items(&self) -> &[Self] {
        match &self.kind {
            Kind::List(items) => items,
            Kind::Null | Kind::Text(_) | Kind::Map(_) => &[],
        }
    }

    /// The texts of a list, or the one text.
    pub(super) fn texts(&self, key: &str) -> Vec<String> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let texts = value.items().iter().chain([value]).filter_map(Self::as_text);
        texts.map(str::to_owned).collect()
    }

    /// The members of a map; none if it is no map.
    pub(super) fn members(&self) -> &[(String, Self)] {
        match &self.kind {
            Kind::Map(members) => members,
            Kind::Null | Kind::Text(_) | Kind::List(_) => &[],
        }
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self.kind, Kind::List(_))
    }
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    /// What aliases stand for, with its size.
    anchors: BTreeMap<usize, (Yaml, usize)>,
    n_values: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), SubscriptionError> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => {
                let mark = error.marker();
                Err(flaw(mark.line(), mark.col(), error.info()))
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    /// The value that begins with an event, and how many values are in it.
    fn value(
        &mut self,
        event: Event<'a>,
        span: Span,
        depth: usize,
    ) -> Result<(Yaml, usize), SubscriptionError> {
        let (line, column) = (span.start.line(), span.start.col());
        if depth > MAX_DEPTH {
            return Err(flaw(line, column, format!("more than {MAX_DEPTH} levels inside one another")));
        }
        let own = if let Event::Scalar(text, ..) = &event { 1 + text.len() / BYTES_OF_A_VALUE } else { 1 };
        let mut size = own;
        let (kind, anchor) = match event {
            Event::Scalar(text, style, anchor, _) => (scalar(&text, style), anchor),
            Event::SequenceStart(_, anchor, _) => (self.list(depth, &mut size)?, anchor),
            Event::MappingStart(_, anchor, _) => (self.map(depth, &mut size)?, anchor),
            Event::Alias(anchor) => {
                let Some((value, size)) = self.anchors.get(&anchor).cloned() else {
                    return Err(flaw(line, column, "an alias inside of what it stands for"));
                };
                self.count(size, line, column)?;
                return Ok((value, size));
            }
            Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(..)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd
            | Event::Anchor(..)
            | Event::UnresolvedAlias(_)
            | _ => return Err(flaw(line, column, "something ends too early")),
        };
        self.count(own, line, column)?;
        let value = Yaml { line, kind };
        if anchor > 0 {
            self.anchors.insert(anchor, (value.clone(), size));
            self.count(size, line, column)?;
        }
        Ok((value, size))
    }

    fn list(&mut self, depth: usize, size: &mut usize) -> Result<Kind, SubscriptionError> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(Kind::List(items));
            }
            let (item, n_values) = self.value(event, span, depth + 1)?;
            *size += n_values;
            items.push(item);
        }
    }

    fn map(&mut self, depth: usize, size: &mut usize) -> Result<Kind, SubscriptionError> {
        let (mut members, mut merged) = (Vec::new(), Vec::new());
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let (key, key_values) = self.value(event, span, depth + 1)?;
            let (event, span) = self.next()?;
            let (value, n_values) = self.value(event, span, depth + 1)?;
            *size += key_values + n_values;
            match key.kind {
                Kind::Text(key) if key == "<<" => merged.push(value),
                Kind::Text(key) => members.push((key, value)),
                // Nothing that is asked for has such a key.
                Kind::Null | Kind::List(_) | Kind::Map(_) => {}
            }
        }
        // What the map says itself comes first (YAML 1.1, merge keys).
        for value in merged {
            let maps = if value.is_list() { value.items().to_vec() } else { vec![value] };
            for map in maps {
                if let Kind::Map(more) = map.kind {
                    members.extend(more);
                }
            }
        }
        Ok(Kind::Map(members))
    }

    fn count(&mut self, n_values: usize, line: usize, column: usize) -> Result<(), SubscriptionError> {
        self.n_values = self.n_values.saturating_add(n_values);
        let message = || format!("more than {MAX_VALUES} values, with those that aliases repeat");
        if self.n_values > MAX_VALUES { Err(flaw(line, column, message())) } else { Ok(()) }
    }
}

fn scalar(text: &str, style: ScalarStyle) -> Kind {
    match style {
        ScalarStyle::Plain if matches!(text, "" | "~" | "null" | "Null" | "NULL") => Kind::Null,
        ScalarStyle::Plain
        | ScalarStyle::SingleQuoted
        | ScalarStyle::DoubleQuoted
        | ScalarStyle::Literal
        | ScalarStyle::Folded => Kind::Text(text.to_owned()),
    }
}

fn flaw(line: usize, column: usize, message: impl Into<Box<str>>) -> SubscriptionError {
    SubscriptionError::Yaml { line, column: column + 1, message: message.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Yaml::parse(text).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn texts_stay_as_they_are_written() {
        let root = Yaml::parse("a: 0123\nb: 1e3\nc: \"~\"\nd: ~\ne: yes # no\nf: 'it''s'\n").unwrap();
        let texts = ["a", "b", "c", "d", "e", "f", "g"].map(|key| root.text(key));
        assert_eq!(texts, ["0123", "1e3", "~", "", "yes", "it's", ""]);
        assert!(root.get("d").is_none());
    }

    #[test]
    fn aliases_and_merged_keys_are_followed() {
        let text =
            "base: &b {port: 1, udp: true}\nlist:\n  - <<: *b\n    port: 2\n  - *b\n  - <<: [*b, {x: y}]\n";
        let root = Yaml::parse(text).unwrap();
        let items = root.get("list").unwrap().items();
        let found: Vec<_> =
            items.iter().map(|item| (item.text("port"), item.text("udp"), item.text("x"))).collect();
        assert_eq!(found, [("2", "true", ""), ("1", "true", ""), ("1", "true", "y")]);
        assert_eq!(items[0].line, 3);
    }

    #[test]
    fn mistakes_have_a_place() {
        assert_eq!(error("a:\n  - b: [1, 2\n"), "line 2, column 8: unclosed bracket '['");
        assert!(error("a: *nobody").starts_with("line 1, column "), "{}", error("a: *nobody"));
        assert!(error("&a [*a]").contains("an alias inside of what it stands for"));
    }

    #[test]
    fn no_text_takes_all_memory() {
        let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
        assert!(error(&deep).contains("more than 64 levels"), "{}", error(&deep));
        let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
            laughs.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }
        assert!(error(&laughs).contains("more than 2000000 values"), "{}", error(&laughs));
        let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(500_000), "*a, ".repeat(300));
        assert!(error(&long).contains("more than 2000000 values"), "{}", error(&long));
    }
}
