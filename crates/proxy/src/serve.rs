//! What becomes of one connection: handshake, route, dial, relay.

use std::{fmt, net::SocketAddr, time::Duration};

use tokio::{
    net::TcpStream,
    task::spawn_blocking,
    time::{Instant, timeout},
};
use tracing::debug;
use waypost_net::{Flow, Network, Tag};
use waypost_router::{Decision, Question, Rule, Step};
use waypost_wire::DialFailure;

use crate::{
    Accepted, ClientStream, ConnectionInfo, Connections, DEFAULT_IDLE_TIMEOUT, DialError, Dialed,
    HandshakeSettings, RelayEnd, Side, accept_client,
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

/// What the connections of one inbound share.
#[derive(Debug)]
pub(crate) struct Inbound {
    pub(crate) tag: Option<Tag>,
    pub(crate) handshake: HandshakeSettings,
}

/// One connection from its first byte to its last.
pub(crate) async fn serve(
    inbound: &Inbound,
    stream: TcpStream,
    source: SocketAddr,
    snapshot: &Snapshot,
    connections: &Connections,
) {
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
    let decision = decide(snapshot, &flow).await;
    let rule = decision.rule.map_or_else(|| "none".to_owned(), rule_label);
    let routed = snapshot.route(&decision, &mut thread_rng());
    let route = match routed {
        Ok(route) => route,
        Err(error) => {
            debug!(inbound = flow.inbound.as_deref(), %source, target = %flow.target, rule, %error, "refused");
            return client.answer_failure(no_route_failure(&error)).await;
        }
    };
    match dial(snapshot, &flow, &decision, &route).await {
        Ok((attempt, dialed)) => {
            let info = ConnectionInfo {
                network: flow.network,
                inbound: flow.inbound,
                source,
                target: flow.target,
                user: flow.user,
                rule: rule.into(),
                outbound: attempt.outbound.tag.clone(),
                chain: route.balancer.iter().map(|balancer| balancer.tag().clone()).collect(),
            };
            carry(client, dialed, info, attempt, connections).await;
        }
        Err((attempt, error)) => {
            debug!(
                inbound = flow.inbound.as_deref(), %source, target = %flow.target, rule,
                outbound = attempt.outbound.tag.as_deref(), reason = %attempt.why, error = %Chain(&error),
                "not connected"
            );
            if let DialError::Blackholed { http_response } = error {
                client.answer_blackhole(http_response).await;
            } else {
                client.answer_failure(error.failure()).await;
            }
        }
    }
}

/// Carries bytes until the connection ends, and says what it was.
async fn carry(
    client: ClientStream,
    dialed: Dialed,
    info: ConnectionInfo,
    attempt: RouteAttempt<'_>,
    connections: &Connections,
) {
    let guard = connections.insert(info);
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
    let info = &connection.info;
    debug!(
        id = connection.id.0, inbound = info.inbound.as_deref(), source = %info.source,
        target = %info.target, user = info.user.as_deref(), rule = &*info.rule,
        outbound = info.outbound.as_deref(), reason = %attempt.why, up, down,
        seconds = connection.start.elapsed().as_secs_f32(), end = ?reason, "connection"
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

/// Walks the route until an outbound connects. A blackhole that was chosen ends the walk, because it
/// is meant; one that only comes next in a plan is an outbound that cannot carry the connection.
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
        if let (Err(error), false) = (&dialled, route.others.is_empty()) {
            let outbound = tag.as_deref();
            debug!(target = %flow.target, outbound, error = %Chain(error), "an outbound failed");
        }
        dialled
    };
    let is_final = |number, error: &DialError| number == 0 && matches!(error, DialError::Blackholed { .. });
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
