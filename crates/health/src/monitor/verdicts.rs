//! Verdicts: who is down, who rests, and whether it is this side that fails.

use std::time::Instant;

use super::{CheckId, Event, Member, MemberId, Monitor, PoolId};
use crate::{State, check::Verdict};

/// What speaks for the member itself being at fault, and not this side.
enum Witness {
    /// Somebody has worked since it began to fail, or there is nobody to ask.
    Found,
    /// Everybody fails.
    NoneWorks,
    /// These have neither worked nor failed since.
    Ask(Vec<CheckId>),
}

impl Monitor {
    /// Whether somebody else stands in one of the member's pools.
    pub(super) fn has_standing_fellow(&self, id: MemberId, now: Instant) -> bool {
        let pools = self.pools.iter().filter(|pool| pool.members.iter().any(|(member, _)| *member == id));
        let mut fellows = pools.flat_map(|pool| &pool.members).filter(|(member, _)| *member != id);
        fellows.any(|(member, check)| self.status(*member, *check, now).state.stands())
    }

    /// A member works. If nobody did for a while, whoever failed meanwhile is looked at afresh.
    pub(super) fn succeeded(&mut self, id: MemberId, now: Instant) {
        if let Some(member) = self.members.get_mut(id.index()) {
            member.last_success = Some(now);
            member.failing_since = None;
        }
        if !std::mem::take(&mut self.uplink_suspected) {
            return;
        }
        self.events.push(Event::UplinkReturned);
        for index in 0..self.members.len() {
            let Some(member) = self.members.get_mut(index).filter(|member| member.failing_since.is_some())
            else {
                continue;
            };
            member.failing_since = Some(now);
            for (_, check) in self.checks.iter_mut().filter(|(owner, _)| owner.index() == index) {
                check.forgive();
                check.ask(now);
            }
        }
    }

    /// Ejects a member unless that would leave a pool with nobody, or with less than half.
    pub(super) fn eject(&mut self, id: MemberId, now: Instant) {
        let mut pools = self.pools.iter().filter(|pool| pool.members.iter().any(|(member, _)| *member == id));
        let allowed = pools.all(|pool| {
            let others = pool.members.iter().filter(|(member, _)| *member != id);
            let (mut n_standing, mut n_ejected) = (0, 0);
            for (member, check) in others {
                let state = self.status(*member, *check, now).state;
                n_standing += usize::from(state.is_usable());
                n_ejected += usize::from(matches!(state, State::Ejected { .. }));
            }
            n_standing > 0 && 2 * (n_ejected + 1) <= pool.members.len()
        });
        if !allowed || matches!(self.witness(id), Witness::NoneWorks) {
            return;
        }
        if let Some(member) = self.members.get_mut(id.index()) {
            let was_ejected = member.passive.ejection(now).is_some();
            member.passive.eject(now);
            if !was_ejected {
                self.events.push(Event::Ejected(id));
            }
        }
    }

    /// Takes down every member whose probes failed often enough, if there is a witness that the fault
    /// is its own.
    pub(super) fn judge(&mut self, now: Instant) {
        for index in 0..self.checks.len() {
            let Some(&(id, ref check)) = self.checks.get(index) else { continue };
            if !check.wants_down() {
                continue;
            }
            match self.witness(id) {
                Witness::Found => {
                    if let Some((_, check)) = self.checks.get_mut(index) {
                        check.take_down();
                        self.events.push(Event::WentDown(id));
                        self.ask_pools_without_anybody(id, now);
                    }
                }
                Witness::NoneWorks => {
                    if !std::mem::replace(&mut self.uplink_suspected, true) {
                        self.events.push(Event::UplinkSuspected);
                    }
                }
                Witness::Ask(checks) => {
                    for check in checks {
                        if let Some((_, check)) = self.checks.get_mut(check.index()) {
                            check.ask(now);
                        }
                    }
                }
            }
        }
    }

    /// When nobody stands any more, whoever rests is needed.
    fn ask_pools_without_anybody(&mut self, id: MemberId, now: Instant) {
        for index in 0..self.pools.len() {
            let Some(pool) = self.pools.get(index) else { continue };
            let stands = |(member, check): &(MemberId, Option<CheckId>)| {
                self.status(*member, *check, now).state.stands()
            };
            if pool.members.iter().any(|(member, _)| *member == id) && !pool.members.iter().any(stands) {
                self.ask_pool(PoolId::at(index), now);
            }
        }
    }

    fn witness(&self, id: MemberId) -> Witness {
        let since = self.members.get(id.index()).and_then(|member| member.failing_since);
        let others = || {
            let others = self.members.iter().enumerate().filter(|(index, _)| *index != id.index());
            others.map(|(_, other)| other)
        };
        let works = |other: &Member| other.failing_since.is_none() && other.last_success >= since;
        if others().any(works) {
            return Witness::Found;
        }
        let mut standing =
            others().filter(|other| other.checks.iter().any(|&check| self.is_standing(check))).peekable();
        if standing.peek().is_none() {
            return Witness::Found;
        }
        let silent: Vec<CheckId> = standing
            .filter(|other| other.failing_since.is_none())
            .flat_map(|other| other.checks.clone())
            .collect();
        if silent.is_empty() { Witness::NoneWorks } else { Witness::Ask(silent) }
    }

    fn is_standing(&self, check: CheckId) -> bool {
        self.checks.get(check.index()).is_some_and(|(_, check)| check.verdict != Verdict::Down)
    }
}
