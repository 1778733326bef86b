//! Groups as members of groups.

use std::collections::BTreeSet;

use waypost_balance::{
    Context, EmptyPoolAction, GroupId, GroupSpec, Groups, GroupsError, Role, Strategy, Tier,
};
use waypost_health::{MemberId, State};
use waypost_net::Tag;

use crate::world::{SUSPECT, World, flow, group, leaf, members, nested, order, rng, roles, settled};

/// Outbound 0 and the group of outbounds 1 and 2 are primaries, outbound 3 is the backup.
fn nest(strategy: Strategy) -> Vec<GroupSpec> {
    let mut outer = GroupSpec::new(Tag::from("outer"), vec![leaf(0, "m0"), nested(1, "inner")], strategy);
    outer.backup = members([3]);
    let mut inner = GroupSpec::new(Tag::from("inner"), members([1, 2]), strategy);
    outer.selector.others_follow = true;
    inner.selector.others_follow = true;
    vec![outer, inner]
}

fn world(strategy: Strategy) -> World {
    let mut world = World::new(nest(strategy), 4);
    world.statuses.fill(settled(50));
    world
}

#[test]
fn a_nested_group_brings_its_members_in_its_own_order() {
    let mut world = world(Strategy::Failover);
    world.set(1, SUSPECT);
    let standings = world.update();
    let plan = world.plan(&standings, &flow(1), &mut rng(1)).unwrap();
    assert_eq!(order(&plan), [0, 2, 1, 3]);
    let inner = vec![GroupId::new(1)];
    assert_eq!(
        plan.attempts.iter().map(|attempt| attempt.via.clone()).collect::<Vec<_>>(),
        [vec![], inner.clone(), inner, vec![]]
    );
    assert_eq!(roles(&plan), [Role::Candidate; 4], "the role is that of the nested group in the outer one");
    assert_eq!(plan.attempts[3].reason.tier, Tier::Backup);
}

#[test]
fn a_nested_group_is_as_well_as_its_best_member() {
    let mut world = world(Strategy::Failover);
    let mut state = |one: State, other: State| {
        world.set(1, one);
        world.set(2, other);
        let standings = world.update();
        standings.get(GroupId::new(0)).unwrap().statuses()[1].state
    };
    let ejected = State::Ejected {
        until: World::new(nest(Strategy::Random), 4).begin,
        cause: waypost_health::Cause::Dial,
    };
    assert_eq!(state(State::Up, State::Down), State::Up);
    assert_eq!(state(State::Unknown, State::Up), State::Up);
    assert_eq!(state(State::Unknown, SUSPECT), State::Unknown);
    assert_eq!(state(State::Down, SUSPECT), SUSPECT);
    assert_eq!(state(State::Down, ejected), State::Down);
    assert_eq!(state(State::Down, State::Down), State::Down);
}

#[test]
fn a_nested_group_is_as_fast_as_its_fastest_usable_member() {
    let mut world = world(Strategy::LeastPing);
    world.statuses[0] = settled(40);
    world.statuses[1] = settled(20);
    world.statuses[2] = settled(10);
    world.set(2, State::Down);
    let standings = world.update();
    let status = standings.get(GroupId::new(0)).unwrap().statuses()[1];
    assert_eq!(status.delay, settled(20).delay);
    assert_eq!(order(&world.plan(&standings, &flow(1), &mut rng(1)).unwrap())[0], 1);
}

#[test]
fn a_nested_group_without_anybody_leads_nowhere_and_counts_as_down() {
    for strategy in Strategy::ALL {
        let mut world = world(strategy);
        world.set_all([1, 2], State::Down);
        let standings = world.update();
        for seed in 0..20 {
            let plan = world.plan(&standings, &flow(1), &mut rng(seed)).unwrap();
            assert_eq!(order(&plan), [0, 3], "{strategy}");
            assert_eq!(world.pick(&standings, &flow(1), &mut rng(seed)), 0);
        }
        world.set(0, State::Down);
        let standings = world.update();
        assert_eq!(order(&world.plan(&standings, &flow(1), &mut rng(1)).unwrap()), [3, 0], "{strategy}");
        world.set(3, State::Down);
        let standings = world.update();
        let error = world.plan(&standings, &flow(1), &mut rng(1)).unwrap_err();
        assert_eq!(error.to_string(), "`outer`: pool empty: 3 down, 0 ejected");
    }
}

#[test]
fn a_nested_group_that_tries_everybody_does_so_inside_another_one() {
    let mut specs = nest(Strategy::Failover);
    for spec in &mut specs {
        spec.empty_pool = EmptyPoolAction::FallbackAll;
    }
    let mut world = World::new(specs, 4);
    world.set_all(0..4, State::Down);
    let standings = world.update();
    let plan = world.plan(&standings, &flow(1), &mut rng(1)).unwrap();
    assert_eq!((order(&plan), roles(&plan)), (vec![0, 1, 2, 3], vec![Role::Anybody; 4]));
}

#[test]
fn turns_of_a_nested_group_do_not_fall_into_step_with_those_around_it() {
    let mut world = world(Strategy::RoundRobin);
    let standings = world.update();
    let mut counts = [0; 4];
    for n in 0..40 {
        counts[order(&world.plan(&standings, &flow(n), &mut rng(1)).unwrap())[0]] += 1;
    }
    assert_eq!(counts, [20, 10, 10, 0]);
    let mut counts = [0; 4];
    for n in 0..40 {
        counts[world.pick(&standings, &flow(n), &mut rng(1))] += 1;
    }
    assert_eq!(counts, [20, 10, 10, 0]);
}

#[test]
fn an_outbound_on_two_ways_is_tried_once() {
    let mut specs = nest(Strategy::Failover);
    specs[1].primary = members([1, 0]);
    specs[0].primary.reverse();
    let mut world = World::new(specs, 4);
    world.statuses.fill(settled(50));
    let standings = world.update();
    assert_eq!(order(&world.plan(&standings, &flow(1), &mut rng(1)).unwrap()), [1, 0, 3]);
}

#[test]
fn a_nested_group_carries_the_load_of_its_members() {
    let mut world = world(Strategy::LeastConn);
    let standings = world.update();
    let load = |member: MemberId| [3, 2, 2, 0][member.index()];
    let flow = flow(1);
    let context = Context { standings: &standings, flow: &flow, load: &load };
    for seed in 0..50 {
        // 3 connections are fewer than 2 and 2.
        let plan = world.groups.plan(GroupId::new(0), context, &mut rng(seed)).unwrap();
        assert_eq!(order(&plan)[0], 0);
    }
}

#[test]
fn the_outbounds_behind_a_group_are_each_named_once() {
    let mut specs = nest(Strategy::Random);
    specs[1].primary = members([1, 0, 2]);
    let groups = Groups::try_new(specs).unwrap();
    let leaves: Vec<usize> =
        groups.leaves(GroupId::new(0)).into_iter().map(|(member, _)| member.index()).collect();
    assert_eq!(leaves.len(), 4);
    assert_eq!(leaves.into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([0, 1, 2, 3]));
}

#[test]
fn rings_of_groups_and_missing_groups_are_refused() {
    let mut specs = nest(Strategy::Random);
    specs[1].backup = vec![nested(0, "outer")];
    let error = Groups::try_new(specs).unwrap_err();
    assert_eq!(error.to_string(), "groups are members of each other: outer -> inner -> outer");
    let mut specs = nest(Strategy::Random);
    specs[1].backup = vec![nested(7, "gone")];
    let error = Groups::try_new(specs).unwrap_err();
    assert_eq!(error, GroupsError::UnknownGroup { group: "inner".into() });
    let mut spec = group(Strategy::Random, 1, 0);
    spec.fallback = Some(nested(0, "group"));
    assert!(matches!(Groups::try_new(vec![spec]), Err(GroupsError::Cycle { .. })));
}
