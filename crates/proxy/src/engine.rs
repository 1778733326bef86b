//! The listeners and what becomes of each connection: accept, handshake, route, dial, relay.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tokio::{
    net::TcpStream,
    task::spawn_blocking,
    time::{Instant, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::debug;
use waypost_config::model::Config;
use waypost_net::{Flow, Network, Tag};
use waypost_router::{Decision, Question, Rule, Step};
use waypost_wire::DialFailure;

use crate::{
    Accepted, BindError, BoundListener, ConnectionInfo, ConnectionLimit, Connections, DEFAULT_IDLE_TIMEOUT,
    DialError, Dialed, HandshakeSettings, RelayEnd, Side, accept_client, bind,
    process::find_process,
    relay,
    snapshot::{NoRoute, Outbound, Route, RouteAttempt, Snapshot},
    walk::{Pace, WalkEnd, walk},
};

/// How long a rule waits for the addresses of a name.
const ROUTE_LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// When the next outbound of a plan is tried beside one that has not answered. Ten times what a
/// distant one usually needs; a frozen one costs this much and no more.
const PATIENCE: Duration = Duration::from_secs(1);

/// How many outbounds of a plan are dialled at a time.
const DIALS_ABREAST: usize = 3;

/// What all attempts of a connection get together; V2Ray gives a single one 16 seconds.
const DIAL_TIMEOUT: Duration = Duration::from_secs(20);

/// A running proxy. Dropping it leaves it running; see [`Proxy::stop`].
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
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
}

#[derive(Debug)]
struct Shared {
    snapshot: ArcSwap<Snapshot>,
    connections: Connections,
    limit: ConnectionLimit,
}

/// What the connections of one inbound share.
#[derive(Debug)]
struct Inbound {
    tag: Option<Tag>,
    handshake: HandshakeSettings,
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
        let proxy = Self {
            shared: Arc::new(Shared {
                snapshot: ArcSwap::from_pointee(snapshot),
                connections: Connections::default(),
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
            stop_accepting: CancellationToken::new(),
        };
        for (inbound, listener) in bound {
            proxy.tasks.spawn(accept(
                proxy.shared.clone(),
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
        &self.shared.connections
    }

    /// Stops listening, lets connections finish for up to `grace`, then closes what is left.
    pub async fn stop(self, grace: Duration) {
        self.stop_accepting.cancel();
        self.tasks.close();
        if timeout(grace, self.tasks.wait()).await.is_err() {
            self.shared.connections.close_all();
            // A closed relay ends at once; a handshake or dial under way is dropped with the runtime.
            let _left = timeout(Duration::from_secs(1), self.tasks.wait()).await;
        }
    }
}

async fn accept(
    shared: Arc<Shared>,
    inbound: Arc<Inbound>,
    listener: BoundListener,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    loop {
        let next = async {
            let permit = shared.limit.acquire().await;
            (permit, listener.accept().await)
        };
        let (permit, (stream, source)) = tokio::select! {
            () = stop.cancelled() => return,
            next = next => next,
        };
        let (shared, inbound) = (shared.clone(), inbound.clone());
        tasks.spawn(async move {
            serve(&shared, &inbound, stream, source).await;
            drop(permit);
        });
    }
}

/// One connection from its first byte to its last.
async fn serve(shared: &Shared, inbound: &Inbound, stream: TcpStream, source: SocketAddr) {
    let local = stream.local_addr().ok();
    let accepted = match accept_client(stream, &inbound.handshake).await {
        Ok(accepted) => accepted,
        Err(error) => {
            debug!(inbound = inbound.tag.as_deref(), %source, error = %Chain(&error), "handshake failed");
            return;
        }
    };
    let Accepted { target, user, protocol, attributes, client } = accepted;
    let flow = Flow {
        source: Some(source),
        local,
        inbound: inbound.tag.clone(),
        user,
        protocol,
        attributes,
        ..Flow::new(Network::Tcp, target)
    };
    let snapshot = shared.snapshot.load_full();
    let decision = decide(&snapshot, &flow).await;
    let rule = decision.rule.map_or_else(|| "none".to_owned(), rule_label);
    let routed = snapshot.route(&decision, &mut thread_rng());
    let route = match routed {
        Ok(route) => route,
        Err(error) => {
            debug!(inbound = inbound.tag.as_deref(), %source, target = %flow.target, rule, %error, "refused");
            client.answer_failure(no_route_failure(&error)).await;
            return;
        }
    };
    let (attempt, dialed) = match dial(&snapshot, &flow, &decision, &route).await {
        Ok(dialled) => dialled,
        Err((attempt, error)) => {
            let outbound = attempt.outbound.tag.as_deref();
            debug!(
                inbound = inbound.tag.as_deref(), %source, target = %flow.target, rule, outbound,
                reason = %attempt.why, error = %Chain(&error), "not connected"
            );
            if let DialError::Blackholed { http_response } = error {
                client.answer_blackhole(http_response).await;
            } else {
                client.answer_failure(error.failure()).await;
            }
            return;
        }
    };
    let guard = shared.connections.insert(ConnectionInfo {
        network: Network::Tcp,
        inbound: inbound.tag.clone(),
        source,
        target: flow.target.clone(),
        user: flow.user.clone(),
        rule: rule.as_str().into(),
        outbound: attempt.outbound.tag.clone(),
        chain: route.balancer.iter().map(|balancer| balancer.tag().clone()).collect(),
    });
    let connection = guard.connection();
    let Dialed { stream: target_stream, rest: target_rest, bound, .. } = dialed;
    let (client_stream, client_rest) = match client.answer_success(bound).await {
        Ok(client) => client,
        Err(error) => {
            debug!(id = connection.id.0, %error, "the client was gone before the connection stood");
            return;
        }
    };
    let RelayEnd { up, down, reason } = relay(
        Side { stream: client_stream, rest: client_rest },
        Side { stream: target_stream, rest: target_rest },
        &connection.counters,
        DEFAULT_IDLE_TIMEOUT,
        &connection.close,
    )
    .await;
    debug!(
        id = connection.id.0, inbound = inbound.tag.as_deref(), %source, target = %flow.target,
        user = flow.user.as_deref(), rule, outbound = attempt.outbound.tag.as_deref(),
        reason = %attempt.why, up, down, seconds = connection.start.elapsed().as_secs_f32(),
        end = ?reason, "connection"
    );
}

/// Runs a decision to its end, finding out what it asks for.
async fn decide<'s>(snapshot: &'s Snapshot, flow: &Flow) -> Decision<'s> {
    let mut step = snapshot.router().route(flow);
    loop {
        step = match step {
            Step::Decided(decision) => return decision,
            Step::Ask(pending) => match pending.question().clone() {
                Question::Addresses(name) => {
                    let lookup = snapshot.resolver().resolve(&name, snapshot.family());
                    let addresses = match timeout(ROUTE_LOOKUP_TIMEOUT, lookup).await {
                        Ok(Ok(addresses)) => addresses,
                        Ok(Err(error)) => {
                            debug!(%name, %error, "look-up for routing failed, IP conditions are false");
                            Vec::new()
                        }
                        Err(_elapsed) => {
                            debug!(%name, "look-up for routing took too long, IP conditions are false");
                            Vec::new()
                        }
                    };
                    pending.with_addresses(flow, addresses)
                }
                Question::Process => {
                    let process = match (flow.source, flow.local) {
                        (Some(source), Some(local)) => {
                            spawn_blocking(move || find_process(source, local)).await.unwrap_or_default()
                        }
                        (_, _) => None,
                    };
                    pending.with_process(flow, process)
                }
            },
        };
    }
}

/// Walks the route until an outbound connects. A blackhole ends the walk: it is meant.
async fn dial<'s>(
    snapshot: &Snapshot,
    flow: &Flow,
    decision: &Decision<'_>,
    route: &Route<'s>,
) -> Result<(RouteAttempt<'s>, Dialed), (RouteAttempt<'s>, DialError)> {
    let deadline = Instant::now() + DIAL_TIMEOUT;
    let pace = Pace { patience: PATIENCE, abreast: DIALS_ABREAST, deadline };
    let attempt = |number: usize| async move {
        let Outbound { tag, dialer } = route.attempt(number).outbound;
        let prefer = &decision.matched_addresses;
        let dialled = dialer.dial(&flow.target, prefer, snapshot.resolver(), deadline).await;
        if let Err(error) = &dialled {
            let outbound = tag.as_deref();
            debug!(target = %flow.target, outbound, error = %Chain(error), "an outbound failed");
        }
        dialled
    };
    let is_final = |error: &DialError| matches!(error, DialError::Blackholed { .. });
    match walk(route.others.len(), pace, attempt, is_final).await {
        WalkEnd::Reached(number, dialed) => Ok((route.attempt(number), dialed)),
        WalkEnd::Failed(number, error) => Err((route.attempt(number), error)),
        WalkEnd::TooLate(number) => Err((route.attempt(number), DialError::TooLate { limit: DIAL_TIMEOUT })),
    }
}

fn no_route_failure(error: &NoRoute) -> DialFailure {
    match error {
        NoRoute::EmptyPool(_) => DialFailure::Unavailable,
        NoRoute::UnknownTag { .. } | NoRoute::NoOutbound => DialFailure::General,
    }
}

/// What a rule is called in logs: its tag, or its number and line.
pub(crate) fn rule_label(rule: &Rule) -> String {
    match rule.tag() {
        Some(tag) => tag.to_string(),
        None => format!("rule {} (line {})", rule.index() + 1, rule.line()),
    }
}

/// An error with all its sources.
struct Chain<'a>(&'a dyn std::error::Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut error = self.0;
        while let Some(source) = error.source() {
            write!(f, ": {source}")?;
            error = source;
        }
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "the shell is where randomness comes from")]
fn thread_rng() -> impl rand::Rng {
    rand::rng()
}
