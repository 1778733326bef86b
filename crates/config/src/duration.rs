use std::time::Duration;

use waypost_net::{DurationError, parse_duration};

use crate::{
    json::{Kind, Number},
    object::{Field, Object},
    report::{Report, quote},
};

const EXPECTED: &str = "expected a number with a unit (`ms`, `s`, `m`, `h` or `d`), such as `30s` or `1m30s`";

impl Object<'_> {
    /// A duration; an empty string counts as absent.
    pub(crate) fn duration(&self, name: &str, report: &mut Report<'_>) -> Option<Duration> {
        self.get(name)?.duration(report)
    }
}

impl Field<'_> {
    /// A duration; an empty string counts as absent.
    pub(crate) fn duration(&self, report: &mut Report<'_>) -> Option<Duration> {
        read(*self, report)
    }
}

fn read(field: Field<'_>, report: &mut Report<'_>) -> Option<Duration> {
    if let Kind::Number(number) = field.value.kind {
        field.expected("a duration in quotes", report);
        report.help(match number {
            Number::Unsigned(seconds) => format!("write `\"{seconds}s\"` for {seconds} seconds"),
            Number::Signed(_) | Number::Float(_) => EXPECTED.to_owned(),
        });
        return None;
    }
    let written = field.text(report)?;
    if written.value.is_empty() {
        return None;
    }
    let quoted = quote(written.value);
    let (message, help) = match parse_duration(written.value) {
        Ok(duration) => return Some(duration),
        Err(DurationError::Malformed) => (format!("not a duration: {quoted}"), EXPECTED.to_owned()),
        Err(DurationError::NoUnit) => (
            format!("this duration has no unit: {quoted}"),
            format!("write `\"{}s\"` for seconds", written.value),
        ),
        Err(DurationError::Negative) => {
            (format!("a duration cannot be negative: {quoted}"), EXPECTED.to_owned())
        }
        Err(DurationError::TooLong) => {
            (format!("this duration is too long: {quoted}"), "the longest is `365d`".to_owned())
        }
    };
    report.error(written.span, message).help(help);
    None
}
