use std::time::Duration;

/// A running mean of times and how far they usually are from it.
///
/// The gains are those of TCP's round-trip estimate (RFC 6298 §2): 1/8 for the mean, 1/4 for the mean
/// deviation, which begins at half of the first sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    mean: Duration,
    deviation: Duration,
}

impl Estimate {
    /// The estimate after one sample.
    #[must_use]
    pub fn new(sample: Duration) -> Self {
        Self { mean: sample, deviation: sample / 2 }
    }

    /// An estimate made elsewhere.
    pub(crate) fn from_parts(mean: Duration, deviation: Duration) -> Self {
        Self { mean, deviation }
    }

    /// Takes another sample in.
    pub fn update(&mut self, sample: Duration) {
        let distance = sample.abs_diff(self.mean);
        self.deviation = (self.deviation * 3 + distance) / 4;
        self.mean = (self.mean * 7 + sample) / 8;
    }

    /// The mean, with all the precision there is.
    #[must_use]
    pub fn mean(&self) -> Duration {
        self.mean
    }

    /// The mean distance of a sample from the mean.
    #[must_use]
    pub fn deviation(&self) -> Duration {
        self.deviation
    }

    /// The mean in whole milliseconds, rounded, as people and other programs are shown it. Never 0,
    /// which many of them take for "no answer".
    #[must_use]
    pub fn millis(&self) -> u32 {
        shown_millis(self.mean)
    }
}

/// Rounds to whole milliseconds, at least 1.
pub(crate) fn shown_millis(delay: Duration) -> u32 {
    let rounded = (delay.as_micros() + 500) / 1000;
    u32::try_from(rounded).unwrap_or(u32::MAX).max(1)
}

/// Takes a sample into an estimate that may not have begun.
pub(crate) fn sample(estimate: &mut Option<Estimate>, sample: Duration) {
    match estimate {
        Some(estimate) => estimate.update(sample),
        None => *estimate = Some(Estimate::new(sample)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn follows_a_change_within_some_samples_and_knows_the_jitter() {
        let mut estimate = Estimate::new(MS(100));
        for _ in 0..40 {
            estimate.update(MS(100));
        }
        assert!(estimate.deviation() < MS(1), "{estimate:?}");
        for _ in 0..20 {
            estimate.update(MS(200));
        }
        assert!(estimate.mean() > MS(190) && estimate.mean() <= MS(200), "{estimate:?}");
        for round in 0..100 {
            estimate.update(if round % 2 == 0 { MS(180) } else { MS(220) });
        }
        assert!(estimate.deviation() > MS(15) && estimate.deviation() < MS(25), "{estimate:?}");
    }

    #[test]
    fn shows_at_least_a_millisecond_and_keeps_what_is_finer() {
        let estimate = Estimate::new(Duration::from_micros(80));
        assert_eq!((estimate.millis(), estimate.mean()), (1, Duration::from_micros(80)));
        assert_eq!(Estimate::new(Duration::from_micros(2500)).millis(), 3);
        assert_eq!(Estimate::new(Duration::from_secs(70)).millis(), 70_000);
        assert_eq!(Estimate::new(Duration::MAX).millis(), u32::MAX);
    }
}
