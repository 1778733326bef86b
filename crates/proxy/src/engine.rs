//! The running proxy: listeners, their accept loops, and how it stops.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, info};
use waypost_balance::SelectError;
use waypost_config::model::Config;
use waypost_net::Tag;

use crate::{
    BindError, BoundAddress, BoundListener, ConnectionLimit, Connections, Ends, Listener, Stream, Workers,
    bind,
    cache::Cache,
    health::Health,
    inbound::Inbound,
    mode::UnknownMode,
    rejections::Rejections,
    reports::{GroupReport, group_reports},
    rule_sets::{self, CriticalSetError, Reports, RuleSetReport},
    serve::{Lasting, serve},
    setup,
    shared::{Core, Shared},
    snapshot::Snapshot,
    udp::{DroppedDatagrams, Udp, UdpListeners},
};

/// A running proxy. Dropping it leaves it running; see [`Proxy::stop`].
#[derive(Debug)]
pub struct Proxy {
    core: Arc<Core>,
    addresses: Vec<ListenAddress>,
    workers: Arc<Workers>,
    tasks: TaskTracker,
    stop_accepting: CancellationToken,
}

/// The sockets of all inbounds, of which none accepts yet.
struct Bound {
    listeners: Vec<(Arc<Inbound>, Vec<BoundListener>)>,
    udp: UdpListeners,
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
        let (proxy, bound) = Self::prepare(workers, config, snapshot)?;
        proxy.listen(bound)?;
        Ok(proxy)
    }

    /// Like [`start_on`](Self::start_on), but rule sets in files are read again when they change, and
    /// those that are remote are fetched. Nothing listens before those are there that are critical.
    ///
    /// # Errors
    ///
    /// If one inbound cannot listen, or a critical rule set is missing and cannot be fetched; nothing
    /// listens then.
    pub async fn launch(workers: Workers, config: &Config, snapshot: Snapshot) -> Result<Self, StartError> {
        let (proxy, bound) = Self::prepare(workers, config, snapshot)?;
        let started = match rule_sets::start(&proxy.core, &proxy.stop_accepting) {
            Ok(critical) => critical.wait().await.map_err(StartError::from),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = started {
            proxy.stop_accepting.cancel();
            return Err(error);
        }
        proxy.listen(bound)?;
        Ok(proxy)
    }

    /// Makes everything but what accepts.
    fn prepare(workers: Workers, config: &Config, snapshot: Snapshot) -> Result<(Self, Bound), StartError> {
        let mut bound = Vec::new();
        let mut udp_listeners = UdpListeners::default();
        for (index, inbound) in config.inbounds.iter().enumerate() {
            let udp = udp_listeners.bind(inbound)?;
            let shared = Inbound { udp, ..Inbound::try_new(inbound, snapshot.sniffing(index))? };
            let shared = Arc::new(shared);
            bound.extend(
                bind(inbound, workers.len())?.into_iter().map(|listeners| (shared.clone(), listeners)),
            );
        }
        let (snapshot, connections) = (Arc::new(snapshot), Connections::new(config.stats));
        let stop_accepting = CancellationToken::new();
        let rule_sets = snapshot.recipe().map(|recipe| Reports::new(recipe.sets(), &recipe.found()));
        let rule_sets = rule_sets.unwrap_or_default();
        let cache = Cache::open(config.experimental.cache_file.as_ref());
        if let (Some(modes), Some(kept)) = (snapshot.modes(), cache.mode())
            && let Err(error) = modes.set(&kept)
        {
            info!(%error, "the mode that was kept does not exist any more");
        }
        let health = Health::start(snapshot.clone(), connections.clone(), &cache, stop_accepting.clone())?;
        let address = |(inbound, listeners): &(Arc<Inbound>, Vec<BoundListener>)| {
            let address = listeners.first()?.address().clone();
            Some(ListenAddress { inbound: inbound.tag.clone(), address })
        };
        let proxy = Self {
            core: Arc::new(Core {
                snapshot: ArcSwap::from(snapshot),
                health,
                connections,
                limit: ConnectionLimit::from_system(),
                udp: Udp::default(),
                cache,
                rejections: Rejections::default(),
                rule_sets,
                stopping: stop_accepting.clone(),
            }),
            addresses: bound.iter().filter_map(address).chain(udp_listeners.addresses()).collect(),
            workers: Arc::new(workers),
            tasks: TaskTracker::new(),
            stop_accepting,
        };
        proxy.core.snapshot.load().queries().attach(&proxy.core);
        Ok((proxy, Bound { listeners: bound, udp: udp_listeners }))
    }

    fn listen(&self, bound: Bound) -> Result<(), StartError> {
        bound.udp.run(&self.core, &self.tasks);
        for (inbound, listeners) in bound.listeners {
            for (index, listener) in listeners.into_iter().enumerate() {
                if let Err(error) = self.accept_on(index, inbound.clone(), listener) {
                    // Those that accept already must not outlive a start that failed.
                    self.stop_accepting.cancel();
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn accept_on(
        &self,
        index: usize,
        inbound: Arc<Inbound>,
        listener: BoundListener,
    ) -> Result<(), StartError> {
        let Some(runtime) = self.workers.runtime(index) else { return Ok(()) };
        let address = listener.address().clone();
        let _entered = runtime.enter();
        let listener = listener.listen().map_err(|source| BindError::Socket { address, source })?;
        let acceptor = Acceptor {
            core: self.core.clone(),
            inbound,
            listener,
            workers: self.workers.clone(),
            index,
            tasks: self.tasks.clone(),
        };
        self.tasks.spawn_on(acceptor.run(self.stop_accepting.clone()), runtime);
        Ok(())
    }

    /// Where the inbounds listen, in the order of the file.
    #[must_use]
    pub fn addresses(&self) -> &[ListenAddress] {
        &self.addresses
    }

    /// What connections are decided with at this moment.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.core.snapshot.load_full()
    }

    /// How many connections each worker has.
    #[must_use]
    pub fn worker_loads(&self) -> Vec<usize> {
        self.workers.loads()
    }

    /// The live connections.
    #[must_use]
    pub fn connections(&self) -> &Connections {
        &self.core.connections
    }

    /// How many datagrams of clients were dropped, and why.
    #[must_use]
    pub fn dropped_datagrams(&self) -> DroppedDatagrams {
        self.core.udp.drops.totals()
    }

    /// What the groups come to at this moment, in the order of the file.
    #[must_use]
    pub fn groups(&self) -> Vec<GroupReport> {
        group_reports(self.core.snapshot.load().pools(), &self.core.health)
    }

    /// What is known of the rule sets at this moment, in the order of the file.
    #[must_use]
    pub fn rule_sets(&self) -> Vec<RuleSetReport> {
        self.core.rule_sets.all()
    }

    /// What is kept for the next start.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.core.cache
    }

    /// Has a selector use another of its members. When this returns, new connections go there, and the
    /// choice is kept if the configuration has a cache file.
    ///
    /// # Errors
    ///
    /// If there is no such selector, or it has no such member.
    pub async fn select(&self, group: &str, member: &str) -> Result<(), SelectError> {
        let snapshot = self.snapshot();
        let mut groups = snapshot.pools().iter().filter(|(_, _, settings)| !settings.is_balancer);
        let found = groups.find(|(_, known, _)| known.tag().as_str() == group);
        let (id, group, _) = found.ok_or(SelectError::UnknownGroup)?;
        let member = Tag::from(member);
        self.core.health.select(id, member.clone()).await?;
        self.core.cache.keep_selected(group.tag(), &member).await;
        Ok(())
    }

    /// The mode that `clash_mode` conditions see, and all that there are; `None` if the file has no modes.
    #[must_use]
    pub fn mode(&self) -> Option<(Arc<str>, Vec<Arc<str>>)> {
        let snapshot = self.snapshot();
        snapshot.modes().map(|modes| (modes.current(), modes.names().to_vec()))
    }

    /// Changes the mode for connections that come, and keeps it for the next start.
    ///
    /// # Errors
    ///
    /// If there is no such mode.
    pub async fn set_mode(&self, mode: &str) -> Result<(), UnknownMode> {
        let snapshot = self.snapshot();
        let Some(modes) = snapshot.modes() else {
            return Err(UnknownMode { mode: mode.into(), names: Vec::new() });
        };
        let mode = modes.set(mode)?;
        self.core.cache.keep_mode(&mode).await;
        Ok(())
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

/// What takes the clients of one listening socket.
struct Acceptor {
    core: Arc<Core>,
    inbound: Arc<Inbound>,
    listener: Listener,
    workers: Arc<Workers>,
    /// The worker that this runs on.
    index: usize,
    tasks: TaskTracker,
}

impl Acceptor {
    async fn run(self, stop: CancellationToken) {
        loop {
            let next = async {
                let permits = (self.core.limit.acquire().await, self.inbound.limits.acquire().await);
                (permits, self.listener.accept().await)
            };
            let (permits, (stream, ends)) = tokio::select! {
                () = stop.cancelled() => return,
                next = next => next,
            };
            let source = ends.source.map(|source| source.ip());
            let Some(admitted) = self.inbound.limits.admit(source) else {
                debug!(inbound = self.inbound.tag.as_deref(), ?source, "too many connections of one address");
                stream.reset_on_close();
                continue;
            };
            self.spawn(stream, ends, (permits, admitted));
        }
    }

    fn spawn(&self, stream: Stream, ends: Ends, permits: impl Send + 'static) {
        let (core, inbound) = (self.core.clone(), self.inbound.clone());
        let placed = self.workers.place(self.index);
        let served = move |stream: Stream| {
            // Outside of the task, which would hold all that this takes to its end.
            setup::run(async move {
                let snapshot = core.snapshot.load_full();
                serve(&inbound, stream, ends, Shared { core: &core, snapshot: &snapshot }).await
            })
        };
        if placed.index() == self.index {
            self.tasks.spawn(last(served(stream), (permits, placed)));
            return;
        }
        let (Some(runtime), Ok(detached)) = (self.workers.runtime(placed.index()), stream.detach()) else {
            return;
        };
        self.tasks.spawn_on(
            async move {
                // A descriptor that the other runtime has no room for is closed.
                if let Ok(stream) = detached.attach() {
                    last(served(stream), (permits, placed)).await;
                }
            },
            runtime,
        );
    }
}

/// Carries what came of a client to its end, and holds its place as long.
async fn last(setup: impl Future<Output = Option<Lasting>>, place: impl Send) {
    if let Some(lasting) = setup.await {
        lasting.carry().await;
    }
    drop(place);
}
