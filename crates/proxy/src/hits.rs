//! How often each rule has decided.

use std::sync::atomic::{AtomicU64, Ordering};

use waypost_router::Rule;

/// A count for each rule, and one for what no rule matched.
#[derive(Debug)]
pub(crate) struct Hits {
    rules: Box<[AtomicU64]>,
    unmatched: AtomicU64,
}

impl Hits {
    pub(crate) fn new(n_rules: usize) -> Self {
        Self { rules: (0..n_rules).map(|_| AtomicU64::new(0)).collect(), unmatched: AtomicU64::new(0) }
    }

    /// Counts a decision.
    pub(crate) fn count(&self, rule: Option<&Rule>) {
        let count = rule.map_or(Some(&self.unmatched), |rule| self.rules.get(rule.index()));
        if let Some(count) = count {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How often the rule of this position has decided.
    pub(crate) fn of(&self, rule: usize) -> u64 {
        self.rules.get(rule).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// How often no rule matched.
    pub(crate) fn unmatched(&self) -> u64 {
        self.unmatched.load(Ordering::Relaxed)
    }

    /// Goes on from what another count has for a rule.
    pub(crate) fn go_on_from(&self, rule: usize, count: u64) {
        if let Some(hits) = self.rules.get(rule) {
            hits.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Goes on from what another count has for what no rule matched.
    pub(crate) fn go_on_unmatched(&self, count: u64) {
        self.unmatched.fetch_add(count, Ordering::Relaxed);
    }
}
