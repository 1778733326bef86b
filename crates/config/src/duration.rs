use std::time::Duration;

use crate::{
    json::{Kind, Number},
    object::{Field, Object},
    report::{Report, quote},
};

/// Nothing here waits longer, and times that far ahead still fit into every clock.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

const UNITS: [(&str, u128); 9] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", NANOS),
    ("m", 60 * NANOS),
    ("h", 3_600 * NANOS),
    ("d", 86_400 * NANOS),
];
const NANOS: u128 = 1_000_000_000;

/// With more digits than this behind the point, the rest is less than a nanosecond.
const MAX_FRACTION_DIGITS: usize = 15;

const EXPECTED: &str = "expected a number with a unit (`ms`, `s`, `m`, `h` or `d`), such as `30s` or `1m30s`";

#[derive(Debug, PartialEq, Eq)]
enum Flaw {
    Malformed,
    NoUnit,
    Negative,
    TooLong,
}

impl Object<'_> {
    /// A duration; an empty string counts as absent.
    pub(crate) fn duration(&self, name: &str, report: &mut Report<'_>) -> Option<Duration> {
        self.get(name).and_then(|field| read(field, report))
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
    let (message, help) = match parse(written.value) {
        Ok(duration) => return Some(duration),
        Err(Flaw::Malformed) => (format!("not a duration: {quoted}"), EXPECTED.to_owned()),
        Err(Flaw::NoUnit) => (
            format!("this duration has no unit: {quoted}"),
            format!("write `\"{}s\"` for seconds", written.value),
        ),
        Err(Flaw::Negative) => (format!("a duration cannot be negative: {quoted}"), EXPECTED.to_owned()),
        Err(Flaw::TooLong) => {
            (format!("this duration is too long: {quoted}"), "the longest is `365d`".to_owned())
        }
    };
    report.error(written.span, message).help(help);
    None
}

/// Reads a duration as Go's `time.ParseDuration` does, and days.
fn parse(text: &str) -> Result<Duration, Flaw> {
    if text.starts_with('-') {
        return Err(Flaw::Negative);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(Flaw::Malformed);
    }
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let (whole, behind) = digits(rest);
        let (fraction, behind) = behind.strip_prefix('.').map_or(("", behind), digits);
        if whole.is_empty() && fraction.is_empty() {
            return Err(Flaw::Malformed);
        }
        let end = behind.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at_checked(end).ok_or(Flaw::Malformed)?;
        if unit.is_empty() {
            return Err(if behind.is_empty() { Flaw::NoUnit } else { Flaw::Malformed });
        }
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == unit).ok_or(Flaw::Malformed)?;
        nanos = nanos.saturating_add(term(whole, fraction, *unit));
        rest = behind;
    }
    let too_long = |_: std::num::TryFromIntError| Flaw::TooLong;
    let duration = Duration::from_nanos(u64::try_from(nanos).map_err(too_long)?);
    if duration > LONGEST { Err(Flaw::TooLong) } else { Ok(duration) }
}

fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// The nanoseconds of `whole.fraction` units.
fn term(whole: &str, fraction: &str, unit: u128) -> u128 {
    let value = |digits: &str| {
        let add = |sum: u128, digit: u8| sum.saturating_mul(10).saturating_add(u128::from(digit - b'0'));
        digits.bytes().fold(0, add)
    };
    let fraction = fraction.get(..MAX_FRACTION_DIGITS).unwrap_or(fraction);
    let scale = fraction.bytes().fold(1, |scale: u128, _| scale.saturating_mul(10));
    value(whole).saturating_mul(unit).saturating_add(value(fraction).saturating_mul(unit) / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_reads_and_days() {
        for (text, nanos) in [
            ("0", 0),
            ("0s", 0),
            ("5s", 5_000_000_000),
            ("+5s", 5_000_000_000),
            ("1.5s", 1_500_000_000),
            (".5s", 500_000_000),
            ("5.s", 5_000_000_000),
            ("300ms", 300_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1h15m30.918273645s", 4_530_918_273_645),
            ("0.3333333333333333333h", 1_199_999_999_999),
            ("10us", 10_000),
            ("10\u{b5}s", 10_000),
            ("10\u{3bc}s", 10_000),
            ("3ns", 3),
            ("1d", 86_400_000_000_000),
            ("1d12h", 129_600_000_000_000),
            ("365d", 31_536_000_000_000_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn refuses_the_rest() {
        for (text, flaw) in [
            ("30", Flaw::NoUnit),
            ("1m30", Flaw::NoUnit),
            ("-1s", Flaw::Negative),
            ("s", Flaw::Malformed),
            (".s", Flaw::Malformed),
            ("+", Flaw::Malformed),
            ("30 s", Flaw::Malformed),
            ("30S", Flaw::Malformed),
            ("1w", Flaw::Malformed),
            ("1.2.3s", Flaw::Malformed),
            ("5s ", Flaw::Malformed),
            ("\u{664}s", Flaw::Malformed),
            ("365d1ns", Flaw::TooLong),
            ("99999999999999999999999999999999999999999999d", Flaw::TooLong),
        ] {
            assert_eq!(parse(text), Err(flaw), "{text}");
        }
    }
}
