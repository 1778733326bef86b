//! Going on with what another monitor knows, after a reload.

use std::time::Instant;

use super::{CheckId, MemberId, Monitor, PoolId};

/// Who is who in two monitors: the number in the new one, and that in the old one.
#[derive(Debug, Clone, Default)]
pub struct Correspondence {
    /// Members.
    pub members: Vec<(MemberId, MemberId)>,
    /// Pools.
    pub pools: Vec<(PoolId, PoolId)>,
}

impl Monitor {
    /// Goes on with what `old` knows of members and pools that are the same: verdicts, delays, history,
    /// rests, and when the next probes are due. A probe that was under way is made again. Called after
    /// [`start`](Self::start), which plans the probes of whoever is new.
    pub fn inherit(&mut self, old: &Self, same: &Correspondence, now: Instant) {
        for &(new_id, old_id) in &same.members {
            let (Some(member), Some(known)) =
                (self.members.get_mut(new_id.index()), old.members.get(old_id.index()))
            else {
                continue;
            };
            member.passive = known.passive.clone();
            (member.last_success, member.failing_since) = (known.last_success, known.failing_since);
            let checks =
                member.checks.iter().filter_map(|check| Some((*check, self.urls.get(check.index())?)));
            let pairs: Vec<(CheckId, CheckId)> = checks
                .filter_map(|(check, url)| Some((check, *old.by_url.get(&(old_id, url.clone()))?)))
                .collect();
            for (new_check, old_check) in pairs {
                if let (Some((_, check)), Some((_, known))) =
                    (self.checks.get_mut(new_check.index()), old.checks.get(old_check.index()))
                {
                    check.inherit(known, now);
                }
            }
        }
        for &(new_id, old_id) in &same.pools {
            if let (Some(pool), Some(known)) =
                (self.pools.get_mut(new_id.index()), old.pools.get(old_id.index()))
            {
                pool.last_used = known.last_used;
            }
        }
        self.uplink_suspected = old.uplink_suspected;
    }
}
