//! Which tier serves, and when that changes.

use std::{num::NonZeroU32, time::Duration};

use proptest::prelude::*;
use waypost_balance::{GroupId, GroupSpec, PlanError, Role, Standings, Strategy, Tier};
use waypost_health::State;
use waypost_net::{Network, Networks, Tag};

use crate::world::{
    SUSPECT, World, flow, flow_over, group, leaf, members, nested, order, rng, roles, settled,
};

const HOLD: Duration = Duration::from_secs(30);
const MILLISECOND: Duration = Duration::from_millis(1);

/// Two primaries and two backups, with the documented defaults.
fn world() -> World {
    World::up(group(Strategy::Failover, 2, 2))
}

fn tier(standings: &Standings) -> Tier {
    standings.get(GroupId::new(0)).unwrap().tier()
}

#[track_caller]
fn check(world: &mut World, expected_tier: Tier, expected_order: &[usize]) {
    let standings = world.update();
    let plan = world.plan(&standings, &flow(1), &mut rng(1)).unwrap();
    assert_eq!((tier(&standings), plan.tier), (expected_tier, expected_tier));
    assert_eq!(order(&plan), expected_order);
}

/// Lets the backups take over, by three rounds of failures.
fn fail_over(world: &mut World) {
    for _ in 0..3 {
        world.set_all([0, 1], State::Down);
        world.update();
    }
    let standings = world.update();
    assert_eq!(tier(&standings), Tier::Backup);
}

#[test]
fn the_backups_take_over_after_three_rounds_and_connections_spill_to_them_before() {
    let mut world = world();
    check(&mut world, Tier::Primary, &[0, 1, 2, 3]);
    for _ in 0..2 {
        world.set_all([0, 1], State::Down);
        check(&mut world, Tier::Primary, &[2, 3, 0, 1]);
        // Nobody was probed again, and one probe of two primaries is no round.
        check(&mut world, Tier::Primary, &[2, 3, 0, 1]);
        world.set(0, State::Down);
        check(&mut world, Tier::Primary, &[2, 3, 0, 1]);
    }
    world.set(1, State::Down);
    check(&mut world, Tier::Backup, &[2, 3, 0, 1]);
}

#[test]
fn a_primary_that_is_seldom_probed_does_not_hold_up_the_count() {
    let mut world = world();
    world.set_all([0, 1], State::Down);
    // The first failure counts at once, and two probes of either primary make another one.
    check(&mut world, Tier::Primary, &[2, 3, 0, 1]);
    for _ in 0..3 {
        world.set(1, State::Down);
        check(&mut world, Tier::Primary, &[2, 3, 0, 1]);
    }
    world.set(1, State::Down);
    check(&mut world, Tier::Backup, &[2, 3, 0, 1]);
}

#[test]
fn a_success_begins_the_count_anew() {
    let mut world = world();
    for _ in 0..5 {
        for _ in 0..2 {
            world.set_all([0, 1], State::Down);
            check(&mut world, Tier::Primary, &[2, 3, 0, 1]);
        }
        world.set_all([0, 1], State::Up);
        check(&mut world, Tier::Primary, &[0, 1, 2, 3]);
    }
}

#[test]
fn one_failure_is_enough_where_the_group_says_so() {
    let mut spec = group(Strategy::Failover, 2, 1);
    spec.hysteresis.primary_failures = NonZeroU32::MIN;
    let mut world = World::up(spec);
    world.set_all([0, 1], State::Down);
    check(&mut world, Tier::Backup, &[2, 0, 1]);
}

#[test]
fn the_primaries_return_by_the_clock_at_the_end_of_the_hold() {
    let mut world = world();
    fail_over(&mut world);
    assert_eq!(world.states.next_change(), None, "no primary can return");
    let since = world.now;
    world.pass(Duration::from_secs(5));
    world.set(1, State::Up);
    check(&mut world, Tier::Backup, &[2, 3, 1, 0]);
    assert_eq!(world.states.next_change(), Some(since + HOLD));
    world.now = since + HOLD - MILLISECOND;
    check(&mut world, Tier::Backup, &[2, 3, 1, 0]);
    world.pass(MILLISECOND);
    check(&mut world, Tier::Primary, &[1, 2, 3, 0]);
    assert_eq!(world.states.next_change(), None);
}

#[test]
fn after_the_hold_the_first_primary_that_works_takes_over_at_once() {
    let mut world = world();
    fail_over(&mut world);
    world.pass(HOLD * 10);
    check(&mut world, Tier::Backup, &[2, 3, 0, 1]);
    world.set(0, SUSPECT);
    check(&mut world, Tier::Backup, &[2, 3, 0, 1]);
    world.set(0, State::Up);
    check(&mut world, Tier::Primary, &[0, 2, 3, 1]);
}

#[test]
fn a_hold_is_no_reason_to_serve_nobody() {
    for state in [State::Down, SUSPECT] {
        let mut world = world();
        fail_over(&mut world);
        world.pass(MILLISECOND);
        world.set(1, State::Up);
        check(&mut world, Tier::Backup, &[2, 3, 1, 0]);
        world.set_all([2, 3], state);
        let standings = world.update();
        assert_eq!(tier(&standings), Tier::Primary);
        assert_eq!(order(&world.plan(&standings, &flow(1), &mut rng(1)).unwrap())[0], 1);
    }
}

#[test]
fn a_group_without_backups_that_work_never_moves_to_them() {
    for n_backup in [0, 2] {
        let mut world = World::up(group(Strategy::Failover, 2, n_backup));
        for _ in 0..10 {
            world.set_all(0..2 + n_backup, State::Down);
            let standings = world.update();
            assert_eq!(tier(&standings), Tier::Primary);
            let error = world.plan(&standings, &flow(1), &mut rng(1)).unwrap_err();
            let tag = Tag::from("group");
            assert_eq!(error, PlanError::EmptyPool { group: tag, down: 2 + n_backup, ejected: 0 });
        }
        world.set(1, State::Up);
        let standings = world.update();
        assert_eq!(order(&world.plan(&standings, &flow(1), &mut rng(1)).unwrap())[0], 1);
    }
}

#[test]
fn a_backup_that_comes_after_the_count_is_full_takes_over_at_once() {
    let mut world = world();
    for _ in 0..5 {
        world.set_all(0..4, State::Down);
        world.update();
    }
    world.set(3, State::Up);
    check(&mut world, Tier::Backup, &[3, 2, 0, 1]);
}

#[test]
fn suspects_are_no_failures_and_the_one_that_worked_last_goes_first() {
    let mut world = World::up(group(Strategy::Failover, 3, 1));
    world.statuses[1].last_success = Some(world.now);
    for _ in 0..10 {
        world.set_all(0..3, SUSPECT);
        check(&mut world, Tier::Primary, &[1, 3, 0, 2]);
    }
    let standings = world.update();
    let plan = world.plan(&standings, &flow(1), &mut rng(1)).unwrap();
    assert_eq!(roles(&plan), [Role::LastGood, Role::Candidate, Role::Suspect, Role::Suspect]);
}

#[test]
fn ejected_primaries_are_failures() {
    let mut world = world();
    for _ in 0..3 {
        world.set_all([0, 1], world.ejected());
        world.update();
    }
    check(&mut world, Tier::Backup, &[2, 3, 0, 1]);
}

#[test]
fn a_network_that_no_primary_carries_goes_to_the_backups() {
    let mut spec = group(Strategy::Failover, 2, 2);
    for member in &mut spec.primary {
        member.networks = Networks { tcp: true, udp: false };
    }
    let mut world = World::up(spec);
    let standings = world.update();
    let plan = world.plan(&standings, &flow_over(Network::Udp, 1), &mut rng(1)).unwrap();
    assert_eq!((plan.tier, order(&plan)), (Tier::Primary, vec![2, 3]));
}

#[test]
fn every_primary_serves_until_each_was_probed() {
    let mut spec = group(Strategy::Failover, 3, 2);
    (spec.top_n.primary, spec.top_n.backup) = (1, 1);
    let mut world = World::new(vec![spec], 5);
    let mut roles_after = |outbound: Option<(usize, u64)>| {
        if let Some((outbound, delay)) = outbound {
            world.statuses[outbound] = settled(delay);
        }
        let standings = world.update();
        let standing = standings.get(GroupId::new(0)).unwrap();
        let roles: Vec<Role> = standing.roles(Network::Tcp).into_iter().map(Option::unwrap).collect();
        (standing.is_bootstrapping(), roles[..3].to_vec())
    };
    let all = vec![Role::Candidate; 3];
    assert_eq!(roles_after(None), (true, all.clone()));
    assert_eq!(roles_after(Some((0, 90))), (true, all.clone()));
    assert_eq!(roles_after(Some((3, 5))), (true, all.clone()), "backups do not matter here");
    assert_eq!(roles_after(Some((2, 40))), (true, all));
    let fastest = vec![Role::OutsideTopN, Role::OutsideTopN, Role::Candidate];
    assert_eq!(roles_after(Some((1, 60))), (false, fastest));
}

#[test]
fn nobody_has_failed_before_anybody_was_probed() {
    for strategy in Strategy::ALL {
        let mut world = World::new(vec![group(strategy, 2, 2)], 4);
        let standings = world.update();
        for seed in 0..20 {
            let plan = world.plan(&standings, &flow(1), &mut rng(seed)).unwrap();
            assert!(order(&plan)[0] < 2, "{strategy}");
        }
    }
}

#[test]
fn suspects_among_the_fastest_keep_their_place_until_there_is_a_verdict() {
    let mut spec = group(Strategy::Failover, 4, 0);
    spec.top_n.primary = 2;
    let mut world = World::up(spec);
    for (status, delay) in world.statuses.iter_mut().zip([10, 20, 30, 40]) {
        *status = settled(delay);
    }
    check(&mut world, Tier::Primary, &[0, 1, 2, 3]);
    world.set(0, SUSPECT);
    check(&mut world, Tier::Primary, &[1, 2, 3, 0]);
    let serving = |world: &mut World| {
        let standings = world.update();
        standings.get(GroupId::new(0)).unwrap().serving(Network::Tcp)
    };
    assert_eq!(serving(&mut world), [0, 1]);
    world.set(1, SUSPECT);
    check(&mut world, Tier::Primary, &[2, 3, 0, 1]);
    world.set_all([0, 1], State::Up);
    assert_eq!(serving(&mut world), [0, 1]);
    world.set(0, State::Down);
    assert_eq!(serving(&mut world), [1, 2], "the next fastest takes the place of who is down");
}

#[test]
fn a_nested_group_has_a_tier_of_its_own() {
    // The inner group, outbounds 0 and 1 with backup 2, is a primary beside nobody; 3 is the backup.
    let mut outer = GroupSpec::new(Tag::from("outer"), vec![nested(1, "inner")], Strategy::Failover);
    outer.backup = vec![leaf(3, "m3")];
    let mut inner = GroupSpec::new(Tag::from("inner"), members([0, 1]), Strategy::Failover);
    inner.backup = members([2]);
    let mut world = World::new(vec![outer, inner], 4);
    world.statuses.fill(settled(50));
    let mut tiers = |outbounds: &[usize], state: State| {
        world.set_all(outbounds.iter().copied(), state);
        let standings = world.update();
        let tier = |group| standings.get(GroupId::new(group)).unwrap().tier();
        let first = order(&world.plan(&standings, &flow(1), &mut rng(1)).unwrap())[0];
        (tier(0), tier(1), first, world.states.next_change().is_some())
    };
    assert_eq!(tiers(&[0, 1], State::Down), (Tier::Primary, Tier::Primary, 2, false));
    tiers(&[0, 1], State::Down);
    assert_eq!(tiers(&[0, 1], State::Down), (Tier::Primary, Tier::Backup, 2, false));
    for _ in 0..2 {
        assert_eq!(tiers(&[0, 1, 2], State::Down), (Tier::Primary, Tier::Backup, 3, false));
    }
    assert_eq!(tiers(&[0, 1, 2], State::Down), (Tier::Backup, Tier::Backup, 3, false));
    // The inner backup works again: the outer group holds, as its own backups serve.
    assert_eq!(tiers(&[2], State::Up), (Tier::Backup, Tier::Backup, 3, true));
}

#[test]
fn a_nested_group_is_as_well_probed_as_its_least_probed_member() {
    let mut outer = GroupSpec::new(Tag::from("outer"), vec![nested(1, "inner")], Strategy::Failover);
    outer.backup = vec![leaf(2, "m2")];
    let inner = GroupSpec::new(Tag::from("inner"), members([0, 1]), Strategy::Failover);
    let mut world = World::new(vec![outer, inner], 3);
    world.statuses.fill(settled(50));
    world.set_all([0, 1], State::Down);
    for _ in 0..5 {
        world.set(0, State::Down);
        check(&mut world, Tier::Primary, &[2]);
    }
    world.set(1, State::Down);
    check(&mut world, Tier::Primary, &[2]);
    world.set(1, State::Down);
    check(&mut world, Tier::Backup, &[2]);
}

#[test]
fn the_first_hold_to_end_is_the_next_change() {
    let mut specs = vec![group(Strategy::Failover, 1, 1); 2];
    specs[1].tag = Tag::from("other");
    specs[1].hysteresis.backup_hold_time = HOLD / 3;
    let mut world = World::new(specs, 2);
    world.set(1, State::Up);
    for _ in 0..3 {
        world.set(0, State::Down);
        world.update();
    }
    world.set(0, State::Up);
    world.update();
    assert_eq!(world.states.next_change(), Some(world.now + HOLD / 3));
    world.pass(HOLD / 3);
    let standings = world.update();
    let tiers = [0, 1].map(|group| standings.get(GroupId::new(group)).unwrap().tier());
    assert_eq!(tiers, [Tier::Backup, Tier::Primary]);
    assert_eq!(world.states.next_change(), Some(world.now + HOLD * 2 / 3));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// As long as somebody is usable he is first, and a held group only waits for the clock.
    #[test]
    fn whoever_is_usable_serves_whatever_was_before(seed in any::<u64>(), n_backup in 0..3_usize) {
        let mut chance = rng(seed);
        let mut world = World::up(group(Strategy::Random, 2, n_backup));
        for _ in 0..60 {
            for outbound in 0..2 + n_backup {
                let states = [State::Up, State::Down, SUSPECT, world.ejected(), State::Down];
                let state = states[chance.random_range(0..states.len())];
                if chance.random_bool(0.7) {
                    world.set(outbound, state);
                }
            }
            world.pass(Duration::from_secs(chance.random_range(0..20)));
            let standings = world.update();
            let usable = world.statuses.iter().any(|status| status.state.is_usable());
            let backup_usable = world.statuses[2..].iter().any(|status| status.state.is_usable());
            let primary_usable = world.statuses[..2].iter().any(|status| status.state.is_usable());
            if usable {
                let plan = world.plan(&standings, &flow(1), &mut chance).unwrap();
                prop_assert!(matches!(plan.attempts[0].reason.role, Role::Candidate | Role::LastGood));
            }
            if let Some(at) = world.states.next_change() {
                prop_assert!(primary_usable && backup_usable && at > world.now && at <= world.now + HOLD);
                world.now = at;
                let standings = world.update();
                prop_assert_eq!(tier(&standings), Tier::Primary);
            } else if tier(&standings) == Tier::Backup {
                prop_assert!(!primary_usable);
            }
        }
    }
}
