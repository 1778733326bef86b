//! Objects of a file.

use serde_json::{Map, Value};

/// An object that grows.
#[derive(Debug, Default)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    pub(super) fn put(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.to_owned(), value.into());
    }

    /// Adds what is there.
    pub(super) fn put_some(&mut self, key: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }

    /// Adds `true`, or nothing.
    pub(super) fn put_if(&mut self, key: &str, flag: bool) {
        if flag {
            self.put(key, true);
        }
    }

    /// Adds a text that is not empty.
    pub(super) fn put_text(&mut self, key: &str, text: &str) {
        if !text.is_empty() {
            self.put(key, text);
        }
    }

    /// Adds a number that is not zero, which is what a message has for one that is not given.
    pub(super) fn put_number(&mut self, key: &str, number: impl Into<i64>) {
        let number: i64 = number.into();
        if number != 0 {
            self.put(key, number);
        }
    }

    /// Adds an object that has something in it.
    pub(super) fn put_filled(&mut self, key: &str, fields: Self) {
        if !fields.0.is_empty() {
            self.put(key, fields);
        }
    }
}

impl From<Fields> for Value {
    fn from(fields: Fields) -> Self {
        Self::Object(fields.0)
    }
}
