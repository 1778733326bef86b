//! `urltest`: the fastest serves until another is faster by more than the tolerance.

use std::time::Duration;

use proptest::prelude::*;
use waypost_balance::{GroupId, GroupSpec, Strategy, TopN};
use waypost_health::{Estimate, State, Status};
use waypost_net::{Network, Networks};

use crate::world::{SUSPECT, World, flow, flow_over, group, order, rng, settled};

const TOLERANCE_MILLIS: u64 = 50;

fn urltest(n_members: usize) -> GroupSpec {
    let top_n = TopN { tolerance: Duration::from_millis(TOLERANCE_MILLIS), ..TopN::default() };
    GroupSpec { top_n, ..group(Strategy::UrlTest, n_members, 0) }
}

fn planned(world: &mut World) -> Vec<usize> {
    let standings = world.update();
    let planned = order(&world.plan(&standings, &flow(1), &mut rng(1)).unwrap());
    assert_eq!(world.pick(&standings, &flow(1), &mut rng(1)), planned[0]);
    let favourite = standings.get(GroupId::new(0)).unwrap().favourite(Network::Tcp);
    assert_eq!(favourite, Some(planned[0]));
    planned
}

fn measured(millis: u64) -> Status {
    Status { state: State::Up, delay: Some(Estimate::new(Duration::from_millis(millis))), ..settled(millis) }
}

#[test]
fn the_first_serves_until_one_is_measured() {
    let mut world = World::new(vec![urltest(3)], 3);
    assert_eq!(planned(&mut world), [0, 1, 2]);
    world.statuses[2] = measured(300);
    assert_eq!(planned(&mut world), [2, 0, 1]);
    world.statuses[1] = measured(100);
    assert_eq!(planned(&mut world), [1, 2, 0], "the round is not over, so that nobody is kept");
    world.statuses[0] = measured(80);
    assert_eq!(planned(&mut world), [0, 1, 2]);
}

#[test]
fn who_serves_is_kept_within_the_tolerance() {
    let mut world = World::up(urltest(3));
    let mut now = |delays: [u64; 3]| {
        for (status, delay) in world.statuses.iter_mut().zip(delays) {
            *status = measured(delay);
        }
        planned(&mut world)
    };
    assert_eq!(now([200, 210, 400]), [0, 1, 2]);
    assert_eq!(now([200, 150, 400]), [0, 1, 2], "the tolerance itself is not enough");
    assert_eq!(now([200, 149, 400]), [1, 0, 2], "one more is, however little is known of the jitter");
    assert_eq!(now([120, 149, 100]), [1, 2, 0], "the others follow by delay");
    assert_eq!(now([120, 149, 98]), [2, 0, 1]);
}

#[test]
fn one_that_fails_is_replaced_at_once_and_has_no_right_to_return() {
    let mut world = World::up(urltest(3));
    world.statuses = [100, 110, 120].map(settled).into();
    assert_eq!(planned(&mut world), [0, 1, 2]);
    world.set(0, SUSPECT);
    assert_eq!(planned(&mut world), [1, 2, 0], "before there is a verdict");
    world.set(0, State::Up);
    assert_eq!(planned(&mut world), [0, 1, 2], "there was none");
    world.set(0, State::Down);
    assert_eq!(planned(&mut world), [1, 2, 0]);
    world.set(0, State::Up);
    assert_eq!(planned(&mut world), [1, 0, 2]);
}

#[test]
fn tcp_and_udp_have_each_their_own() {
    let mut spec = urltest(2);
    spec.primary[0].networks = Networks { tcp: true, udp: false };
    let mut world = World::up(spec);
    world.statuses = [20, 100].map(settled).into();
    let standings = world.update();
    let standing = standings.get(GroupId::new(0)).unwrap();
    assert_eq!(standing.favourite(Network::Tcp), Some(0));
    assert_eq!(standing.favourite(Network::Udp), Some(1));
    let udp = world.plan(&standings, &flow_over(Network::Udp, 1), &mut rng(1)).unwrap();
    assert_eq!(order(&udp), [1]);
}

/// One round: how each member feels, and how fast it is.
fn rounds() -> impl proptest::strategy::Strategy<Value = Vec<Vec<(bool, u64)>>> {
    prop::collection::vec(prop::collection::vec((prop::bool::weighted(0.8), 1..400_u64), 4), 1..12)
}

proptest! {
    #[test]
    fn the_choice_is_that_of_a_plain_model(rounds in rounds()) {
        let mut world = World::up(urltest(4));
        let mut incumbent: Option<usize> = None;
        for round in rounds {
            for (status, &(works, delay)) in world.statuses.iter_mut().zip(&round) {
                *status = measured(delay);
                status.state = if works { State::Up } else { State::Down };
            }
            if round.iter().all(|(works, _)| !works) {
                incumbent = None;
                world.update();
                continue;
            }
            let delay = |member: usize| round[member].1;
            let fastest = (0..4).filter(|&member| round[member].0).min_by_key(|&member| delay(member)).unwrap();
            let kept = incumbent.filter(|&kept| round[kept].0 && delay(kept) <= delay(fastest) + TOLERANCE_MILLIS);
            incumbent = Some(kept.unwrap_or(fastest));
            prop_assert_eq!(Some(planned(&mut world)[0]), incumbent);
        }
    }
}
