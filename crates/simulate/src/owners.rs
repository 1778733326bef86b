//! Whose key is whose, and why it moved.

use std::time::Duration;

use rand::{SeedableRng as _, rngs::StdRng};
use waypost_balance::{MemberTarget, Strategy, Tier};
use waypost_health::{CheckId, MemberId};
use waypost_net::Flow;

use crate::{Arrivals, Remaps, engine::Engine, traffic};

/// More keys tell no more.
const MAX_KEYS: u32 = 1_000;

/// Compares the first choice of every key from one second to the next.
#[derive(Debug)]
pub(crate) struct Owners {
    flows: Vec<Flow>,
    owners: Vec<Option<MemberId>>,
    leaves: Vec<(MemberId, Option<CheckId>)>,
    usable: Vec<MemberId>,
    tier: Tier,
    rng: StdRng,
    pub(crate) remaps: Remaps,
}

impl Owners {
    /// `None` if the group has no keys, or if a member of it is a group that may choose otherwise.
    pub(crate) fn new(engine: &Engine, arrivals: &Arrivals) -> Option<Self> {
        let group = engine.group()?;
        let is_leaf = |target: MemberTarget| matches!(target, MemberTarget::Leaf { .. });
        let has_parts = !group.spec().hash.key.parts().is_empty();
        let hashes = group.spec().strategy == Strategy::ConsistentHash && has_parts;
        if !hashes || !group.members().all(|member| is_leaf(member.target)) {
            return None;
        }
        let n_keys = arrivals.clients.max(arrivals.targets).min(MAX_KEYS);
        let flows = (0..n_keys).map(|key| traffic::flow(key % arrivals.clients, key % arrivals.targets));
        Some(Self {
            flows: flows.collect(),
            owners: Vec::new(),
            leaves: engine.leaves(),
            usable: Vec::new(),
            tier: Tier::Primary,
            rng: StdRng::seed_from_u64(0),
            remaps: Remaps { keys: n_keys, ..Remaps::default() },
        })
    }

    /// Takes in whose each key is now.
    pub(crate) fn look(&mut self, engine: &Engine, now: Duration) {
        let Self { flows, rng, leaves, .. } = self;
        let owners: Vec<Option<MemberId>> = flows.iter().map(|flow| engine.owner(flow, rng)).collect();
        let usable = leaves.iter().filter(|(member, check)| engine.state(*member, *check, now).is_usable());
        let usable: Vec<MemberId> = usable.map(|(member, _)| *member).collect();
        let tier = engine.standing().map_or(self.tier, waypost_balance::Standing::tier);
        for (old, new) in self.owners.iter().zip(&owners).filter(|(old, new)| old != new) {
            let is_among = |member: &Option<MemberId>, usable: &[MemberId]| {
                member.is_some_and(|member| usable.contains(&member))
            };
            if !is_among(old, &usable) {
                self.remaps.left += 1;
            } else if !is_among(new, &self.usable) {
                self.remaps.returned += 1;
            } else if tier != self.tier {
                self.remaps.tier += 1;
            } else {
                self.remaps.other += 1;
            }
        }
        (self.owners, self.usable, self.tier) = (owners, usable, tier);
    }
}
