//! What becomes of a flow whose client has said where it wants to go: route, dial, relay.

mod actions;
pub(crate) mod internal;

use std::{fmt, pin::Pin, sync::Arc};

use tokio::time::Instant;
use tracing::{Level, debug};
use waypost_balance::PlanError;
use waypost_config::model::DnsOutbound;
use waypost_net::{Detour, Flow, Tag};
use waypost_router::Decision;
use waypost_wire::DialFailure;

pub(crate) use self::actions::{Undecided, change, decide, enter_addresses, lookup_family};
use crate::{
    ClientStream, ConnectionGuard, ConnectionId, ConnectionInfo, DialError, Dialed, Path, Relay, RelayEnd,
    Side, Terms,
    chain::Chain,
    dials::Dials,
    dns_outbound,
    first_bytes::FirstBytes,
    health::LiveGuard,
    replay::{FirstAnswer, ReplayTerms, first_answer},
    shared::Shared,
    snapshot::{NoRoute, Route, Why},
    walk::{Attempts as _, Pace, Walk, WalkEnd},
};

/// How often a connection may go through the rules again; more is a circle.
pub(crate) const MAX_LOOPBACKS: u32 = 8;

/// Carries a flow from its request to its end.
pub(crate) async fn carry_flow(shared: Shared<'_>, client: ClientStream, flow: Flow, terms: Arc<Terms>) {
    // What it takes to get here is far more than what the relay needs, and the relay is what lasts.
    if let Some(standing) = Box::pin(establish(shared, client, flow, terms)).await {
        standing.carry().await;
    }
}

/// A connection with both its ends.
#[derive(Debug)]
pub(crate) struct Standing {
    relay: Pin<Box<Relay<ConnectionGuard>>>,
    live: LiveGuard,
    /// What the log says of it, if it says anything.
    remark: Option<Box<Remark>>,
}

impl Standing {
    /// Carries bytes until the connection ends.
    pub(crate) async fn carry(mut self) {
        let end = self.relay.as_mut().await;
        let fault = self.relay.fault();
        if let Some(fault) = fault {
            let path = self.relay.conduit().connection().path();
            self.live.blame(path.outbound.as_deref(), fault);
        }
        drop(self.live);
        if let Some(remark) = self.remark {
            remark.log(self.relay.conduit(), end, fault);
        }
    }
}

/// Decides and dials, until a target has answered or the relay can wait for that.
pub(crate) async fn establish(
    shared: Shared<'_>,
    mut client: ClientStream,
    mut flow: Flow,
    terms: Arc<Terms>,
) -> Option<Standing> {
    let mut rounds = 0;
    let id = shared.core.connections.next_id();
    let (decision, begin, rule, route) = loop {
        let decided = decide(shared.snapshot, &mut flow, &mut FirstBytes::Stream(&mut client)).await;
        let begin = Instant::now();
        let (rule, found) = match decided {
            Ok(decision) => {
                shared.snapshot.hits().count(decision.rule);
                let rule = shared.snapshot.rule_label(&decision);
                (rule, route(shared, &decision, &mut flow).await.map(|route| (decision, route)))
            }
            Err(Undecided { rule, error }) => (rule, Err(error)),
        };
        match found {
            Ok((decision, route)) => match route.first.outbound.dialer.loopback() {
                None => break (decision, begin, rule, route),
                Some(inbound) if rounds < MAX_LOOPBACKS => {
                    flow.inbound = Some(inbound.clone());
                    rounds += 1;
                }
                Some(_) => {
                    debug!(id = id.0, target = %flow.target, rule = &*rule, rounds, "loopbacks lead round in a circle");
                    client.answer_failure(DialFailure::General).await;
                    return None;
                }
            },
            Err(error) => {
                Box::pin(turn_away(shared, client, &flow, (id, rule), error)).await;
                return None;
            }
        }
    };
    if let Some(outbound) = route.first.outbound.dialer.dns().filter(|_| !flow.is_own_query) {
        let path = Path {
            outbound: route.first.outbound.tag.clone(),
            chain: route.first.chain.clone(),
            ..Path::default()
        };
        Box::pin(dns_outbound::serve(shared, client, &flow, (outbound, path), (id, rule))).await;
        return None;
    }
    let dials = Dials::new(&flow, &decision, &route, shared, (id, begin));
    if dials.route.group.is_some() {
        Box::pin(dial_group(shared, client, &dials, rule, terms)).await
    } else {
        dial_single(shared, client, &dials, rule, terms).await
    }
}

/// Ends a connection that goes nowhere: it is answered here, rejected, or there is no way for it.
async fn turn_away(
    shared: Shared<'_>,
    client: ClientStream,
    flow: &Flow,
    (id, rule): (ConnectionId, Arc<str>),
    error: NoRoute,
) {
    if error == NoRoute::HijackedDns && !flow.is_own_query {
        let hijacked = (&DnsOutbound::default(), Path::default());
        return dns_outbound::serve(shared, client, flow, hijacked, (id, rule)).await;
    }
    debug!(id = id.0, inbound = flow.inbound.as_deref(), source = ?flow.source, target = %flow.target, rule = &*rule, %error, "refused");
    if let NoRoute::Rejected(reject) = error {
        let rejections = &shared.core.rejections;
        let method = rejections.method(&rule, reject, Instant::now());
        return rejections.end(client, method).await;
    }
    client.answer_failure(no_route_failure(&error)).await;
}

/// Finds out whom to try. A group that nobody stands in is asked once more before it refuses: one of
/// its members may have come back a moment ago.
pub(crate) async fn route<'s>(
    shared: Shared<'s>,
    decision: &Decision<'_>,
    flow: &mut Flow,
) -> Result<Route<'s>, NoRoute> {
    let (snapshot, health) = (shared.snapshot, shared.health());
    let way = match &flow.detour {
        Some(Detour::Outbound(tag)) => snapshot.named(tag)?,
        Some(Detour::Default) | None => snapshot.way_out(decision)?,
    };
    let group = snapshot.group(way.0);
    if let Some((_, _, settings)) = group {
        health.touch(settings.pool);
        if settings.needs_rule_set {
            flow.rule_set = snapshot.router().rule_set(decision, flow).map(Into::into);
        }
    }
    let load = |member| health.live(member);
    let plan = || snapshot.route_in(&health.view(), way, flow, &load, &mut crate::system::thread_rng());
    match (plan(), group) {
        (Err(NoRoute::Plan(PlanError::EmptyPool { .. })), Some((_, _, settings))) => {
            let limit = settings.pace.unwrap_or_default().total_timeout;
            health.ask(settings.pool, limit).await;
            plan()
        }
        (planned, _) => planned,
    }
}

/// Dials the only outbound of a route.
async fn dial_single(
    shared: Shared<'_>,
    mut client: ClientStream,
    dials: &Dials<'_, '_>,
    rule: Arc<str>,
    terms: Arc<Terms>,
) -> Option<Standing> {
    let dialled = tokio::select! {
        biased;
        dialled = dials.attempt(0) => dialled,
        () = client.gone() => return log_gone(dials),
    };
    let dialed = match dialled {
        Ok(dialed) => dialed,
        Err(error) => {
            Box::pin(refuse(client, dials, &rule, (0, error))).await;
            return None;
        }
    };
    let (guard, live) = enter(shared, dials, rule, 0);
    let client = greet(client, &dialed, &guard).await?;
    let target = Side { stream: dialed.stream, rest: dialed.rest };
    let remark = Remark::new(dials, 0);
    Some(Standing { relay: Box::pin(Relay::new(client, target, terms, guard)), live, remark })
}

/// Dials the members of a group, and waits for a first answer if another one could bring it.
async fn dial_group(
    shared: Shared<'_>,
    mut client: ClientStream,
    dials: &Dials<'_, '_>,
    rule: Arc<str>,
    terms: Arc<Terms>,
) -> Option<Standing> {
    let pace = dials.pace();
    let deadline = dials.begin + pace.total_timeout;
    let mut walk = Walk::new(dials, Pace { abreast: pace.max_in_flight.get().into(), deadline });
    let walked = tokio::select! {
        biased;
        walked = walk.next() => walked,
        () = client.gone() => return log_gone(dials),
    };
    let failed = match walked {
        WalkEnd::Reached(number, dialed) => {
            return converse(shared, client, rule, (number, dialed), walk, terms).await;
        }
        WalkEnd::Failed(number, error) => (number, error),
        WalkEnd::TooLate(number) => (number, DialError::TooLate { limit: pace.total_timeout }),
        WalkEnd::NoneLeft => (0, DialError::NoAddress),
    };
    refuse(client, dials, &rule, failed).await;
    None
}

fn log_gone(dials: &Dials<'_, '_>) -> Option<Standing> {
    let flow = dials.flow;
    debug!(id = dials.id.0, inbound = flow.inbound.as_deref(), source = ?flow.source, target = %flow.target, "the client went away");
    None
}

/// Tells a client that there is no connection.
async fn refuse(
    client: ClientStream,
    dials: &Dials<'_, '_>,
    rule: &str,
    (number, error): (usize, DialError),
) {
    let (flow, attempt) = (dials.flow, dials.route.attempt(number));
    debug!(
        id = dials.id.0, inbound = flow.inbound.as_deref(), source = ?flow.source, target = %flow.target, rule,
        outbound = attempt.outbound.tag.as_deref(), reason = %attempt.why, error = %Chain(&error),
        attempts = %Tried(dials), "not connected"
    );
    if let DialError::Blackholed { http_response } = error {
        client.answer_blackhole(http_response).await;
    } else {
        client.answer_failure(error.failure()).await;
    }
}

/// Enters a connection in the table, and among those of its outbound.
fn enter(
    shared: Shared<'_>,
    dials: &Dials<'_, '_>,
    rule: Arc<str>,
    number: usize,
) -> (ConnectionGuard, LiveGuard) {
    let flow = dials.flow;
    let rule_index = dials.decision.rule.map(waypost_router::Rule::index);
    let info = ConnectionInfo { rule_index, ..ConnectionInfo::new(flow, rule) };
    let guard = shared.core.connections.insert_as(dials.id, info, path(dials, number));
    (guard, shared.health().carry(dials.route.attempt(number).member))
}

/// Tells a client that its connection stands.
async fn greet(client: ClientStream, dialed: &Dialed, guard: &ConnectionGuard) -> Option<Side> {
    match client.answer_success(dialed.bound).await {
        Ok((stream, rest)) => Some(Side { stream, rest }),
        Err(error) => {
            let id = guard.connection().id.0;
            debug!(id, %error, "the client was gone before the connection stood");
            None
        }
    }
}

/// Waits for a first answer.
async fn converse(
    shared: Shared<'_>,
    client: ClientStream,
    rule: Arc<str>,
    (number, dialed): (usize, Dialed),
    walk: Walk<'_, Dials<'_, '_>>,
    terms: Arc<Terms>,
) -> Option<Standing> {
    let dials = walk.attempts();
    let (guard, mut live) = enter(shared, dials, rule, number);
    let client = greet(client, &dialed, &guard).await?;
    let pace = dials.pace();
    let answered = if pace.first_flight_replay {
        let replay = ReplayTerms {
            abreast: pace.max_in_flight.get().into(),
            limit: pace.total_timeout,
            idle: terms.idle,
            conduit: guard.as_ref(),
        };
        first_answer(client, (number, dialed), walk, &replay).await
    } else {
        let target = Side { stream: dialed.stream, rest: dialed.rest };
        FirstAnswer::Carry { number, client, target }
    };
    match answered {
        FirstAnswer::Ended(reason) => {
            drop(live);
            if let Some(remark) = Remark::new(dials, number) {
                let (up, down) = guard.as_ref().counters.totals();
                remark.log(&guard, RelayEnd { up, down, reason }, None);
            }
            None
        }
        FirstAnswer::Carry { number: carrier, client, target } => {
            if carrier != number {
                live = shared.health().carry(dials.route.attempt(carrier).member);
            }
            guard.connection().set_path(path(dials, carrier));
            let remark = Remark::new(dials, carrier);
            Some(Standing { relay: Box::pin(Relay::new(client, target, terms, guard)), live, remark })
        }
    }
}

pub(crate) fn path(dials: &Dials<'_, '_>, number: usize) -> Arc<Path> {
    let attempt = dials.route.attempt(number);
    if dials.route.group.is_none() {
        return attempt.outbound.path.clone();
    }
    let key = dials.route.group.as_ref().and_then(|group| Some(group.key.as_ref()?.text.clone()));
    Arc::new(Path {
        outbound: attempt.outbound.tag.clone(),
        chain: attempt.chain.clone(),
        attempts: dials.records(),
        why: Some(attempt.why),
        key,
    })
}

/// What the log says of a connection besides what the table knows.
#[derive(Debug)]
pub(crate) struct Remark {
    group: Option<Tag>,
    key: Option<Box<str>>,
    outbound: Option<Tag>,
    why: Why,
    attempts: String,
}

impl Remark {
    /// `None` if nobody wants to read it.
    pub(crate) fn new(dials: &Dials<'_, '_>, number: usize) -> Option<Box<Self>> {
        if !tracing::enabled!(Level::DEBUG) {
            return None;
        }
        let attempt = dials.route.attempt(number);
        let group = dials.route.group.as_ref();
        Some(Box::new(Self {
            group: group.map(|group| group.group.tag().clone()),
            key: group.and_then(|group| group.key.as_ref()).map(|key| key.text.clone()),
            outbound: attempt.outbound.tag.clone(),
            why: attempt.why,
            attempts: Tried(dials).to_string(),
        }))
    }

    pub(crate) fn log(&self, guard: &ConnectionGuard, end: RelayEnd, fault: Option<&str>) {
        let connection = guard.connection();
        let info = &connection.info;
        debug!(
            id = connection.id.0, inbound = info.inbound.as_deref(), source = ?info.source,
            target = %info.target, network = %info.network, user = info.user.as_deref(), rule = &*info.rule,
            group = self.group.as_deref(), key = self.key.as_deref(),
            outbound = self.outbound.as_deref(), reason = %self.why,
            attempts = self.attempts, up = end.up, down = end.down,
            seconds = connection.start.elapsed().as_secs_f32(), end = ?end.reason, fault, "connection"
        );
    }
}

/// What was tried, in one line.
pub(crate) struct Tried<'d>(pub(crate) &'d Dials<'d, 'd>);

impl fmt::Display for Tried<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, record) in self.0.records().iter().enumerate() {
            write!(f, "{}{record}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

fn no_route_failure(error: &NoRoute) -> DialFailure {
    match error {
        NoRoute::Plan(_) => DialFailure::Unavailable,
        NoRoute::Rejected(_) => DialFailure::NotAllowed,
        NoRoute::Unresolved { .. } => DialFailure::HostUnreachable,
        NoRoute::NotCarried { .. } => DialFailure::NotAllowed,
        NoRoute::HijackedDns | NoRoute::UnknownTag { .. } | NoRoute::NoOutbound => DialFailure::General,
    }
}
