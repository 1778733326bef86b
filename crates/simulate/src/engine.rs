//! The group and its monitor, as the proxy's health task runs them.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use waypost_balance::{Context, Group, GroupId, GroupStates, Groups, Plan, PlanError, Standing, Standings};
use waypost_health::{CheckId, MemberId, Monitor, Outcome, PoolId, Round, RoundStep, State};
use waypost_net::Flow;

use crate::{Model, Pace};

/// What a check gets whose timeout is not known; the default of a `loadbalance` group.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// All that is known of the members, and who serves.
#[derive(Debug)]
pub(crate) struct Engine {
    groups: Groups,
    group: GroupId,
    pub(crate) monitor: Monitor,
    states: GroupStates,
    standings: Standings,
    pool: PoolId,
    probe_timeouts: Vec<Duration>,
    pub(crate) pace: Pace,
    start: Instant,
    rng: StdRng,
    /// Live connections, by the number of the member.
    live: Vec<usize>,
    round: Option<Round<u64>>,
    /// Whether somebody's status or the probes that are due may have changed.
    pub(crate) is_new: bool,
}

impl Engine {
    pub(crate) fn new(model: Model, start: Instant, mut rng: StdRng) -> Self {
        let Model { groups, group, mut monitor, pool, probe_timeouts, pace, members: _ } = model;
        monitor.start(start, &mut rng);
        let mut states = groups.start();
        let status = |member, check| monitor.status(member, check, start);
        let standings = groups.update(&mut states, status, start);
        let live = vec![0; monitor.members().len()];
        Self {
            groups,
            group,
            monitor,
            states,
            standings,
            pool,
            probe_timeouts,
            pace,
            start,
            rng,
            live,
            round: None,
            is_new: true,
        }
    }

    pub(crate) fn group(&self) -> Option<&Group> {
        self.groups.get(self.group)
    }

    pub(crate) fn standing(&self) -> Option<&Standing> {
        self.standings.get(self.group)
    }

    /// A moment on the monitor's clock.
    pub(crate) fn at(&self, now: Duration) -> Instant {
        self.start + now
    }

    /// Takes in what became of a connection; who serves changes at once.
    pub(crate) fn report(&mut self, member: MemberId, outcome: Outcome, now: Duration) {
        if self.monitor.outcome(member, outcome, self.start + now) {
            self.refresh(now);
        }
    }

    /// Says that a connection uses the group.
    pub(crate) fn touch(&mut self, now: Duration) {
        let was_idle = self.monitor.is_idle(self.pool, self.start + now);
        self.monitor.touch(self.pool, self.start + now);
        if was_idle {
            self.refresh(now);
        }
    }

    pub(crate) fn refresh(&mut self, now: Duration) {
        let at = self.start + now;
        let monitor = &self.monitor;
        let status = |member, check| monitor.status(member, check, at);
        self.standings = self.groups.update(&mut self.states, status, at);
        self.is_new = true;
    }

    /// The probes to make now, with the time that each of them has.
    pub(crate) fn due(&mut self, now: Duration) -> Vec<(CheckId, MemberId, Duration)> {
        let due = self.monitor.due(self.start + now);
        let with_member = due.into_iter().filter_map(|check| {
            let timeout = self.probe_timeouts.get(check.index()).copied().unwrap_or(PROBE_TIMEOUT);
            Some((check, self.monitor.probed_member(check)?, timeout))
        });
        with_member.collect()
    }

    /// When something is due or changes by itself.
    pub(crate) fn wake(&self, now: Duration) -> Option<Duration> {
        let wake =
            self.monitor.next_wake(self.start + now).into_iter().chain(self.states.next_change()).min()?;
        Some(wake.saturating_duration_since(self.start))
    }

    /// Takes in how a probe ended; yields the connections that waited for that.
    pub(crate) fn probe_ended(&mut self, check: CheckId, delay: Option<Duration>, now: Duration) -> Vec<u64> {
        self.monitor.probe_ended(check, delay, self.start + now, &mut self.rng);
        self.refresh(now);
        self.answer(check, delay.is_some(), now)
    }

    /// Has all members probed for a connection, once for all who wait; whether that is worth waiting for.
    pub(crate) fn ask(&mut self, connection: u64, now: Duration) -> bool {
        match &mut self.round {
            Some(round) => round.join(connection),
            None => self.begin_round(vec![connection], now),
        }
        self.round.is_some()
    }

    fn begin_round(&mut self, waiting: Vec<u64>, now: Duration) {
        self.round = Round::begin(&mut self.monitor, self.pool, waiting, self.start + now).ok();
        self.is_new = true;
    }

    /// Yields those who waited for this, because a member works or none does.
    fn answer(&mut self, check: CheckId, succeeded: bool, now: Duration) -> Vec<u64> {
        match self.round.take().map(|round| round.probe_ended(check, succeeded)) {
            None => Vec::new(),
            Some(RoundStep::Open(round)) => {
                self.round = Some(round);
                Vec::new()
            }
            Some(RoundStep::Over { told, late }) => {
                if !late.is_empty() {
                    self.begin_round(late, now);
                }
                told
            }
        }
    }

    pub(crate) fn plan(&mut self, flow: &Flow) -> Result<Plan, PlanError> {
        let Self { groups, group, standings, live, rng, .. } = self;
        let load = |member: MemberId| live.get(member.index()).copied().unwrap_or(0);
        groups.plan(*group, Context { standings, flow, load: &load }, rng)
    }

    /// The member that an idle group would choose.
    pub(crate) fn owner(&self, flow: &Flow, rng: &mut StdRng) -> Option<MemberId> {
        self.groups.pick(self.group, Context { standings: &self.standings, flow, load: &|_| 0 }, rng).ok()
    }

    pub(crate) fn state(&self, member: MemberId, check: Option<CheckId>, now: Duration) -> State {
        self.monitor.status(member, check, self.start + now).state
    }

    pub(crate) fn usual_dial(&self, member: MemberId) -> Option<Duration> {
        self.monitor.usual_dial(member).map(|usual| usual.mean())
    }

    pub(crate) fn usual_first_byte(&self, member: MemberId) -> Option<Duration> {
        self.monitor.usual_first_byte(member).map(|usual| usual.mean())
    }

    pub(crate) fn carry(&mut self, member: MemberId) {
        if let Some(live) = self.live.get_mut(member.index()) {
            *live += 1;
        }
    }

    pub(crate) fn release(&mut self, member: MemberId) {
        if let Some(live) = self.live.get_mut(member.index()) {
            *live = live.saturating_sub(1);
        }
    }

    /// The outbounds that the group leads to, with the check by which each is known.
    pub(crate) fn leaves(&self) -> Vec<(MemberId, Option<CheckId>)> {
        self.groups.leaves(self.group)
    }
}
