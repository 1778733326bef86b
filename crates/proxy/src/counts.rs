//! What is counted of the whole proxy.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is counted of the whole proxy.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Dials that began beside one that was under way.
    pub(crate) hedges: Count,
    /// First flights that were sent once more.
    pub(crate) replays: Count,
    /// Configurations that were taken.
    pub(crate) reloads: Count,
    /// Configurations that were refused.
    pub(crate) failed_reloads: Count,
}
