//! Walking a plan as the proxy does, with dials whose end is known when they begin.

use std::{collections::VecDeque, time::Duration};

use waypost_balance::{Attempt, Role};
use waypost_health::Outcome;

use crate::{
    engine::Engine,
    network::{DialEnd, Network},
};

/// How many times as long as usual a dial may take before the next begins beside it.
const USUAL_DIALS: u32 = 3;

/// What the connections of a group share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) network: Network,
}

/// What was tried for a connection, and what is to be held against whom if another one works.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Every dial that was begun: the place in the plan, and when.
    pub(crate) dials: Vec<(usize, Duration)>,
    pub(crate) n_hedges: u32,
    pub(crate) n_retries: u32,
    pub(crate) n_failed: u32,
    /// Failures that may be the target's fault.
    pub(crate) disputed: Vec<usize>,
    /// Dials that made room.
    given_up: Vec<usize>,
}

/// What a step of a walk needs.
pub(crate) struct Step<'s> {
    pub(crate) shared: &'s mut Shared,
    pub(crate) attempts: &'s [Attempt],
    pub(crate) seen: &'s mut Seen,
    pub(crate) now: Duration,
}

/// How a walk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WalkEnd {
    /// This place of the plan connected first.
    Reached(usize),
    /// Every dial failed.
    Failed,
    /// The deadline came.
    TooLate,
    /// Nothing was left to dial.
    NoneLeft,
}

/// A walk over a plan.
#[derive(Debug)]
pub(crate) struct Walk {
    abreast: usize,
    deadline: Duration,
    left: Vec<usize>,
    /// Those that were given up or overtaken, or had no answer in time.
    again: VecDeque<usize>,
    /// Oldest first.
    running: Vec<Running>,
}

#[derive(Debug, Clone, Copy)]
struct Running {
    number: usize,
    start: Duration,
    patience: Duration,
    /// Whether the patience was learned from this member.
    measured: bool,
    ends: Duration,
    end: DialEnd,
}

/// Why a dial begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    First,
    Retry,
    Hedge,
}

impl Walk {
    pub(crate) fn new(n_attempts: usize, abreast: usize, deadline: Duration) -> Self {
        let left = (0..n_attempts).collect();
        Self { abreast, deadline, left, again: VecDeque::new(), running: Vec::new() }
    }

    pub(crate) fn extend(&mut self, deadline: Duration) {
        self.deadline = deadline;
    }

    pub(crate) fn has_more(&self) -> bool {
        !self.left.is_empty() || !self.again.is_empty()
    }

    /// Begins to walk, or goes on after a success.
    pub(crate) fn resume(&mut self, step: &mut Step<'_>) -> Option<WalkEnd> {
        let stands_still = self.running.is_empty() && !self.start_next(Why::First, step);
        stands_still.then_some(WalkEnd::NoneLeft)
    }

    /// Does what is due now, until the walk ends or nothing is.
    pub(crate) fn poll(&mut self, step: &mut Step<'_>) -> Option<WalkEnd> {
        loop {
            let ended = self.running.iter().position(|running| running.ends <= step.now);
            if let Some(ended) = ended.map(|index| self.running.remove(index)) {
                match ended.end {
                    DialEnd::Connected => {
                        self.reached(ended, step);
                        return Some(WalkEnd::Reached(ended.number));
                    }
                    DialEnd::Refused => {}
                    DialEnd::TimedOut => self.again.push_back(ended.number),
                }
                step.seen.n_failed += 1;
                step.report(ended.number, Outcome::Failed);
                if !self.start_next(Why::Retry, step) && self.running.is_empty() {
                    return Some(WalkEnd::Failed);
                }
            } else if step.now >= self.deadline {
                self.running.clear();
                return Some(WalkEnd::TooLate);
            } else if self.next_start().is_some_and(|at| at <= step.now) {
                if self.running.len() >= self.abreast {
                    self.make_room(step);
                }
                self.start_next(Why::Hedge, step);
            } else {
                return None;
            }
        }
    }

    /// When there is something to do.
    pub(crate) fn wake(&self) -> Duration {
        let ends = self.running.iter().map(|running| running.ends).min();
        [ends, self.next_start()].into_iter().flatten().fold(self.deadline, Duration::min)
    }

    fn next_start(&self) -> Option<Duration> {
        let youngest = self.running.last()?;
        let joined = youngest.start + youngest.patience;
        if self.running.len() < self.abreast {
            return self.has_more().then_some(joined);
        }
        if self.left.is_empty() {
            return None;
        }
        Some(joined.max(self.running.iter().filter_map(Running::expendable_from).min()?))
    }

    fn start_next(&mut self, why: Why, step: &mut Step<'_>) -> bool {
        let number = if self.left.is_empty() {
            let Some(number) = self.again.pop_front() else { return false };
            number
        } else {
            let chosen = step.choose(&self.left).min(self.left.len() - 1);
            self.left.remove(chosen)
        };
        let Some(attempt) = step.attempts.get(number) else { return false };
        let Shared { engine, network } = &mut *step.shared;
        let usual = engine.usual_dial(attempt.member);
        let dialled = network.dial(attempt.member, step.now, engine.pace.attempt_timeout);
        self.running.push(Running {
            number,
            start: step.now,
            patience: engine.pace.hedge_delay.max(usual.unwrap_or_default().saturating_mul(USUAL_DIALS)),
            measured: usual.is_some(),
            ends: dialled.ends,
            end: dialled.end,
        });
        step.seen.dials.push((number, step.now));
        match why {
            Why::First => {}
            Why::Retry => step.seen.n_retries += 1,
            Why::Hedge => step.seen.n_hedges += 1,
        }
        true
    }

    fn make_room(&mut self, step: &mut Step<'_>) {
        let expendable = |running: &Running| running.expendable_from().is_some_and(|from| from <= step.now);
        if let Some(oldest) = self.running.iter().position(expendable) {
            let given_up = self.running.remove(oldest);
            step.seen.given_up.push(given_up.number);
            self.again.push_back(given_up.number);
        }
    }

    /// Tells what the winner proves of the others, and ends them.
    fn reached(&mut self, winner: Running, step: &mut Step<'_>) {
        step.report(winner.number, Outcome::Connected { took: step.now - winner.start });
        for number in std::mem::take(&mut step.seen.given_up) {
            if number != winner.number {
                step.report(number, Outcome::Overtaken);
            }
        }
        for other in std::mem::take(&mut self.running) {
            if other.start < winner.start && step.now >= other.start + other.patience {
                step.report(other.number, Outcome::Overtaken);
                self.again.push_back(other.number);
            } else {
                self.left.push(other.number);
            }
        }
        self.left.sort_unstable();
    }
}

impl Running {
    fn expendable_from(&self) -> Option<Duration> {
        self.measured.then(|| self.start + 2 * self.patience)
    }
}

impl Step<'_> {
    pub(crate) fn report(&mut self, number: usize, outcome: Outcome) {
        if let Some(attempt) = self.attempts.get(number) {
            self.shared.engine.report(attempt.member, outcome, self.now);
        }
    }

    /// Passes over members that were fine when the plan was made and no longer are.
    fn choose(&self, left: &[usize]) -> usize {
        let is_worse = |number: usize| {
            self.attempts.get(number).is_some_and(|attempt| {
                let was_usable = matches!(attempt.reason.role, Role::Candidate | Role::OutsideTopN);
                let state = || self.shared.engine.state(attempt.member, attempt.check, self.now);
                was_usable && !state().is_usable()
            })
        };
        left.iter().position(|&number| !is_worse(number)).unwrap_or(0)
    }
}
