//! Probes of one member with one URL.

use std::{
    collections::VecDeque,
    num::NonZeroU8,
    time::{Duration, Instant},
};

use rand::{Rng, RngExt as _};

use crate::{Estimate, delay::sample, sampling::Sampler};

/// How many probes are remembered one by one.
const HISTORY: usize = 10;
/// When the first failure is looked into, unless probes are more frequent anyway (HAProxy's
/// `fastinter`). It doubles with each failure of a member that is down.
const FAST: Duration = Duration::from_secs(1);
/// The shortest pause between two probes, however often one is asked for.
const PAUSE: Duration = Duration::from_millis(250);
/// The interval varies by up to a tenth, so that probes do not fall into step.
const JITTER_PERMILLE: u32 = 100;
/// First probes are spread over so much for each check, up to [`MAX_SPREAD`].
const SPREAD: Duration = Duration::from_millis(20);
const MAX_SPREAD: Duration = Duration::from_secs(5);

/// How a member is probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckSettings {
    /// From the end of one probe to the begin of the next, of a member that works.
    pub interval: Duration,
    /// Successes in a row that bring a member up that was down.
    pub rise: NonZeroU8,
    /// Failures in a row that take a member down.
    pub fall: NonZeroU8,
}

impl Default for CheckSettings {
    /// Every three minutes; up after one success, down after two failures.
    fn default() -> Self {
        let interval = Duration::from_secs(180);
        Self { interval, rise: NonZeroU8::MIN, fall: NonZeroU8::MIN.saturating_add(1) }
    }
}

impl CheckSettings {
    /// What satisfies two pools that share a check: the shorter interval, and the longer runs.
    pub(crate) fn join(self, other: Self) -> Self {
        Self {
            interval: self.interval.min(other.interval),
            rise: self.rise.max(other.rise),
            fall: self.fall.max(other.fall),
        }
    }
}

/// One probe that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeRecord {
    /// When it ended.
    pub at: Instant,
    /// How long it took; `None` if it failed.
    pub delay: Option<Duration>,
}

/// What probes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Unknown,
    Up,
    Down,
}

#[derive(Debug, Clone)]
pub(crate) struct Check {
    pub(crate) settings: CheckSettings,
    pub(crate) verdict: Verdict,
    pub(crate) delay: Option<Estimate>,
    pub(crate) n_ended: u64,
    pub(crate) history: VecDeque<ProbeRecord>,
    pub(crate) in_flight: bool,
    /// Failures in a row; of a member that is down, those since.
    fails: u32,
    successes: u32,
    next: Option<Instant>,
    /// Whether the next probe is made even if nobody uses the member.
    asked: bool,
    last_ended: Option<Instant>,
    /// Its samples, if it is probed in bursts.
    pub(crate) sampler: Option<Sampler>,
}

impl Check {
    pub(crate) fn new(settings: CheckSettings) -> Self {
        Self {
            settings,
            verdict: Verdict::Unknown,
            delay: None,
            n_ended: 0,
            history: VecDeque::with_capacity(HISTORY),
            in_flight: false,
            fails: 0,
            successes: 0,
            next: None,
            asked: false,
            last_ended: None,
            sampler: None,
        }
    }

    /// A check that is probed in bursts, and stands as long as one of its samples is good.
    pub(crate) fn sampled(sampler: Sampler, interval: Duration) -> Self {
        let settings = CheckSettings { interval, rise: NonZeroU8::MIN, fall: NonZeroU8::MIN };
        Self { sampler: Some(sampler), ..Self::new(settings) }
    }

    /// Plans the first probe, at a moment of its own among `n_checks`.
    pub(crate) fn start(&mut self, n_checks: usize, now: Instant, rng: &mut impl Rng) {
        let spread = SPREAD.saturating_mul(u32::try_from(n_checks).unwrap_or(u32::MAX)).min(MAX_SPREAD);
        let spread = spread.min(self.settings.interval);
        self.next = Some(now + random_below(spread, rng));
        self.asked = true;
    }

    /// Goes on with what another check of the same member and URL knows. Samples that were taken by
    /// other settings say nothing, and are left.
    pub(crate) fn inherit(&mut self, known: &Self, now: Instant) {
        let as_before = match (&self.sampler, &known.sampler) {
            (None, None) => true,
            (Some(new), Some(old)) => new.has_settings_of(old),
            (None, Some(_)) | (Some(_), None) => false,
        };
        if !as_before {
            return;
        }
        let settings = self.settings;
        let asked = known.asked || known.in_flight;
        let next = if known.in_flight { Some(now) } else { known.next };
        // A shorter interval holds from the next probe on.
        let next = next.map(|next| next.min(now + settings.interval));
        *self = Self { settings, in_flight: false, asked, next, ..known.clone() };
    }

    /// Asks for a probe as soon as one may be made.
    pub(crate) fn ask(&mut self, now: Instant) {
        let at = self.last_ended.map_or(now, |ended| now.max(ended + PAUSE));
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
        self.asked = true;
    }

    /// Asks for a probe at a moment, or sooner if one is due sooner.
    pub(crate) fn ask_at(&mut self, at: Instant) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
        self.asked = true;
    }

    /// When the next probe is to be made, if it is to be made at all. `in_use` tells whether anybody
    /// uses the member.
    pub(crate) fn next(&self, in_use: bool) -> Option<Instant> {
        self.next.filter(|_| !self.in_flight && (in_use || self.asked))
    }

    pub(crate) fn begin(&mut self) {
        self.in_flight = true;
        self.asked = false;
    }

    /// Takes in how a probe ended; whether that changes the verdict is decided elsewhere.
    pub(crate) fn ended(&mut self, delay: Option<Duration>, now: Instant, rng: &mut impl Rng) {
        self.in_flight = false;
        self.n_ended += 1;
        self.last_ended = Some(now);
        if self.history.len() >= HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(ProbeRecord { at: now, delay });
        if let Some(delay) = delay {
            self.fails = 0;
            self.successes = self.successes.saturating_add(1);
            if self.verdict == Verdict::Down {
                // The way may be another one than before.
                self.delay = None;
            }
            if self.sampler.is_none() {
                sample(&mut self.delay, delay);
            }
            if self.verdict == Verdict::Unknown || self.successes >= u32::from(self.settings.rise.get()) {
                self.verdict = Verdict::Up;
            }
        } else {
            self.successes = 0;
            self.fails = self.fails.saturating_add(1);
        }
        if let Some(sampler) = &mut self.sampler {
            sampler.samples.record(now, delay);
            let stats = sampler.samples.stats(now);
            self.delay =
                (stats.all > stats.fail).then(|| Estimate::from_parts(stats.average, stats.deviation));
        }
        self.plan_next(delay.is_some(), now, rng);
    }

    /// Ends a probe that says nothing.
    pub(crate) fn discarded(&mut self, now: Instant, rng: &mut impl Rng) {
        self.in_flight = false;
        self.last_ended = Some(now);
        self.plan_next(true, now, rng);
    }

    fn plan_next(&mut self, succeeded: bool, now: Instant, rng: &mut impl Rng) {
        let next = if let Some(sampler) = &mut self.sampler {
            sampler.next(now, rng).max(now + PAUSE)
        } else {
            let pause = self.pause(succeeded);
            now + pause - pause / 1000 * JITTER_PERMILLE
                + random_below(pause / 1000 * (2 * JITTER_PERMILLE), rng)
        };
        // An earlier probe may have been asked for while this one was under way.
        self.next = Some(if self.asked { next.min(now + PAUSE) } else { next });
    }

    fn pause(&self, succeeded: bool) -> Duration {
        let interval = self.settings.interval;
        if succeeded && self.verdict == Verdict::Up {
            return interval;
        }
        let doublings = self.fails.saturating_sub(u32::from(self.settings.fall.get()));
        FAST.saturating_mul(2_u32.saturating_pow(doublings)).min(interval)
    }

    /// Whether so many probes failed in a row that the member should be down.
    pub(crate) fn wants_down(&self) -> bool {
        let failed = match (&self.sampler, self.last_ended) {
            (Some(sampler), Some(now)) => self.fails > 0 && sampler.samples.stats(now).is_dead(),
            (Some(_) | None, _) => self.fails >= u32::from(self.settings.fall.get()),
        };
        self.verdict != Verdict::Down && failed
    }

    /// Whether the last probe failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.fails > 0
    }

    pub(crate) fn bring_up(&mut self) {
        self.verdict = Verdict::Up;
    }

    pub(crate) fn take_down(&mut self) {
        self.verdict = Verdict::Down;
    }

    /// Lets the run of failures begin again.
    pub(crate) fn forgive(&mut self) {
        self.fails = 0;
        if let Some(sampler) = &mut self.sampler {
            sampler.samples.forget_failures();
        }
    }

    /// A connection worked, which proves more than a probe.
    pub(crate) fn connection_succeeded(&mut self) {
        self.forgive();
        if self.verdict == Verdict::Down {
            self.verdict = Verdict::Up;
        }
    }
}

fn random_below(limit: Duration, rng: &mut impl Rng) -> Duration {
    let micros = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX);
    if micros == 0 { Duration::ZERO } else { Duration::from_micros(rng.random_range(0..micros)) }
}
