use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rand::{SeedableRng, rngs::StdRng};
use waypost_health::{CheckId, CheckSettings, MemberId, Monitor, Outcome, PoolId, State};

/// What members do with probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Answer(u64),
    Refuse,
    /// Fails at the timeout.
    Hang,
}

pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);

/// A monitor, members that act by a script, and a clock.
pub(crate) struct World {
    pub(crate) monitor: Monitor,
    pub(crate) now: Instant,
    pub(crate) begin: Instant,
    pub(crate) members: Vec<MemberId>,
    pub(crate) checks: Vec<CheckId>,
    pub(crate) pool: PoolId,
    pub(crate) acts: Vec<Act>,
    rng: StdRng,
    under_way: BTreeMap<(Instant, CheckId), Option<Duration>>,
    /// When probes began, and of whom.
    pub(crate) probes: Vec<(Duration, usize)>,
}

impl World {
    pub(crate) fn new(n_members: usize, settings: CheckSettings) -> Self {
        #[expect(clippy::disallowed_methods, reason = "a test begins at any moment")]
        let begin = Instant::now();
        let mut monitor = Monitor::new();
        let members: Vec<MemberId> = (0..n_members).map(|_| monitor.add_member()).collect();
        let checks: Vec<CheckId> =
            members.iter().map(|&member| monitor.add_check(member, "http://probe/", settings)).collect();
        let all: Vec<_> = members.iter().copied().zip(checks.iter().copied().map(Some)).collect();
        let pool = monitor.add_pool(&all, Duration::from_secs(1800));
        let mut rng = StdRng::seed_from_u64(7);
        monitor.start(begin, &mut rng);
        Self {
            monitor,
            now: begin,
            begin,
            members,
            checks,
            pool,
            acts: vec![Act::Answer(40); n_members],
            rng,
            under_way: BTreeMap::new(),
            probes: Vec::new(),
        }
    }

    /// Lets time pass, with all probes that fall into it.
    pub(crate) fn run(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            for check in self.monitor.due(self.now) {
                let index = check.index();
                self.probes.push((self.now - self.begin, index));
                let (after, result) = match self.acts[index] {
                    Act::Answer(ms) => (Duration::from_millis(ms), Some(Duration::from_millis(ms))),
                    Act::Refuse => (Duration::from_millis(1), None),
                    Act::Hang => (TIMEOUT, None),
                };
                self.under_way.insert((self.now + after, check), result);
            }
            let ended = self.under_way.first_key_value().map(|(&(at, _), _)| at);
            let wake =
                self.monitor.next_wake(self.now).map(|wake| wake.max(self.now + Duration::from_micros(1)));
            let next = [ended, wake].into_iter().flatten().min().filter(|&next| next <= end);
            let Some(next) = next else {
                self.now = end;
                return;
            };
            self.now = next.max(self.now);
            while let Some((&key, &result)) =
                self.under_way.first_key_value().filter(|((at, _), _)| *at <= self.now)
            {
                self.under_way.remove(&key);
                self.monitor.probe_ended(key.1, result, self.now, &mut self.rng);
            }
        }
    }

    pub(crate) fn state(&self, index: usize) -> State {
        self.monitor.status(self.members[index], Some(self.checks[index]), self.now).state
    }

    pub(crate) fn outcome(&mut self, index: usize, outcome: Outcome) {
        self.monitor.outcome(self.members[index], outcome, self.now);
    }

    pub(crate) fn first_byte(&mut self, index: usize) {
        self.outcome(index, Outcome::FirstByte { took: Duration::from_millis(50) });
    }

    pub(crate) fn probes_of(&self, index: usize) -> Vec<Duration> {
        self.probes.iter().filter(|(_, probed)| *probed == index).map(|(at, _)| *at).collect()
    }
}

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
