//! The clock, and everything that happens on it.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    time::{Duration, Instant},
};

use rand::{SeedableRng as _, rngs::StdRng};
use waypost_balance::PlanError;
use waypost_health::{CheckId, MemberId};

use crate::{
    Ended, LossReason, Model, Observer, Planned, Report, Trace,
    connection::{Connection, Fate},
    engine::Engine,
    network::Network,
    owners::Owners,
    report::Summary,
    tally::Tally,
    traffic::{Comer, Traffic},
    walk::Shared,
};

/// How often keys are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// When something that should have been done already is looked at again.
const LATE: Duration = Duration::from_millis(1);
/// Streams of random numbers of their own, so that other choices of the group meet the same arrivals.
const ARRIVALS: u64 = 0x9e37_79b9_7f4a_7c15;
const NETWORK: u64 = 0xbf58_476d_1ce4_e5b9;

/// Why a trace cannot be played.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// It names somebody who is not in the group.
    #[error("`{place}`: the group has no member `{tag}`; it has {known}")]
    UnknownMember {
        /// The key of the trace.
        place: String,
        /// The tag.
        tag: String,
        /// The tags that would do.
        known: String,
    },
    /// Members flap too often.
    #[error(
        "`{place}`: members flap more than {limit} times: give them a longer `period` or a shorter `for`"
    )]
    TooManyTurns {
        /// The key of the trace.
        place: String,
        /// How many times they may.
        limit: usize,
    },
    /// The model's group is not among its groups.
    #[error("the model has no group of this number: {index}")]
    UnknownGroup {
        /// The number.
        index: usize,
    },
}

/// Plays a trace against a group. The same seed yields the same report; `start` is only what the clock
/// of the monitor begins with.
///
/// # Errors
///
/// If the trace does not fit the group.
pub fn run(model: Model, trace: &Trace, seed: u64, start: Instant) -> Result<Report, RunError> {
    run_observed(model, trace, seed, start, &mut ())
}

/// As [`run`], watched by somebody.
///
/// # Errors
///
/// If the trace does not fit the group.
pub fn run_observed(
    model: Model,
    trace: &Trace,
    seed: u64,
    start: Instant,
    observer: &mut impl Observer,
) -> Result<Report, RunError> {
    if model.groups.get(model.group).is_none() {
        return Err(RunError::UnknownGroup { index: model.group.index() });
    }
    let network = Network::new(&model, trace, StdRng::seed_from_u64(seed ^ NETWORK))?;
    let leaves = model.groups.leaves(model.group);
    let tally = Tally::new(&model, trace.duration, &leaves);
    let engine = Engine::new(model, start, StdRng::seed_from_u64(seed));
    let traffic = Traffic::new(trace.arrivals, trace.duration, StdRng::seed_from_u64(seed ^ ARRIVALS));
    let mut world = World {
        shared: Shared { engine, network },
        queue: BinaryHeap::new(),
        n_queued: 0,
        traffic,
        next_comer: None,
        connections: HashMap::new(),
        asking: HashMap::new(),
        tally,
        observer,
        wake: None,
    };
    world.tally.owners = Owners::new(&world.shared.engine, &trace.arrivals);
    world.play(trace.duration);
    let World { tally, shared, .. } = world;
    Ok(Summary { tally, engine: shared.engine, trace, seed }.report())
}

/// What happens at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Arrival,
    ProbeEnded(CheckId, Option<Duration>),
    /// The engine has something to do.
    Wake,
    /// A connection has something to do, if it has not polled since.
    Poll(u64, u64),
    /// A connection has waited long enough for probes.
    AskedLongEnough(u64),
    /// A connection that a member carried is over.
    Over(MemberId),
    LookAtKeys,
}

struct World<'o, O> {
    shared: Shared,
    queue: BinaryHeap<Reverse<(Duration, u64, Happening)>>,
    n_queued: u64,
    traffic: Traffic,
    next_comer: Option<Comer>,
    connections: HashMap<u64, (Connection, Duration)>,
    /// Those that wait for probes.
    asking: HashMap<u64, Comer>,
    tally: Tally,
    observer: &'o mut O,
    /// When the engine is to be woken.
    wake: Option<Duration>,
}

impl<O: Observer> World<'_, O> {
    fn play(&mut self, end: Duration) {
        self.expect_comer();
        if self.tally.owners.is_some() {
            self.queue(Duration::ZERO, Happening::LookAtKeys);
        }
        self.settle(Duration::ZERO);
        while let Some(Reverse((now, _, happening))) = self.queue.pop() {
            let is_over = self.next_comer.is_none() && self.connections.is_empty() && self.asking.is_empty();
            if now >= end && is_over {
                break;
            }
            self.handle(happening, now, end);
            self.settle(now);
        }
        self.tally.lanes.fill(end);
    }

    fn queue(&mut self, at: Duration, happening: Happening) {
        self.queue.push(Reverse((at, self.n_queued, happening)));
        self.n_queued += 1;
    }

    fn handle(&mut self, happening: Happening, now: Duration, end: Duration) {
        match happening {
            Happening::Arrival => {
                if let Some(comer) = self.next_comer.take() {
                    self.expect_comer();
                    self.shared.engine.touch(now);
                    self.admit(comer, true, now);
                }
            }
            Happening::ProbeEnded(check, delay) => {
                for id in self.shared.engine.probe_ended(check, delay, now) {
                    self.admit_after_asking(id, now);
                }
            }
            Happening::Wake => {
                if self.wake == Some(now) {
                    self.wake = None;
                    self.shared.engine.refresh(now);
                }
            }
            Happening::Poll(id, generation) => {
                if let Some((connection, lasts)) = self.connections.remove(&id) {
                    if connection.generation == generation {
                        self.poll(connection, lasts, now);
                    } else {
                        self.connections.insert(id, (connection, lasts));
                    }
                }
            }
            Happening::AskedLongEnough(id) => self.admit_after_asking(id, now),
            Happening::Over(member) => self.shared.engine.release(member),
            Happening::LookAtKeys => {
                if let Some(owners) = &mut self.tally.owners {
                    owners.look(&self.shared.engine, now);
                }
                if now + LOOK_EVERY < end {
                    self.queue(now + LOOK_EVERY, Happening::LookAtKeys);
                }
            }
        }
    }

    /// Makes the probes that are due, and takes down what is known.
    fn settle(&mut self, now: Duration) {
        if !std::mem::take(&mut self.shared.engine.is_new) {
            return;
        }
        self.tally.lanes.look(&self.shared.engine, now);
        for (check, member, timeout) in self.shared.engine.due(now) {
            let (ends, delay) = self.shared.network.probe(member, now, timeout);
            self.tally.probed(member, delay.is_some());
            self.queue(ends, Happening::ProbeEnded(check, delay));
        }
        let wake = self.shared.engine.wake(now).map(|wake| if wake <= now { now + LATE } else { wake });
        if let Some(wake) = wake.filter(|_| wake != self.wake) {
            self.wake = Some(wake);
            self.queue(wake, Happening::Wake);
        }
    }

    fn expect_comer(&mut self) {
        self.next_comer = self.traffic.next();
        if let Some(comer) = &self.next_comer {
            self.queue(comer.arrival.arrived, Happening::Arrival);
        }
    }

    fn admit_after_asking(&mut self, id: u64, now: Duration) {
        if let Some(comer) = self.asking.remove(&id) {
            self.admit(comer, false, now);
        }
    }

    /// Plans a connection and begins to dial. With nobody to plan with, the members are asked once more.
    fn admit(&mut self, comer: Comer, may_ask: bool, now: Duration) {
        let arrival = comer.arrival;
        let plan = match self.shared.engine.plan(&comer.flow) {
            Ok(plan) => plan,
            Err(PlanError::EmptyPool { .. }) if may_ask && self.shared.engine.ask(arrival.id, now) => {
                let limit = self.shared.engine.pace.total_timeout;
                self.queue(now + limit, Happening::AskedLongEnough(arrival.id));
                self.asking.insert(arrival.id, comer);
                return;
            }
            Err(_) => {
                let reason = LossReason::Refused;
                self.tally.lost(arrival.arrived, None, reason, &self.shared.network, now);
                self.observer.ended(&Ended {
                    connection: arrival.id,
                    arrived: arrival.arrived,
                    stood: None,
                    at: now,
                    outcome: Err(reason),
                    is_repeatable: arrival.is_repeatable,
                    dials: &[],
                });
                return;
            }
        };
        if let Some(standing) = self.shared.engine.standing() {
            let (flow, connection) = (&comer.flow, arrival.id);
            self.observer.planned(&Planned { at: now, connection, flow, plan: &plan, standing });
        }
        let mut connection = Connection::new(arrival, plan.tier, plan.attempts, &self.shared);
        connection.begin(&mut self.shared, now);
        self.poll(connection, comer.lasts, now);
    }

    fn poll(&mut self, mut connection: Connection, lasts: Duration, now: Duration) {
        let stood = connection.stood;
        let fate = connection.poll(&mut self.shared, now);
        if stood != connection.stood
            && let Some(carrier) = connection.carrier
        {
            self.shared.engine.carry(carrier);
        }
        if let Some(fate) = fate {
            return self.end(&connection, lasts, fate, now);
        }
        connection.generation += 1;
        let wake = connection.wake(&mut self.shared, now).max(now);
        self.queue(wake, Happening::Poll(connection.id, connection.generation));
        self.connections.insert(connection.id, (connection, lasts));
    }

    fn end(&mut self, connection: &Connection, lasts: Duration, fate: Fate, now: Duration) {
        self.tally.ended(connection, fate, &self.shared.network, now);
        if let Some(carrier) = connection.carrier {
            self.shared.engine.release(carrier);
        }
        let outcome = match fate {
            Fate::Lost(reason) => Err(reason),
            Fate::Answered(member, _) => {
                self.shared.engine.carry(member);
                let breaks = self.shared.network.next_kill(member, now, now + lasts);
                self.tally.connections.broken += u64::from(breaks.is_some());
                self.queue(breaks.unwrap_or(now + lasts), Happening::Over(member));
                Ok(member)
            }
        };
        let member = |number: usize| connection.attempts.get(number).map(|attempt| attempt.member);
        let dials: Vec<(MemberId, Duration)> =
            connection.seen.dials.iter().filter_map(|&(number, at)| Some((member(number)?, at))).collect();
        self.observer.ended(&Ended {
            connection: connection.id,
            arrived: connection.arrived,
            stood: connection.stood,
            at: now,
            outcome,
            is_repeatable: connection.is_repeatable,
            dials: &dials,
        });
    }
}
