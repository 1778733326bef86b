//! Checks that are probed in bursts.

use std::{
    num::NonZeroU16,
    time::{Duration, Instant},
};

use rand::{SeedableRng, rngs::StdRng};
use waypost_health::{CheckId, MemberId, Monitor, Outcome, SamplingSettings, State, Status};

use crate::world::secs;

const FOREVER: Duration = Duration::from_secs(1 << 30);

/// Members that are sampled ten times in 100 seconds, each of which answers after a time of its own.
struct Sampled {
    monitor: Monitor,
    members: Vec<(MemberId, CheckId)>,
    answers: Vec<Option<u64>>,
    /// Whether failures are the fault of this side.
    cut_off: bool,
    now: Instant,
    rng: StdRng,
    n_probes: usize,
}

impl Sampled {
    fn new(answers: &[Option<u64>]) -> Self {
        let settings = SamplingSettings { interval: secs(10), samples: NonZeroU16::new(10).unwrap() };
        let (mut monitor, mut rng) = (Monitor::new(), StdRng::seed_from_u64(3));
        let mut add = || {
            let member = monitor.add_member();
            (member, monitor.add_sampled_check(member, "burst", settings))
        };
        let members: Vec<_> = answers.iter().map(|_| add()).collect();
        let pool: Vec<_> = members.iter().map(|&(member, check)| (member, Some(check))).collect();
        monitor.add_pool(&pool, FOREVER);
        #[expect(clippy::disallowed_methods, reason = "a test begins at any moment")]
        let now = Instant::now();
        monitor.start(now, &mut rng);
        Self { monitor, members, answers: answers.to_vec(), cut_off: false, now, rng, n_probes: 0 }
    }

    /// Lets time pass; probes take none of it.
    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(wake) = self.monitor.next_wake(self.now).filter(|&wake| wake <= end) {
            self.now = self.now.max(wake);
            for check in self.monitor.due(self.now) {
                self.n_probes += 1;
                match self.answers[check.index()] {
                    None if self.cut_off => self.monitor.probe_discarded(check, self.now, &mut self.rng),
                    answer => {
                        let delay = answer.map(Duration::from_millis);
                        self.monitor.probe_ended(check, delay, self.now, &mut self.rng);
                    }
                }
            }
        }
        self.now = end;
    }

    fn status(&self, index: usize) -> Status {
        let (member, check) = self.members[index];
        self.monitor.status(member, Some(check), self.now)
    }

    fn counts(&self, index: usize) -> (u32, u32) {
        self.status(index).samples.map_or((0, 0), |stats| (stats.all, stats.fail))
    }
}

#[test]
fn the_first_sample_comes_at_once_and_then_so_many_in_each_period() {
    let mut world = Sampled::new(&[Some(40)]);
    world.run(secs(1));
    assert_eq!((world.status(0).state, world.counts(0)), (State::Up, (1, 0)));
    let delay = world.status(0).delay.unwrap();
    assert_eq!((delay.mean(), delay.deviation()), (Duration::from_millis(40), Duration::from_millis(20)));
    world.n_probes = 0;
    world.run(secs(10_000));
    assert!((990..=1010).contains(&world.n_probes), "{}", world.n_probes);
    assert_eq!(world.counts(0), (10, 0));
}

#[test]
fn a_member_is_down_when_every_sample_that_counts_failed() {
    let mut world = Sampled::new(&[Some(40), Some(50)]);
    world.run(secs(200));
    world.answers[0] = None;
    while world.counts(0).1 < 9 {
        world.run(secs(1));
        assert_eq!(world.status(0).state, State::Up, "{:?}", world.counts(0));
    }
    world.run(secs(100));
    assert_eq!((world.status(0).state, world.counts(0)), (State::Down, (10, 10)));
    world.answers[0] = Some(70);
    world.run(secs(100));
    let status = world.status(0);
    assert_eq!(
        (status.state, status.delay.map(|delay| delay.mean())),
        (State::Up, Some(Duration::from_millis(70)))
    );
}

#[test]
fn what_fails_with_the_network_says_nothing() {
    let mut world = Sampled::new(&[Some(40), Some(50)]);
    world.run(secs(200));
    (world.answers, world.cut_off) = (vec![None, None], true);
    world.run(secs(150));
    assert_eq!((world.status(0).state, world.counts(0).1), (State::Up, 0));
    world.run(secs(100));
    assert_eq!((world.status(0).state, world.counts(0)), (State::Unknown, (0, 0)), "too long ago");
    (world.answers, world.cut_off) = (vec![Some(40), Some(50)], false);
    world.run(secs(100));
    assert_eq!(world.status(0).state, State::Up);
}

#[test]
fn a_connection_that_works_outweighs_samples_that_failed() {
    let mut world = Sampled::new(&[None, Some(50)]);
    world.run(secs(100));
    assert_eq!(world.status(0).state, State::Down);
    let (member, _) = world.members[0];
    world.monitor.outcome(member, Outcome::FirstByte { took: Duration::from_millis(9) }, world.now);
    assert!(world.status(0).state.is_usable(), "{:?}", world.status(0));
}
