//! V2Ray's `leastLoad`, and when a fallback serves.

use std::{collections::BTreeSet, time::Duration};

use waypost_balance::{EmptyPoolAction, GroupSpec, LeastLoadSpec, Role, Strategy};
use waypost_health::{SampleStats, State, Status};

use crate::world::{SUSPECT, World, flow, group, leaf, order, rng, roles, settled};

const MS: fn(u64) -> Duration = Duration::from_millis;

/// A group over members that are sampled and have these deviations, in milliseconds.
fn sampled(spec: LeastLoadSpec, deviations: &[u64]) -> World {
    let mut group = group(Strategy::LeastLoad, deviations.len(), 0);
    (group.least_load, group.empty_pool) = (spec, EmptyPoolAction::FallbackAll);
    let mut world = World::up(group);
    for (member, deviation) in deviations.iter().enumerate() {
        world.statuses[member] = sample(*deviation, 0);
    }
    world
}

fn sample(deviation: u64, fail: u32) -> Status {
    let stats =
        SampleStats { all: 10, fail, average: MS(50), deviation: MS(deviation), max: MS(90), min: MS(9) };
    Status { samples: Some(stats), ..settled(50) }
}

fn spec(expected: usize) -> LeastLoadSpec {
    LeastLoadSpec { expected, ..LeastLoadSpec::default() }
}

/// Who is first in the plans of many connections, and the places behind those.
fn seen(world: &mut World) -> (BTreeSet<usize>, Vec<usize>) {
    let (standings, mut rng) = (world.update(), rng(5));
    let plans: Vec<Vec<usize>> =
        (0..200).map(|n| order(&world.plan(&standings, &flow(n), &mut rng).unwrap())).collect();
    let first: BTreeSet<usize> = plans.iter().map(|plan| plan[0]).collect();
    let picked: BTreeSet<usize> = (0..200).map(|n| world.pick(&standings, &flow(n), &mut rng)).collect();
    assert_eq!(first, picked, "a pick is the first of a plan");
    let behind = plans[0][first.len()..].to_vec();
    assert!(plans.iter().all(|plan| plan[first.len()..] == behind), "{plans:?}");
    (first, behind)
}

#[test]
fn connections_spread_over_the_expected_ones_and_the_others_follow_by_load() {
    let mut world = sampled(spec(2), &[30, 10, 50, 20, 40]);
    assert_eq!(seen(&mut world), ([1, 3].into(), vec![0, 4, 2]));
    world.set(1, SUSPECT);
    assert_eq!(seen(&mut world), ([0, 3].into(), vec![4, 2, 1]));
    world.set(3, State::Down);
    assert_eq!(seen(&mut world), ([0, 4].into(), vec![2, 1, 3]));
}

#[test]
fn costs_count_by_their_square_root() {
    let costs = vec![1.0, 9.0, 0.01];
    let mut world = sampled(LeastLoadSpec { costs, ..spec(1) }, &[25, 10, 100]);
    assert_eq!(seen(&mut world), ([2].into(), vec![0, 1]));
}

#[test]
fn members_that_are_too_slow_or_fail_too_often_are_left_out_but_not_lost() {
    let limits = LeastLoadSpec { max_rtt: Some(MS(60)), tolerance: 0.2, ..spec(3) };
    let mut world = sampled(limits, &[30, 20, 10, 5]);
    world.statuses[2] = Status { samples: sample(10, 3).samples, ..settled(50) };
    world.statuses[3] = Status { samples: sample(5, 2).samples, ..settled(60) };
    assert_eq!(seen(&mut world), ([0, 1].into(), vec![3, 2]));
}

#[test]
fn members_that_were_not_measured_come_behind_those_that_were_unless_nobody_was() {
    let mut world = sampled(spec(1), &[30, 20, 10]);
    world.statuses[1] = Status::UNKNOWN;
    world.statuses[2] = Status::UNKNOWN;
    assert_eq!(seen(&mut world), ([0].into(), vec![1, 2]));
    world.statuses[0] = Status::UNKNOWN;
    assert_eq!(seen(&mut world).0, [0, 1, 2].into());
}

#[test]
fn without_samples_the_delay_is_the_load() {
    let mut world = sampled(LeastLoadSpec { baselines: vec![MS(45)], ..spec(0) }, &[1, 1, 1]);
    for (member, delay) in [40, 30, 50].into_iter().enumerate() {
        world.statuses[member] = settled(delay);
    }
    assert_eq!(seen(&mut world), ([0, 1].into(), vec![2]));
}

#[test]
fn a_fallback_serves_when_nobody_is_good_enough_and_the_members_follow() {
    let strict = LeastLoadSpec { baselines: vec![MS(5)], ..spec(0) };
    for (fallback, expected) in [(false, vec![1, 0]), (true, vec![2, 1, 0])] {
        let mut world = with_fallback(Strategy::LeastLoad, strict.clone(), fallback);
        world.statuses[..2].copy_from_slice(&[sample(20, 0), sample(10, 0)]);
        assert_eq!(plan(&mut world), expected);
        world.statuses[0] = sample(4, 0);
        assert_eq!(plan(&mut world), [0, 1], "one is, so the fallback has no part in it");
        world.statuses[..2].fill(Status::UNKNOWN);
        let mut both = plan(&mut world);
        both.sort_unstable();
        assert_eq!(both, [0, 1], "nobody is known yet, and each may be good enough");
    }
}

#[test]
fn a_fallback_serves_when_there_is_a_verdict_against_everybody() {
    for strategy in [Strategy::Random, Strategy::RoundRobin, Strategy::LeastPing, Strategy::LeastLoad] {
        let mut world = with_fallback(strategy, LeastLoadSpec::default(), true);
        world.set(0, State::Down);
        assert_eq!(plan(&mut world), [1, 0], "{strategy}");
        world.set(1, SUSPECT);
        assert_eq!(plan(&mut world), [1, 0], "{strategy}: a suspect still stands");
        world.set(1, State::Down);
        let standings = world.update();
        let plan = world.plan(&standings, &flow(1), &mut rng(1)).unwrap();
        assert_eq!(roles(&plan), [Role::Fallback, Role::Anybody, Role::Anybody], "{strategy}");
        assert_eq!((order(&plan)[0], world.pick(&standings, &flow(1), &mut rng(1))), (2, 2), "{strategy}");
    }
}

fn with_fallback(strategy: Strategy, least_load: LeastLoadSpec, fallback: bool) -> World {
    let fallback = fallback.then(|| leaf(2, "fallback"));
    let spec =
        GroupSpec { least_load, fallback, empty_pool: EmptyPoolAction::FallbackAll, ..group(strategy, 2, 0) };
    let mut world = World::new(vec![spec], 3);
    world.statuses.fill(settled(50));
    world
}

fn plan(world: &mut World) -> Vec<usize> {
    let standings = world.update();
    order(&world.plan(&standings, &flow(1), &mut rng(1)).unwrap())
}
