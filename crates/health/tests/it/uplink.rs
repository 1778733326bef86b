use std::time::Duration;

use waypost_health::{CheckSettings, Event, Outcome, State};

use crate::world::{Act, World, secs};

fn world(n_members: usize) -> World {
    let mut world = World::new(n_members, CheckSettings::default());
    world.run(secs(10));
    world
}

#[test]
fn when_everybody_fails_together_nobody_is_taken_down() {
    let mut world = world(3);
    world.acts = vec![Act::Hang; 3];
    for index in 0..3 {
        world.outcome(index, Outcome::Failed);
    }
    world.run(secs(120));
    assert!((0..3).all(|index| world.state(index).stands()), "{:?}", world.state(0));
    assert!(world.monitor.uplink_suspected());
    assert_eq!(world.monitor.take_events(), [Event::UplinkSuspected]);

    world.acts = vec![Act::Answer(40); 3];
    world.run(secs(200));
    assert!((0..3).all(|index| world.state(index) == State::Up));
    assert_eq!(world.monitor.take_events(), [Event::UplinkReturned]);
}

#[test]
fn without_connections_the_others_are_asked_before_a_verdict() {
    let mut world = world(3);
    world.acts = vec![Act::Refuse; 3];
    // The first scheduled probe of the round fails; the others follow long before their turn.
    while world.monitor.take_events().is_empty() {
        world.run(Duration::from_millis(100));
        assert!(world.now - world.begin < secs(300));
    }
    assert!(world.monitor.uplink_suspected());
    assert!((0..3).all(|index| world.state(index).stands()));
}

#[test]
fn when_one_works_the_verdict_against_the_others_stands() {
    let mut world = world(3);
    world.acts = vec![Act::Refuse, Act::Refuse, Act::Answer(40)];
    world.run(secs(400));
    assert_eq!([world.state(0), world.state(1), world.state(2)], [State::Down, State::Down, State::Up]);
    assert!(!world.monitor.uplink_suspected());
    // The last one dies much later; nobody is left who could fail beside it.
    world.acts[2] = Act::Refuse;
    world.run(secs(400));
    assert_eq!(world.state(2), State::Down);
}

#[test]
fn after_the_uplink_returned_who_still_fails_goes_down_by_a_new_run() {
    let mut world = world(3);
    world.acts = vec![Act::Refuse; 3];
    world.run(secs(400));
    assert!(world.monitor.uplink_suspected());
    world.acts[0] = Act::Answer(40);
    world.first_byte(0);
    assert!((0..3).all(|index| world.state(index).stands()), "looked at afresh");
    world.run(secs(5));
    assert_eq!([world.state(0), world.state(1), world.state(2)], [State::Up, State::Down, State::Down]);
}

#[test]
fn a_prober_that_never_had_an_answer_takes_nobody_down() {
    let mut world = World::new(4, CheckSettings::default());
    world.acts = vec![Act::Refuse; 4];
    world.run(secs(600));
    assert!((0..4).all(|index| world.state(index) == State::Unknown), "{:?}", world.state(0));
}
