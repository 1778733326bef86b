//! What becomes of one connection: handshake, route, dial, relay.

use std::{fmt, net::SocketAddr, time::Duration};

use tokio::{
    net::TcpStream,
    task::spawn_blocking,
    time::{Instant, timeout},
};
use tracing::debug;
use waypost_balance::PlanError;
use waypost_net::{Flow, Network, Tag};
use waypost_router::{Decision, Question, Rule, Step};
use waypost_wire::DialFailure;

use crate::{
    Accepted, ClientStream, ConnectionInfo, Connections, DEFAULT_IDLE_TIMEOUT, DialError, Dialed,
    HandshakeSettings, Path, RelayEnd, Side, accept_client,
    chain::Chain,
    connections::Connection,
    dials::Dials,
    health::Health,
    process::find_process,
    relay,
    relay::EndReason,
    replay::{FirstAnswer, ReplayTerms, first_answer},
    snapshot::{NoRoute, Route, Snapshot},
    walk::{Pace, Walk, WalkEnd},
};

/// How long a rule waits for the addresses of a name.
const ROUTE_LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// What the connections of one inbound share.
#[derive(Debug)]
pub(crate) struct Inbound {
    pub(crate) tag: Option<Tag>,
    pub(crate) handshake: HandshakeSettings,
}

/// What all connections share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shared<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) health: &'a Health,
    pub(crate) connections: &'a Connections,
}

/// One connection from its first byte to its last.
pub(crate) async fn serve(inbound: &Inbound, stream: TcpStream, source: SocketAddr, shared: Shared<'_>) {
    let local = stream.local_addr().ok();
    let accepted = match accept_client(stream, &inbound.handshake).await {
        Ok(accepted) => accepted,
        Err(error) => {
            debug!(inbound = inbound.tag.as_deref(), %source, error = %Chain(&error), "handshake failed");
            return;
        }
    };
    let Accepted { target, user, protocol, attributes, client } = accepted;
    let mut flow = Flow {
        source: Some(source),
        local,
        inbound: inbound.tag.clone(),
        user,
        protocol,
        attributes,
        ..Flow::new(Network::Tcp, target)
    };
    let decision = decide(shared.snapshot, &flow).await;
    let begin = Instant::now();
    let rule = decision.rule.map_or_else(|| "none".to_owned(), rule_label);
    let route = match route(shared, &decision, &mut flow).await {
        Ok(route) => route,
        Err(error) => {
            debug!(inbound = flow.inbound.as_deref(), %source, target = %flow.target, rule, %error, "refused");
            return client.answer_failure(no_route_failure(&error)).await;
        }
    };
    let dials = Dials::new(shared.snapshot, &flow, &decision, &route, shared.health, begin);
    carry(shared, client, source, &dials, rule).await;
}

/// Finds out whom to try. A group that nobody stands in is asked once more before it refuses: one of
/// its members may have come back a moment ago.
async fn route<'s>(
    shared: Shared<'s>,
    decision: &Decision<'_>,
    flow: &mut Flow,
) -> Result<Route<'s>, NoRoute> {
    let Shared { snapshot, health, .. } = shared;
    let way = snapshot.way_out(decision)?;
    let group = snapshot.group(way.0);
    if let Some((_, _, settings)) = group {
        health.touch(settings.pool);
        if settings.needs_rule_set {
            flow.rule_set = snapshot.router().rule_set(decision, flow).map(Into::into);
        }
    }
    let load = |member| health.live(member);
    let plan = || snapshot.route_in(&health.view(), way, flow, &load, &mut thread_rng());
    match (plan(), group) {
        (Err(NoRoute::Plan(PlanError::EmptyPool { .. })), Some((_, _, settings))) => {
            health.ask(settings.pool, settings.pace.total_timeout).await;
            plan()
        }
        (planned, _) => planned,
    }
}

/// Dials and relays.
async fn carry(
    shared: Shared<'_>,
    client: ClientStream,
    source: SocketAddr,
    dials: &Dials<'_, '_>,
    rule: String,
) {
    let (flow, pace) = (dials.flow, dials.pace());
    let deadline = dials.begin + pace.total_timeout;
    let mut walk = Walk::new(dials, Pace { abreast: pace.max_in_flight.get().into(), deadline });
    let walked = tokio::select! {
        walked = walk.next() => walked,
        () = client.gone() => {
            debug!(inbound = flow.inbound.as_deref(), %source, target = %flow.target, "the client went away");
            return;
        }
    };
    let (number, error) = match walked {
        WalkEnd::Reached(number, dialed) => {
            let info = ConnectionInfo {
                network: flow.network,
                inbound: flow.inbound.clone(),
                source,
                target: flow.target.clone(),
                user: flow.user.clone(),
                rule: rule.into(),
            };
            return converse(shared, client, info, (number, dialed), walk).await;
        }
        WalkEnd::Failed(number, error) => (number, error),
        WalkEnd::TooLate(number) => (number, DialError::TooLate { limit: pace.total_timeout }),
        WalkEnd::NoneLeft => (0, DialError::NoAddress),
    };
    let attempt = dials.route.attempt(number);
    debug!(
        inbound = flow.inbound.as_deref(), %source, target = %flow.target, rule,
        outbound = attempt.outbound.tag.as_deref(), reason = %attempt.why, error = %Chain(&error),
        attempts = %Tried(dials), "not connected"
    );
    if let DialError::Blackholed { http_response } = error {
        client.answer_blackhole(http_response).await;
    } else {
        client.answer_failure(error.failure()).await;
    }
}

/// Carries bytes until the connection ends, and says what it was.
async fn converse(
    shared: Shared<'_>,
    client: ClientStream,
    info: ConnectionInfo,
    (number, dialed): (usize, Dialed),
    walk: Walk<'_, Dials<'_, '_>>,
) {
    let dials = walk.attempts();
    let guard = shared.connections.insert(info, path(dials, number));
    let connection = guard.connection();
    let mut live = shared.health.carry(dials.route.attempt(number).member);
    let (stream, rest) = match client.answer_success(dialed.bound).await {
        Ok(client) => client,
        Err(error) => {
            debug!(id = connection.id.0, %error, "the client was gone before the connection stood");
            return;
        }
    };
    let client = Side { stream, rest };
    let pace = dials.pace();
    let answered = if pace.first_flight_replay && dials.route.group.is_some() {
        let terms = ReplayTerms {
            abreast: pace.max_in_flight.get().into(),
            limit: pace.total_timeout,
            idle: DEFAULT_IDLE_TIMEOUT,
            counters: &connection.counters,
            close: &connection.close,
        };
        first_answer(client, (number, dialed), walk, &terms).await
    } else {
        let target = Side { stream: dialed.stream, rest: dialed.rest };
        FirstAnswer::Carry { number, client, target }
    };
    let (carrier, end) = match answered {
        FirstAnswer::Ended(reason) => (number, relay_end(connection, reason)),
        FirstAnswer::Carry { number: carrier, client, target } => {
            connection.set_path(path(dials, carrier));
            if carrier != number {
                live = shared.health.carry(dials.route.attempt(carrier).member);
            }
            let end =
                relay(client, target, &connection.counters, DEFAULT_IDLE_TIMEOUT, &connection.close).await;
            (carrier, end)
        }
    };
    drop(live);
    log(connection, dials, carrier, end);
}

fn path(dials: &Dials<'_, '_>, number: usize) -> Path {
    let attempt = dials.route.attempt(number);
    Path { outbound: attempt.outbound.tag.clone(), chain: attempt.chain.clone(), attempts: dials.records() }
}

fn relay_end(connection: &Connection, reason: EndReason) -> RelayEnd {
    let (up, down) = connection.counters.totals();
    RelayEnd { up, down, reason }
}

fn log(connection: &Connection, dials: &Dials<'_, '_>, number: usize, end: RelayEnd) {
    let (info, attempt) = (&connection.info, dials.route.attempt(number));
    let group = dials.route.group.as_ref();
    debug!(
        id = connection.id.0, inbound = info.inbound.as_deref(), source = %info.source,
        target = %info.target, user = info.user.as_deref(), rule = &*info.rule,
        group = group.map(|group| group.group.tag().as_str()),
        key = group.and_then(|group| group.key.as_ref()).map(|key| &*key.text),
        outbound = attempt.outbound.tag.as_deref(), reason = %attempt.why,
        attempts = %Tried(dials), up = end.up, down = end.down,
        seconds = connection.start.elapsed().as_secs_f32(), end = ?end.reason, "connection"
    );
}

/// What was tried, in one line.
struct Tried<'d>(&'d Dials<'d, 'd>);

impl fmt::Display for Tried<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, record) in self.0.records().iter().enumerate() {
            write!(f, "{}{record}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
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

fn no_route_failure(error: &NoRoute) -> DialFailure {
    match error {
        NoRoute::Plan(_) => DialFailure::Unavailable,
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

#[expect(clippy::disallowed_methods, reason = "the shell is where randomness comes from")]
fn thread_rng() -> impl rand::Rng {
    rand::rng()
}
