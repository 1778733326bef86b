//! What real connections tell of a member.

use std::time::{Duration, Instant};

use crate::{Cause, Estimate, delay::sample};

/// Failures in a row that eject a member. Envoy's outlier detection takes 5 by default; here each of
/// them has already cost a connection a detour.
const FAILURES_TO_EJECT: u32 = 3;
/// Silences in a row that eject a member. One may be the target's fault.
const SILENCES_TO_EJECT: u32 = 2;
/// How long the first ejection lasts; the second lasts twice as long, and so on (Envoy's
/// `base_ejection_time` and `max_ejection_time`).
const EJECTION: Duration = Duration::from_secs(30);
const MAX_EJECTION: Duration = Duration::from_secs(300);
/// After so long without another ejection the next one is a first again.
const FORGET_EJECTIONS: Duration = Duration::from_secs(600);
/// How long a member without probes stays a suspect after its first failure, doubled with each.
const UNPROBED_SUSPICION: Duration = Duration::from_secs(1);
const MAX_UNPROBED_SUSPICION: Duration = Duration::from_secs(30);

/// A suspicion that nothing clears within this time, or within three usual probes if that is longer,
/// was right. One that is cleared sooner was a lost packet, of which lossy lines have many.
const CONFIRMED_AFTER: Duration = Duration::from_millis(500);
const CONFIRMED_AFTER_PROBES: u32 = 3;
/// A member whose suspicions were right twice within this time flaps.
const FLAP_MEMORY: Duration = Duration::from_secs(60);
/// How long a member that flaps stays a suspect although it works again: after the second time, and
/// four times as long with each further one.
const FLAP_HOLD: Duration = Duration::from_secs(5);
const MAX_FLAP_HOLD: Duration = Duration::from_secs(80);

/// What became of a connection, or of the attempt to make one, as far as it is the member's doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The dial succeeded, the proxy's handshake included.
    Connected {
        /// How long it took.
        took: Duration,
    },
    /// The dial failed: refused, reset, timed out, or the handshake went wrong.
    Failed,
    /// The dial was not done when that of a member that started later was.
    Overtaken,
    /// The first byte of an answer came.
    FirstByte {
        /// How long after the first bytes were sent.
        took: Duration,
    },
    /// No answer came, and another member that was sent the same bytes later brought one.
    Silent,
}

/// What connections through one member met.
#[derive(Debug, Clone, Default)]
pub(crate) struct Passive {
    pub(crate) dial: Option<Estimate>,
    pub(crate) first_byte: Option<Estimate>,
    failures: u32,
    silences: u32,
    suspicion: Option<Suspicion>,
    ejection: Option<Ejection>,
    n_ejections: u32,
    last_ejected: Option<Instant>,
    /// How long a probe usually takes.
    usual_probe: Duration,
    n_flaps: u32,
    last_flap: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Suspicion {
    cause: Cause,
    since: Instant,
    /// Until when nothing clears it, because the member flaps.
    held_until: Option<Instant>,
    /// When it ends by itself, for a member that nothing probes.
    unprobed_until: Instant,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Ejection {
    pub(crate) until: Instant,
    pub(crate) cause: Cause,
}

/// What an outcome asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Nothing.
    Nothing,
    /// The member should be probed now.
    Probe,
    /// The member should be probed, and ejected if it is not the last one that works.
    Eject,
}

impl Passive {
    pub(crate) fn outcome(&mut self, outcome: Outcome, now: Instant) -> Wish {
        match outcome {
            Outcome::Connected { took } => {
                sample(&mut self.dial, took);
                self.failures = 0;
                self.clear_unless_it_flaps(&[Cause::Dial, Cause::Slow], now);
                Wish::Nothing
            }
            Outcome::FirstByte { took } => {
                sample(&mut self.first_byte, took);
                (self.failures, self.silences) = (0, 0);
                self.clear_unless_it_flaps(&[Cause::Dial, Cause::Slow, Cause::Silent], now);
                self.forget_ejections(now);
                Wish::Nothing
            }
            Outcome::Failed => self.failed(Cause::Dial, now),
            Outcome::Overtaken => self.failed(Cause::Slow, now),
            Outcome::Silent => {
                self.silences = self.silences.saturating_add(1);
                self.suspect(Cause::Silent, self.silences, now);
                if self.silences >= SILENCES_TO_EJECT { Wish::Eject } else { Wish::Probe }
            }
        }
    }

    fn failed(&mut self, cause: Cause, now: Instant) -> Wish {
        self.failures = self.failures.saturating_add(1);
        self.suspect(cause, self.failures, now);
        if self.failures >= FAILURES_TO_EJECT { Wish::Eject } else { Wish::Probe }
    }

    fn suspect(&mut self, cause: Cause, nth: u32, now: Instant) {
        let doubled = 2_u32.saturating_pow(nth.saturating_sub(1));
        let rest = UNPROBED_SUSPICION.saturating_mul(doubled).min(MAX_UNPROBED_SUSPICION);
        let earlier = self.suspicion.filter(|_| !self.has_rested(now));
        // Silence is the graver cause: a probe may well get its answer where connections do not.
        let cause = match earlier {
            Some(Suspicion { cause: Cause::Silent, .. }) => Cause::Silent,
            Some(_) | None => cause,
        };
        let (since, held_until) =
            earlier.map_or((now, None), |suspicion| (suspicion.since, suspicion.held_until));
        self.suspicion = Some(Suspicion { cause, since, held_until, unprobed_until: now + rest });
    }

    /// A probe went well; `usual` is how long those before it took. Whether connections get an answer
    /// is not proven by it, if they got none twice.
    pub(crate) fn probe_succeeded(&mut self, usual: Duration, now: Instant) {
        self.usual_probe = usual;
        self.failures = 0;
        let proven: &[Cause] = if self.silences < SILENCES_TO_EJECT {
            &[Cause::Dial, Cause::Slow, Cause::Silent]
        } else {
            &[Cause::Dial, Cause::Slow]
        };
        self.clear_unless_it_flaps(proven, now);
        self.forget_ejections(now);
    }

    /// Clears a suspicion of one of these causes, and the rest that came of it.
    fn clear_unless_it_flaps(&mut self, causes: &[Cause], now: Instant) {
        let concerned = self.suspicion.is_some_and(|suspicion| causes.contains(&suspicion.cause));
        if !concerned || !self.is_held(now) {
            self.suspicion = self.suspicion.filter(|suspicion| !causes.contains(&suspicion.cause));
            self.ejection = self.ejection.filter(|ejection| !causes.contains(&ejection.cause));
        }
    }

    /// Whether the member flaps, so that something good does not clear it yet.
    fn is_held(&mut self, now: Instant) -> bool {
        let Some(suspicion) = &mut self.suspicion else { return false };
        if let Some(until) = suspicion.held_until {
            return now < until;
        }
        let confirmed_after = CONFIRMED_AFTER.max(self.usual_probe.saturating_mul(CONFIRMED_AFTER_PROBES));
        if now < suspicion.since + confirmed_after {
            return false;
        }
        if self.last_flap.is_none_or(|last| now >= last + FLAP_MEMORY) {
            self.n_flaps = 0;
        }
        (self.n_flaps, self.last_flap) = (self.n_flaps.saturating_add(1), Some(now));
        if self.n_flaps < 2 {
            return false;
        }
        let hold = FLAP_HOLD.saturating_mul(4_u32.saturating_pow(self.n_flaps - 2)).min(MAX_FLAP_HOLD);
        suspicion.held_until = Some(now + hold);
        true
    }

    /// When a member that flaps may be cleared by a probe.
    pub(crate) fn held_until(&self, now: Instant) -> Option<Instant> {
        self.suspicion?.held_until.filter(|&until| now < until)
    }

    /// Ejects the member, longer each time.
    pub(crate) fn eject(&mut self, now: Instant) {
        if self.ejection.is_some_and(|ejection| now < ejection.until) {
            return;
        }
        self.n_ejections = self.n_ejections.saturating_add(1);
        let rest = EJECTION.saturating_mul(self.n_ejections).min(MAX_EJECTION);
        let cause = self.suspicion.map_or(Cause::Dial, |suspicion| suspicion.cause);
        self.ejection = Some(Ejection { until: now + rest, cause });
        self.last_ejected = Some(now);
    }

    fn forget_ejections(&mut self, now: Instant) {
        if self.last_ejected.is_some_and(|last| now >= last + FORGET_EJECTIONS) {
            self.n_ejections = 0;
        }
    }

    /// Ends the rest of the member; what it is suspected of stays.
    pub(crate) fn end_ejection(&mut self) {
        self.ejection = None;
    }

    /// Whether no connection met anything bad lately.
    pub(crate) fn is_clean(&self) -> bool {
        self.suspicion.is_none() && self.ejection.is_none()
    }

    /// The ejection that holds now.
    pub(crate) fn ejection(&self, now: Instant) -> Option<Ejection> {
        self.ejection.filter(|ejection| now < ejection.until)
    }

    /// What the member is suspected of now. Suspicion of a member that was ejected ends with the
    /// ejection: it gets its chance.
    pub(crate) fn suspected(&self, is_probed: bool, now: Instant) -> Option<Cause> {
        let suspicion = self.suspicion?;
        let expired = !is_probed && now >= suspicion.unprobed_until;
        (!self.has_rested(now) && !expired).then_some(suspicion.cause)
    }

    fn has_rested(&self, now: Instant) -> bool {
        self.ejection.is_some_and(|ejection| now >= ejection.until)
    }

    /// When a state changes without further evidence.
    pub(crate) fn next_change(&self, is_probed: bool, now: Instant) -> Option<Instant> {
        let suspicion = self.suspicion.map(|suspicion| suspicion.unprobed_until).filter(|_| !is_probed);
        let ejection = self.ejection.map(|ejection| ejection.until);
        suspicion.into_iter().chain(ejection).filter(|&at| at > now).min()
    }
}
