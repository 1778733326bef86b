use std::ops::Range;

use crate::Span;

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Value {
    pub(crate) kind: Kind,
    pub(crate) span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Number(Number),
    String(Box<str>),
    Array(Vec<Value>),
    Object(Vec<Member>),
}

/// A number: whole numbers exactly, everything else as a float.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    Unsigned(u64),
    /// Always below zero.
    Signed(i64),
    Float(f64),
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Member {
    pub(crate) key: Box<str>,
    pub(crate) key_span: Span,
    pub(crate) value: Value,
}

impl Value {
    /// What this is, for `found …` in a message.
    pub(crate) fn found(&self) -> &'static str {
        match self.kind {
            Kind::Null => "`null`",
            Kind::Bool(true) => "`true`",
            Kind::Bool(false) => "`false`",
            Kind::Number(Number::Unsigned(_)) => "a number",
            Kind::Number(Number::Signed(_)) => "a negative number",
            Kind::Number(Number::Float(_)) => "a number that is not whole",
            Kind::String(_) => "a string",
            Kind::Array(_) => "an array",
            Kind::Object(_) => "an object",
        }
    }

    /// Whether this says that something is not used: `false`, zero, or empty.
    pub(crate) fn is_off(&self) -> bool {
        match &self.kind {
            Kind::Null => true,
            Kind::Bool(value) => !value,
            Kind::Number(number) => *number == Number::Unsigned(0),
            Kind::String(text) => text.is_empty(),
            Kind::Array(items) => items.is_empty(),
            Kind::Object(members) => members.is_empty(),
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Null)
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::String(text) => Some(text),
            Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Array(_) | Kind::Object(_) => None,
        }
    }

    pub(crate) fn items(&self) -> Option<&[Value]> {
        match &self.kind {
            Kind::Array(items) => Some(items),
            Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::String(_) | Kind::Object(_) => None,
        }
    }

    pub(crate) fn members(&self) -> Option<&[Member]> {
        match &self.kind {
            Kind::Object(members) => Some(members),
            Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::String(_) | Kind::Array(_) => None,
        }
    }

    /// The last member with this key, letter case aside, unless it is `null`.
    pub(crate) fn member(&self, key: &str) -> Option<&Member> {
        let mut named = self.members()?.iter().rev().filter(|member| member.key.eq_ignore_ascii_case(key));
        named.next().filter(|member| !member.value.is_null())
    }
}

/// The place of a part of a string value; the whole place if the string has escapes, because the
/// text of the file is then longer than the value.
pub(crate) fn part_of(value: &str, span: Span, part: Range<usize>) -> Span {
    if span.end.saturating_sub(span.start) == value.len() + 2 {
        Span { start: span.start + 1 + part.start, end: span.start + 1 + part.end }
    } else {
        span
    }
}
