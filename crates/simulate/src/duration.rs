//! Durations as Go and configuration files write them.

use std::time::Duration;

use waypost_net::{DurationError, parse_duration};

/// Nothing that is simulated takes longer.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// Reads `1m30s`, `1.5h`, `40ms`; at most 7 days.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(duration) if duration <= LONGEST => Ok(duration),
        Ok(_) | Err(DurationError::TooLong) => {
            Err(format!("this duration is too long: `{text}`; the longest is `7d`"))
        }
        Err(DurationError::Malformed | DurationError::NoUnit | DurationError::Negative) => Err(format!(
            "not a duration: `{text}`; write a number with a unit (`ms`, `s`, `m`, `h` or `d`), such as `30s` or `1m30s`"
        )),
    }
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
