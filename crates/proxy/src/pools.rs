//! The groups of a configuration, with what it takes to run them.

use std::time::{Duration, Instant};

use waypost_balance::{Group, GroupId, GroupStates, Groups, Standings};
use waypost_config::model::DialPace;
use waypost_health::{CheckId, MemberId, Monitor, PoolId, State};

use crate::probe::ProbeTarget;

/// The groups of a configuration, with what it takes to run them. Immutable; the monitor here is the
/// one that a running proxy begins with.
#[derive(Debug)]
pub(crate) struct Pools {
    pub(crate) groups: Groups,
    settings: Box<[PoolSettings]>,
    monitor: Monitor,
    /// What is probed, by the number of the check.
    probes: Box<[ProbeSettings]>,
}

/// What a group is run with.
#[derive(Debug, Clone)]
pub(crate) struct PoolSettings {
    pub(crate) pool: PoolId,
    /// How members are dialled; `None` as the group does that leads to the first.
    pub(crate) pace: Option<DialPace>,
    /// Whether live connections are closed when their member no longer serves.
    pub(crate) interrupts: bool,
    /// Whether its key needs the rule set that the deciding rule matched by.
    pub(crate) needs_rule_set: bool,
    /// Whether it is one of V2Ray's balancers.
    pub(crate) is_balancer: bool,
}

/// What a check asks for.
#[derive(Debug, Clone)]
pub(crate) struct ProbeSettings {
    pub(crate) target: ProbeTarget,
    pub(crate) timeout: Duration,
    /// What is asked directly after a failure; if that fails as well, the failure says nothing.
    pub(crate) connectivity: Option<ProbeTarget>,
}

/// What is known at a moment: who serves in each group, and the state of each outbound.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) standings: Standings,
    checks: Box<[State]>,
    members: Box<[State]>,
    /// What outbounds are for those who do not look at one group: the best that a check says.
    leaves: Box<[State]>,
}

impl Pools {
    pub(crate) fn new(
        groups: Groups,
        settings: Vec<PoolSettings>,
        monitor: Monitor,
        probes: Vec<ProbeSettings>,
    ) -> Self {
        Self { groups, settings: settings.into(), monitor, probes: probes.into() }
    }

    pub(crate) fn group(&self, id: GroupId) -> Option<(&Group, &PoolSettings)> {
        self.groups.get(id).zip(self.settings.get(id.index()))
    }

    /// All groups with their settings.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (GroupId, &Group, &PoolSettings)> {
        self.groups.iter().zip(&self.settings).map(|((id, group), settings)| (id, group, settings))
    }

    pub(crate) fn monitor(&self) -> Monitor {
        self.monitor.clone()
    }

    pub(crate) fn probe(&self, check: CheckId) -> Option<&ProbeSettings> {
        self.probes.get(check.index())
    }

    /// How long probes may take, by the number of the check.
    pub(crate) fn probe_timeouts(&self) -> Vec<Duration> {
        self.probes.iter().map(|probe| probe.timeout).collect()
    }

    /// How many outbounds there are; each is the member of its number.
    pub(crate) fn n_outbounds(&self) -> usize {
        self.monitor.members().len()
    }

    /// The member that an outbound is, by its number.
    pub(crate) fn member(&self, outbound: usize) -> Option<MemberId> {
        self.monitor.members().nth(outbound)
    }

    pub(crate) fn n_pools(&self) -> usize {
        self.settings.len()
    }

    /// What is known before anything was probed.
    pub(crate) fn first_view(&self, now: Instant) -> View {
        self.view(&self.monitor, &mut self.groups.start(), now)
    }

    /// What a monitor knows now.
    pub(crate) fn view(&self, monitor: &Monitor, states: &mut GroupStates, now: Instant) -> View {
        let standings = self.groups.update(states, |member, check| monitor.status(member, check, now), now);
        let check_state = |check: CheckId| {
            let member = monitor.probed_member(check);
            member.map_or(State::Unknown, |member| monitor.status(member, Some(check), now).state)
        };
        let checks: Box<[State]> = monitor.checks().map(check_state).collect();
        let members: Box<[State]> =
            monitor.members().map(|member| monitor.status(member, None, now).state).collect();
        let mut best: Vec<Option<State>> = vec![None; members.len()];
        for (check, state) in monitor.checks().zip(&checks) {
            let member = monitor.probed_member(check);
            if let Some(best) = member.and_then(|member| best.get_mut(member.index()))
                && best.is_none_or(|best| rank(*state) < rank(best))
            {
                *best = Some(*state);
            }
        }
        let leaves = best.into_iter().zip(&members).map(|(best, member)| best.unwrap_or(*member)).collect();
        View { standings, checks, members, leaves }
    }
}

/// The better, the less.
fn rank(state: State) -> u8 {
    match state {
        State::Up => 0,
        State::Unknown => 1,
        State::Suspect(_) => 2,
        State::Ejected { .. } => 3,
        State::Down => 4,
    }
}

impl View {
    /// What an outbound is for those who do not look at one group.
    pub(crate) fn leaf(&self, member: MemberId) -> State {
        self.leaves.get(member.index()).copied().unwrap_or(State::Unknown)
    }

    /// The state of an outbound as a group knows it.
    pub(crate) fn state(&self, member: MemberId, check: Option<CheckId>) -> State {
        let state = match check {
            Some(check) => self.checks.get(check.index()),
            None => self.members.get(member.index()),
        };
        state.copied().unwrap_or(State::Unknown)
    }
}
