//! From the moment a connection stands until its first answer, as the proxy does it: a first flight that
//! may be sent twice is sent again through the next member while the one that has it says nothing.

use std::time::Duration;

use waypost_health::Outcome;

use crate::{
    network::Reply,
    walk::{Step, Walk, WalkEnd},
};

/// How many times as long as usual a first byte may take before others get the first flight too.
const USUAL_FIRST_BYTES: u32 = 4;

/// How a race ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RaceEnd {
    /// This place of the plan brought the answer.
    Answered(usize),
    /// Everybody who had the flight closed.
    Closed,
}

/// The members that have the first flight.
#[derive(Debug)]
pub(crate) struct Race {
    targets: Vec<Target>,
    /// Whether others get the flight, too.
    is_repeated: bool,
    dialling: bool,
    /// When nobody else is tried any more; set by the first repetition.
    until: Option<Duration>,
    /// Silent ones that made room, with the moment from which they had the flight.
    given_up: Vec<(usize, Duration)>,
    pub(crate) n_replays: u32,
}

#[derive(Debug, Clone, Copy)]
struct Target {
    number: usize,
    stood: Duration,
    reply: Reply,
}

impl Race {
    /// Sends the flight to the first that connected. It stays with it if it may not be sent twice or
    /// nobody else is left.
    pub(crate) fn new(
        number: usize,
        may_repeat: bool,
        walk: &Walk,
        patience: Duration,
        step: &mut Step<'_>,
    ) -> Self {
        Self {
            targets: target(number, patience, step).into_iter().collect(),
            is_repeated: may_repeat && walk.has_more(),
            dialling: false,
            until: None,
            given_up: Vec::new(),
            n_replays: 0,
        }
    }

    /// Does what is due now.
    pub(crate) fn poll(
        &mut self,
        walk: &mut Walk,
        patience: Duration,
        step: &mut Step<'_>,
    ) -> Option<RaceEnd> {
        loop {
            if let Some(index) =
                self.targets.iter().position(|target| target.settled().is_some_and(|at| at <= step.now))
            {
                let target = self.targets.remove(index);
                if matches!(target.reply, Reply::Answered(_)) {
                    self.win(target, step);
                    return Some(RaceEnd::Answered(target.number));
                }
                step.seen.disputed.push(target.number);
                if !self.dialling && self.may_dial(walk, step.now) {
                    self.dial(walk, step);
                }
                if self.targets.is_empty() && !self.dialling {
                    return Some(RaceEnd::Closed);
                }
                continue;
            }
            let end = if self.dialling { walk.poll(step) } else { None };
            if let Some(end) = end {
                self.dialled(end, patience, step);
                if self.targets.is_empty() {
                    return Some(RaceEnd::Closed);
                }
            } else if self.next_replay(walk, step).is_some_and(|at| at <= step.now) {
                self.dial(walk, step);
                if self.targets.is_empty() && !self.dialling {
                    return Some(RaceEnd::Closed);
                }
            } else {
                return None;
            }
        }
    }

    /// When there is something to do.
    pub(crate) fn wake(&self, walk: &Walk, step: &Step<'_>) -> Option<Duration> {
        let settled = self.targets.iter().filter_map(Target::settled).min();
        let dialling = self.dialling.then(|| walk.wake());
        [settled, dialling, self.next_replay(walk, step)].into_iter().flatten().min()
    }

    fn dial(&mut self, walk: &mut Walk, step: &mut Step<'_>) {
        let until = *self.until.get_or_insert(step.now + step.shared.engine.pace.total_timeout);
        walk.extend(until);
        self.n_replays += 1;
        self.dialling = walk.resume(step).is_none();
    }

    fn dialled(&mut self, end: WalkEnd, patience: Duration, step: &mut Step<'_>) {
        self.dialling = false;
        let WalkEnd::Reached(number) = end else { return };
        self.targets.extend(target(number, patience, step));
        // The first is kept: it is the nearest to an answer if all wait for the same slow origin.
        let abreast = usize::from(step.shared.engine.pace.max_in_flight.get()).max(2);
        if self.targets.len() > abreast {
            let silent = self.targets.remove(1);
            self.given_up.push((silent.number, silent.stood));
        }
    }

    fn may_dial(&self, walk: &Walk, now: Duration) -> bool {
        self.is_repeated && walk.has_more() && self.until.is_none_or(|until| now < until)
    }

    fn next_replay(&self, walk: &Walk, step: &Step<'_>) -> Option<Duration> {
        if self.dialling || !self.may_dial(walk, step.now) {
            return None;
        }
        let youngest = self.targets.last()?;
        let engine = &step.shared.engine;
        let usual =
            step.attempts.get(youngest.number).and_then(|attempt| engine.usual_first_byte(attempt.member));
        let usual = usual.unwrap_or_default().saturating_mul(USUAL_FIRST_BYTES);
        // A slow phase must not put the repetition off until nobody waits for it.
        let delay = engine.pace.replay_delay.max(usual.min(engine.pace.attempt_timeout));
        Some(youngest.stood + delay)
    }

    /// Tells what the answer proves. Of a flight that stays where it is nothing is told.
    fn win(&self, winner: Target, step: &mut Step<'_>) {
        if !self.is_repeated {
            return;
        }
        let others = self.targets.iter().map(|other| (other.number, other.stood));
        for (number, stood) in others.chain(self.given_up.iter().copied()) {
            if stood < winner.stood {
                step.report(number, Outcome::Silent);
            }
        }
        step.report(winner.number, Outcome::FirstByte { took: step.now - winner.stood });
        for number in std::mem::take(&mut step.seen.disputed) {
            if number != winner.number {
                step.report(number, Outcome::Failed);
            }
        }
    }
}

impl Target {
    fn settled(&self) -> Option<Duration> {
        match self.reply {
            Reply::Answered(at) | Reply::Closed(at) => Some(at),
            Reply::Never => None,
        }
    }
}

fn target(number: usize, patience: Duration, step: &mut Step<'_>) -> Option<Target> {
    let member = step.attempts.get(number)?.member;
    let reply = step.shared.network.exchange(member, step.now, patience);
    Some(Target { number, stood: step.now, reply })
}
