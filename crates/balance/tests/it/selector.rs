//! Groups whose member somebody chooses.

use proptest::prelude::*;
use waypost_balance::{
    EmptyPoolAction, GroupId, GroupSpec, MemberTarget, PlanError, Role, SelectError, SelectorSpec, Strategy,
};
use waypost_health::State;
use waypost_net::{Network, Networks, Tag};

use crate::world::{SUSPECT, World, flow, flow_over, group, members, nested, order, rng, roles, settled};

fn selector(n_members: usize, initial: usize, others_follow: bool) -> GroupSpec {
    let selector = SelectorSpec { initial, others_follow };
    GroupSpec {
        selector,
        empty_pool: EmptyPoolAction::FallbackAll,
        ..group(Strategy::Selector, n_members, 0)
    }
}

fn planned(world: &mut World) -> Result<Vec<usize>, PlanError> {
    let standings = world.update();
    let plan = world.plan(&standings, &flow(1), &mut rng(1))?;
    assert_eq!(world.pick(&standings, &flow(1), &mut rng(1)), order(&plan)[0]);
    Ok(order(&plan))
}

fn select(world: &mut World, member: &str) -> Result<(), SelectError> {
    world.groups.select(&mut world.states, first(), member)
}

fn first() -> GroupId {
    GroupId::new(0)
}

#[test]
fn a_selector_takes_its_choice_and_nobody_else() {
    let mut world = World::up(selector(3, 1, false));
    assert_eq!(planned(&mut world), Ok(vec![1]));
    for state in [SUSPECT, State::Down, world.ejected(), State::Unknown] {
        world.set(1, state);
        assert_eq!(planned(&mut world), Ok(vec![1]), "{state:?}");
    }
    select(&mut world, "m2").unwrap();
    assert_eq!(planned(&mut world), Ok(vec![2]));
    let standings = world.update();
    let standing = standings.get(first()).unwrap();
    assert_eq!(standing.serving(Network::Tcp), [2]);
    assert_eq!(standing.favourite(Network::Udp), Some(2));
    assert!(!standing.is_bootstrapping(), "nobody is waited for");
    assert_eq!(standing.roles(Network::Tcp), [None, None, Some(Role::Selected)]);
}

#[test]
fn a_choice_that_cannot_carry_the_network_refuses_it() {
    let mut spec = selector(2, 0, false);
    spec.primary[0].networks = Networks { tcp: true, udp: false };
    let mut world = World::up(spec);
    let standings = world.update();
    let error = world.plan(&standings, &flow_over(Network::Udp, 1), &mut rng(1)).unwrap_err();
    assert_eq!(error.to_string(), "`group`: no member for udp");
    assert!(world.plan(&standings, &flow(1), &mut rng(1)).is_ok());
}

#[test]
fn the_others_follow_a_choice_only_if_that_is_wanted() {
    let mut world = World::up(selector(4, 2, true));
    assert_eq!(planned(&mut world), Ok(vec![2, 0, 1, 3]));
    world.set(2, SUSPECT);
    world.set(0, State::Down);
    assert_eq!(planned(&mut world), Ok(vec![2, 1, 3, 0]), "a suspicion does not take a choice back");
    world.set(2, world.ejected());
    assert_eq!(planned(&mut world), Ok(vec![1, 3, 2, 0]), "a verdict does, while it holds");
    world.set_all([1, 2, 3], State::Down);
    assert_eq!(planned(&mut world), Ok(vec![2, 0, 1, 3]), "all are tried, the choice first");
    world.set(2, State::Up);
    let standings = world.update();
    let plan = world.plan(&standings, &flow(1), &mut rng(1)).unwrap();
    assert_eq!(roles(&plan), [Role::Selected, Role::Down, Role::Down, Role::Down]);
    assert_eq!(plan.attempts[0].reason.to_string(), "chosen by selector: the current choice");
}

#[test]
fn a_choice_that_is_a_group_brings_its_members_and_its_state() {
    let outer = GroupSpec {
        tag: Tag::from("outer"),
        primary: vec![nested(1, "inner"), members([2]).remove(0)],
        ..selector(0, 0, false)
    };
    let mut world = World::new(vec![outer, group(Strategy::UrlTest, 2, 0)], 3);
    world.statuses.fill(settled(50));
    assert_eq!(planned(&mut world), Ok(vec![0, 1]));
    world.set(0, State::Down);
    assert_eq!(planned(&mut world), Ok(vec![1, 0]));
    world.set(1, State::Down);
    let standings = world.update();
    let error = world.plan(&standings, &flow(1), &mut rng(1)).unwrap_err();
    assert_eq!(error.to_string(), "`outer`: pool empty: 1 down, 0 ejected");
    assert_eq!(
        world.groups.get(first()).unwrap().member(0).unwrap().target,
        MemberTarget::Group(GroupId::new(1))
    );
}

#[test]
fn a_selector_is_as_well_as_its_choice() {
    let outer = GroupSpec {
        primary: vec![nested(1, "inner"), members([2]).remove(0)],
        ..group(Strategy::UrlTest, 0, 0)
    };
    let mut world = World::new(vec![outer, selector(2, 0, false)], 3);
    world.statuses = [80, 10, 50].map(settled).into();
    world.groups.select(&mut world.states, GroupId::new(1), "m0").unwrap();
    assert_eq!(planned(&mut world), Ok(vec![2, 0]), "the fast one was not chosen");
    world.groups.select(&mut world.states, GroupId::new(1), "m1").unwrap();
    world.set(2, State::Down);
    assert_eq!(planned(&mut world), Ok(vec![1, 2]));
}

#[test]
fn what_cannot_be_chosen_is_said() {
    let mut world = World::up(selector(2, 0, false));
    let error = select(&mut world, "m7").unwrap_err();
    assert_eq!(error.to_string(), "`group` has no member `m7`");
    assert_eq!(planned(&mut world), Ok(vec![0]), "and the choice is kept");
    let mut world = World::up(group(Strategy::LeastConn, 2, 0));
    let error = select(&mut world, "m1").unwrap_err();
    assert_eq!(error.to_string(), "`group` is no selector, it chooses by itself (least_conn)");
    assert_eq!(world.groups.unselect(&mut world.states, first()), Err(error));
    let error = world.groups.select(&mut world.states, GroupId::new(9), "m1").unwrap_err();
    assert_eq!(error, SelectError::UnknownGroup);
}

#[test]
fn a_group_that_chooses_by_itself_prefers_what_somebody_chose_while_that_stands() {
    let mut world = World::up(group(Strategy::UrlTest, 3, 0));
    world.statuses = [10, 20, 30].map(settled).into();
    assert_eq!(planned(&mut world).unwrap()[0], 0);
    select(&mut world, "m2").unwrap();
    assert_eq!(planned(&mut world).unwrap()[0], 2, "the slowest was chosen");
    let favourite = |world: &mut World| world.update().get(first()).unwrap().favourite(Network::Tcp);
    assert_eq!(favourite(&mut world), Some(2));
    world.set(2, State::Down);
    assert_eq!((planned(&mut world).unwrap()[0], favourite(&mut world)), (0, Some(0)));
    world.statuses = [10, 20, 30].map(settled).into();
    assert_eq!(planned(&mut world).unwrap()[0], 2, "it is back");
    world.groups.unselect(&mut world.states, first()).unwrap();
    assert_eq!((planned(&mut world).unwrap()[0], favourite(&mut world)), (0, Some(0)));
}

#[test]
fn a_selector_that_is_let_go_begins_anew() {
    let mut world = World::up(selector(3, 1, false));
    select(&mut world, "m2").unwrap();
    world.groups.unselect(&mut world.states, first()).unwrap();
    assert_eq!(planned(&mut world), Ok(vec![1]));
}

fn states() -> impl proptest::strategy::Strategy<Value = State> {
    prop::sample::select(vec![State::Unknown, State::Up, SUSPECT, State::Down])
}

proptest! {
    #[test]
    fn the_last_choice_is_the_first_attempt(
        steps in prop::collection::vec((0..5_usize, prop::collection::vec(states(), 5)), 1..8),
        others_follow: bool,
    ) {
        let mut world = World::up(selector(5, 4, others_follow));
        for (chosen, states) in steps {
            select(&mut world, &format!("m{chosen}")).unwrap();
            for (outbound, state) in states.iter().enumerate() {
                world.set(outbound, *state);
            }
            let order = planned(&mut world).unwrap();
            let stands = states[chosen].stands() || states.iter().all(|state| !state.stands());
            prop_assert!(!others_follow || order.len() == 5);
            prop_assert!(others_follow || order == [chosen]);
            prop_assert_eq!(order[0] == chosen, stands || !others_follow);
        }
    }
}

#[test]
fn groups_of_another_configuration_go_on_where_those_of_the_same_name_were() {
    let mut old = World::up(selector(3, 0, false));
    select(&mut old, "m2").unwrap();
    old.update();

    // The choice is at another place now.
    let mut spec = selector(3, 0, false);
    spec.primary.rotate_left(1);
    let mut new = World::up(spec);
    new.groups.inherit(&mut new.states, &old.groups, &old.states);
    let standings = new.update();
    let standing = standings.get(first()).unwrap();
    let chosen = standing.selected().and_then(|place| new.groups.get(first())?.member(place));
    assert_eq!(chosen.map(|member| member.tag.as_str()), Some("m2"));

    // A choice that is gone leaves what the group begins with, and so does another way of choosing.
    let mut fewer = World::up(selector(2, 1, false));
    fewer.groups.inherit(&mut fewer.states, &old.groups, &old.states);
    assert_eq!(planned(&mut fewer), Ok(vec![1]));
    let mut other = World::up(group(Strategy::UrlTest, 3, 0));
    other.statuses = [10, 20, 30].map(settled).into();
    other.groups.inherit(&mut other.states, &old.groups, &old.states);
    assert_eq!(planned(&mut other).unwrap()[0], 0);
}

#[test]
fn the_fastest_stays_the_fastest_through_another_configuration() {
    let mut old = World::up(group(Strategy::UrlTest, 2, 0));
    old.statuses = [30, 60].map(settled).into();
    old.update();
    // Not faster by the tolerance, so that whoever serves goes on; a group that begins would take it.
    let now = [30, 25].map(settled);
    old.statuses = now.into();
    assert_eq!(planned(&mut old).unwrap()[0], 0);
    let mut new = World::up(group(Strategy::UrlTest, 2, 0));
    new.statuses = now.into();
    new.groups.inherit(&mut new.states, &old.groups, &old.states);
    assert_eq!(planned(&mut new).unwrap()[0], 0);
    let mut anew = World::up(group(Strategy::UrlTest, 2, 0));
    anew.statuses = now.into();
    assert_eq!(planned(&mut anew).unwrap()[0], 1);
}
