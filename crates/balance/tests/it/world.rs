//! Groups with a clock, and outbounds whose health a test sets by hand.

use std::{
    num::NonZeroU16,
    time::{Duration, Instant},
};

use rand::{SeedableRng, rngs::StdRng};
use waypost_balance::{
    Context, GroupId, GroupSpec, GroupStates, Groups, MemberSpec, MemberTarget, Plan, PlanError, Role,
    Standings, Strategy,
};
use waypost_health::{Cause, Estimate, MemberId, Monitor, State, Status};
use waypost_net::{Flow, Network, Networks, Tag};

pub(crate) const SUSPECT: State = State::Suspect(Cause::Dial);

pub(crate) struct World {
    pub(crate) groups: Groups,
    pub(crate) states: GroupStates,
    /// What is known of each outbound, by its number.
    pub(crate) statuses: Vec<Status>,
    pub(crate) begin: Instant,
    pub(crate) now: Instant,
}

impl World {
    /// Groups over outbounds of which nothing is known yet.
    pub(crate) fn new(specs: Vec<GroupSpec>, n_outbounds: usize) -> Self {
        let groups = Groups::try_new(specs).unwrap();
        let states = groups.start();
        #[expect(clippy::disallowed_methods, reason = "a test begins at any moment")]
        let begin = Instant::now();
        Self { groups, states, statuses: vec![Status::UNKNOWN; n_outbounds], begin, now: begin }
    }

    /// One group whose members all work, outbounds 0 and on, with a delay of 50 ms each.
    pub(crate) fn up(spec: GroupSpec) -> Self {
        let n_outbounds = spec.primary.len() + spec.backup.len();
        let mut world = Self::new(vec![spec], n_outbounds);
        world.statuses.fill(settled(50));
        world
    }

    /// The outcome of one more probe of an outbound, or what a connection through it told.
    pub(crate) fn set(&mut self, outbound: usize, state: State) {
        let status = &mut self.statuses[outbound];
        status.state = state;
        status.n_probes += 1;
    }

    pub(crate) fn set_all(&mut self, outbounds: impl IntoIterator<Item = usize>, state: State) {
        for outbound in outbounds {
            self.set(outbound, state);
        }
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    /// An ejection that holds for a while.
    pub(crate) fn ejected(&self) -> State {
        State::Ejected { until: self.now + Duration::from_secs(30), cause: Cause::Silent }
    }

    pub(crate) fn update(&mut self) -> Standings {
        let statuses = &self.statuses;
        self.groups.update(&mut self.states, |member, _| statuses[member.index()], self.now)
    }

    /// The plan of the first group.
    pub(crate) fn plan(
        &self,
        standings: &Standings,
        flow: &Flow,
        rng: &mut StdRng,
    ) -> Result<Plan, PlanError> {
        self.groups.plan(GroupId::new(0), Context { standings, flow, load: &|_| 0 }, rng)
    }

    /// The pick of the first group, by the number of the outbound.
    pub(crate) fn pick(&self, standings: &Standings, flow: &Flow, rng: &mut StdRng) -> usize {
        let context = Context { standings, flow, load: &|_| 0 };
        self.groups.pick(GroupId::new(0), context, rng).unwrap().index()
    }
}

/// The members of a group, of the same networks and weight, named `m0` and on by their outbounds.
pub(crate) fn members(outbounds: impl IntoIterator<Item = usize>) -> Vec<MemberSpec> {
    outbounds.into_iter().map(|outbound| leaf(outbound, &format!("m{outbound}"))).collect()
}

pub(crate) fn leaf(outbound: usize, tag: &str) -> MemberSpec {
    member(tag, MemberTarget::Leaf { member: outbound_id(outbound), check: None })
}

pub(crate) fn nested(group: usize, tag: &str) -> MemberSpec {
    member(tag, MemberTarget::Group(GroupId::new(group)))
}

fn member(tag: &str, target: MemberTarget) -> MemberSpec {
    let identity = tag.as_bytes().into();
    MemberSpec { tag: Tag::from(tag), target, identity, weight: NonZeroU16::MIN, networks: Networks::ALL }
}

pub(crate) fn weighted(outbound: usize, weight: u16) -> MemberSpec {
    MemberSpec { weight: NonZeroU16::new(weight).unwrap(), ..leaf(outbound, &format!("m{outbound}")) }
}

/// A group over outbounds 0 and on, primaries first.
pub(crate) fn group(strategy: Strategy, n_primary: usize, n_backup: usize) -> GroupSpec {
    let mut spec = GroupSpec::new(Tag::from("group"), members(0..n_primary), strategy);
    // As the other strategies do it; a selector that stands alone has tests of its own.
    spec.selector.others_follow = true;
    spec.backup = members(n_primary..n_primary + n_backup);
    spec
}

/// Monitors number their members from 0.
fn outbound_id(outbound: usize) -> MemberId {
    let mut monitor = Monitor::new();
    let mut id = monitor.add_member();
    while id.index() < outbound {
        id = monitor.add_member();
    }
    id
}

/// A member that works, and whose probes have taken the same time for long.
pub(crate) fn settled(millis: u64) -> Status {
    let sample = Duration::from_millis(millis);
    let mut estimate = Estimate::new(sample);
    while !estimate.deviation().is_zero() {
        estimate.update(sample);
    }
    Status { state: State::Up, delay: Some(estimate), samples: None, n_probes: 1, last_success: None }
}

/// A flow of the `n`th client.
pub(crate) fn flow(n: u32) -> Flow {
    flow_over(Network::Tcp, n)
}

pub(crate) fn flow_over(network: Network, n: u32) -> Flow {
    let mut flow = Flow::new(network, "example.com:443".parse().unwrap());
    flow.source = Some((n.to_be_bytes(), 5000).into());
    flow
}

pub(crate) fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// The outbounds of a plan, in order.
pub(crate) fn order(plan: &Plan) -> Vec<usize> {
    plan.attempts.iter().map(|attempt| attempt.member.index()).collect()
}

/// The roles of a plan, in order.
pub(crate) fn roles(plan: &Plan) -> Vec<Role> {
    plan.attempts.iter().map(|attempt| attempt.reason.role).collect()
}
