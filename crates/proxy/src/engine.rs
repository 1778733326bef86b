//! The running proxy: listeners, their accept loops, and how it stops.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use waypost_config::model::Config;
use waypost_net::Tag;

use crate::{
    BindError, BoundListener, ConnectionLimit, Connections, HandshakeSettings, bind,
    dispatch::Shared,
    health::Health,
    reports::{GroupReport, group_reports},
    serve::{Ends, Inbound, serve},
    snapshot::Snapshot,
};

/// A running proxy. Dropping it leaves it running; see [`Proxy::stop`].
#[derive(Debug)]
pub struct Proxy {
    core: Arc<Core>,
    addresses: Vec<ListenAddress>,
    tasks: TaskTracker,
    stop_accepting: CancellationToken,
}

/// Where an inbound listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddress {
    /// The inbound.
    pub inbound: Option<Tag>,
    /// The address, with the port that the system chose for port 0.
    pub address: SocketAddr,
}

/// Why a proxy cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An inbound cannot listen.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// An inbound's accounts cannot be used. A checked configuration has no such inbound.
    #[error(transparent)]
    Accounts(#[from] waypost_wire::AccountsError),
    /// TLS for probes cannot be set up.
    #[error("TLS for probes cannot be set up")]
    Tls(#[from] rustls::Error),
}

/// What a running proxy is: all that its connections share.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) snapshot: ArcSwap<Snapshot>,
    pub(crate) health: Health,
    pub(crate) connections: Connections,
    pub(crate) limit: ConnectionLimit,
}

impl Proxy {
    /// Listens on every inbound and serves what comes in. Must be called in a tokio runtime.
    ///
    /// # Errors
    ///
    /// If one inbound cannot listen; none does then.
    pub fn start(config: &Config, snapshot: Snapshot) -> Result<Self, StartError> {
        let mut bound: Vec<(Arc<Inbound>, BoundListener)> = Vec::new();
        for inbound in &config.inbounds {
            let handshake = HandshakeSettings::try_new(inbound)?;
            let tag = inbound.tag.as_ref().map(|tag| tag.value.clone());
            let shared = Arc::new(Inbound { tag, handshake });
            bound.extend(bind(inbound)?.into_iter().map(|listener| (shared.clone(), listener)));
        }
        let (snapshot, connections) = (Arc::new(snapshot), Connections::default());
        let stop_accepting = CancellationToken::new();
        let health = Health::start(snapshot.clone(), connections.clone(), stop_accepting.clone())?;
        let proxy = Self {
            core: Arc::new(Core {
                snapshot: ArcSwap::from(snapshot),
                health,
                connections,
                limit: ConnectionLimit::from_system(),
            }),
            addresses: bound
                .iter()
                .map(|(inbound, listener)| ListenAddress {
                    inbound: inbound.tag.clone(),
                    address: listener.address(),
                })
                .collect(),
            tasks: TaskTracker::new(),
            stop_accepting,
        };
        for (inbound, listener) in bound {
            proxy.tasks.spawn(accept(
                proxy.core.clone(),
                inbound,
                listener,
                proxy.tasks.clone(),
                proxy.stop_accepting.clone(),
            ));
        }
        Ok(proxy)
    }

    /// Where the inbounds listen, in the order of the file.
    #[must_use]
    pub fn addresses(&self) -> &[ListenAddress] {
        &self.addresses
    }

    /// The live connections.
    #[must_use]
    pub fn connections(&self) -> &Connections {
        &self.core.connections
    }

    /// What the groups come to at this moment, in the order of the file.
    #[must_use]
    pub fn groups(&self) -> Vec<GroupReport> {
        group_reports(self.core.snapshot.load().pools(), &self.core.health)
    }

    /// Stops listening, lets connections finish for up to `grace`, then closes what is left.
    pub async fn stop(self, grace: Duration) {
        self.stop_accepting.cancel();
        self.tasks.close();
        if timeout(grace, self.tasks.wait()).await.is_err() {
            self.core.connections.close_all();
            // A closed relay ends at once; a handshake or dial under way is dropped with the runtime.
            let _left = timeout(Duration::from_secs(1), self.tasks.wait()).await;
        }
    }
}

async fn accept(
    core: Arc<Core>,
    inbound: Arc<Inbound>,
    listener: BoundListener,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    loop {
        let next = async {
            let permit = core.limit.acquire().await;
            (permit, listener.accept().await)
        };
        let (permit, (stream, source)) = tokio::select! {
            () = stop.cancelled() => return,
            next = next => next,
        };
        let (core, inbound) = (core.clone(), inbound.clone());
        tasks.spawn(async move {
            let snapshot = core.snapshot.load_full();
            let ends = Ends { source: Some(source), local: stream.local_addr().ok() };
            let shared = Shared { core: &core, snapshot: &snapshot };
            serve(&inbound, stream.into(), ends, shared).await;
            drop(permit);
        });
    }
}
