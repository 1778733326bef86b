use std::time::Duration;

use waypost_health::{Cause, CheckSettings, Event, Outcome, State};

use crate::world::{Act, World, secs};

const CONNECTED: Outcome = Outcome::Connected { took: Duration::from_millis(5) };

fn world(n_members: usize) -> World {
    let mut world = World::new(n_members, CheckSettings::default());
    world.run(secs(10));
    world
}

#[test]
fn a_lost_hedge_makes_a_suspect_until_a_probe_clears_it() {
    let mut world = world(3);
    world.outcome(0, Outcome::Overtaken);
    assert_eq!(world.state(0), State::Suspect(Cause::Slow));
    let n_probes = world.probes.len();
    world.run(Duration::from_millis(50));
    assert_eq!((world.probes.len(), world.state(0)), (n_probes + 1, State::Up));
}

#[test]
fn a_frozen_member_stays_a_suspect_until_it_is_down() {
    let mut world = world(3);
    world.acts[0] = Act::Hang;
    world.outcome(0, Outcome::Overtaken);
    for _ in 0..24 {
        world.first_byte(1);
        assert!(!world.state(0).is_usable(), "{:?}", world.state(0));
        world.run(Duration::from_millis(500));
    }
    assert_eq!(world.state(0), State::Down);
    world.acts[0] = Act::Answer(40);
    world.run(secs(10));
    assert_eq!(world.state(0), State::Up);
}

#[test]
fn a_member_that_flaps_is_cleared_later_each_time() {
    let mut world = world(3);
    let mut rests = Vec::new();
    for _ in 0..4 {
        world.acts[0] = Act::Refuse;
        world.outcome(0, Outcome::Overtaken);
        world.run(Duration::from_millis(600));
        world.first_byte(1);
        world.acts[0] = Act::Answer(40);
        let thawed = world.now;
        while !world.state(0).is_usable() {
            world.run(Duration::from_millis(100));
        }
        rests.push((world.now - thawed).as_secs());
    }
    assert_eq!(rests, [0, 5, 20, 80]);
    world.run(secs(61));
    world.outcome(0, Outcome::Overtaken);
    world.run(secs(1));
    assert_eq!(world.state(0), State::Up, "long ago");
}

#[test]
fn an_answer_that_comes_late_does_not_hide_the_flapping() {
    let mut world = world(3);
    for expected in [State::Up, State::Suspect(Cause::Slow)] {
        world.acts[0] = Act::Hang;
        world.outcome(0, Outcome::Overtaken);
        world.run(Duration::from_millis(800));
        // Whatever was under way when it froze is answered when it thaws.
        world.first_byte(0);
        assert_eq!(world.state(0), expected);
        world.acts[0] = Act::Answer(40);
        world.run(secs(6) - Duration::from_millis(800));
    }
}

#[test]
fn a_far_member_is_not_taken_for_one_that_flaps() {
    let mut world = world(3);
    world.acts[0] = Act::Answer(700);
    world.run(secs(900));
    for _ in 0..20 {
        world.outcome(0, Outcome::Overtaken);
        world.run(secs(1));
        assert_eq!(world.state(0), State::Up);
    }
}

#[test]
fn a_lossy_line_is_no_flapping() {
    let mut world = world(3);
    for _ in 0..100 {
        world.outcome(0, Outcome::Overtaken);
        world.run(Duration::from_millis(300));
        assert_eq!(world.state(0), State::Up);
    }
}

#[test]
fn three_failures_in_a_row_eject_and_each_time_for_longer() {
    let mut world = world(4);
    // Its probes work, so that only connections speak against it; they are asked for and change
    // nothing here, because no time passes in between.
    let mut rests = Vec::new();
    for _ in 0..3 {
        for _ in 0..3 {
            world.outcome(0, Outcome::Failed);
        }
        let State::Ejected { until, cause: Cause::Dial } = world.state(0) else {
            panic!("{:?}", world.state(0));
        };
        rests.push((until - world.now).as_secs());
        world.run(secs(2));
        assert_eq!(world.state(0), State::Up, "a good probe brings it back");
    }
    assert_eq!(rests, [30, 60, 90]);
    world.outcome(0, Outcome::Failed);
    world.outcome(0, Outcome::Failed);
    world.outcome(0, CONNECTED);
    world.outcome(0, Outcome::Failed);
    assert_eq!(world.state(0), State::Suspect(Cause::Dial), "the run was broken");
}

#[test]
fn silence_is_not_cleared_by_dials_and_twice_not_by_probes() {
    let mut world = world(4);
    world.outcome(0, Outcome::Silent);
    world.outcome(0, CONNECTED);
    assert_eq!(world.state(0), State::Suspect(Cause::Silent));
    world.run(secs(1));
    assert_eq!(world.state(0), State::Up, "once may be the target's fault");
    world.outcome(0, Outcome::Silent);
    assert!(matches!(world.state(0), State::Ejected { cause: Cause::Silent, .. }));
    world.run(secs(29));
    assert!(matches!(world.state(0), State::Ejected { cause: Cause::Silent, .. }));
    world.run(secs(2));
    assert_eq!(world.state(0), State::Up, "it gets another chance");
    world.outcome(0, Outcome::Silent);
    let State::Ejected { until, .. } = world.state(0) else { panic!("{:?}", world.state(0)) };
    assert_eq!((until - world.now).as_secs(), 60);
    world.first_byte(0);
    assert_eq!(world.state(0), State::Up);
}

#[test]
fn ejection_stops_at_half_of_a_pool_and_at_the_last_that_works() {
    let mut world = world(4);
    for index in 0..4 {
        for _ in 0..5 {
            world.outcome(index, Outcome::Failed);
        }
    }
    let ejected =
        |world: &World| (0..4).filter(|&index| matches!(world.state(index), State::Ejected { .. })).count();
    assert_eq!(ejected(&world), 2);
    assert!((0..4).all(|index| !world.state(index).is_usable()));
    assert_eq!(
        world.monitor.take_events().iter().filter(|event| matches!(event, Event::Ejected(_))).count(),
        2
    );

    let mut pair = world_of_two();
    for _ in 0..5 {
        pair.outcome(0, Outcome::Failed);
    }
    assert!(matches!(pair.state(0), State::Ejected { .. }));
    for _ in 0..5 {
        pair.outcome(1, Outcome::Failed);
    }
    assert_eq!(pair.state(1), State::Suspect(Cause::Dial));
}

#[test]
fn a_rest_ends_when_the_member_is_the_last_that_works() {
    let mut world = world_of_two();
    world.outcome(1, Outcome::Silent);
    world.outcome(1, Outcome::Silent);
    assert!(matches!(world.state(1), State::Ejected { .. }));
    world.first_byte(0);
    world.acts[0] = Act::Refuse;
    world.outcome(0, Outcome::Failed);
    world.run(secs(3));
    assert_eq!((world.state(0), world.state(1)), (State::Down, State::Suspect(Cause::Silent)));
}

fn world_of_two() -> World {
    world(2)
}

#[test]
fn usual_times_are_learned_from_connections() {
    let mut world = world(2);
    assert!(world.monitor.usual_dial(world.members[0]).is_none());
    for _ in 0..20 {
        world.outcome(0, CONNECTED);
        world.first_byte(0);
    }
    let (dial, byte) = (
        world.monitor.usual_dial(world.members[0]).unwrap(),
        world.monitor.usual_first_byte(world.members[0]).unwrap(),
    );
    assert_eq!((dial.millis(), byte.millis()), (5, 50));
}
