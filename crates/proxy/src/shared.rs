//! What all connections of a running proxy share.

use std::{os::unix::net::UnixStream, sync::Arc};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use waypost_dns::ResolverFigures;

use crate::{
    ConnectionLimit, Connections, cache::Cache, counts::Counts, health::Health, installed::Installed,
    rejections::Rejections, snapshot::Snapshot, udp::Udp,
};

/// Connections to the remote control that nobody has begun to serve.
const MAX_API_STREAMS: usize = 16;

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
    /// What resolvers of earlier configurations have done.
    pub(crate) dns_before: ArcSwap<ResolverFigures>,
    /// Connections to the remote control that came by a rule.
    pub(crate) api_streams: ApiStreams,
    /// Cancelled when nothing new is to begin.
    pub(crate) stopping: CancellationToken,
}

/// Both ends of the way to the remote control.
#[derive(Debug)]
pub(crate) struct ApiStreams {
    pub(crate) sender: mpsc::Sender<UnixStream>,
    /// Until somebody serves them.
    pub(crate) receiver: Mutex<Option<mpsc::Receiver<UnixStream>>>,
}

impl Default for ApiStreams {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(MAX_API_STREAMS);
        Self { sender, receiver: Mutex::new(Some(receiver)) }
    }
}

impl Core {
    /// Has what a snapshot dials reach what belongs to this proxy.
    pub(crate) fn attach(self: &Arc<Self>, snapshot: &Snapshot) {
        snapshot.queries().attach(self);
        for outbound in snapshot.outbounds() {
            outbound.dialer.attach(self);
        }
    }

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
