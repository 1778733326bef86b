//! When a set is fetched.

use std::time::Duration;

use rand::{Rng, RngExt as _};
use tokio::time::Instant;

/// How long the first retry waits; each later one waits twice as long.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// No retry waits longer.
const LAST_RETRY: Duration = Duration::from_secs(5 * 60);

/// Clocks have no room for any interval that can be written.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// When a set is fetched next.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    interval: Duration,
    /// In a row.
    failures: u32,
    next: Instant,
}

impl Schedule {
    /// For a set that is to be fetched every `interval`, and of which there is a copy of this age, or
    /// none. Without a copy, and with one that is too old, the first time is now.
    pub(crate) fn new(interval: Duration, age: Option<Duration>, now: Instant, rng: &mut impl Rng) -> Self {
        let left = age.and_then(|age| interval.checked_sub(age)).filter(|left| !left.is_zero());
        let next = left.map_or(now, |left| about(now, left, rng));
        Self { interval, failures: 0, next }
    }

    /// When that is.
    pub(crate) fn next(&self) -> Instant {
        self.next
    }

    /// Notes that the set has been fetched, or was found to be the same.
    pub(crate) fn succeeded(&mut self, now: Instant, rng: &mut impl Rng) {
        self.failures = 0;
        self.next = about(now, self.interval, rng);
    }

    /// Notes that the set could not be fetched; yields whether that is news.
    pub(crate) fn failed(&mut self, now: Instant, rng: &mut impl Rng) -> bool {
        let doubled = FIRST_RETRY.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.failures = self.failures.saturating_add(1).min(31);
        self.next = about(now, doubled.min(LAST_RETRY), rng);
        self.failures == 1
    }
}

/// The moment after about this time: within a tenth of it, so that many proxies do not ask a server at
/// once.
fn about(now: Instant, time: Duration, rng: &mut impl Rng) -> Instant {
    now + time.min(LONGEST).mul_f64(rng.random_range(0.9..=1.1))
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    #[track_caller]
    fn near(found: Duration, expected: Duration) {
        assert!(found >= expected.mul_f64(0.9) && found <= expected.mul_f64(1.1), "{found:?} {expected:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_set_is_fetched_when_its_copy_is_too_old() {
        let (now, mut rng) = (Instant::now(), StdRng::seed_from_u64(1));
        for age in [None, Some(DAY), Some(2 * DAY)] {
            assert_eq!(Schedule::new(DAY, age, now, &mut rng).next(), now, "{age:?}");
        }
        let young = Schedule::new(DAY, Some(DAY / 4), now, &mut rng);
        near(young.next() - now, DAY * 3 / 4);
        assert!(Schedule::new(Duration::MAX, Some(DAY), now, &mut rng).next() > now);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_are_retried_more_and_more_slowly() {
        let (now, mut rng) = (Instant::now(), StdRng::seed_from_u64(2));
        let mut schedule = Schedule::new(DAY, None, now, &mut rng);
        let mut waits = Vec::new();
        for number in 0..100 {
            let at = schedule.next();
            assert_eq!(schedule.failed(at, &mut rng), number == 0, "only the first is news");
            waits.push(schedule.next() - at);
        }
        for (wait, seconds) in waits.iter().zip([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]) {
            near(*wait, Duration::from_secs(seconds));
        }
        near(waits[99], LAST_RETRY);
        assert!(waits[10..].windows(2).any(|pair| pair[0] != pair[1]), "they are spread: {waits:?}");

        let at = schedule.next();
        schedule.succeeded(at, &mut rng);
        near(schedule.next() - at, DAY);
        assert!(schedule.failed(at, &mut rng), "after a success it is news again");
        near(schedule.next() - at, FIRST_RETRY);
    }
}
