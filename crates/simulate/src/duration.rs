//! Durations as Go and configuration files write them.

use std::time::Duration;

const NANOS: u128 = 1_000_000_000;
const UNITS: [(&str, u128); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", NANOS),
    ("m", 60 * NANOS),
    ("h", 3_600 * NANOS),
    ("d", 86_400 * NANOS),
];
/// Nothing that is simulated takes longer.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);
/// More digits behind the point make no difference.
const MAX_FRACTION_DIGITS: usize = 15;

/// Reads `1m30s`, `1.5h`, `40ms`; at most 7 days.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let malformed = || {
        format!(
            "not a duration: `{text}`; write a number with a unit (`ms`, `s`, `m`, `h` or `d`), such as `30s` or `1m30s`"
        )
    };
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.is_empty() {
        return Err(malformed());
    }
    let (mut rest, mut nanos) = (text, 0_u128);
    while !rest.is_empty() {
        let (whole, behind) = digits(rest);
        let (fraction, behind) = behind.strip_prefix('.').map_or(("", behind), digits);
        let end = behind.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at_checked(end).ok_or_else(malformed)?;
        if whole.is_empty() && fraction.is_empty() {
            return Err(malformed());
        }
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(malformed)?;
        nanos = nanos.saturating_add(term(whole, fraction, *unit));
        rest = behind;
    }
    let duration =
        u64::try_from(nanos).map(Duration::from_nanos).ok().filter(|&duration| duration <= LONGEST);
    duration.ok_or_else(|| format!("this duration is too long: `{text}`; the longest is `7d`"))
}

fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

fn term(whole: &str, fraction: &str, unit: u128) -> u128 {
    let value = |digits: &str| {
        let add = |sum: u128, digit: u8| sum.saturating_mul(10).saturating_add(u128::from(digit - b'0'));
        digits.bytes().fold(0, add)
    };
    let fraction = fraction.get(..MAX_FRACTION_DIGITS).unwrap_or(fraction);
    let scale = fraction.bytes().fold(1, |scale: u128, _| scale.saturating_mul(10));
    value(whole).saturating_mul(unit).saturating_add(value(fraction).saturating_mul(unit) / scale)
}

/// Writes a duration for people, to three digits: `85 ms`, `1.25 s`, `3m 20s`.
pub(crate) fn show(duration: Duration) -> String {
    let millis = duration.as_secs_f64() * 1000.0;
    if duration < Duration::from_micros(5) {
        "0 s".to_owned()
    } else if millis < 1.0 {
        format!("{millis:.2} ms")
    } else if millis < 10.0 {
        format!("{millis:.1} ms")
    } else if millis < 999.5 {
        format!("{millis:.0} ms")
    } else if millis < 10_000.0 {
        format!("{} s", short(&format!("{:.2}", millis / 1000.0)))
    } else if millis < 120_000.0 {
        format!("{} s", short(&format!("{:.1}", millis / 1000.0)))
    } else {
        format!("{}m {:02}s", duration.as_secs() / 60, duration.as_secs() % 60)
    }
}

/// Leaves out zeros that say nothing.
fn short(number: &str) -> &str {
    number.trim_end_matches('0').trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_reads_and_days() {
        for (text, millis) in [
            ("0", 0),
            ("5s", 5_000),
            ("1.5s", 1_500),
            (".5s", 500),
            ("1h30m", 5_400_000),
            ("7d", 604_800_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn refuses_the_rest_and_says_how_to_write_it() {
        for text in ["", "30", "s", "-1s", "30 s", "1w", "1.2.3s", ".s"] {
            assert!(parse(text).unwrap_err().contains("such as `30s`"), "{text}");
        }
        assert!(parse("8d").unwrap_err().contains("the longest is `7d`"));
        assert!(parse("99999999999999999999999999999999999d").is_err());
    }

    #[test]
    fn shows_three_digits() {
        for (micros, text) in [
            (0, "0 s"),
            (4, "0 s"),
            (85, "0.09 ms"),
            (8_520, "8.5 ms"),
            (85_200, "85 ms"),
            (1_250_000, "1.25 s"),
            (10_000_000, "10 s"),
            (200_000_000, "3m 20s"),
        ] {
            assert_eq!(show(Duration::from_micros(micros)), text);
        }
    }
}
