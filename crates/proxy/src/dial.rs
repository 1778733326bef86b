//! Ways out: dialing the target itself, or through a proxy server.

mod api;
mod associate;
mod connect;
mod detour;
mod error;
mod passage;
mod servers;
mod tunnel;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};
use waypost_config::model::{
    AddressFamily, DnsOutbound, FreedomResolve, OutboundProtocol, Redirect, SocketOptions,
};
use waypost_dns::{Family, ResolveError, Resolver};
use waypost_net::{DomainName, Host, Tag, Target};
use waypost_transport::ClientTransport;

use crate::{Stream, shared::Core};

use self::{
    api::ApiDoor,
    connect::{connect, order_addresses},
    passage::NOWHERE,
};

pub(crate) use detour::Detour;
pub use error::DialError;
pub(crate) use passage::Passage;
pub use servers::DialerError;
pub(crate) use servers::{DatagramForm, ProxyServers};

/// A way out.
#[derive(Debug)]
pub struct Dialer(Kind);

#[derive(Debug)]
enum Kind {
    Freedom {
        resolve: FreedomResolve,
        redirect: Option<Redirect>,
        socket: SocketOptions,
    },
    Blackhole {
        http_response: bool,
    },
    Loopback {
        inbound: Tag,
    },
    Proxy(ProxyServers),
    /// To the target itself, by another outbound.
    Through {
        redirect: Option<Redirect>,
        detour: Detour,
    },
    Dns(Box<DnsOutbound>, SocketOptions),
    Api(ApiDoor),
}

/// How datagrams leave by a way out.
#[derive(Debug, Clone, Copy)]
pub(crate) enum DatagramWay<'d> {
    /// To the target itself.
    Freedom(DirectWay<'d>),
    /// They are swallowed.
    Blackhole,
    /// They cannot.
    Nowhere,
    /// Back into the rules, which has to be seen before.
    Loopback(&'d Tag),
    /// By an association at a proxy server, if one grants it.
    Proxy(&'d ProxyServers),
}

/// How connections and datagrams leave that go to the target itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DirectWay<'d> {
    resolve: FreedomResolve,
    redirect: Option<&'d Redirect>,
    /// What is set on the sockets.
    pub(crate) socket: &'d SocketOptions,
}

/// A connection that stands.
#[derive(Debug)]
pub struct Dialed {
    /// The stream to the target, or to the proxy that carries it.
    pub stream: Stream,
    /// What came from the target already.
    pub rest: Vec<u8>,
    /// This host's end of the stream.
    pub bound: SocketAddr,
}

impl Dialer {
    /// Dials targets themselves, as a plain `freedom` does.
    pub(crate) fn direct() -> Self {
        let socket = SocketOptions::default();
        Self(Kind::Freedom { resolve: FreedomResolve::AsIs, redirect: None, socket })
    }

    /// The dialer of an outbound.
    ///
    /// # Errors
    ///
    /// If a proxy server's account cannot be used, or no server is named.
    pub fn try_new(protocol: &OutboundProtocol, socket: &SocketOptions) -> Result<Self, DialerError> {
        Self::with_passage(protocol, Passage::plain(socket), Vec::new())
    }

    /// The dialer of an outbound whose servers, or targets, are reached this way. `transports` are what is
    /// laid over the way to each server, or empty.
    ///
    /// # Errors
    ///
    /// As [`try_new`](Self::try_new).
    pub(crate) fn with_passage(
        protocol: &OutboundProtocol,
        passage: Passage,
        transports: Vec<ClientTransport>,
    ) -> Result<Self, DialerError> {
        Ok(Self(match protocol {
            OutboundProtocol::Freedom { resolve, redirect } => match passage.detour {
                Some(detour) => Kind::Through { redirect: redirect.clone(), detour },
                None => {
                    let (redirect, socket) = (redirect.clone(), passage.socket);
                    Kind::Freedom { resolve: *resolve, redirect, socket }
                }
            },
            OutboundProtocol::Loopback { inbound } => Kind::Loopback { inbound: inbound.clone() },
            OutboundProtocol::Blackhole { http_response } => {
                Kind::Blackhole { http_response: *http_response }
            }
            OutboundProtocol::Dns(outbound) => Kind::Dns(outbound.clone(), passage.socket),
            OutboundProtocol::Api => Kind::Api(ApiDoor::default()),
            OutboundProtocol::Socks(_)
            | OutboundProtocol::Http(_)
            | OutboundProtocol::Shadowsocks(_)
            | OutboundProtocol::Vmess(_)
            | OutboundProtocol::Vless(_)
            | OutboundProtocol::Trojan(_)
            | OutboundProtocol::LoadBalance(_)
            | OutboundProtocol::Selector(_)
            | OutboundProtocol::UrlTest(_) => {
                let servers = ProxyServers::try_new(protocol, passage, transports)?;
                Kind::Proxy(servers.ok_or(DialerError::NoServer)?)
            }
        }))
    }

    /// Whether a request through it says something: it carries connections to targets.
    pub(crate) fn is_testable(&self) -> bool {
        match self.0 {
            Kind::Freedom { .. } | Kind::Through { .. } | Kind::Proxy(_) => true,
            Kind::Blackhole { .. } | Kind::Loopback { .. } | Kind::Dns(..) | Kind::Api(_) => false,
        }
    }

    /// Whether the error is the outbound's own fault, and not possibly the target's.
    pub(crate) fn is_at_fault(&self, error: &DialError) -> bool {
        match self.0 {
            // What dials the target itself has no fault of its own.
            Kind::Freedom { .. }
            | Kind::Through { .. }
            | Kind::Blackhole { .. }
            | Kind::Loopback { .. }
            | Kind::Dns(..)
            | Kind::Api(_) => false,
            Kind::Proxy(_) => !error.is_answer() && !matches!(error, DialError::NoRoom),
        }
    }

    /// How datagrams leave.
    pub(crate) fn datagram_way(&self) -> DatagramWay<'_> {
        match &self.0 {
            Kind::Freedom { resolve, redirect, socket } => {
                DatagramWay::Freedom(DirectWay { resolve: *resolve, redirect: redirect.as_ref(), socket })
            }
            // One that answers itself lets nothing out.
            Kind::Blackhole { .. } | Kind::Dns(..) | Kind::Api(_) => DatagramWay::Blackhole,
            Kind::Through { .. } => DatagramWay::Nowhere,
            Kind::Loopback { inbound } => DatagramWay::Loopback(inbound),
            Kind::Proxy(servers) => DatagramWay::Proxy(servers),
        }
    }

    /// The settings of an outbound that answers DNS questions.
    pub(crate) fn dns(&self) -> Option<&DnsOutbound> {
        match &self.0 {
            Kind::Dns(outbound, _) => Some(outbound),
            Kind::Freedom { .. }
            | Kind::Through { .. }
            | Kind::Blackhole { .. }
            | Kind::Loopback { .. }
            | Kind::Proxy(_)
            | Kind::Api(_) => None,
        }
    }

    /// The inbound that a flow takes this way as if it had come in by it.
    pub(crate) fn loopback(&self) -> Option<&Tag> {
        match &self.0 {
            Kind::Loopback { inbound } => Some(inbound),
            Kind::Dns(..) | Kind::Api(_) => None,
            Kind::Freedom { .. } | Kind::Through { .. } | Kind::Blackhole { .. } | Kind::Proxy(_) => None,
        }
    }

    /// Whether it sends to targets itself and like any program of this host. To the proxy's own queries
    /// that is true of the `dns` outbound too, which must not be asked by itself.
    pub(crate) fn is_plain_for_queries(&self) -> bool {
        match &self.0 {
            Kind::Freedom { redirect, socket, .. } => {
                redirect.is_none() && *socket == SocketOptions::default()
            }
            Kind::Dns(_, socket) => *socket == SocketOptions::default(),
            Kind::Through { .. }
            | Kind::Blackhole { .. }
            | Kind::Loopback { .. }
            | Kind::Proxy(_)
            | Kind::Api(_) => false,
        }
    }

    /// Has it reach what belongs to a proxy that runs: the remote control, and other outbounds.
    pub(crate) fn attach(&self, core: &Arc<Core>) {
        match &self.0 {
            Kind::Api(door) => door.open(&core.api_streams.sender),
            Kind::Through { detour, .. } => detour.open(core),
            Kind::Proxy(servers) => servers.passage().detour.iter().for_each(|detour| detour.open(core)),
            Kind::Freedom { .. } | Kind::Blackhole { .. } | Kind::Loopback { .. } | Kind::Dns(..) => {}
        }
    }

    /// Connects to `target`.
    ///
    /// `prefer` are addresses of the target that an IP rule matched; who resolves the name here tries
    /// them first. `deadline` bounds everything: look-up, connect and the proxy's handshake.
    ///
    /// # Errors
    ///
    /// See [`DialError`].
    pub async fn dial(
        &self,
        target: &Target,
        prefer: &[IpAddr],
        resolver: &Resolver,
        deadline: Instant,
    ) -> Result<Dialed, DialError> {
        match &self.0 {
            Kind::Freedom { resolve, redirect, socket } => {
                let way = DirectWay { resolve: *resolve, redirect: redirect.as_ref(), socket };
                way.dial(target, prefer, resolver, deadline).await
            }
            // Only the proxy's own queries get here; see `dns_outbound`.
            Kind::Dns(_, socket) => {
                let resolve = FreedomResolve::Use(AddressFamily::Any);
                DirectWay { resolve, redirect: None, socket }.dial(target, prefer, resolver, deadline).await
            }
            Kind::Api(door) => door.dial(),
            Kind::Loopback { inbound } => Err(DialError::Loopback { inbound: inbound.clone() }),
            Kind::Blackhole { http_response } => Err(DialError::Blackholed { http_response: *http_response }),
            Kind::Proxy(servers) => servers.dial(target, resolver, deadline).await,
            Kind::Through { redirect, detour } => {
                let (host, port) = redirected(target, redirect.as_ref());
                let connected = timeout_at(deadline, detour.connect(Target::new(host.clone(), port))).await;
                let stream =
                    connected.map_err(|_elapsed| DialError::HandshakeTimeout { proxy: host.clone() })??;
                Ok(Dialed { stream, rest: Vec::new(), bound: NOWHERE })
            }
        }
    }
}

impl Dialer {
    /// Connects to a target whose name a rule has had resolved: its addresses take the place of the
    /// name, also at proxies, which get one after the other.
    ///
    /// # Errors
    ///
    /// See [`DialError`].
    pub(crate) async fn dial_resolved(
        &self,
        target: &Target,
        addresses: &[IpAddr],
        resolver: &Resolver,
        deadline: Instant,
    ) -> Result<Dialed, DialError> {
        if let Kind::Freedom { redirect: None, socket, .. } = &self.0 {
            let ordered = order_addresses(addresses, addresses, target.port);
            let stream = connect(&ordered, socket, deadline).await?;
            return Ok(Dialed { bound: bound(&stream)?, stream: stream.into(), rest: Vec::new() });
        }
        let mut failed = DialError::NoAddress;
        for address in addresses.iter().take(connect::MAX_ADDRESSES) {
            let target = Target::new(Host::Ip(*address), target.port);
            match self.dial(&target, &[], resolver, deadline).await {
                // Another address may be as good as this one is not; another try of a proxy is not.
                Err(error) if error.is_answer() => failed = error,
                dialled => return dialled,
            }
        }
        Err(failed)
    }
}

/// Where a freedom outbound goes for a target.
fn redirected<'t>(target: &'t Target, redirect: Option<&'t Redirect>) -> (&'t Host, u16) {
    let host = redirect.and_then(|redirect| redirect.host.as_ref()).unwrap_or(&target.host);
    let port = redirect.and_then(|redirect| redirect.port).unwrap_or(target.port);
    (host, port)
}

/// This host's end of a connection that stands.
fn bound(stream: &TcpStream) -> Result<SocketAddr, DialError> {
    // A socket without an end was reset between the connect and here.
    stream.local_addr().map_err(|error| DialError::Lost { kind: error.kind() })
}

impl DirectWay<'_> {
    async fn dial(
        &self,
        target: &Target,
        prefer: &[IpAddr],
        resolver: &Resolver,
        deadline: Instant,
    ) -> Result<Dialed, DialError> {
        let addresses = Box::pin(self.addresses(target, prefer, resolver, deadline)).await?;
        let stream = connect(&addresses, self.socket, deadline).await?;
        Ok(Dialed { bound: bound(&stream)?, stream: stream.into(), rest: Vec::new() })
    }

    /// Where a datagram to a target may go whose name a rule has had resolved.
    pub(crate) fn resolved(&self, target: &Target, addresses: &[IpAddr]) -> Vec<SocketAddr> {
        let port = self.redirect.and_then(|redirect| redirect.port).unwrap_or(target.port);
        match self.redirect.and_then(|redirect| redirect.host.as_ref()).and_then(Host::ip) {
            Some(host) => vec![SocketAddr::new(host, port)],
            None => order_addresses(addresses, addresses, port),
        }
    }

    /// The addresses that a connection or a datagram to `target` may go to, the best first.
    pub(crate) async fn addresses(
        &self,
        target: &Target,
        prefer: &[IpAddr],
        resolver: &Resolver,
        deadline: Instant,
    ) -> Result<Vec<SocketAddr>, DialError> {
        let (host, port) = redirected(target, self.redirect);
        // What the rule looked up is the client's target, not the other one.
        let prefer = if *host == target.host { prefer } else { &[] };
        let found = match host {
            Host::Ip(address) => vec![*address],
            Host::Domain(name) => {
                let found = timeout_at(deadline, freedom_addresses(name, prefer, self.resolve, resolver));
                found.await.map_err(|_elapsed| DialError::ResolveTimeout)??
            }
        };
        Ok(order_addresses(prefer, &found, port))
    }
}

/// The addresses of `name`, those in `prefer` that are wanted among them.
async fn freedom_addresses(
    name: &DomainName,
    prefer: &[IpAddr],
    resolve: FreedomResolve,
    resolver: &Resolver,
) -> Result<Vec<IpAddr>, ResolveError> {
    let (found, family) = match resolve {
        FreedomResolve::AsIs => (resolver.resolve_by_system(name, Family::Any).await, Family::Any),
        FreedomResolve::Use(family) => resolve_in(resolver, name, family).await,
    };
    let preferred: Vec<IpAddr> = prefer.iter().copied().filter(|&address| family.contains(address)).collect();
    match found {
        Ok(addresses) => Ok(preferred.into_iter().chain(addresses).collect()),
        Err(_unneeded) if !preferred.is_empty() => Ok(preferred),
        Err(error) => Err(error),
    }
}

async fn resolve_in(
    resolver: &Resolver,
    name: &DomainName,
    family: AddressFamily,
) -> (Result<Vec<IpAddr>, ResolveError>, Family) {
    let family = match family {
        AddressFamily::Any => Family::Any,
        AddressFamily::V4 => Family::V4,
        AddressFamily::V6 => Family::V6,
    };
    (resolver.resolve(name, family).await, family)
}
