//! Values as texts that both dialects have.

use std::time::Duration;

use crate::model::{LogLevel, ProbeMethod};

/// A duration as `parse_duration` of `waypost-net` reads it, in the largest unit that is exact.
pub(super) fn duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let units = [(60_000_000_000, "m"), (1_000_000_000, "s"), (1_000_000, "ms"), (1000, "us")];
    match units.into_iter().find(|(size, _)| nanos >= *size && nanos.is_multiple_of(*size)) {
        Some((size, unit)) => format!("{}{unit}", nanos / size),
        None if nanos == 0 => "0s".to_owned(),
        None => format!("{nanos}ns"),
    }
}

pub(super) fn log_level(level: LogLevel) -> &'static str {
    LogLevel::WORDS.iter().find(|(_, known)| *known == level).map_or("info", |(word, _)| word)
}

pub(super) fn method(method: ProbeMethod) -> &'static str {
    match method {
        ProbeMethod::Head => "head",
        ProbeMethod::Get => "get",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_exact() {
        for (millis, expected) in
            [(0, "0s"), (1, "1ms"), (1500, "1500ms"), (90_000, "90s"), (7_200_000, "120m")]
        {
            assert_eq!(duration(Duration::from_millis(millis)), expected);
        }
        for nanos in [1, 999, 1001, 1_500_000, 60_000_000_001, 31_536_000_000_000_000] {
            let written = duration(Duration::from_nanos(nanos));
            assert_eq!(waypost_net::parse_duration(&written), Ok(Duration::from_nanos(nanos)), "{written}");
        }
    }
}
