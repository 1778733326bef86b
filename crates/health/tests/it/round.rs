use std::time::Duration;

use waypost_health::{CheckSettings, Round, RoundStep};

use crate::world::{World, secs};

fn open<W>(step: RoundStep<W>) -> Round<W> {
    match step {
        RoundStep::Open(round) => round,
        RoundStep::Over { .. } => panic!("the round is over"),
    }
}

fn over<W>(step: RoundStep<W>) -> (Vec<W>, Vec<W>) {
    match step {
        RoundStep::Open(_) => panic!("the round goes on"),
        RoundStep::Over { told, late } => (told, late),
    }
}

/// Two members whose probes are made by hand.
fn world() -> World {
    let mut world = World::new(2, CheckSettings::default());
    world.run(secs(10));
    world
}

#[test]
fn a_round_ends_with_the_last_failure_or_the_first_success() {
    let mut world = world();
    let (pool, now, [one, other]) = (world.pool, world.now, [world.checks[0], world.checks[1]]);
    let round = Round::begin(&mut world.monitor, pool, vec!["a"], now).unwrap();
    let round = open(round.probe_ended(one, false));
    assert_eq!(over(round.probe_ended(other, false)), (vec!["a"], vec![]));
    let mut round = Round::begin(&mut world.monitor, pool, vec!["a"], now).unwrap();
    round.join("b");
    assert_eq!(over(round.probe_ended(other, true)), (vec!["a", "b"], vec![]), "both can be served");
}

#[test]
fn a_probe_that_was_under_way_does_not_answer_unless_it_succeeds() {
    let mut world = world();
    let (pool, [one, other]) = (world.pool, [world.checks[0], world.checks[1]]);
    let now = world.now + Duration::from_secs(1);
    world.monitor.ask_pool(pool, now);
    assert_eq!(world.monitor.due(now).len(), 2, "both are being probed");
    let round = Round::begin(&mut world.monitor, pool, vec![1], now).unwrap();
    let round = open(open(round.probe_ended(one, false)).probe_ended(other, false));
    let round = open(round.probe_ended(one, false));
    assert_eq!(over(round.probe_ended(other, false)), (vec![1], vec![]));
    let round = Round::begin(&mut world.monitor, pool, vec![1], now).unwrap();
    assert_eq!(over(round.probe_ended(one, true)), (vec![1], vec![]));
}

#[test]
fn who_comes_later_waits_for_another_round() {
    let mut world = world();
    let (pool, now, checks) = (world.pool, world.now, world.checks.clone());
    let mut round = Round::begin(&mut world.monitor, pool, vec![1], now).unwrap();
    round.join(2);
    let round = open(round.probe_ended(checks[0], false));
    assert_eq!(over(round.probe_ended(checks[1], false)), (vec![1], vec![2]));
}

#[test]
fn a_pool_without_probes_has_no_round() {
    let mut world = world();
    let (member, now) = (world.members[0], world.now);
    let pool = world.monitor.add_pool(&[(member, None)], secs(1));
    assert_eq!(Round::begin(&mut world.monitor, pool, vec![7], now).unwrap_err(), [7]);
}
