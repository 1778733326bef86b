use std::{collections::BTreeSet, num::NonZeroU8, time::Duration};

use waypost_health::{CheckSettings, Event, Outcome, State};

use crate::world::{Act, World, secs};

fn settings(interval: u64, rise: u8, fall: u8) -> CheckSettings {
    CheckSettings {
        interval: secs(interval),
        rise: NonZeroU8::new(rise).unwrap(),
        fall: NonZeroU8::new(fall).unwrap(),
    }
}

#[test]
fn the_first_round_is_spread_and_soon_over() {
    let mut world = World::new(10, CheckSettings::default());
    world.run(Duration::from_millis(300));
    let begins: BTreeSet<Duration> = world.probes.iter().map(|(at, _)| *at).collect();
    assert_eq!((world.probes.len(), begins.len()), (10, 10), "{:?}", world.probes);
    assert!((0..10).all(|index| world.state(index) == State::Up));
}

#[test]
fn probes_come_with_the_interval_and_do_not_fall_into_step() {
    let mut world = World::new(2, settings(60, 1, 2));
    world.run(secs(3600));
    let times = world.probes_of(0);
    let gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
    assert!(gaps.iter().all(|gap| (54.0..=66.1).contains(gap)), "{gaps:?}");
    let spread = gaps.iter().copied().fold(0.0, f64::max) - gaps.iter().copied().fold(99.0, f64::min);
    assert!(spread > 5.0, "{gaps:?}");
}

#[test]
fn one_failure_is_looked_into_soon_and_changes_nothing() {
    let mut world = World::new(3, settings(60, 1, 2));
    world.run(secs(30));
    world.acts[0] = Act::Refuse;
    while world.probes_of(0).len() < 2 {
        world.run(secs(1));
    }
    world.acts[0] = Act::Answer(40);
    assert_eq!(world.state(0), State::Up);
    world.run(secs(3));
    let times = world.probes_of(0);
    assert!(times.len() == 3 && times[2] - times[1] < Duration::from_millis(1200), "{times:?}");
    assert_eq!(world.state(0), State::Up);
    assert!(world.monitor.take_events().is_empty());
}

#[test]
fn a_member_goes_down_and_is_probed_ever_more_seldom_until_it_works() {
    let mut world = World::new(3, settings(60, 1, 2));
    world.run(secs(30));
    world.acts[0] = Act::Refuse;
    world.run(secs(600));
    assert_eq!(world.state(0), State::Down);
    let times = world.probes_of(0);
    let gaps: Vec<u64> = times.windows(2).skip(1).map(|pair| (pair[1] - pair[0]).as_secs()).collect();
    assert!(gaps[0] <= 1 && gaps[1] <= 1 && gaps.last().is_some_and(|&last| last > 50), "{gaps:?}");
    assert!(gaps.windows(2).all(|pair| pair[1] + 1 >= pair[0] * 3 / 4), "{gaps:?}");
    world.acts[0] = Act::Answer(40);
    world.run(secs(70));
    assert_eq!(world.state(0), State::Up);
    let (member, events) = (world.members[0], world.monitor.take_events());
    assert_eq!(events, [Event::WentDown(member), Event::CameUp(member)]);
}

#[test]
fn rise_and_fall_are_runs() {
    let mut world = World::new(2, settings(10, 3, 4));
    world.run(secs(5));
    world.acts[0] = Act::Refuse;
    let before = world.probes_of(0).len();
    while world.state(0) != State::Down {
        world.run(Duration::from_millis(10));
    }
    assert_eq!(world.probes_of(0).len() - before, 4);
    world.acts[0] = Act::Answer(40);
    let before = world.probes_of(0).len();
    while world.state(0) == State::Down {
        world.run(Duration::from_millis(10));
    }
    assert_eq!(world.probes_of(0).len() - before, 3);
}

#[test]
fn the_only_one_that_works_is_up_after_one_success() {
    let mut world = World::new(2, settings(10, 3, 2));
    world.run(secs(5));
    // One after the other, so that both go down.
    for index in [0, 1] {
        world.acts[index] = Act::Refuse;
        world.run(secs(40));
        assert_eq!(world.state(index), State::Down);
    }
    world.acts[1] = Act::Answer(40);
    let before = world.probes_of(1).len();
    while world.state(1) == State::Down {
        world.run(Duration::from_millis(10));
    }
    assert_eq!(world.probes_of(1).len() - before, 1);
}

#[test]
fn an_unused_pool_is_not_probed_and_the_first_connection_wakes_it() {
    let mut world = World::new(2, settings(60, 1, 2));
    world.run(secs(1800 + 60));
    let n_probes = world.probes.len();
    assert!(n_probes > 40, "{n_probes}");
    world.run(secs(7200));
    assert_eq!(world.probes.len(), n_probes);
    assert_eq!(world.state(0), State::Up, "the last known results stay");
    assert!(world.monitor.is_idle(world.pool, world.now));
    let (pool, now) = (world.pool, world.now);
    world.monitor.touch(pool, now);
    world.run(Duration::from_millis(10));
    assert_eq!(world.probes.len(), n_probes + 2);
}

#[test]
fn a_check_is_shared_and_only_so_many_probes_run_at_a_time() {
    let mut world = World::new(40, settings(60, 1, 2));
    let (member, wanted) = (world.members[0], settings(30, 2, 1));
    assert_eq!(world.monitor.add_check(member, "http://probe/", wanted), world.checks[0]);
    assert_ne!(world.monitor.add_check(member, "http://other/", wanted), world.checks[0]);
    world.acts = vec![Act::Hang; 41];
    world.run(secs(4));
    assert_eq!(world.probes.len(), 16);
    world.run(secs(2));
    assert!(world.probes.len() > 16);
}

#[test]
fn history_keeps_the_last_ten_and_delays_are_never_nought() {
    let mut world = World::new(2, settings(10, 1, 2));
    world.acts[0] = Act::Answer(0);
    world.run(secs(200));
    let history: Vec<_> = world.monitor.history(world.checks[0]).collect();
    assert_eq!(history.len(), 10);
    assert!(history.windows(2).all(|pair| pair[0].at < pair[1].at));
    let status = world.monitor.status(world.members[0], Some(world.checks[0]), world.now);
    assert_eq!(status.delay.unwrap().millis(), 1);
}

#[test]
fn an_answer_to_a_connection_outweighs_failing_probes() {
    let mut world = World::new(3, settings(10, 1, 2));
    world.run(secs(5));
    world.acts[0] = Act::Refuse;
    for _ in 0..100 {
        world.run(Duration::from_millis(500));
        world.first_byte(0);
        assert_eq!(world.state(0), State::Up);
    }
    world.run(secs(20));
    assert_eq!(world.state(0), State::Down);
    world.outcome(0, Outcome::Connected { took: Duration::from_millis(5) });
    assert_eq!(world.state(0), State::Down, "a member may say yes before it has dialled");
    world.first_byte(0);
    assert_eq!(world.state(0), State::Up);
}
