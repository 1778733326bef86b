//! JSON that nobody wrote: what a link says, in the words of a file of V2Ray.

use crate::{
    Span,
    json::{Kind, Member, Number, Value},
};

/// The members of an object that is being made.
#[derive(Default)]
pub(super) struct Members(Vec<Member>);

impl Members {
    pub(super) fn put(&mut self, key: &str, value: Value) {
        self.0.push(Member { key: key.into(), key_span: Span::default(), value });
    }

    pub(super) fn put_if(&mut self, is_there: bool, key: &str, value: impl FnOnce() -> Value) {
        if is_there {
            self.put(key, value());
        }
    }

    /// Adds a text, unless it is empty.
    pub(super) fn text(&mut self, key: &str, text: &str) {
        self.put_if(!text.is_empty(), key, || word(text));
    }

    /// Adds a number, unless the text is empty; what is none stays a text, for the reader to refuse.
    pub(super) fn count(&mut self, key: &str, text: &str) {
        self.put_if(!text.is_empty(), key, || {
            text.trim().parse().map_or_else(|_no_number| word(text), number)
        });
    }
}

impl From<Members> for Value {
    fn from(members: Members) -> Self {
        value(Kind::Object(members.0))
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        value(Kind::Bool(flag))
    }
}

pub(super) fn object<'a>(members: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let mut fields = Members::default();
    for (key, value) in members {
        fields.put(key, value);
    }
    fields.into()
}

pub(super) fn list(items: impl IntoIterator<Item = Value>) -> Value {
    value(Kind::Array(items.into_iter().collect()))
}

pub(super) fn word(text: &str) -> Value {
    value(Kind::String(text.into()))
}

pub(super) fn number(number: u64) -> Value {
    value(Kind::Number(Number::Unsigned(number)))
}

fn value(kind: Kind) -> Value {
    Value { kind, span: Span::default() }
}
