//! How each strategy spreads connections.

use std::{
    collections::BTreeSet,
    num::{NonZeroU16, NonZeroU32},
    time::Duration,
};

use rand::RngExt as _;
use waypost_balance::{
    Context, GroupId, GroupSpec, KeyPart, KeySpec, KeyState, MemberSpec, OnEmptyKey, PlanError, Role,
    Strategy,
};
use waypost_health::{MemberId, State};

use crate::world::{SUSPECT, World, flow, group, order, rng, settled, weighted};

/// The quantile of chi-square with 4 degrees of freedom that chance exceeds once in a million:
/// `exp(-x/2) (1 + x/2) = 1e-6`.
const CHI_SQUARE_4: f64 = 33.38;

/// How far `counts` are from what shares of `expected` lead to.
fn chi_square(counts: &[u32], expected: &[f64]) -> f64 {
    let n: f64 = counts.iter().copied().map(f64::from).sum();
    let total: f64 = expected.iter().sum();
    let terms = counts.iter().zip(expected).map(|(&count, share)| {
        let expected = n * share / total;
        (f64::from(count) - expected).powi(2) / expected
    });
    terms.sum()
}

fn with_weights(strategy: Strategy, weights: &[u16]) -> GroupSpec {
    let mut spec = group(strategy, 0, 0);
    spec.primary = weights.iter().enumerate().map(|(outbound, &weight)| weighted(outbound, weight)).collect();
    spec
}

#[test]
fn random_gives_each_member_its_share_as_first_and_as_second() {
    for weights in [[1, 1, 1, 1, 1], [1, 2, 3, 4, 10]] {
        let mut world = World::up(with_weights(Strategy::Random, &weights));
        let standings = world.update();
        let mut rng = rng(11);
        let (mut picked, mut first, mut second) = ([0; 5], [0; 5], [0; 5]);
        for n in 0..20_000 {
            picked[world.pick(&standings, &flow(n), &mut rng)] += 1;
            let order = order(&world.plan(&standings, &flow(n), &mut rng).unwrap());
            first[order[0]] += 1;
            second[order[1]] += 1;
        }
        let weights = weights.map(f64::from);
        let total: f64 = weights.iter().sum();
        // After another member is taken, a member has its share of what is left.
        let of_second = |member: usize| {
            let others = (0..5).filter(|&other| other != member);
            others.map(|other| weights[other] / total * weights[member] / (total - weights[other])).sum()
        };
        let seconds: Vec<f64> = (0..5).map(of_second).collect();
        assert!(chi_square(&picked, &weights) < CHI_SQUARE_4, "{picked:?}");
        assert!(chi_square(&first, &weights) < CHI_SQUARE_4, "{first:?}");
        assert!(chi_square(&second, &seconds) < CHI_SQUARE_4, "{second:?}");
    }
}

#[test]
fn round_robin_goes_round_and_the_others_follow_in_order() {
    let mut world = World::up(group(Strategy::RoundRobin, 3, 2));
    world.set(1, SUSPECT);
    let standings = world.update();
    let mut rng = rng(1);
    let mut orders = (0..4).map(|n| order(&world.plan(&standings, &flow(n), &mut rng).unwrap()));
    let mut next = || orders.next().unwrap();
    assert_eq!([next(), next()], [[0, 2, 1, 3, 4], [2, 0, 1, 4, 3]], "the classes have one turn together");
    assert_eq!([next(), next()], [[0, 2, 1, 3, 4], [2, 0, 1, 4, 3]]);
}

#[test]
fn round_robin_serves_everybody_alike_beside_members_of_other_classes() {
    for n_backup in 0..4 {
        let mut world = World::up(group(Strategy::RoundRobin, 4, n_backup));
        world.set(3, State::Down);
        let standings = world.update();
        let mut counts = [0; 3];
        for n in 0..30 {
            let plan = world.plan(&standings, &flow(n), &mut rng(1)).unwrap();
            counts[order(&plan)[0]] += 1;
        }
        assert_eq!(counts, [10, 10, 10], "{n_backup} backups");
    }
}

#[test]
fn weighted_round_robin_gives_every_member_its_turns_spread_out() {
    for weights in [vec![4, 4], vec![5, 1, 1], vec![1, 2, 3, 4], vec![100, 1], vec![7, 7, 7, 2]] {
        let mut world = World::up(with_weights(Strategy::RoundRobin, &weights));
        let standings = world.update();
        let total: u32 = weights.iter().copied().map(u32::from).sum();
        for _ in 0..3 {
            let turns: Vec<usize> =
                (0..total).map(|n| world.pick(&standings, &flow(n), &mut rng(1))).collect();
            let counts: Vec<usize> = (0..weights.len())
                .map(|member| turns.iter().filter(|&&turn| turn == member).count())
                .collect();
            assert_eq!(counts, weights.iter().copied().map(usize::from).collect::<Vec<_>>());
            let longest = turns.chunk_by(|one, other| one == other).map(<[usize]>::len).max().unwrap();
            // In blocks the first two would have runs of 4 and the last of 7.
            if weights.len() > 1 && weights.iter().all(|&weight| 2 * u32::from(weight) <= total) {
                assert!(longest <= 2, "{weights:?}: {turns:?}");
            }
        }
    }
}

/// The mean of max/mean of the live connections after `n` of them, over many trials.
fn imbalance(strategy: Strategy, n_members: usize, n: u32) -> f64 {
    const N_TRIALS: u32 = 100;
    let mut world = World::up(group(strategy, n_members, 0));
    let standings = world.update();
    let mut rng = rng(5);
    let flow = flow(0);
    let mut sum = 0.0;
    for _ in 0..N_TRIALS {
        let mut live = vec![0_u32; n_members];
        for _ in 0..n {
            let load = |member: MemberId| live[member.index()] as usize;
            let context = Context { standings: &standings, flow: &flow, load: &load };
            let picked = world.groups.pick(GroupId::new(0), context, &mut rng).unwrap();
            live[picked.index()] += 1;
        }
        let most = f64::from(*live.iter().max().unwrap());
        sum += most * f64::from(u32::try_from(n_members).unwrap()) / f64::from(n);
    }
    sum / f64::from(N_TRIALS)
}

#[test]
fn least_conn_is_more_even_than_chance() {
    // Members, connections, what chance and what two choices come to.
    for (n_members, n, chance, two_choices) in
        [(5, 20, 1.61, 1.21), (5, 100, 1.27, 1.04), (10, 100, 1.51, 1.11)]
    {
        let random = imbalance(Strategy::Random, n_members, n);
        let least = imbalance(Strategy::LeastConn, n_members, n);
        println!("{n_members} members, {n} connections: random {random:.3}, least_conn {least:.3}");
        assert!((random - chance).abs() < 0.08, "{random} {chance}");
        assert!(least < two_choices + 0.04, "{least} {two_choices}");
    }
}

#[test]
fn least_conn_counts_connections_for_their_weight_and_orders_the_others_by_them() {
    let mut world = World::up(with_weights(Strategy::LeastConn, &[1, 2, 5]));
    let standings = world.update();
    let mut rng = rng(3);
    let mut live = [0_usize; 3];
    let flow = flow(0);
    for _ in 0..800 {
        let load = |member: MemberId| live[member.index()];
        let context = Context { standings: &standings, flow: &flow, load: &load };
        let plan = world.groups.plan(GroupId::new(0), context, &mut rng).unwrap();
        let members = order(&plan);
        let share = |member: usize| live[member] * [10, 5, 2][member];
        assert!(share(members[1]) <= share(members[2]), "{members:?} {live:?}");
        live[members[0]] += 1;
    }
    for (live, fair) in live.into_iter().zip([100, 200, 500_usize]) {
        assert!(live.abs_diff(fair) <= fair / 20, "{live} {fair}");
    }
}

#[test]
fn least_conn_takes_the_freer_one_of_two_members_always() {
    for (weights, connections) in [([5, 3], [6, 3]), ([3, 5], [4, 6]), ([2, 2], [1, 0])] {
        let mut world = World::up(with_weights(Strategy::LeastConn, &weights));
        let standings = world.update();
        let load = |member: MemberId| connections[member.index()];
        let flow = flow(0);
        let context = Context { standings: &standings, flow: &flow, load: &load };
        for seed in 0..50 {
            let picked = world.groups.pick(GroupId::new(0), context, &mut rng(seed)).unwrap();
            assert_eq!(picked.index(), 1, "{weights:?} {connections:?}");
        }
    }
}

#[test]
fn jitter_widens_the_tolerance() {
    let mut world = World::up(group(Strategy::LeastPing, 2, 0));
    let mut jittery = settled(100);
    let mut estimate = jittery.delay.unwrap();
    for round in 0..200 {
        estimate.update(Duration::from_millis(if round % 2 == 0 { 90 } else { 110 }));
    }
    jittery.delay = Some(estimate);
    assert!((9..=11).contains(&estimate.deviation().as_millis()), "{estimate:?}");
    // Whoever of the two jitters, 15 ms are not enough and 30 ms are.
    let cases = [
        (jittery, settled(85), 0),
        (jittery, settled(70), 1),
        (settled(115), jittery, 0),
        (settled(130), jittery, 1),
    ];
    for (incumbent, rival, expected) in cases {
        world.statuses = vec![incumbent, settled(500)];
        world.update();
        world.statuses[1] = rival;
        let standings = world.update();
        assert_eq!(world.pick(&standings, &flow(1), &mut rng(1)), expected, "{incumbent:?} {rival:?}");
    }
}

#[test]
fn least_ping_stays_until_another_one_is_clearly_faster() {
    for top_n in [0, 2] {
        let mut spec = group(Strategy::LeastPing, 3, 0);
        spec.top_n.primary = top_n;
        let mut world = World::up(spec);
        let mut now = |delays: [u64; 3]| {
            for (status, delay) in world.statuses.iter_mut().zip(delays) {
                *status = settled(delay);
            }
            let standings = world.update();
            let picked = world.pick(&standings, &flow(1), &mut rng(1));
            assert_eq!(order(&world.plan(&standings, &flow(1), &mut rng(2)).unwrap())[0], picked);
            picked
        };
        assert_eq!(now([100, 101, 200]), 0);
        assert_eq!(now([100, 91, 200]), 0, "9 ms are not enough");
        assert_eq!(now([100, 90, 200]), 0, "nor is the tolerance itself");
        assert_eq!(now([100, 89, 200]), 1);
        assert_eq!(now([85, 89, 80]), 1, "and the same the other way round");
        assert_eq!(now([85, 89, 70]), 2);
    }
}

#[test]
fn least_ping_orders_the_others_by_delay_and_the_unmeasured_last() {
    let mut world = World::up(group(Strategy::LeastPing, 4, 0));
    for (status, delay) in world.statuses.iter_mut().zip([90, 70, 80, 60]) {
        *status = settled(delay);
    }
    world.statuses[3].delay = None;
    let standings = world.update();
    assert_eq!(order(&world.plan(&standings, &flow(1), &mut rng(1)).unwrap()), [1, 2, 0, 3]);
}

#[test]
fn failover_is_the_order_of_the_configuration() {
    let mut world = World::up(group(Strategy::Failover, 4, 2));
    let mut now = |outbound: usize, state: State| {
        world.set(outbound, state);
        let standings = world.update();
        assert_eq!(
            world.pick(&standings, &flow(1), &mut rng(1)),
            order(&world.plan(&standings, &flow(1), &mut rng(1)).unwrap())[0]
        );
        order(&world.plan(&standings, &flow(1), &mut rng(1)).unwrap())
    };
    assert_eq!(now(0, State::Up), [0, 1, 2, 3, 4, 5]);
    assert_eq!(now(0, State::Down), [1, 2, 3, 4, 5, 0]);
    assert_eq!(now(1, SUSPECT), [2, 3, 1, 4, 5, 0]);
    assert_eq!(now(4, SUSPECT), [2, 3, 1, 5, 4, 0]);
    assert_eq!(now(0, State::Up), [0, 2, 3, 1, 5, 4]);
}

fn hashing(n_primary: usize) -> GroupSpec {
    let mut spec = group(Strategy::ConsistentHash, n_primary, 0);
    spec.hash.key = KeySpec::new([KeyPart::SrcIp], "");
    spec
}

#[test]
fn a_balance_factor_bounds_what_one_busy_client_may_put_on_a_member() {
    let mut spec = hashing(5);
    spec.primary[4].weight = NonZeroU16::new(3).unwrap();
    spec.hash.balance_factor = NonZeroU32::new(125);
    let mut world = World::up(spec);
    world.set(2, State::Down);
    let standings = world.update();
    let mut chance = rng(9);
    let mut live = [0_usize; 5];
    for total in 0..2000_usize {
        // Half of the connections are those of one client.
        let flow = flow(if chance.random_bool(0.5) { 0 } else { chance.random_range(1..50) });
        let load = |member: MemberId| live[member.index()];
        let context = Context { standings: &standings, flow: &flow, load: &load };
        let plan = world.groups.plan(GroupId::new(0), context, &mut rng(1)).unwrap();
        let picked = world.groups.pick(GroupId::new(0), context, &mut rng(1)).unwrap();
        assert_eq!(plan.attempts[0].member, picked);
        live[picked.index()] += 1;
        // 125 % of a share of 1 or 3 in 6, rounded up.
        for (member, share) in [(0, 1), (1, 1), (3, 1), (4, 3)] {
            let most = ((total + 1) * 125 * share).div_ceil(600);
            assert!(live[member] <= most, "{live:?} after {total}");
        }
        assert_eq!(live[2], 0);
    }
    let owner = world.pick(&standings, &flow(0), &mut rng(1));
    assert!(owner != 2 && live.iter().all(|&live| live < 1251), "{live:?}");
}

#[test]
fn without_a_balance_factor_a_busy_client_stays_with_its_member() {
    let mut world = World::up(hashing(5));
    let standings = world.update();
    let picked: BTreeSet<usize> =
        (0..50).map(|seed| world.pick(&standings, &flow(7), &mut rng(seed))).collect();
    assert_eq!(picked.len(), 1);
}

#[test]
fn a_flow_without_key_is_one_for_chance_or_the_empty_key_or_refused() {
    let mut nameless = flow(0);
    nameless.source = None;
    let plans = |on_empty_key| {
        let mut spec = hashing(5);
        spec.hash.on_empty_key = on_empty_key;
        let mut world = World::up(spec);
        let standings = world.update();
        let plan = |seed| world.plan(&standings, &nameless, &mut rng(seed));
        (0..100).map(plan).collect::<Vec<_>>()
    };
    let firsts = |on_empty_key| {
        plans(on_empty_key).into_iter().map(|plan| order(&plan.unwrap())[0]).collect::<BTreeSet<_>>()
    };
    assert_eq!(firsts(OnEmptyKey::Random).len(), 5);
    assert!(plans(OnEmptyKey::Random).into_iter().all(|plan| plan.unwrap().key.is_none()));
    assert_eq!(firsts(OnEmptyKey::HashEmpty).len(), 1);
    let key = plans(OnEmptyKey::HashEmpty)[0].clone().unwrap().key.unwrap();
    assert_eq!((&*key.text, key.state), ("", KeyState::Empty));
    for plan in plans(OnEmptyKey::Error) {
        assert_eq!(plan, Err(PlanError::EmptyKey { group: "group".into() }));
    }
}

#[test]
fn a_plan_says_what_was_hashed() {
    let mut world = World::up(hashing(3));
    let standings = world.update();
    let plan = world.plan(&standings, &flow(0x0A00_0001), &mut rng(1)).unwrap();
    let key = plan.key.unwrap();
    assert_eq!((&*key.text, key.state), ("10.0.0.1", KeyState::Filled));
    assert!(plan.attempts.iter().all(|attempt| attempt.reason.role == Role::Candidate));
}

/// Weights are shares of the keys too.
#[test]
fn hashes_give_members_their_weight_of_the_keys() {
    let mut spec = hashing(3);
    let weights = [1, 2, 5];
    for (member, weight) in spec.primary.iter_mut().zip(weights) {
        *member = MemberSpec { weight: NonZeroU16::new(weight).unwrap(), ..member.clone() };
    }
    let mut world = World::up(spec);
    let standings = world.update();
    let mut counts = [0_u32; 3];
    for n in 0..8000 {
        counts[world.pick(&standings, &flow(n), &mut rng(1))] += 1;
    }
    for (count, weight) in counts.into_iter().zip(weights) {
        let fair = 1000 * u32::from(weight);
        // The shares of the ring vary by some percent, those of 10 virtual nodes by more.
        assert!(count.abs_diff(fair) <= fair / 4, "{counts:?}");
    }
}
