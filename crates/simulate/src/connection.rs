//! One connection, from its arrival to its first answer.

use std::time::Duration;

use waypost_balance::{Attempt, Tier};
use waypost_health::MemberId;

use crate::{
    LossReason,
    race::{Race, RaceEnd},
    walk::{Seen, Shared, Step, Walk, WalkEnd},
};

/// A connection that has a plan.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) id: u64,
    pub(crate) arrived: Duration,
    pub(crate) is_repeatable: bool,
    pub(crate) patience: Duration,
    pub(crate) tier: Tier,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) seen: Seen,
    pub(crate) stood: Option<Duration>,
    /// The first that connected.
    pub(crate) carrier: Option<MemberId>,
    walk: Walk,
    race: Option<Race>,
    /// Tells the wake that counts from earlier ones.
    pub(crate) generation: u64,
}

/// What became of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// This member brought the first answer; it has this place in the plan.
    Answered(MemberId, usize),
    Lost(LossReason),
}

/// Somebody who wants a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) id: u64,
    pub(crate) arrived: Duration,
    pub(crate) is_repeatable: bool,
    pub(crate) patience: Duration,
}

impl Connection {
    pub(crate) fn new(arrival: Arrival, tier: Tier, attempts: Vec<Attempt>, shared: &Shared) -> Self {
        let Arrival { id, arrived, is_repeatable, patience } = arrival;
        let pace = &shared.engine.pace;
        // What was spent on asking for members counts, too.
        let deadline = arrived + pace.total_timeout;
        let walk = Walk::new(attempts.len(), usize::from(pace.max_in_flight.get()), deadline);
        Self {
            id,
            arrived,
            is_repeatable,
            patience,
            tier,
            attempts,
            seen: Seen::default(),
            stood: None,
            carrier: None,
            walk,
            race: None,
            generation: 0,
        }
    }

    /// Begins to dial.
    pub(crate) fn begin(&mut self, shared: &mut Shared, now: Duration) {
        let Self { walk, attempts, seen, .. } = self;
        // A plan is never empty.
        let _none_left = walk.resume(&mut Step { shared, attempts, seen, now });
    }

    /// Does what is due now; yields what became of the connection once that is settled.
    pub(crate) fn poll(&mut self, shared: &mut Shared, now: Duration) -> Option<Fate> {
        let gives_up = self.arrived + self.patience;
        let left = gives_up.saturating_sub(now);
        let Self { walk, attempts, seen, race, stood, carrier, is_repeatable, .. } = self;
        let mut step = Step { shared, attempts, seen, now };
        if race.is_none() {
            match walk.poll(&mut step) {
                None => {}
                Some(WalkEnd::Reached(number)) => {
                    *stood = Some(now);
                    *carrier = attempts.get(number).map(|attempt| attempt.member);
                    let may_repeat = *is_repeatable && step.shared.engine.pace.first_flight_replay;
                    *race = Some(Race::new(number, may_repeat, walk, left, &mut step));
                }
                Some(WalkEnd::Failed | WalkEnd::NoneLeft) => return Some(Fate::Lost(LossReason::AllFailed)),
                Some(WalkEnd::TooLate) => return Some(Fate::Lost(LossReason::TooLate)),
            }
        }
        let end = race.as_mut().and_then(|race| race.poll(walk, left, &mut step));
        match end {
            Some(RaceEnd::Answered(number)) => {
                attempts.get(number).map(|attempt| Fate::Answered(attempt.member, number))
            }
            Some(RaceEnd::Closed) => Some(Fate::Lost(LossReason::Closed)),
            None if now >= gives_up => Some(Fate::Lost(LossReason::NoAnswer)),
            None => None,
        }
    }

    /// When there is something to do.
    pub(crate) fn wake(&mut self, shared: &mut Shared, now: Duration) -> Duration {
        let gives_up = self.arrived + self.patience;
        let Self { walk, attempts, seen, race, .. } = self;
        let step = Step { shared, attempts, seen, now };
        let wake = match race {
            Some(race) => race.wake(walk, &step),
            None => Some(walk.wake()),
        };
        wake.map_or(gives_up, |wake| wake.min(gives_up))
    }

    pub(crate) fn n_replays(&self) -> u32 {
        self.race.as_ref().map_or(0, |race| race.n_replays)
    }
}
