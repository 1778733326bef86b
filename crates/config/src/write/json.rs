//! JSON as people would write it: what fits on a line is on one.

use std::fmt::{self, Write as _};

/// The longest line that several values share.
const MAX_COLUMNS: usize = 100;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json {
    Bool(bool),
    Number(u64),
    Float(f64),
    Text(String),
    Array(Vec<Json>),
    Object(Fields),
}

/// The members of an object, in their order.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Fields(Vec<(String, Json)>);

impl Fields {
    pub(super) fn put(&mut self, key: impl Into<String>, value: impl Into<Json>) {
        self.0.push((key.into(), value.into()));
    }

    /// Adds what is there.
    pub(super) fn put_some(&mut self, key: &str, value: Option<impl Into<Json>>) {
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

    /// Adds a list or an object that has something in it.
    pub(super) fn put_filled(&mut self, key: &str, value: impl Into<Json>) {
        let value = value.into();
        let is_empty = match &value {
            Json::Array(items) => items.is_empty(),
            Json::Object(fields) => fields.is_empty(),
            Json::Bool(_) | Json::Number(_) | Json::Float(_) | Json::Text(_) => false,
        };
        if !is_empty {
            self.put(key, value);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(String, Json)> {
        self.0.iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a key is in both.
    pub(super) fn shares_key(&self, other: &Self) -> bool {
        other.0.iter().any(|(key, _)| self.0.iter().any(|(known, _)| known == key))
    }

    pub(super) fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<u64> for Json {
    fn from(value: u64) -> Self {
        Self::Number(value)
    }
}

impl From<u32> for Json {
    fn from(value: u32) -> Self {
        Self::Number(value.into())
    }
}

impl From<u16> for Json {
    fn from(value: u16) -> Self {
        Self::Number(value.into())
    }
}

impl From<u8> for Json {
    fn from(value: u8) -> Self {
        Self::Number(value.into())
    }
}

impl From<usize> for Json {
    fn from(value: usize) -> Self {
        Self::Number(value as u64)
    }
}

impl From<&str> for Json {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Json {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<Fields> for Json {
    fn from(value: Fields) -> Self {
        Self::Object(value)
    }
}

impl<T: Into<Self>> From<Vec<T>> for Json {
    fn from(values: Vec<T>) -> Self {
        Self::Array(values.into_iter().map(Into::into).collect())
    }
}

impl Json {
    /// The whole text of a file.
    pub(super) fn to_file(&self) -> String {
        let mut out = String::new();
        self.write_lines(0, 0, &mut out);
        out.push('\n');
        out
    }

    /// Writes it from `column` on, in several lines if it is too long for one.
    fn write_lines(&self, indent: usize, column: usize, out: &mut String) {
        let line = self.to_string();
        let members: Vec<(Option<&str>, &Self)> = match self {
            Self::Array(items) => items.iter().map(|item| (None, item)).collect(),
            Self::Object(fields) => fields.0.iter().map(|(key, value)| (Some(&**key), value)).collect(),
            Self::Bool(_) | Self::Number(_) | Self::Float(_) | Self::Text(_) => Vec::new(),
        };
        let is_top = indent == 0 && matches!(self, Self::Object(_));
        if members.is_empty() || (!is_top && column + line.chars().count() <= MAX_COLUMNS) {
            out.push_str(&line);
            return;
        }
        let is_object = matches!(self, Self::Object(_));
        out.push(if is_object { '{' } else { '[' });
        let last = members.len() - 1;
        for (index, (key, value)) in members.into_iter().enumerate() {
            let mut begin = " ".repeat(indent + 2);
            if let Some(key) = key {
                begin.push_str(&format!("{}: ", Quoted(key)));
            }
            out.push('\n');
            out.push_str(&begin);
            value.write_lines(indent + 2, begin.chars().count() + 1, out);
            if index < last {
                out.push(',');
            }
        }
        out.push('\n');
        out.push_str(&" ".repeat(indent));
        out.push(if is_object { '}' } else { ']' });
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Text(text) => write!(f, "{}", Quoted(text)),
            Self::Array(items) => {
                f.write_char('[')?;
                for (index, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if index > 0 { ", " } else { "" })?;
                }
                f.write_char(']')
            }
            Self::Object(fields) => {
                f.write_char('{')?;
                for (index, (key, value)) in fields.0.iter().enumerate() {
                    write!(f, "{}{}: {value}", if index > 0 { ", " } else { "" }, Quoted(key))?;
                }
                f.write_char('}')
            }
        }
    }
}

/// A string as RFC 8259 has it. What could change how the text looks is escaped as well.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for character in self.0.chars() {
            match character {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\t' => f.write_str("\\t")?,
                hidden if hidden.is_control() || is_bidirectional(hidden) => {
                    write!(f, "\\u{:04x}", u32::from(hidden))?;
                }
                other => f.write_char(other)?,
            }
        }
        f.write_char('"')
    }
}

/// Whether a character changes the direction of writing, or ends a line.
fn is_bidirectional(character: char) -> bool {
    matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_on_one_line() {
        let mut inner = Fields::default();
        inner.put("a", 1_u64);
        inner.put("b", vec!["x", "y"]);
        let long: Vec<String> = (0..30).map(|number| format!("item {number}")).collect();
        let mut outer = Fields::default();
        outer.put("inner", inner);
        outer.put("flag", true);
        outer.put("share", Json::Float(0.5));
        outer.put("long", long.clone());
        let text = Json::from(outer).to_file();
        assert!(text.starts_with(
            "{\n  \"inner\": {\"a\": 1, \"b\": [\"x\", \"y\"]},\n  \"flag\": true,\n  \"share\": 0.5,\n  \"long\": [\n    \"item 0\",\n"
        ));
        assert!(text.ends_with("    \"item 29\"\n  ]\n}\n"), "{text}");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["long"], serde_json::json!(long));
    }

    #[test]
    fn every_text_comes_back() {
        for text in ["", "a\"b\\c/d", "\u{0}\u{1f}\u{7f}\u{85}", "ü漢🎯", "\u{202e}x\u{2028}", "a\nb\tc\rd"]
        {
            let quoted = Json::from(text).to_string();
            assert_eq!(serde_json::from_str::<String>(&quoted).unwrap(), text);
            assert!(!quoted.contains(char::is_control), "{quoted:?}");
        }
    }
}
