//! Checks that are probed in bursts.

use std::time::Instant;

use rand::Rng;

use super::{CheckId, MemberId, Monitor, len_u32};
use crate::{
    check::Check,
    sampling::{Sampler, SamplingSettings},
};

impl Monitor {
    /// Probes `member` in bursts with what `url` stands for. Asking again yields the same check, whatever
    /// the settings.
    pub fn add_sampled_check(&mut self, member: MemberId, url: &str, settings: SamplingSettings) -> CheckId {
        if let Some(&id) = self.by_url.get(&(member, url.into())) {
            return id;
        }
        let check = Check::sampled(Sampler::new(settings), settings.interval);
        self.insert_check(member, url, check)
    }

    /// Takes in that a probe ended and says nothing of its member, because the fault is on this side.
    pub fn probe_discarded(&mut self, id: CheckId, now: Instant, rng: &mut impl Rng) {
        let Some((_, check)) = self.checks.get_mut(id.index()) else { return };
        self.n_in_flight = self.n_in_flight.saturating_sub(usize::from(check.in_flight));
        check.discarded(now, rng);
    }

    pub(super) fn insert_check(&mut self, member: MemberId, url: &str, check: Check) -> CheckId {
        let id = CheckId(len_u32(self.checks.len()));
        self.checks.push((member, check));
        self.by_url.insert((member, url.into()), id);
        self.urls.push(url.into());
        if let Some(member) = self.members.get_mut(member.index()) {
            member.checks.push(id);
        }
        id
    }
}
