use std::time::Duration;

/// The longest duration that is read: times that far ahead still fit into every clock.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

const NANOS: u128 = 1_000_000_000;
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

/// With more digits than this behind the point, the rest is less than a nanosecond.
const MAX_FRACTION_DIGITS: usize = 15;

/// Why a text is not a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// It is no number with a unit, or several.
    #[error("not a duration: expected a number with a unit, such as `30s` or `1m30s`")]
    Malformed,
    /// The last number has no unit.
    #[error("a duration needs a unit, such as `30s`")]
    NoUnit,
    /// It is below zero.
    #[error("a duration cannot be negative")]
    Negative,
    /// It is longer than 365 days.
    #[error("this duration is too long, the longest is `365d`")]
    TooLong,
}

/// Reads a duration as Go's `time.ParseDuration` does, and days: `300ms`, `1.5s`, `1h30m`, `1d`.
///
/// ```
/// use std::time::Duration;
/// use waypost_net::{DurationError, parse_duration};
///
/// assert_eq!(parse_duration("1m30s"), Ok(Duration::from_secs(90)));
/// assert_eq!(parse_duration("30"), Err(DurationError::NoUnit));
/// ```
///
/// # Errors
///
/// See [`DurationError`].
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    if text.starts_with('-') {
        return Err(DurationError::Negative);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(DurationError::Malformed);
    }
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let (whole, behind) = digits(rest);
        let (fraction, behind) = behind.strip_prefix('.').map_or(("", behind), digits);
        if whole.is_empty() && fraction.is_empty() {
            return Err(DurationError::Malformed);
        }
        let end = behind.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at_checked(end).ok_or(DurationError::Malformed)?;
        if unit.is_empty() {
            return Err(if behind.is_empty() { DurationError::NoUnit } else { DurationError::Malformed });
        }
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == unit).ok_or(DurationError::Malformed)?;
        nanos = nanos.saturating_add(term(whole, fraction, *unit));
        rest = behind;
    }
    let too_long = |_: std::num::TryFromIntError| DurationError::TooLong;
    let duration = Duration::from_nanos(u64::try_from(nanos).map_err(too_long)?);
    if duration > LONGEST { Err(DurationError::TooLong) } else { Ok(duration) }
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
            assert_eq!(parse_duration(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn refuses_the_rest() {
        for (text, flaw) in [
            ("30", DurationError::NoUnit),
            ("1m30", DurationError::NoUnit),
            ("-1s", DurationError::Negative),
            ("s", DurationError::Malformed),
            (".s", DurationError::Malformed),
            ("+", DurationError::Malformed),
            ("30 s", DurationError::Malformed),
            ("30S", DurationError::Malformed),
            ("1w", DurationError::Malformed),
            ("1.2.3s", DurationError::Malformed),
            ("5s ", DurationError::Malformed),
            ("\u{664}s", DurationError::Malformed),
            ("365d1ns", DurationError::TooLong),
            ("99999999999999999999999999999999999999999999d", DurationError::TooLong),
        ] {
            assert_eq!(parse_duration(text), Err(flaw), "{text}");
        }
    }
}
