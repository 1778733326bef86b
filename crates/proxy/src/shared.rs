//! What all connections of a running proxy share.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;

use crate::{
    ConnectionLimit, Connections, cache::Cache, health::Health, rejections::Rejections, rule_sets::Reports,
    snapshot::Snapshot, udp::Udp,
};

/// What a running proxy is, but for its listeners.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) snapshot: ArcSwap<Snapshot>,
    pub(crate) health: Health,
    pub(crate) connections: Connections,
    pub(crate) limit: ConnectionLimit,
    pub(crate) udp: Udp,
    /// What is kept for the next start.
    pub(crate) cache: Cache,
    pub(crate) rejections: Rejections,
    /// What is known of the rule sets.
    pub(crate) rule_sets: Reports,
    /// Cancelled when nothing new is to begin.
    pub(crate) stopping: CancellationToken,
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
        &self.core.health
    }
}
