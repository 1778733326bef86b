//! What all connections of a running proxy share.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;

use crate::{
    ConnectionLimit, Connections, cache::Cache, counts::Counts, health::Health, installed::Installed,
    rejections::Rejections, snapshot::Snapshot, udp::Udp,
};

/// What a running proxy is, but for its listeners.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) snapshot: ArcSwap<Snapshot>,
    /// The configuration that the snapshot was made from.
    pub(crate) installed: ArcSwap<Installed>,
    pub(crate) connections: Connections,
    pub(crate) limit: ConnectionLimit,
    pub(crate) udp: Udp,
    /// What is kept for the next start.
    pub(crate) cache: ArcSwap<Cache>,
    pub(crate) rejections: Rejections,
    pub(crate) counts: Counts,
    /// Cancelled when nothing new is to begin.
    pub(crate) stopping: CancellationToken,
}

impl Core {
    /// What is kept for the next start.
    pub(crate) fn cache(&self) -> Cache {
        Cache::clone(&self.cache.load())
    }
}

/// What one connection sees of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shared<'a> {
    pub(crate) core: &'a Arc<Core>,
    /// What this connection is decided with, to its end.
    pub(crate) snapshot: &'a Arc<Snapshot>,
}

impl<'a> Shared<'a> {
    pub(crate) fn health(self) -> &'a Health {
        self.snapshot.health()
    }
}
