//! One line of the log.

use std::{
    fmt::{self, Write as _},
    time::SystemTime,
};

use serde::Serialize;
use tracing::{
    Event, Level,
    field::{Field, Visit},
    level_filters::LevelFilter,
};

use crate::time::Time;

/// What a message and each of its fields may take; the rest is cut off.
const MAX_TEXT: usize = 4 << 10;
/// The fields that a line has at most.
const MAX_FIELDS: usize = 32;

#[derive(Debug)]
pub(crate) struct LogLine {
    at: SystemTime,
    pub(crate) level: Level,
    message: String,
    fields: Vec<(&'static str, String)>,
}

/// A line as every client of Clash knows it.
#[derive(Serialize)]
struct Short<'l> {
    #[serde(rename = "type")]
    level: &'static str,
    payload: &'l str,
}

/// A line in its parts.
#[derive(Serialize)]
struct Structured<'l> {
    time: Time,
    level: &'static str,
    message: &'l str,
    fields: Vec<Part<'l>>,
}

#[derive(Serialize)]
struct Part<'l> {
    key: &'l str,
    value: &'l str,
}

impl LogLine {
    pub(crate) fn new(event: &Event<'_>) -> Self {
        let mut line = Self {
            at: Time::now().0,
            level: *event.metadata().level(),
            message: String::new(),
            fields: Vec::new(),
        };
        event.record(&mut line);
        line
    }

    /// What a client reads that was too slow for some lines.
    pub(crate) fn skipped(n_lines: u64) -> Self {
        let message = format!("{n_lines} lines were left out: the reader is too slow");
        Self { at: Time::now().0, level: Level::WARN, message, fields: Vec::new() }
    }

    /// The line as JSON, with the end of a line.
    pub(crate) fn to_json(&self, is_structured: bool) -> String {
        let text = if is_structured {
            let fields = self.fields.iter().map(|(key, value)| Part { key, value }).collect();
            let level = word(self.level);
            serde_json::to_string(&Structured { time: Time(self.at), level, message: &self.message, fields })
        } else {
            let mut payload = self.message.clone();
            for (key, value) in &self.fields {
                let space = if payload.is_empty() { "" } else { " " };
                // A string takes all that is written to it.
                let _written = write!(payload, "{space}{key}={value}");
            }
            serde_json::to_string(&Short { level: word(self.level), payload: &payload })
        };
        let mut text = text.unwrap_or_default();
        text.push('\n');
        text
    }

    fn enter(&mut self, field: &Field, value: impl fmt::Display) {
        if field.name() == "message" {
            self.message = cut(value);
        } else if self.fields.len() < MAX_FIELDS {
            self.fields.push((field.name(), cut(value)));
        }
    }
}

impl Visit for LogLine {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.enter(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.enter(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.enter(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.enter(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.enter(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.enter(field, format_args!("{value:?}"));
    }
}

/// A text of bounded length.
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MAX_TEXT.saturating_sub(self.0.len());
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        let end = (0..=room).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        self.0.push_str(text.get(..end).unwrap_or_default());
        Err(fmt::Error)
    }
}

fn cut(value: impl fmt::Display) -> String {
    let mut text = Bounded(String::new());
    // It fails where the text is cut off.
    let _cut = write!(text, "{value}");
    text.0
}

/// The level as Clash calls it.
fn word(level: Level) -> &'static str {
    match level {
        Level::TRACE | Level::DEBUG => "debug",
        Level::INFO => "info",
        Level::WARN => "warning",
        Level::ERROR => "error",
    }
}

/// What a client asks for by a word of Clash or of sing-box.
pub(crate) fn level_of_word(word: &str) -> Option<LevelFilter> {
    Some(match word {
        "trace" | "debug" => LevelFilter::DEBUG,
        "info" => LevelFilter::INFO,
        "warning" | "warn" => LevelFilter::WARN,
        "error" | "fatal" | "panic" => LevelFilter::ERROR,
        "silent" => LevelFilter::OFF,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_two_letters() {
        assert_eq!(cut("abc"), "abc");
        let long = cut(format_args!("a{}", "é".repeat(MAX_TEXT)));
        assert_eq!(long.len(), MAX_TEXT - 1);
        assert!(long.ends_with('é'));
    }
}
