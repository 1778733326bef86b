//! The way to a proxy server: sockets, another outbound, and what is laid over them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::time::{Instant, timeout_at};
use waypost_config::model::SocketOptions;
use waypost_dns::{Family, Resolver};
use waypost_net::{Host, Target};
use waypost_transport::{ClientTransport, OpenError};

use super::{DialError, bound, connect, detour::Detour, order_addresses};
use crate::{
    Stream,
    stream::{Abort, Base, Layered},
};

/// How the servers of an outbound are reached.
#[derive(Debug, Default)]
pub(crate) struct Passage {
    /// What is set on sockets.
    pub(crate) socket: SocketOptions,
    /// What they lead through.
    pub(crate) detour: Option<Detour>,
}

/// A stream to a server.
#[derive(Debug)]
pub(super) struct Reached {
    pub(super) stream: Stream,
    /// This host's end of it.
    pub(super) bound: SocketAddr,
    /// The server's end, if it was connected to from here.
    pub(super) peer: Option<SocketAddr>,
}

/// An end that nobody can say.
pub(super) const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

impl Passage {
    /// A way with these sockets and nothing else.
    pub(crate) fn plain(socket: &SocketOptions) -> Self {
        Self { socket: socket.clone(), ..Self::default() }
    }

    /// Whether sockets of this host lead to the server, so that datagrams can be sent there.
    pub(crate) fn is_direct(&self) -> bool {
        self.detour.is_none()
    }

    /// Opens a stream to a server, with `transport` over it.
    pub(super) async fn reach(
        &self,
        (server, transport): (&Target, Option<&ClientTransport>),
        resolver: &Resolver,
        deadline: Instant,
    ) -> Result<Reached, DialError> {
        let Some(transport) = transport else {
            return self.connect(server, resolver, deadline).await;
        };
        // What carries several streams is none of theirs to reset.
        let (mut abort, mut ends) = (Abort::default(), (NOWHERE, None));
        let raw = async {
            let reached = self.connect(server, resolver, deadline).await?;
            ends = (reached.bound, reached.peer);
            let (base, of_base) = Base::new(reached.stream);
            if !transport.is_shared() {
                abort = of_base;
            }
            Ok(base)
        };
        let proxy = || server.host.clone();
        let opened = match timeout_at(deadline, Box::pin(transport.open(server, raw))).await {
            Err(_elapsed) => return Err(DialError::HandshakeTimeout { proxy: proxy() }),
            Ok(Err(OpenError::Connect(error))) => return Err(error),
            Ok(Err(OpenError::Transport(problem))) => {
                return Err(DialError::Transport { proxy: proxy(), problem });
            }
            Ok(Ok(opened)) => opened,
        };
        let (bound, peer) = ends;
        Ok(Reached { stream: Layered::new(opened, abort).into(), bound, peer })
    }

    async fn connect(
        &self,
        server: &Target,
        resolver: &Resolver,
        deadline: Instant,
    ) -> Result<Reached, DialError> {
        if let Some(detour) = &self.detour {
            let connected = timeout_at(deadline, detour.connect(server.clone())).await;
            let stream = connected
                .map_err(|_elapsed| DialError::HandshakeTimeout { proxy: server.host.clone() })??;
            return Ok(Reached { stream, bound: NOWHERE, peer: None });
        }
        let addresses = addresses(&server.host, resolver, deadline).await?;
        let stream = connect(&order_addresses(&[], &addresses, server.port), &self.socket, deadline).await?;
        let peer = stream.peer_addr().map_err(|error| DialError::Lost { kind: error.kind() })?;
        Ok(Reached { bound: bound(&stream)?, peer: Some(peer), stream: stream.into() })
    }
}

/// The addresses of a server.
pub(super) async fn addresses(
    host: &Host,
    resolver: &Resolver,
    deadline: Instant,
) -> Result<Vec<IpAddr>, DialError> {
    match host {
        Host::Ip(address) => Ok(vec![*address]),
        // The way to a DNS server may lead through this very proxy.
        Host::Domain(name) => {
            let resolver = resolver.without_servers();
            let found = timeout_at(deadline, resolver.resolve(name, Family::Any));
            Ok(found.await.map_err(|_elapsed| DialError::ResolveTimeout)??)
        }
    }
}
