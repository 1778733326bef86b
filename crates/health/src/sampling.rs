//! Probes in bursts, and what the last of them come to (Xray's `burstObservatory`).

use std::{
    collections::VecDeque,
    num::NonZeroU16,
    time::{Duration, Instant},
};

use rand::{Rng, RngExt as _};

/// How a member is sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SamplingSettings {
    /// The mean time between two probes.
    pub interval: Duration,
    /// How many probes are spread at random over a period, which is as many intervals long. The last
    /// so many count, for two periods.
    pub samples: NonZeroU16,
}

impl SamplingSettings {
    /// How long it takes until so many probes were made.
    #[must_use]
    pub fn period(self) -> Duration {
        self.interval.saturating_mul(self.samples.get().into())
    }
}

/// The last probes of a member, as many as there is room for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Samples {
    capacity: NonZeroU16,
    validity: Duration,
    /// When each ended, and how long it took; `None` if it failed. The oldest first.
    ring: VecDeque<(Instant, Option<Duration>)>,
}

/// What the last probes of a member come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SampleStats {
    /// How many there are.
    pub all: u32,
    /// How many of them failed.
    pub fail: u32,
    /// The mean of those that succeeded; zero if none did.
    pub average: Duration,
    /// Their standard deviation; half of the mean if there is only one.
    pub deviation: Duration,
    /// The slowest of them; zero if there is none.
    pub max: Duration,
    /// The fastest of them; zero if there is none.
    pub min: Duration,
}

impl Samples {
    /// Room for `capacity` probes, each of which counts for `validity`.
    #[must_use]
    pub fn new(capacity: NonZeroU16, validity: Duration) -> Self {
        Self { capacity, validity, ring: VecDeque::new() }
    }

    /// Takes in a probe that ended: how long it took, or `None` if it failed.
    pub fn record(&mut self, at: Instant, delay: Option<Duration>) {
        if self.ring.len() >= usize::from(self.capacity.get()) {
            self.ring.pop_front();
        }
        self.ring.push_back((at, delay));
    }

    /// What the probes that count now come to.
    #[must_use]
    pub fn stats(&self, now: Instant) -> SampleStats {
        let counts = |at: Instant| now.saturating_duration_since(at) <= self.validity;
        let valid = self.ring.iter().filter(|(at, _)| counts(*at));
        let (mut stats, mut delays) = (SampleStats::default(), Vec::new());
        for (_, delay) in valid {
            stats.all += 1;
            stats.fail += u32::from(delay.is_none());
            delays.extend(*delay);
        }
        stats.measure(&delays);
        stats
    }

    /// Forgets what failed, because it is no longer held against the member.
    pub(crate) fn forget_failures(&mut self) {
        self.ring.retain(|(_, delay)| delay.is_some());
    }
}

impl SampleStats {
    /// Whether there are probes and all of them failed.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.all > 0 && self.all == self.fail
    }

    fn measure(&mut self, delays: &[Duration]) {
        let Ok(n @ 1..) = u32::try_from(delays.len()) else { return };
        let sum = delays.iter().fold(Duration::ZERO, |sum, delay| sum.saturating_add(*delay));
        self.average = sum / n;
        self.max = delays.iter().copied().max().unwrap_or_default();
        self.min = delays.iter().copied().min().unwrap_or_default();
        if n == 1 {
            self.deviation = self.average / 2;
            return;
        }
        let distance = |delay: &Duration| delay.abs_diff(self.average).as_secs_f64();
        let squares: f64 = delays.iter().map(distance).map(|distance| distance * distance).sum();
        let deviation = (squares / f64::from(n)).sqrt();
        self.deviation = Duration::try_from_secs_f64(deviation).unwrap_or(self.max);
    }
}

/// The samples of a member and when the next ones are due.
#[derive(Debug, Clone)]
pub(crate) struct Sampler {
    settings: SamplingSettings,
    pub(crate) samples: Samples,
    /// When the probes of this period are due, the next one last.
    planned: Vec<Instant>,
    /// When the next period begins.
    next_period: Option<Instant>,
}

impl Sampler {
    /// Whether another one takes its samples in the same way.
    pub(crate) fn has_settings_of(&self, other: &Self) -> bool {
        self.settings == other.settings
    }

    pub(crate) fn new(settings: SamplingSettings) -> Self {
        let validity = settings.period().saturating_mul(2);
        let samples = Samples::new(settings.samples, validity);
        Self { settings, samples, planned: Vec::new(), next_period: None }
    }

    /// When the next probe is due after one that ended.
    pub(crate) fn next(&mut self, now: Instant, rng: &mut impl Rng) -> Instant {
        if self.planned.is_empty() {
            let begin = self.next_period.map_or(now, |next| next.max(now));
            self.plan(begin, rng);
        }
        self.planned.pop().unwrap_or(now + self.settings.interval)
    }

    fn plan(&mut self, begin: Instant, rng: &mut impl Rng) {
        let period = self.settings.period();
        let micros = u64::try_from(period.as_micros()).unwrap_or(u64::MAX).max(1);
        let offset = |_| Duration::from_micros(rng.random_range(0..micros));
        let mut planned: Vec<Instant> =
            (0..self.settings.samples.get()).map(offset).map(|offset| begin + offset).collect();
        planned.sort_unstable();
        planned.reverse();
        self.planned = planned;
        self.next_period = Some(begin + period);
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn samples(capacity: u16, validity: Duration) -> Samples {
        Samples::new(NonZeroU16::new(capacity).unwrap(), validity)
    }

    #[expect(clippy::disallowed_methods, reason = "a test begins at any moment")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn only_the_last_ones_count_and_only_for_a_while() {
        let (mut samples, begin) = (samples(4, MS(1000)), start());
        for delay in [900, 60, 140, 60, 140] {
            samples.record(begin, Some(MS(delay)));
        }
        let expected =
            SampleStats { all: 4, fail: 0, average: MS(100), deviation: MS(40), max: MS(140), min: MS(60) };
        assert_eq!(samples.stats(begin + MS(1000)), expected);
        samples.record(begin + MS(500), None);
        assert_eq!((samples.stats(begin).all, samples.stats(begin).fail), (4, 1));
        let left = samples.stats(begin + MS(1001));
        assert_eq!((left.all, left.fail, left.average), (1, 1, Duration::ZERO));
        assert!(left.is_dead());
        assert!(!samples.stats(begin + MS(1501)).is_dead(), "what is long ago says nothing");
    }

    #[test]
    fn one_sample_has_half_of_itself_for_a_deviation() {
        let (mut samples, begin) = (samples(10, MS(1000)), start());
        samples.record(begin, None);
        samples.record(begin, Some(MS(80)));
        let stats = samples.stats(begin);
        assert_eq!((stats.average, stats.deviation, stats.is_dead()), (MS(80), MS(40), false));
    }

    #[test]
    fn a_period_has_so_many_probes_anywhere_in_it() {
        let settings = SamplingSettings { interval: MS(1000), samples: NonZeroU16::new(10).unwrap() };
        let (mut sampler, mut rng, begin) = (Sampler::new(settings), StdRng::seed_from_u64(7), start());
        let mut now = begin;
        let mut per_period = [0; 20];
        let mut first_halves = 0;
        for _ in 0..200 {
            now = sampler.next(now, &mut rng).max(now);
            let at = now - begin;
            per_period[usize::try_from(at.as_millis() / 10_000).unwrap()] += 1;
            first_halves += u32::from(at.as_millis() % 10_000 < 5000);
        }
        assert_eq!(per_period, [10; 20]);
        assert!((70..130).contains(&first_halves), "{first_halves}");
    }
}
