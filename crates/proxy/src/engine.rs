//! The running proxy: how it starts, and how it stops.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::{runtime::Handle, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::info;
use waypost_balance::SelectError;
use waypost_config::model::Config;
use waypost_net::Tag;

use crate::{
    BindError, BoundAddress, ConnectionLimit, Connections, Inherited, Workers,
    acceptor::Acceptor,
    build::{Fingerprint, Ready},
    cache::Cache,
    companion::Companion,
    control::Control,
    counts::Counts,
    entrances::{Begun, Entrances},
    health::{Health, Surroundings},
    inbound::Admission,
    installed::{Held, Installed},
    mode::UnknownMode,
    rejections::Rejections,
    reports::GroupReport,
    rule_sets::{self, CriticalSetError, RuleSetReport},
    shared::{ApiStreams, Core},
    snapshot::Snapshot,
    udp::{DroppedDatagrams, Udp},
};

/// A running proxy. Dropping it leaves it running; see [`Proxy::stop`].
#[derive(Debug)]
pub struct Proxy {
    running: Arc<Running>,
    /// Where the inbounds listened at the start.
    addresses: Vec<ListenAddress>,
}

/// What a running proxy is, for whoever holds it and whoever controls it.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) core: Arc<Core>,
    pub(crate) workers: Arc<Workers>,
    /// Where the process was started: what serves the whole proxy runs there.
    pub(crate) runtime: Handle,
    pub(crate) tasks: TaskTracker,
    /// Where clients come in. Whoever changes the configuration holds it from begin to end.
    pub(crate) entrances: tokio::sync::Mutex<Entrances>,
    pub(crate) addresses: Mutex<Vec<ListenAddress>>,
    /// Held from the moment that a configuration is read until it is in force.
    pub(crate) reloading: tokio::sync::Mutex<()>,
    /// What else follows the configuration.
    pub(crate) companions: Mutex<Vec<Arc<dyn Companion>>>,
}

/// Where an inbound listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddress {
    /// The inbound.
    pub inbound: Option<Tag>,
    /// The address or path.
    pub address: BoundAddress,
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
    /// A key of an inbound cannot be used. A checked configuration has no such inbound.
    #[error(transparent)]
    Key(#[from] crate::shadowsocks::KeyError),
    /// TLS for probes cannot be set up.
    #[error("TLS for probes cannot be set up")]
    Tls(#[from] rustls::Error),
    /// A rule set is missing without which nothing is to start.
    #[error(transparent)]
    RuleSet(#[from] CriticalSetError),
}

impl Proxy {
    /// Listens on every inbound and serves what comes in, in the current runtime. Must be called in
    /// one. Rule sets stay as they were when the configuration was read; see [`launch`](Self::launch).
    ///
    /// # Errors
    ///
    /// If one inbound cannot listen; none does then.
    pub fn start(config: &Config, snapshot: Snapshot) -> Result<Self, StartError> {
        Self::start_on(Workers::current(), config, snapshot)
    }

    /// Listens on every inbound and serves what comes in, on these workers. Must be called in a
    /// runtime. Rule sets stay as they were when the configuration was read.
    ///
    /// # Errors
    ///
    /// If one inbound cannot listen; none does then.
    pub fn start_on(workers: Workers, config: &Config, snapshot: Snapshot) -> Result<Self, StartError> {
        let (running, held) = Running::new(workers, (config, None), snapshot)?;
        Self::listen(running, &held, Inherited::default())
    }

    /// Like [`start_on`](Self::start_on), but rule sets in files are read again when they change, and
    /// those that are remote are fetched. Nothing listens before those are there that are critical.
    ///
    /// # Errors
    ///
    /// If one inbound cannot listen, or a critical rule set is missing and cannot be fetched; nothing
    /// listens then.
    pub async fn launch(workers: Workers, ready: Ready) -> Result<Self, StartError> {
        Self::launch_with(workers, ready, Inherited::default()).await
    }

    /// As [`launch`](Self::launch), with listening sockets that somebody else opened.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn launch_with(
        workers: Workers,
        ready: Ready,
        inherited: Inherited,
    ) -> Result<Self, StartError> {
        let Ready { config, snapshot, fingerprint } = ready;
        let (running, held) = Running::new(workers, (&config, fingerprint), snapshot)?;
        let started = match rule_sets::start(&held, None) {
            Ok(critical) => critical.wait().await.map_err(StartError::from),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = started {
            running.core.stopping.cancel();
            return Err(error);
        }
        Self::listen(running, &held, inherited)
    }

    fn listen(running: Running, held: &Held, mut inherited: Inherited) -> Result<Self, StartError> {
        let snapshot = running.core.snapshot.load_full();
        let mut entrances = Entrances::default();
        let planned =
            entrances.plan(&held.installed.config, &snapshot, None, (&running.workers, &mut inherited));
        let plan = planned.inspect_err(|_| running.core.stopping.cancel())?;
        let addresses = plan.addresses.clone();
        let begun = entrances.put(plan, &running.core.stopping);
        running.begin(begun);
        *running.addresses.lock() = addresses.clone();
        let running = Running { entrances: tokio::sync::Mutex::new(entrances), ..running };
        Ok(Self { running: Arc::new(running), addresses })
    }

    /// A handle for whoever controls it.
    #[must_use]
    pub fn control(&self) -> Control {
        Control(self.running.clone())
    }

    /// Where the inbounds listened at the start, in the order of the file.
    #[must_use]
    pub fn addresses(&self) -> &[ListenAddress] {
        &self.addresses
    }

    /// What connections are decided with at this moment.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.running.core.snapshot.load_full()
    }

    /// How many connections each worker has.
    #[must_use]
    pub fn worker_loads(&self) -> Vec<usize> {
        self.running.workers.loads()
    }

    /// The live connections.
    #[must_use]
    pub fn connections(&self) -> &Connections {
        &self.running.core.connections
    }

    /// How many datagrams of clients were dropped, and why.
    #[must_use]
    pub fn dropped_datagrams(&self) -> DroppedDatagrams {
        self.running.core.udp.drops.totals()
    }

    /// What the groups come to at this moment, in the order of the file.
    #[must_use]
    pub fn groups(&self) -> Vec<GroupReport> {
        self.control().groups()
    }

    /// What is known of the rule sets at this moment, in the order of the file.
    #[must_use]
    pub fn rule_sets(&self) -> Vec<RuleSetReport> {
        self.control().rule_sets()
    }

    /// What is kept for the next start.
    #[must_use]
    pub fn cache(&self) -> Cache {
        self.running.core.cache()
    }

    /// As [`Control::select`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn select(&self, group: &str, member: &str) -> Result<(), SelectError> {
        self.control().select(group, member).await
    }

    /// As [`Control::mode`].
    #[must_use]
    pub fn mode(&self) -> Option<(Arc<str>, Vec<Arc<str>>)> {
        self.control().mode()
    }

    /// As [`Control::set_mode`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn set_mode(&self, mode: &str) -> Result<(), UnknownMode> {
        self.control().set_mode(mode).await
    }

    /// Stops listening, lets connections finish for up to `grace`, then closes what is left.
    pub async fn stop(self, grace: Duration) {
        let Running { core, tasks, .. } = &*self.running;
        core.stopping.cancel();
        tasks.close();
        if timeout(grace, tasks.wait()).await.is_err() {
            core.connections.close_all();
            // A closed relay ends at once; a handshake or dial under way is dropped with the runtime.
            let _left = timeout(Duration::from_secs(1), tasks.wait()).await;
        }
    }
}

impl Running {
    /// Makes everything but what accepts.
    fn new(
        workers: Workers,
        (config, fingerprint): (&Config, Option<Fingerprint>),
        snapshot: Snapshot,
    ) -> Result<(Self, Held), StartError> {
        let (snapshot, connections) = (Arc::new(snapshot), Connections::new(config.stats));
        let stopping = CancellationToken::new();
        let cache = Cache::open(config.experimental.cache_file.as_ref());
        if let (Some(modes), Some(kept)) = (snapshot.modes(), cache.mode())
            && let Err(error) = modes.set(&kept)
        {
            info!(%error, "the mode that was kept does not exist any more");
        }
        let stop = stopping.clone();
        let surroundings = Surroundings { connections: connections.clone(), cache: &cache, stop };
        Health::prepare(&snapshot, surroundings, None)?.begin();
        let config = Arc::new(config.clone());
        let stop = stopping.child_token();
        let installed = Arc::new(Installed::pending(config, snapshot.clone(), (1, fingerprint), stop));
        let core = Arc::new(Core {
            snapshot: ArcSwap::from(snapshot.clone()),
            installed: ArcSwap::from(installed.clone()),
            connections,
            limit: ConnectionLimit::from_system(),
            udp: Udp::default(),
            cache: ArcSwap::from_pointee(cache),
            rejections: Rejections::default(),
            counts: Counts::default(),
            dns_before: ArcSwap::default(),
            api_streams: ApiStreams::default(),
            stopping,
        });
        installed.take_over(&core);
        core.attach(&snapshot);
        let held = Held { core: core.clone(), installed };
        let running = Self {
            core,
            workers: Arc::new(workers),
            runtime: Handle::current(),
            tasks: TaskTracker::new(),
            entrances: tokio::sync::Mutex::default(),
            addresses: Mutex::default(),
            reloading: tokio::sync::Mutex::default(),
            companions: Mutex::default(),
        };
        Ok((running, held))
    }

    /// Accepts at places that are new.
    pub(crate) fn begin(&self, begun: Begun) {
        for (index, listener, inbound, stop) in begun.streams {
            let Some(runtime) = self.workers.runtime(index) else { continue };
            let acceptor = Acceptor {
                core: self.core.clone(),
                admission: Arc::new(Admission { inbound, stop }),
                listener,
                workers: self.workers.clone(),
                index,
                tasks: self.tasks.clone(),
            };
            self.tasks.spawn_on(acceptor.run(), runtime);
        }
        for (hub, stop) in begun.hubs {
            self.tasks.spawn_on(hub.run(self.core.clone(), stop), &self.runtime);
        }
        for (door, stop) in begun.doors {
            self.tasks.spawn_on(door.run(self.core.clone(), stop), &self.runtime);
        }
    }
}
