//! What is counted of a member or a group, and read without waiting for a new view. It outlives a
//! reload: whoever is the same goes on with the same figures.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use waypost_health::{Outcome, State};

use crate::totals::MemberTotals;

/// How many delays are remembered of an outbound: as many as dashboards draw.
const MAX_HISTORY: usize = 10;
/// The upper bounds of the classes that delays are counted in, in seconds; what is more is in the last.
pub const DELAY_BOUNDS: [f64; 10] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// How a request through an outbound went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DelaySample {
    /// When it ended.
    pub at: SystemTime,
    /// How long it took until the head of the answer; `None` if it failed.
    pub delay: Option<Duration>,
}

/// How long requests through an outbound took, in classes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DelayClasses {
    /// How many took at most as long as the bound of the same place says, and longer than the one before; the
    /// last are those beyond all bounds.
    pub counts: [u64; DELAY_BOUNDS.len() + 1],
    /// All of them together, in seconds.
    pub sum: f64,
    /// How many failed.
    pub failed: u64,
}

/// What is counted of a member.
#[derive(Debug, Default)]
pub(crate) struct MemberFigures {
    live: AtomicUsize,
    carried: AtomicU64,
    failed: AtomicU64,
    overtaken: AtomicU64,
    silent: AtomicU64,
    /// In microseconds; 0 is not known.
    pub(super) usual_dial: AtomicU64,
    pub(super) usual_first_byte: AtomicU64,
    /// Whether there is a verdict against it.
    is_condemned: AtomicBool,
    /// How often it came into each state, as [`State::WORDS`] has them.
    transitions: [AtomicU64; State::WORDS.len()],
    delays: Mutex<Delays>,
    last_fault: Mutex<Option<MemberFault>>,
}

/// What was wrong with an outbound when it last failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberFault {
    /// When.
    pub at: SystemTime,
    /// What.
    pub reason: Arc<str>,
}

/// How long the same reason is not told again.
const FAULT_PAUSE: Duration = Duration::from_secs(600);

#[derive(Debug, Default)]
struct Delays {
    history: VecDeque<DelaySample>,
    classes: DelayClasses,
}

/// When and why another member of a group began to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupChange {
    /// When.
    pub at: SystemTime,
    /// What changed, and why.
    pub reason: Arc<str>,
}

/// What is counted of a group.
#[derive(Debug, Default)]
pub(crate) struct GroupFigures {
    last_change: Mutex<Option<GroupChange>>,
    changes: AtomicU64,
}

impl MemberFigures {
    pub(super) fn count(&self, outcome: Outcome) {
        let counter = match outcome {
            // Counted when it is carried.
            Outcome::Connected { .. } | Outcome::FirstByte { .. } => return,
            Outcome::Failed => &self.failed,
            Outcome::Overtaken => &self.overtaken,
            Outcome::Silent => &self.silent,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a connection that begins.
    pub(super) fn begin(&self) {
        self.live.fetch_add(1, Ordering::Relaxed);
        self.carried.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.live.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    pub(super) fn totals(&self) -> MemberTotals {
        MemberTotals {
            carried: self.carried.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            overtaken: self.overtaken.load(Ordering::Relaxed),
            silent: self.silent.load(Ordering::Relaxed),
        }
    }

    /// Notes what is known of it now; `None` if that is what was known before.
    pub(super) fn enter(&self, before: Option<State>, now: State) {
        self.is_condemned.store(!now.stands(), Ordering::Relaxed);
        let is_other = before.is_none_or(|before| before.word() != now.word());
        let place = State::WORDS.iter().position(|word| *word == now.word()).filter(|_| is_other);
        if let Some(transitions) = place.and_then(|place| self.transitions.get(place)) {
            transitions.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether there is no verdict against it.
    pub(super) fn stands(&self) -> bool {
        !self.is_condemned.load(Ordering::Relaxed)
    }

    /// How often it came into each state.
    pub(crate) fn transitions(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let counts = self.transitions.iter().map(|count| count.load(Ordering::Relaxed));
        State::WORDS.into_iter().zip(counts)
    }

    /// Takes in how a request through it went.
    pub(crate) fn file(&self, sample: DelaySample) {
        let mut delays = self.delays.lock();
        if delays.history.len() >= MAX_HISTORY {
            delays.history.pop_front();
        }
        delays.history.push_back(sample);
        let Some(delay) = sample.delay else {
            delays.classes.failed += 1;
            return;
        };
        let seconds = delay.as_secs_f64();
        let class = DELAY_BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(DELAY_BOUNDS.len());
        if let Some(count) = delays.classes.counts.get_mut(class) {
            *count += 1;
        }
        delays.classes.sum += seconds;
    }

    /// Keeps what is wrong with it; says whether that is news.
    pub(super) fn blame(&self, reason: &str, at: SystemTime) -> bool {
        let mut last = self.last_fault.lock();
        let is_news = last.as_ref().is_none_or(|last| {
            &*last.reason != reason || at.duration_since(last.at).is_ok_and(|since| since > FAULT_PAUSE)
        });
        match last.as_mut().filter(|_| !is_news) {
            Some(last) => last.at = at,
            None => *last = Some(MemberFault { at, reason: reason.into() }),
        }
        is_news
    }

    /// What was wrong with it last.
    pub(crate) fn last_fault(&self) -> Option<MemberFault> {
        self.last_fault.lock().clone()
    }

    /// How the last requests went, oldest first.
    pub(crate) fn history(&self) -> Vec<DelaySample> {
        self.delays.lock().history.iter().copied().collect()
    }

    /// How long all requests took.
    pub(crate) fn delay_classes(&self) -> DelayClasses {
        self.delays.lock().classes.clone()
    }
}

impl GroupFigures {
    /// Notes that another member serves.
    pub(super) fn change(&self, change: GroupChange) {
        *self.last_change.lock() = Some(change);
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// The last change.
    pub(crate) fn last_change(&self) -> Option<GroupChange> {
        self.last_change.lock().clone()
    }

    /// How many changes there were.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }
}
