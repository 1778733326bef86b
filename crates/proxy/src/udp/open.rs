//! Opening a session: decide, plan, and walk the plan until an outbound can carry it.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::AtomicBool, atomic::Ordering},
    time::Duration,
};

use socket2::{Domain, Protocol, Type};
use tokio::time::Instant;
use tracing::debug;
use waypost_net::{Flow, Network, Target};

use super::{
    Facts,
    carrier::{Carrier, Carriers},
    dns::Answering,
    waiting::Waiting,
};
use crate::{
    ConnectionGuard, ConnectionInfo, DialError, Path,
    chain::Chain,
    dial::{DatagramForm, DatagramWay},
    dials::Dials,
    dispatch::{MAX_LOOPBACKS, Remark, Tried, Undecided, decide, path, route},
    first_bytes::FirstBytes,
    health::LiveGuard,
    shared::{Core, Shared},
    snapshot::{NoRoute, Snapshot},
    walk::{Attempts, Ending, Pace, Patience, Walk, WalkEnd},
};

/// A session to open.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) core: Arc<Core>,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) carriers: Arc<Carriers>,
    pub(super) facts: Arc<Facts>,
    /// Where the datagrams come from.
    pub(super) source: Option<SocketAddr>,
    pub(super) target: Target,
    /// What the client has sent and sends meanwhile.
    pub(super) waiting: Arc<Waiting>,
    /// The entry of a session that leaves its member.
    pub(super) standing: Option<ConnectionGuard>,
}

/// A session that can carry.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) carrier: Arc<Carrier>,
    /// The address that the carrier sends to, if it sends to targets itself.
    pub(super) to: Option<SocketAddr>,
    /// Whether a group chose who carries it.
    pub(super) is_member: bool,
    /// What a proxy server is told to send to.
    pub(super) target: Target,
    /// How long the session may be idle, if a rule says so.
    pub(super) idle: Option<Duration>,
    pub(super) guard: ConnectionGuard,
    pub(super) live: LiveGuard,
    pub(super) remark: Option<Box<Remark>>,
}

/// A session whose datagrams the outbound answers itself.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) answering: Answering,
    pub(super) guard: ConnectionGuard,
    /// None if no outbound answers, but the rules.
    pub(super) live: Option<LiveGuard>,
    pub(super) remark: Option<Box<Remark>>,
}

/// What came of opening a session.
#[derive(Debug)]
pub(super) enum Opening {
    Carried(Box<Opened>),
    Answered(Box<Answered>),
}

/// Opens a session; `None` if nothing carries it, which the log tells.
pub(super) async fn open(order: Order) -> Option<Opening> {
    let Order { core, snapshot, carriers, facts, source, target, waiting, standing } = order;
    let shared = Shared { core: &core, snapshot: &snapshot };
    let mut flow = Flow {
        source,
        local: facts.local,
        inbound: facts.inbound.clone(),
        user: facts.user.clone(),
        ..Flow::new(Network::Udp, target)
    };
    if let Some(sniffing) = &facts.sniffing {
        sniffing.sniff_datagrams(&waiting, &mut flow).await;
    }
    let mut rounds = 0;
    // A session that leaves its member stays what it is.
    let id = standing.as_ref().map_or_else(|| core.connections.next_id(), |guard| guard.connection().id);
    let (decision, begin, rule, route) = loop {
        let decided = decide(&snapshot, &mut flow, &mut FirstBytes::Datagrams(&waiting)).await;
        let begin = Instant::now();
        let (rule, found) = match decided {
            Ok(decision) => {
                snapshot.hits().count(decision.rule);
                let rule = snapshot.rule_label(&decision);
                (rule, route(shared, &decision, &mut flow).await.map(|route| (decision, route)))
            }
            Err(Undecided { rule, error }) => (rule, Err(error)),
        };
        let (decision, route) = match found {
            Ok(found) => found,
            Err(NoRoute::HijackedDns) => {
                let path = Arc::new(Path::default());
                let guard = standing.unwrap_or_else(|| {
                    core.connections.insert_as(id, ConnectionInfo::new(&flow, rule), path)
                });
                let answering = Answering::hijacked(shared, &flow);
                let answered = Answered { answering, guard, live: None, remark: None };
                return Some(Opening::Answered(Box::new(answered)));
            }
            Err(error) => {
                debug!(id = id.0, inbound = flow.inbound.as_deref(), source = ?flow.source, target = %flow.target, network = "udp", rule = &*rule, %error, "refused");
                return None;
            }
        };
        match route.first.outbound.dialer.loopback() {
            Some(inbound) if rounds < MAX_LOOPBACKS => {
                flow.inbound = Some(inbound.clone());
                rounds += 1;
            }
            // One that still leads back is refused when it is tried.
            Some(_) | None => break (decision, begin, rule, route),
        }
    };
    let rule_index = decision.rule.map(waypost_router::Rule::index);
    let info = |flow: &Flow, rule| ConnectionInfo { rule_index, ..ConnectionInfo::new(flow, rule) };
    let dials = Dials::new(&flow, &decision, &route, shared, (id, begin));
    if let Some(answering) = Answering::at(shared, route.first.outbound, &flow) {
        let live = shared.health().carry(route.first.member);
        let guard =
            standing.unwrap_or_else(|| core.connections.insert_as(id, info(&flow, rule), path(&dials, 0)));
        let answered = Answered { answering, guard, live: Some(live), remark: Remark::new(&dials, 0) };
        return Some(Opening::Answered(Box::new(answered)));
    }
    let attempts =
        DatagramDials { dials: &dials, carriers: &carriers, core: &core, joined: AtomicBool::new(false) };
    let pace = dials.pace();
    let deadline = begin + pace.total_timeout;
    let mut walk = Walk::new(&attempts, Pace { abreast: pace.max_in_flight.get().into(), deadline });
    let (number, error) = match walk.next().await {
        WalkEnd::Reached(number, (carrier, to)) => {
            let attempt = route.attempt(number);
            let live = shared.health().carry(attempt.member);
            let path = path(&dials, number);
            let guard = match standing {
                Some(guard) => {
                    guard.connection().set_path(path);
                    guard
                }
                None => core.connections.insert_as(id, info(&flow, rule), path),
            };
            let is_member = route.group.is_some();
            let remark = Remark::new(&dials, number);
            let (target, idle) = (flow.target.clone(), flow.udp_timeout);
            let opened = Opened { carrier, to, is_member, target, idle, guard, live, remark };
            return Some(Opening::Carried(Box::new(opened)));
        }
        WalkEnd::Failed(number, error) => (number, error),
        WalkEnd::TooLate(number) => (number, DialError::TooLate { limit: pace.total_timeout }),
        WalkEnd::NoneLeft => (0, DialError::NoAddress),
    };
    let attempt = route.attempt(number);
    debug!(
        id = id.0, inbound = flow.inbound.as_deref(), source = ?flow.source, target = %flow.target, network = "udp",
        rule = &*rule, outbound = attempt.outbound.tag.as_deref(), reason = %attempt.why,
        error = %Chain(&error), attempts = %Tried(&dials), "not carried"
    );
    None
}

/// The attempts of a route, made by opening carriers in place of streams.
struct DatagramDials<'a, 'd, 's> {
    dials: &'a Dials<'d, 's>,
    carriers: &'a Carriers,
    core: &'a Core,
    /// Whether the attempt that succeeded found its carrier open, or opened nothing that could fail.
    joined: AtomicBool,
}

impl Attempts for DatagramDials<'_, '_, '_> {
    type Reached = (Arc<Carrier>, Option<SocketAddr>);
    type Error = DialError;

    fn count(&self) -> usize {
        self.dials.count()
    }

    fn choose(&self, left: &[usize]) -> usize {
        self.dials.choose(left)
    }

    fn patience(&self, number: usize) -> Patience {
        self.dials.patience(number)
    }

    async fn attempt(&self, number: usize) -> Result<Self::Reached, DialError> {
        let Dials { flow, decision, snapshot, route, .. } = self.dials;
        let deadline = Instant::now() + self.dials.pace().attempt_timeout;
        let attempt = route.attempt(number);
        let (member, limit) = (attempt.member, &self.core.limit);
        let resolver = snapshot.resolver_at(attempt.outbound, flow);
        match attempt.outbound.dialer.datagram_way() {
            DatagramWay::Nowhere => Err(DialError::NoDatagrams),
            DatagramWay::Blackhole => Err(DialError::Blackholed { http_response: false }),
            DatagramWay::Loopback(inbound) => Err(DialError::Loopback { inbound: inbound.clone() }),
            DatagramWay::Freedom(way) => {
                let prefer = &decision.matched_addresses;
                let found = if flow.addresses.is_empty() {
                    way.addresses(&flow.target, prefer, resolver, deadline).await?
                } else {
                    way.resolved(&flow.target, &flow.addresses)
                };
                let to = reachable(&found).ok_or(DialError::NoAddress)?;
                let open = async { Carrier::freedom(way.socket, limit) };
                let (carrier, _) = self.carriers.get_or_open((member, None), open).await?;
                carrier.socket(Some(to)).map_err(|error| DialError::connect(to, &error))?;
                self.joined.store(true, Ordering::Relaxed);
                Ok((carrier, Some(to)))
            }
            DatagramWay::Proxy(servers) => {
                let target = &flow.target;
                let (carriers, of_all) = (self.carriers, (member, None));
                let opened = match servers.datagrams() {
                    DatagramForm::None => return Err(DialError::NoDatagrams),
                    DatagramForm::Associated => {
                        let open = Carrier::socks(servers, resolver, deadline, limit);
                        carriers.get_or_open(of_all, open).await
                    }
                    DatagramForm::Sealed => {
                        let open = Carrier::sealed(servers, resolver, deadline, limit);
                        carriers.get_or_open(of_all, open).await
                    }
                    DatagramForm::Stream => {
                        let open = Carrier::stream(servers, target, resolver, deadline, limit);
                        carriers.get_or_open(of_all, open).await
                    }
                    DatagramForm::StreamPerTarget => {
                        let open = Carrier::stream(servers, target, resolver, deadline, limit);
                        carriers.get_or_open((member, Some(target.clone())), open).await
                    }
                };
                let (carrier, is_new) = opened?;
                self.joined.store(!is_new, Ordering::Relaxed);
                Ok((carrier, None))
            }
        }
    }

    fn is_final(&self, number: usize, error: &DialError) -> bool {
        self.dials.is_final(number, error)
    }

    fn may_succeed_later(&self, error: &DialError) -> bool {
        self.dials.may_succeed_later(error)
    }

    fn ended(&self, number: usize, ending: Ending<'_, DialError>, took: Duration) {
        if matches!(ending, Ending::Reached) && self.joined.load(Ordering::Relaxed) {
            return self.dials.joined(number, took);
        }
        self.dials.ended(number, ending, took);
    }
}

/// The first address that this host has a route to. Nothing is sent to find out.
fn reachable(addresses: &[SocketAddr]) -> Option<SocketAddr> {
    let has_route = |address: &&SocketAddr| {
        let socket = socket2::Socket::new(Domain::for_address(**address), Type::DGRAM, Some(Protocol::UDP));
        socket.is_ok_and(|socket| socket.connect(&(**address).into()).is_ok())
    };
    match addresses {
        [] => None,
        [only] => Some(*only),
        [first, ..] => Some(*addresses.iter().find(has_route).unwrap_or(first)),
    }
}
