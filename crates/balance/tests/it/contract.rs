//! What holds for every strategy, whatever the members are and however they feel.

use std::{
    collections::BTreeSet,
    num::{NonZeroU8, NonZeroU16, NonZeroU32},
    time::Duration,
};

use proptest::{prelude::*, strategy::Strategy as _};
use rand::{
    Rng,
    rngs::StdRng,
    seq::{IndexedRandom as _, SliceRandom as _},
};
use waypost_balance::{
    Attempt, Context, EmptyPoolAction, Group, GroupId, GroupSpec, Hysteresis, KeyPart, KeySpec,
    LeastLoadSpec, MemberSpec, MemberTarget, OnEmptyKey, Plan, PlanError, Role, SelectorSpec, Standing,
    Standings, Strategy, Tier, TopN,
};
use waypost_health::{Cause, Estimate, MemberId, SampleStats, State, Status};
use waypost_net::{Flow, Network, Networks, Tag};
use waypost_ring::Algorithm;

use crate::world::{World, flow_over, leaf, nested, order, rng};

const N_OUTBOUNDS: usize = 14;

/// What proptest varies and shrinks; the seed decides the rest.
#[derive(Debug, Clone, Copy)]
struct Shape {
    strategy: Strategy,
    n_primary: usize,
    n_backup: usize,
    n_nested: usize,
    n_rounds: usize,
    top_n: (usize, usize),
    seed: u64,
}

fn shapes() -> impl proptest::strategy::Strategy<Value = Shape> {
    let top_n = (0..4_usize, 0..3_usize);
    let strategy = prop::sample::select(Strategy::ALL.as_slice());
    (strategy, 1..=8_usize, 0..=4_usize, 0..=2_usize, 1..=5_usize, top_n, any::<u64>()).prop_map(
        |(strategy, n_primary, n_backup, n_nested, n_rounds, top_n, seed)| Shape {
            strategy,
            n_primary,
            n_backup,
            n_nested,
            n_rounds,
            top_n,
            seed,
        },
    )
}

impl Shape {
    /// The group that is looked at, and behind it those that it has as members.
    fn world(self) -> World {
        let mut rng = rng(self.seed);
        let networks: Vec<Networks> = (0..N_OUTBOUNDS).map(|_| any_networks(&mut rng)).collect();
        let mut nested_groups = Vec::new();
        for number in 1..=self.n_nested {
            let strategy = *Strategy::ALL.choose(&mut rng).unwrap();
            let (n_primary, n_backup) = (rng.random_range(1..=3), rng.random_range(0..=2));
            let mut targets: Vec<MemberSpec> = (0..N_OUTBOUNDS).map(any_leaf(&networks)).collect();
            // Groups are numbered from the outermost, and lead to later ones only.
            targets.extend((number + 1..=self.n_nested).map(|inner| nested(inner, &format!("group{inner}"))));
            targets.shuffle(&mut rng);
            let top_n = (rng.random_range(0..3), rng.random_range(0..2));
            nested_groups.push(any_group(number, strategy, targets, (n_primary, n_backup), top_n, &mut rng));
        }
        let mut targets: Vec<MemberSpec> = (0..N_OUTBOUNDS).map(any_leaf(&networks)).collect();
        targets.shuffle(&mut rng);
        // The nested groups are among those that are taken.
        targets.splice(0..0, (1..=self.n_nested).map(|inner| nested(inner, &format!("group{inner}"))));
        let n_members = self.n_primary + self.n_backup;
        targets.truncate(n_members);
        targets.shuffle(&mut rng);
        let sizes = (self.n_primary, self.n_backup);
        let mut specs = vec![any_group(0, self.strategy, targets, sizes, self.top_n, &mut rng)];
        specs.extend(nested_groups);
        settle_networks(&mut specs);
        World::new(specs, N_OUTBOUNDS)
    }
}

/// A nested group carries what one of its members does.
fn settle_networks(specs: &mut [GroupSpec]) {
    for index in (0..specs.len()).rev() {
        let all: Vec<Networks> = specs.iter().map(carried).collect();
        let spec = &mut specs[index];
        for member in spec.primary.iter_mut().chain(&mut spec.backup) {
            if let MemberTarget::Group(id) = member.target {
                member.networks = all[id.index()];
            }
        }
    }
}

fn carried(spec: &GroupSpec) -> Networks {
    let members = || spec.primary.iter().chain(&spec.backup);
    Networks {
        tcp: members().any(|member| member.networks.tcp),
        udp: members().any(|member| member.networks.udp),
    }
}

fn any_networks(rng: &mut StdRng) -> Networks {
    let only = |tcp| Networks { tcp, udp: !tcp };
    match rng.random_range(0..6) {
        0 => only(true),
        1 => only(false),
        _ => Networks::ALL,
    }
}

fn any_leaf(networks: &[Networks]) -> impl Fn(usize) -> MemberSpec {
    |outbound| MemberSpec { networks: networks[outbound], ..leaf(outbound, &format!("m{outbound}")) }
}

fn any_group(
    number: usize,
    strategy: Strategy,
    mut primary: Vec<MemberSpec>,
    (n_primary, n_backup): (usize, usize),
    top_n: (usize, usize),
    rng: &mut StdRng,
) -> GroupSpec {
    primary.truncate(n_primary + n_backup);
    let weights_differ = rng.random_bool(0.5);
    for member in primary.iter_mut().filter(|_| weights_differ) {
        member.weight = NonZeroU16::new(rng.random_range(1..=5)).unwrap();
    }
    let backup = primary.split_off(n_primary);
    let mut spec = GroupSpec::new(Tag::from(format!("group{number}").as_str()), primary, strategy);
    spec.backup = backup;
    spec.top_n = TopN { primary: top_n.0, backup: top_n.1, ..TopN::default() };
    spec.hash.key = KeySpec::new([KeyPart::SrcIp], "");
    spec.hash.algorithm = *Algorithm::ALL.as_slice().choose(rng).unwrap();
    spec.hash.probes = NonZeroU8::new(rng.random_range(1..=21)).unwrap();
    spec.hash.balance_factor = rng.random_bool(0.3).then_some(NonZeroU32::new(125).unwrap());
    spec.least_load = LeastLoadSpec {
        expected: rng.random_range(0..4),
        max_rtt: rng.random_bool(0.3).then_some(Duration::from_millis(150)),
        tolerance: *[0.0, 0.5].choose(rng).unwrap(),
        baselines: [50, 100][..rng.random_range(0..=2)].iter().map(|&ms| Duration::from_millis(ms)).collect(),
        costs: vec![2.0, 0.5],
    };
    spec.selector = SelectorSpec {
        initial: rng.random_range(0..spec.primary.len() + spec.backup.len()),
        others_follow: rng.random_bool(0.5),
    };
    let on_empty_key = [OnEmptyKey::Random, OnEmptyKey::HashEmpty, OnEmptyKey::Error];
    spec.hash.on_empty_key = *on_empty_key.choose(rng).unwrap();
    let actions = [EmptyPoolAction::Error, EmptyPoolAction::FallbackAll];
    spec.empty_pool = *actions.choose(rng).unwrap();
    spec.hysteresis = Hysteresis {
        primary_failures: NonZeroU32::new(rng.random_range(1..=3)).unwrap(),
        backup_hold_time: Duration::from_secs(rng.random_range(0..=30)),
    };
    spec
}

/// How all outbounds feel next. In some rounds hardly anybody works.
fn feel(world: &mut World, rng: &mut StdRng) {
    world.pass(Duration::from_secs(rng.random_range(0..=20)));
    let bad = *[0.2, 0.5, 0.95].choose(rng).unwrap();
    for outbound in 0..world.statuses.len() {
        let state = if rng.random_bool(bad) {
            match rng.random_range(0..3) {
                0 => State::Down,
                1 => world.ejected(),
                _ => State::Suspect(Cause::Slow),
            }
        } else if rng.random_bool(0.1) {
            State::Unknown
        } else {
            State::Up
        };
        let delay =
            rng.random_bool(0.9).then(|| Estimate::new(Duration::from_millis(rng.random_range(1..300))));
        let samples = rng.random_bool(0.3).then(|| SampleStats {
            all: 10,
            fail: rng.random_range(0..=9),
            deviation: Duration::from_millis(rng.random_range(0..100)),
            ..SampleStats::default()
        });
        let ago = rng.random_bool(0.7).then(|| Duration::from_secs(rng.random_range(0..5)));
        let n_probes = world.statuses[outbound].n_probes + rng.random_range(0..2);
        let last_success = ago.map(|ago| world.now + ago);
        world.statuses[outbound] = Status { state, delay, samples, n_probes, last_success };
    }
}

/// Who is in the plan of a group, in whatever order, or why nobody is.
fn expected(
    world: &World,
    standings: &Standings,
    id: GroupId,
    flow: &Flow,
) -> Result<BTreeSet<usize>, PlanError> {
    let (group, standing) = (world.groups.get(id).unwrap(), standings.get(id).unwrap());
    let (spec, tag) = (group.spec(), group.tag().clone());
    let has_key = spec.strategy != Strategy::ConsistentHash || flow.source.is_some();
    if !has_key && spec.hash.on_empty_key == OnEmptyKey::Error {
        return Err(PlanError::EmptyKey { group: tag });
    }
    let is_exclusive = is_exclusive(group);
    let carriers = || {
        let members = group.members().zip(standing.statuses()).enumerate();
        let members = members.filter(|(place, _)| !is_exclusive || *place == spec.selector.initial);
        members.map(|(_, member)| member).filter(|(member, _)| member.networks.contains(flow.network))
    };
    if carriers().count() == 0 {
        return Err(PlanError::NoMemberFor { group: tag, network: flow.network });
    }
    let down = carriers().filter(|(_, status)| status.state == State::Down).count();
    let ejected = carriers().filter(|(_, status)| matches!(status.state, State::Ejected { .. })).count();
    let empty = Err(PlanError::EmptyPool { group: tag, down, ejected });
    if spec.empty_pool == EmptyPoolAction::Error
        && !is_exclusive
        && !carriers().any(|(_, status)| status.state.stands())
    {
        return empty;
    }
    let all: BTreeSet<usize> = carriers()
        .flat_map(|(member, _)| match member.target {
            MemberTarget::Leaf { member, .. } => BTreeSet::from([member.index()]),
            MemberTarget::Group(nested) => expected(world, standings, nested, flow).unwrap_or_default(),
        })
        .collect();
    if all.is_empty() { empty } else { Ok(all) }
}

/// Whether the group leads nowhere but through the choice of a selector, whatever is known of it.
fn is_exclusive(group: &Group) -> bool {
    group.spec().strategy == Strategy::Selector && !group.spec().selector.others_follow
}

/// The place of the member that led to an attempt.
fn place_in(group: &Group, attempt: &Attempt) -> usize {
    let led = |member: &MemberSpec| match (member.target, attempt.via.first()) {
        (MemberTarget::Leaf { member, .. }, None) => member == attempt.member,
        (MemberTarget::Group(nested), Some(via)) => nested == *via,
        (MemberTarget::Leaf { .. }, Some(_)) | (MemberTarget::Group(_), None) => false,
    };
    group.members().position(led).unwrap()
}

/// Where a role of a tier stands in the order of a plan. A suspect that worked last opens the active
/// tier if that has nobody better, and the other suspects then follow behind the other tier.
fn rank(role: Role, is_active: bool, opens_with_suspect: bool) -> u8 {
    match (role, is_active) {
        (Role::Anybody | Role::Fallback | Role::Selected, _) => 0,
        (Role::Candidate, true) => 1,
        (Role::OutsideTopN, true) => 2,
        (Role::LastGood, _) => 3,
        (Role::Suspect, true) if !opens_with_suspect => 4,
        (Role::Candidate, false) => 5,
        (Role::OutsideTopN, false) => 6,
        (Role::Suspect, false) => 7,
        (Role::Suspect, true) => 8,
        (Role::Ejected, true) => 9,
        (Role::Ejected, false) => 10,
        (Role::Down, true) => 11,
        (Role::Down, false) => 12,
    }
}

fn check_plan(world: &World, standings: &Standings, flow: &Flow, plan: &Plan) {
    let group = world.groups.get(GroupId::new(0)).unwrap();
    let standing = standings.get(GroupId::new(0)).unwrap();
    let roles = standing.roles(flow.network);
    let tier_of =
        |place: usize| if place < group.spec().primary.len() { Tier::Primary } else { Tier::Backup };
    let suspect_is_chosen = roles.iter().enumerate().any(|(place, role)| {
        let is_suspect = matches!(standing.statuses()[place].state, State::Suspect(_));
        *role == Some(Role::Selected) && is_suspect && tier_of(place) == plan.tier
    });
    let has_better = roles.iter().enumerate().any(|(place, role)| {
        matches!(role, Some(Role::Candidate | Role::OutsideTopN)) && tier_of(place) == plan.tier
    });
    let opens_with_suspect = roles.contains(&Some(Role::LastGood)) || (suspect_is_chosen && !has_better);
    let mut before = 0;
    for (nth, attempt) in plan.attempts.iter().enumerate() {
        let place = place_in(group, attempt);
        let tier = tier_of(place);
        assert_eq!((attempt.reason.tier, attempt.reason.chosen_by.is_some()), (tier, nth == 0));
        let state = standing.statuses()[place].state;
        match attempt.reason.role {
            Role::Selected => {
                assert_eq!(
                    (place, group.spec().strategy),
                    (group.spec().selector.initial, Strategy::Selector)
                );
                assert!(state.stands() || is_exclusive(group), "{attempt:?}");
            }
            Role::Candidate | Role::OutsideTopN => assert!(state.is_usable(), "{attempt:?}"),
            Role::LastGood | Role::Suspect => assert!(matches!(state, State::Suspect(_)), "{attempt:?}"),
            Role::Ejected => assert!(matches!(state, State::Ejected { .. }), "{attempt:?}"),
            Role::Down => assert_eq!(state, State::Down, "{attempt:?}"),
            Role::Anybody => assert!(!state.stands(), "{attempt:?}"),
            Role::Fallback => unreachable!("a group with members needs no fallback: {attempt:?}"),
        }
        if attempt.reason.role == Role::Anybody {
            assert_eq!(group.spec().empty_pool, EmptyPoolAction::FallbackAll);
            // A choice that cannot carry the network has no role in it.
            let serves =
                |place: &usize| roles[*place].is_some_and(|role| !matches!(role, Role::Ejected | Role::Down));
            assert!(!standing.serving(flow.network).iter().any(serves), "{plan:?}");
        } else {
            assert_eq!(roles[place], Some(attempt.reason.role));
        }
        let rank = rank(attempt.reason.role, tier == plan.tier, opens_with_suspect);
        assert!(rank >= before, "{attempt:?} is behind what is worse: {plan:?}");
        before = rank;
    }
    check_first(world, standings, flow, plan);
}

/// A usable member of the tier that serves is the first one.
fn check_first(world: &World, standings: &Standings, flow: &Flow, plan: &Plan) {
    let group = world.groups.get(GroupId::new(0)).unwrap();
    let standing: &Standing = standings.get(GroupId::new(0)).unwrap();
    assert_eq!(plan.tier, standing.tier());
    let n_primary = group.spec().primary.len();
    let serves = |place: usize| (place < n_primary) == (plan.tier == Tier::Primary);
    let leads = |member: &MemberSpec| match member.target {
        MemberTarget::Leaf { .. } => true,
        MemberTarget::Group(nested) => expected(world, standings, nested, flow).is_ok(),
    };
    let mut members = group.members().zip(standing.roles(flow.network)).enumerate();
    let has_candidate = members
        .any(|(place, (member, role))| serves(place) && role == Some(Role::Candidate) && leads(member));
    let first = plan.attempts[0].reason;
    if has_candidate && first.role != Role::Selected {
        assert_eq!((first.role, first.tier), (Role::Candidate, plan.tier), "{plan:?}");
    }
}

/// Whether neither chance nor turns decide anything.
fn is_determined(group: &Group, flow: &Flow) -> bool {
    match group.spec().strategy {
        Strategy::Failover | Strategy::LeastPing | Strategy::Selector | Strategy::UrlTest => true,
        Strategy::ConsistentHash => {
            flow.source.is_some() || group.spec().hash.on_empty_key == OnEmptyKey::HashEmpty
        }
        Strategy::Random | Strategy::RoundRobin | Strategy::LeastConn | Strategy::LeastLoad => false,
    }
}

fn load(member: MemberId) -> usize {
    member.index() * 7 % 5
}

fn check_pick(world: &World, context: Context<'_>, plan: &Plan, rng: &mut impl Rng) {
    let picked = world.groups.pick(GroupId::new(0), context, rng).unwrap();
    let first = plan.attempts.first().unwrap();
    if world.groups.iter().all(|(_, group)| is_determined(group, context.flow)) {
        assert_eq!(picked, first.member, "{plan:?}");
    }
    let found = plan.attempts.iter().find(|attempt| attempt.member == picked).unwrap();
    assert_eq!(found.reason.role, first.reason.role);
    // Where everybody is tried, the tiers are one class.
    assert!(found.reason.tier == first.reason.tier || first.reason.role == Role::Anybody, "{plan:?}");
}

fn check_round(world: &World, twin: &World, standings: &Standings, flow: &Flow, seed: u64) {
    let context = Context { standings, flow, load: &load };
    let plan = world.groups.plan(GroupId::new(0), context, &mut rng(seed));
    let again = twin.groups.plan(GroupId::new(0), context, &mut rng(seed));
    assert_eq!(plan, again, "the same seed gives the same plan");
    match (plan, expected(world, standings, GroupId::new(0), flow)) {
        (Ok(plan), Ok(expected)) => {
            let members = order(&plan);
            assert_eq!(members.len(), expected.len(), "nobody is in twice: {members:?}");
            assert_eq!(members.into_iter().collect::<BTreeSet<_>>(), expected);
            check_plan(world, standings, flow, &plan);
            check_pick(world, context, &plan, &mut rng(seed ^ 1));
            check_pick(twin, context, &plan, &mut rng(seed ^ 1));
        }
        (Err(error), Err(expected)) => {
            assert_eq!(error, expected);
            let pick = world.groups.pick(GroupId::new(0), context, &mut rng(seed));
            assert_eq!(pick, Err(expected.clone()));
            assert_eq!(twin.groups.pick(GroupId::new(0), context, &mut rng(seed)), Err(expected));
        }
        (plan, expected) => unreachable!("{plan:?} where {expected:?} is expected"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_strategy_keeps_the_contract(shape in shapes()) {
        let (mut world, mut twin) = (shape.world(), shape.world());
        let mut chance = rng(shape.seed ^ 2);
        for round in 0..shape.n_rounds {
            feel(&mut world, &mut chance);
            (twin.statuses, twin.now) = (world.statuses.clone(), world.now);
            let standings = world.update();
            for network in [Network::Tcp, Network::Udp] {
                for has_key in [true, false] {
                    let mut flow = flow_over(network, chance.random());
                    flow.source = flow.source.filter(|_| has_key);
                    check_round(&world, &twin, &standings, &flow, shape.seed ^ round as u64);
                }
            }
        }
    }
}

/// The smallest case of each kind, so that the suite above cannot have missed it by chance.
#[test]
fn nobody_to_try_is_an_error_that_says_why() {
    for strategy in Strategy::ALL {
        let mut spec = crate::world::group(strategy, 3, 1);
        spec.hash.key = KeySpec::new([KeyPart::SrcIp], "");
        for member in &mut spec.primary {
            member.networks.udp = false;
        }
        spec.backup.clear();
        let mut world = World::up(spec);
        let standings = world.update();
        let error = world.plan(&standings, &flow_over(Network::Udp, 1), &mut rng(1)).unwrap_err();
        assert_eq!(error.to_string(), "`group`: no member for udp");
        world.set_all([0, 1], State::Down);
        world.set(2, world.ejected());
        let standings = world.update();
        let error = world.plan(&standings, &flow_over(Network::Tcp, 1), &mut rng(1)).unwrap_err();
        assert_eq!(error.to_string(), "`group`: pool empty: 2 down, 1 ejected");
    }
}

#[test]
fn fallback_all_tries_everybody_and_hashes_put_primaries_first() {
    for strategy in Strategy::ALL {
        let mut spec = crate::world::group(strategy, 3, 2);
        spec.hash.key = KeySpec::new([KeyPart::SrcIp], "");
        spec.empty_pool = EmptyPoolAction::FallbackAll;
        let mut world = World::up(spec);
        world.set_all(0..5, State::Down);
        let standings = world.update();
        for n in 0..50 {
            let flow = flow_over(Network::Tcp, n);
            let plan = world.plan(&standings, &flow, &mut rng(u64::from(n))).unwrap();
            assert!(crate::world::roles(&plan).iter().all(|role| *role == Role::Anybody));
            let mut members = order(&plan);
            if matches!(strategy, Strategy::ConsistentHash | Strategy::Failover) {
                assert!(members[..3].iter().all(|&member| member < 3), "{members:?}");
            }
            members.sort_unstable();
            assert_eq!(members, [0, 1, 2, 3, 4]);
        }
    }
}

#[test]
fn a_group_without_members_has_its_fallback_or_says_so() {
    let mut spec = crate::world::group(Strategy::Random, 0, 0);
    let mut world = World::new(vec![spec.clone()], 1);
    let standings = world.update();
    let error = world.plan(&standings, &flow_over(Network::Tcp, 1), &mut rng(1)).unwrap_err();
    assert_eq!(error.to_string(), "`group` has no member and no fallback");
    spec.fallback = Some(leaf(0, "m0"));
    let mut world = World::new(vec![spec], 1);
    let standings = world.update();
    let plan = world.plan(&standings, &flow_over(Network::Tcp, 1), &mut rng(1)).unwrap();
    assert_eq!((order(&plan), plan.attempts[0].reason.role), (vec![0], Role::Fallback));
}
