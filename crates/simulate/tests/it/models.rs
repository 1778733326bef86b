use std::{
    num::{NonZeroU8, NonZeroU16, NonZeroU32},
    time::{Duration, Instant},
};

use rand::{RngExt as _, rngs::StdRng};
use waypost_balance::{
    EmptyPoolAction, GroupId, GroupSpec, Groups, HashSpec, Hysteresis, KeyPart, KeySpec, MemberSpec,
    MemberTarget, SelectorSpec, Strategy, TopN,
};
use waypost_health::{CheckSettings, Monitor};
use waypost_net::{Networks, Tag};
use waypost_simulate::{Model, Pace};

pub(crate) const TAGS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// What a group is made of, but for its members.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) n_primary: usize,
    pub(crate) n_backup: usize,
    pub(crate) strategy: Strategy,
    pub(crate) top_n: usize,
    pub(crate) hysteresis: Hysteresis,
    pub(crate) empty_pool: EmptyPoolAction,
    pub(crate) check: CheckSettings,
    pub(crate) pace: Pace,
}

impl Shape {
    pub(crate) fn new(n_primary: usize, n_backup: usize, strategy: Strategy) -> Self {
        Self {
            n_primary,
            n_backup,
            strategy,
            top_n: 0,
            hysteresis: Hysteresis::default(),
            empty_pool: EmptyPoolAction::Error,
            check: CheckSettings::default(),
            pace: Pace::default(),
        }
    }

    pub(crate) fn random(rng: &mut StdRng) -> Self {
        let n_members = rng.random_range(2..=6);
        let n_primary = rng.random_range(1..=n_members);
        let strategy = Strategy::ALL[rng.random_range(0..Strategy::ALL.len())];
        let failures = NonZeroU32::new(rng.random_range(1..=4)).unwrap();
        let hold = Duration::from_millis(rng.random_range(0..40_000));
        let interval = Duration::from_millis(rng.random_range(2_000..180_000));
        let run = |rng: &mut StdRng| NonZeroU8::new(rng.random_range(1..=3)).unwrap();
        Self {
            top_n: rng.random_range(0..=n_primary),
            hysteresis: Hysteresis { primary_failures: failures, backup_hold_time: hold },
            empty_pool: if rng.random() { EmptyPoolAction::Error } else { EmptyPoolAction::FallbackAll },
            check: CheckSettings { interval, rise: run(rng), fall: run(rng) },
            pace: Pace { max_in_flight: NonZeroU8::new(rng.random_range(2..=4)).unwrap(), ..Pace::default() },
            ..Self::new(n_primary, n_members - n_primary, strategy)
        }
    }

    pub(crate) fn n_members(&self) -> usize {
        self.n_primary + self.n_backup
    }

    pub(crate) fn model(&self) -> Model {
        let mut monitor = Monitor::new();
        let mut leaves = Vec::new();
        let specs: Vec<MemberSpec> = TAGS[..self.n_members()]
            .iter()
            .map(|&tag| {
                let member = monitor.add_member();
                let check = monitor.add_check(member, "probe", self.check);
                leaves.push((member, Some(check)));
                MemberSpec {
                    tag: Tag::from(tag),
                    target: MemberTarget::Leaf { member, check: Some(check) },
                    identity: tag.as_bytes().into(),
                    weight: NonZeroU16::MIN,
                    networks: Networks::ALL,
                }
            })
            .collect();
        let pool = monitor.add_pool(&leaves, Duration::from_secs(1800));
        let members = leaves.iter().zip(TAGS).map(|((member, _), tag)| (*member, Tag::from(tag))).collect();
        let spec = GroupSpec {
            backup: specs[self.n_primary..].to_vec(),
            top_n: TopN { primary: self.top_n, ..TopN::default() },
            hash: HashSpec { key: KeySpec::new([KeyPart::SrcIp], ""), ..HashSpec::default() },
            // One that stands by its choice alone promises less.
            selector: SelectorSpec { others_follow: true, ..SelectorSpec::default() },
            hysteresis: self.hysteresis,
            empty_pool: self.empty_pool,
            ..GroupSpec::new(Tag::from("lb"), specs[..self.n_primary].to_vec(), self.strategy)
        };
        let groups = Groups::try_new(vec![spec]).unwrap();
        let probe_timeouts = vec![Duration::from_secs(5); self.n_members()];
        Model { groups, group: GroupId::new(0), monitor, members, pool, probe_timeouts, pace: self.pace }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test begins at any moment")]
pub(crate) fn start() -> Instant {
    Instant::now()
}
