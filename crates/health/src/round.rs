use std::time::Instant;

use crate::{CheckId, Monitor, PoolId};

/// Probes of a whole pool, and who waits for them: connections that found nobody standing.
///
/// A round is over when a member works, or when none does. A probe that was under way before the
/// question counts only if it succeeds, and whoever comes later waits for a round of his own: an answer
/// from before somebody came says nothing about now.
#[derive(Debug)]
pub struct Round<W> {
    /// Checks of which a probe that began after the question has not ended.
    left: Vec<CheckId>,
    /// Those of them whose probe under way began before it.
    stale: Vec<CheckId>,
    waiting: Vec<W>,
    late: Vec<W>,
}

/// What an ended probe means for a [`Round`].
#[derive(Debug)]
pub enum RoundStep<W> {
    /// The round goes on.
    Open(Round<W>),
    /// The round is over.
    Over {
        /// Who is to be told.
        told: Vec<W>,
        /// Who came later; if somebody did, another round is due.
        late: Vec<W>,
    },
}

impl<W> Round<W> {
    /// Has every member of a pool probed for those in `waiting`.
    ///
    /// # Errors
    ///
    /// If nobody in the pool is probed: gives `waiting` back.
    pub fn begin(monitor: &mut Monitor, pool: PoolId, waiting: Vec<W>, now: Instant) -> Result<Self, Vec<W>> {
        let left: Vec<CheckId> = monitor.checks_of(pool).collect();
        if left.is_empty() {
            return Err(waiting);
        }
        let stale = left.iter().copied().filter(|&check| monitor.is_probing(check)).collect();
        monitor.ask_pool(pool, now);
        Ok(Self { left, stale, waiting, late: Vec::new() })
    }

    /// Lets somebody wait for the round after this one, or for a member that works meanwhile.
    pub fn join(&mut self, who: W) {
        self.late.push(who);
    }

    /// Takes in how a probe ended, of whatever pool.
    #[must_use]
    pub fn probe_ended(mut self, check: CheckId, succeeded: bool) -> RoundStep<W> {
        if succeeded && self.left.contains(&check) {
            self.waiting.append(&mut self.late);
            return RoundStep::Over { told: self.waiting, late: Vec::new() };
        }
        if self.stale.contains(&check) {
            self.stale.retain(|stale| *stale != check);
        } else {
            self.left.retain(|left| *left != check);
        }
        if self.left.is_empty() {
            RoundStep::Over { told: self.waiting, late: self.late }
        } else {
            RoundStep::Open(self)
        }
    }
}
