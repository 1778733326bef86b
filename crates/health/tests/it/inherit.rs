//! A monitor that goes on with what another one knows.

use std::time::Duration;

use waypost_health::{CheckSettings, Correspondence, Monitor, Outcome, State};

use crate::world::{Act, World, secs};

#[test]
fn verdicts_delays_and_the_next_probes_go_on_and_whoever_is_new_begins() {
    let settings = CheckSettings::default();
    let mut old = World::new(3, settings);
    old.acts[1] = Act::Refuse;
    old.run(secs(60));
    for _ in 0..3 {
        old.outcome(2, Outcome::Failed);
    }
    assert_eq!((old.state(0), old.state(1)), (State::Up, State::Down));
    assert!(matches!(old.state(2), State::Ejected { .. }), "{:?}", old.state(2));

    // The last comes first, the first last, and one is new.
    let mut new = World::new(4, settings);
    new.now = old.now;
    let members = [(0, 2), (1, 1), (3, 0)].map(|(new_at, old_at)| (new.members[new_at], old.members[old_at]));
    let same = Correspondence { members: members.into(), pools: vec![(new.pool, old.pool)] };
    new.monitor.inherit(&old.monitor, &same, old.now);
    assert_eq!((new.state(0), new.state(1)), (old.state(2), State::Down));
    assert_eq!((new.state(2), new.state(3)), (State::Unknown, State::Up));
    let delay = |world: &World, index: usize| {
        world.monitor.status(world.members[index], Some(world.checks[index]), world.now).delay
    };
    assert_eq!(delay(&new, 3), delay(&old, 0));
    assert_eq!(
        new.monitor.history(new.checks[3]).collect::<Vec<_>>(),
        old.monitor.history(old.checks[0]).collect::<Vec<_>>()
    );

    // Nobody is probed sooner than before but the one that is new.
    new.acts[1] = Act::Refuse;
    new.run(Duration::from_millis(900));
    assert!(new.probes_of(3).is_empty(), "{:?}", new.probes);
    assert_eq!(new.probes_of(2).len(), 1);
    assert_eq!(new.state(2), State::Up);
}

#[test]
fn a_probe_that_was_under_way_is_made_again() {
    let mut old = World::new(2, CheckSettings::default());
    old.acts[0] = Act::Hang;
    old.run(secs(2));
    assert!(old.monitor.is_probing(old.checks[0]));
    let mut new = World::new(2, CheckSettings::default());
    new.now = old.now;
    let members = [0, 1].map(|index| (new.members[index], old.members[index]));
    let same = Correspondence { members: members.into(), pools: Vec::new() };
    new.monitor.inherit(&old.monitor, &same, old.now);
    assert!(!new.monitor.is_probing(new.checks[0]));
    new.run(Duration::from_millis(100));
    assert_eq!((new.probes_of(0).len(), new.probes_of(1).len(), new.state(0)), (1, 0, State::Up));
}

#[test]
fn another_url_is_another_check() {
    let mut old = World::new(1, CheckSettings::default());
    old.acts[0] = Act::Refuse;
    old.run(secs(60));
    let mut monitor = Monitor::new();
    let member = monitor.add_member();
    let check = monitor.add_check(member, "http://another/", CheckSettings::default());
    monitor.add_pool(&[(member, Some(check))], secs(60));
    let same = Correspondence { members: vec![(member, old.members[0])], pools: Vec::new() };
    monitor.inherit(&old.monitor, &same, old.now);
    assert_eq!(monitor.status(member, Some(check), old.now).delay, None);
    assert_eq!(monitor.history(check).count(), 0);
}
