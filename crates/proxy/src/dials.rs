//! The attempts of one connection: what is tried when, and what that tells of the members.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::debug;
use waypost_balance::Role;
use waypost_config::model::DialPace;
use waypost_health::Outcome;
use waypost_net::Flow;
use waypost_router::Decision;

use crate::{
    AttemptEnd, AttemptRecord, ConnectionId, DialError, Dialed,
    chain::Chain,
    counts::Counts,
    health::Health,
    replay::{Evidence, Fault, Replays},
    shared::Shared,
    snapshot::{Route, Snapshot, Why},
    walk::{Attempts, Ending, Patience},
};

/// What the only outbound of a route gets; V2Ray gives it 16 seconds.
const SINGLE_TIMEOUT: Duration = Duration::from_secs(20);
/// How many times as long as usual a dial may take before the next begins beside it.
const USUAL_DIALS: u32 = 3;
/// How many times as long as usual a first byte may take before others get the first flight too.
const USUAL_FIRST_BYTES: u32 = 4;

/// How the only outbound of a route is dialled.
pub(crate) fn single_pace() -> DialPace {
    DialPace { attempt_timeout: SINGLE_TIMEOUT, total_timeout: SINGLE_TIMEOUT, ..DialPace::default() }
}

/// The attempts of a route.
pub(crate) struct Dials<'d, 's> {
    /// The number of the connection.
    pub(crate) id: ConnectionId,
    pub(crate) snapshot: &'d Snapshot,
    pub(crate) flow: &'d Flow,
    pub(crate) decision: &'d Decision<'d>,
    pub(crate) route: &'d Route<'s>,
    pub(crate) health: &'d Health,
    pub(crate) begin: Instant,
    counts: &'d Counts,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    records: Vec<AttemptRecord>,
    /// Failures that may be the target's fault. They count when another member brings an answer.
    disputed: Vec<usize>,
    /// Attempts that made room. They count as overtaken when another member connects.
    given_up: Vec<usize>,
    /// Dials under way.
    n_running: usize,
}

impl<'d, 's> Dials<'d, 's> {
    pub(crate) fn new(
        flow: &'d Flow,
        decision: &'d Decision<'d>,
        route: &'d Route<'s>,
        shared: Shared<'d>,
        (id, begin): (ConnectionId, Instant),
    ) -> Self {
        let (snapshot, health, counts) = (&**shared.snapshot, shared.health(), &shared.core.counts);
        Self { id, snapshot, flow, decision, route, health, begin, counts, seen: Mutex::default() }
    }

    /// How the members of the route are dialled.
    pub(crate) fn pace(&self) -> DialPace {
        match &self.route.group {
            Some(group) => group.pace,
            None => single_pace(),
        }
    }

    /// What was attempted so far.
    pub(crate) fn records(&self) -> Vec<AttemptRecord> {
        self.seen.lock().records.clone()
    }

    /// Notes an attempt that succeeded by something that stood already, which tells nothing of the member.
    pub(crate) fn joined(&self, number: usize, took: Duration) {
        self.record(number, took, AttemptEnd::Connected);
    }

    /// Counts a dial; yields how many were under way.
    fn begin_dial(&self) -> usize {
        let mut seen = self.seen.lock();
        seen.n_running += 1;
        seen.n_running - 1
    }

    fn end_dial(&self) {
        let mut seen = self.seen.lock();
        seen.n_running = seen.n_running.saturating_sub(1);
    }

    fn report(&self, number: usize, outcome: Outcome) {
        // Without a group nobody asks how the outbound is.
        if self.route.group.is_some() {
            self.health.report(self.route.attempt(number).member, outcome);
        }
    }

    /// Has the log and the state of a member say what is wrong with it.
    fn blame(&self, number: usize, reason: &str) {
        let attempt = self.route.attempt(number);
        self.health.blame(attempt.member, attempt.outbound.tag.as_deref(), reason);
    }

    fn record(&self, number: usize, took: Duration, end: AttemptEnd) {
        let outbound = self.route.attempt(number).outbound.tag.clone();
        let began = self.begin.elapsed().saturating_sub(took);
        self.seen.lock().records.push(AttemptRecord { outbound, began, took, end });
    }
}

impl Attempts for Dials<'_, '_> {
    type Reached = Dialed;
    type Error = DialError;

    fn count(&self) -> usize {
        self.route.len()
    }

    /// Passes over members that were fine when the plan was made and no longer are.
    fn choose(&self, left: &[usize]) -> usize {
        let view = self.health.view();
        let is_worse = |number: usize| {
            let attempt = self.route.attempt(number);
            let was_usable = matches!(
                attempt.why,
                Why::Group(reason) if matches!(reason.role, Role::Candidate | Role::OutsideTopN)
            );
            was_usable && !view.state(attempt.member, attempt.check).is_usable()
        };
        left.iter().position(|&number| !is_worse(number)).unwrap_or(0)
    }

    fn patience(&self, number: usize) -> Patience {
        let usual = self.health.usual_dial(self.route.attempt(number).member);
        let delay = self.pace().hedge_delay.max(usual.unwrap_or_default().saturating_mul(USUAL_DIALS));
        Patience { delay, measured: usual.is_some() }
    }

    async fn attempt(&self, number: usize) -> Result<Dialed, DialError> {
        if self.begin_dial() > 0 {
            self.counts.hedges.add_one();
        }
        let deadline = Instant::now() + self.pace().attempt_timeout;
        let dialer = &self.route.attempt(number).outbound.dialer;
        let resolver = self.snapshot.resolver_at(self.route.attempt(number).outbound, self.flow);
        let Flow { target, addresses, .. } = self.flow;
        if !addresses.is_empty() {
            return dialer.dial_resolved(target, addresses, resolver, deadline).await;
        }
        dialer.dial(target, &self.decision.matched_addresses, resolver, deadline).await
    }

    /// A blackhole that was chosen ends the walk, because it is meant; one that only comes next in a
    /// plan is an outbound that cannot carry the connection.
    fn is_final(&self, number: usize, error: &DialError) -> bool {
        number == 0 && matches!(error, DialError::Blackholed { .. })
    }

    fn may_succeed_later(&self, error: &DialError) -> bool {
        self.route.group.is_some() && error.is_timeout()
    }

    fn ended(&self, number: usize, ending: Ending<'_, DialError>, took: Duration) {
        self.end_dial();
        let end = match ending {
            Ending::Reached => {
                self.report(number, Outcome::Connected { took });
                let given_up = std::mem::take(&mut self.seen.lock().given_up);
                for other in given_up.into_iter().filter(|&other| other != number) {
                    self.report(other, Outcome::Overtaken);
                }
                AttemptEnd::Connected
            }
            Ending::Failed(error) => {
                let attempt = self.route.attempt(number);
                let is_at_fault = attempt.outbound.dialer.is_at_fault(error);
                let error = Chain(error).to_string();
                if is_at_fault {
                    self.report(number, Outcome::Failed);
                    self.blame(number, &error);
                } else {
                    self.seen.lock().disputed.push(number);
                }
                debug!(id = self.id.0, target = %self.flow.target, outbound = attempt.outbound.tag.as_deref(), error, "an attempt failed");
                AttemptEnd::Failed(error.into())
            }
            Ending::Overtaken => {
                self.report(number, Outcome::Overtaken);
                AttemptEnd::Overtaken
            }
            Ending::GivenUp => {
                self.seen.lock().given_up.push(number);
                AttemptEnd::GivenUp
            }
            Ending::Dropped => AttemptEnd::Dropped,
        };
        self.record(number, took, end);
    }
}

impl Replays for Dials<'_, '_> {
    fn delay(&self, number: usize) -> Duration {
        let usual = self.health.usual_first_byte(self.route.attempt(number).member).unwrap_or_default();
        let pace = self.pace();
        // A slow phase must not put the repetition off until nobody waits for it.
        pace.replay_delay.max(usual.saturating_mul(USUAL_FIRST_BYTES).min(pace.attempt_timeout))
    }

    fn replayed(&self) {
        self.counts.replays.add_one();
    }

    fn found(&self, evidence: Evidence) {
        match evidence {
            Evidence::FirstByte { number, took } => {
                self.report(number, Outcome::FirstByte { took });
                let disputed = std::mem::take(&mut self.seen.lock().disputed);
                for other in disputed.into_iter().filter(|&other| other != number) {
                    self.report(other, Outcome::Failed);
                }
                self.record(number, took, AttemptEnd::Answered);
            }
            Evidence::Silent { number, after } => {
                self.report(number, Outcome::Silent);
                self.record(number, after, AttemptEnd::Silent);
            }
            Evidence::ClosedEarly { number, fault } => {
                if fault.as_ref().is_some_and(|fault| fault.is_certain) {
                    self.report(number, Outcome::Failed);
                } else {
                    self.seen.lock().disputed.push(number);
                }
                let end = match fault {
                    Some(Fault { reason, .. }) => {
                        self.blame(number, &reason);
                        AttemptEnd::Failed(reason)
                    }
                    None => AttemptEnd::ClosedEarly,
                };
                self.record(number, Duration::ZERO, end);
            }
        }
    }
}
