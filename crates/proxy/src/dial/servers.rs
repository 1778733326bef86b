use std::{
    net::IpAddr,
    sync::atomic::{AtomicUsize, Ordering},
};

use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};
use waypost_config::model::{ProxyServer, SocketOptions};
use waypost_dns::{Family, Resolver};
use waypost_net::{Host, Target};
use waypost_wire::{AccountsError, ClientError, Credentials, HttpConnectClient, Machine, Socks5Client};

use super::{DialError, Dialed, bound, connect, order_addresses};
use crate::{
    Stream,
    wire_io::{DriveError, drive},
};

/// Why an outbound cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DialerError {
    /// An account cannot be sent to a proxy.
    #[error(transparent)]
    Account(#[from] AccountsError),
    /// No server is named.
    #[error("an outbound through a proxy needs a server")]
    NoServer,
}

/// Equal proxy servers that take turns.
#[derive(Debug)]
pub(crate) struct ProxyServers {
    protocol: ProxyProtocol,
    servers: Box<[Server]>,
    turn: AtomicUsize,
    socket: SocketOptions,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum ProxyProtocol {
    Socks5,
    HttpConnect,
}

#[derive(Debug)]
pub(super) struct Server {
    pub(super) host: Host,
    pub(super) port: u16,
    pub(super) credentials: Option<Credentials>,
    /// When it last said that it knows no datagrams.
    pub(super) refused_datagrams: Mutex<Option<Instant>>,
}

impl ProxyServers {
    pub(super) fn try_new(
        protocol: ProxyProtocol,
        servers: &[ProxyServer],
        socket: &SocketOptions,
    ) -> Result<Self, DialerError> {
        let server = |server: &ProxyServer| {
            let account = server.account.as_ref();
            let credentials =
                account.map(|account| Credentials::try_new(account.user.clone(), account.password.clone()));
            Ok(Server {
                host: server.host.clone(),
                port: server.port,
                credentials: credentials.transpose()?,
                refused_datagrams: Mutex::default(),
            })
        };
        let servers: Box<[Server]> = servers.iter().map(server).collect::<Result<_, AccountsError>>()?;
        if servers.is_empty() {
            return Err(DialerError::NoServer);
        }
        Ok(Self { protocol, servers, turn: AtomicUsize::new(0), socket: socket.clone() })
    }

    pub(super) fn protocol(&self) -> ProxyProtocol {
        self.protocol
    }

    /// What is set on the sockets.
    pub(crate) fn socket(&self) -> &SocketOptions {
        &self.socket
    }

    /// Tries the servers one after the other, each dial beginning with another one.
    pub(super) async fn dial(
        &self,
        target: &Target,
        resolver: &Resolver,
        deadline: Instant,
    ) -> Result<Dialed, DialError> {
        let mut first_error = None;
        for (server, left) in self.turns() {
            match self.dial_through(server, target, resolver, share(deadline, left)).await {
                Ok(dialed) => return Ok(dialed),
                Err(error) => {
                    tracing::debug!(proxy = %server.host, %error, "proxy server failed");
                    first_error.get_or_insert(error);
                }
            }
        }
        Err(first_error.unwrap_or(DialError::NoAddress))
    }

    /// The servers, beginning with another one each time, and how many are left with each.
    pub(super) fn turns(&self) -> impl Iterator<Item = (&Server, usize)> {
        let count = self.servers.len();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let at = move |attempt: usize| self.servers.get(turn.wrapping_add(attempt) % count);
        (0..count).filter_map(move |attempt| Some((at(attempt)?, count - attempt)))
    }

    async fn dial_through(
        &self,
        server: &Server,
        target: &Target,
        resolver: &Resolver,
        deadline: Instant,
    ) -> Result<Dialed, DialError> {
        let addresses = server.addresses(resolver, deadline).await?;
        let stream = connect(&order_addresses(&[], &addresses, server.port), &self.socket, deadline).await?;
        let bound = bound(&stream)?;
        let mut stream = Stream::from(stream);
        let rest = match self.protocol {
            ProxyProtocol::Socks5 => {
                let client = Socks5Client::new(target, server.credentials.clone());
                server.shake_hands(&mut stream, client, deadline).await?.1
            }
            ProxyProtocol::HttpConnect => {
                let client = HttpConnectClient::new(target, server.credentials.as_ref());
                server.shake_hands(&mut stream, client, deadline).await?.1
            }
        };
        Ok(Dialed { stream, rest, bound })
    }
}

/// Until when a server may take, so that one that hangs leaves an equal share for each of the `left`.
pub(super) fn share(deadline: Instant, left: usize) -> Instant {
    let now = Instant::now();
    now + deadline.saturating_duration_since(now) / u32::try_from(left).unwrap_or(u32::MAX)
}

impl Server {
    pub(super) async fn addresses(
        &self,
        resolver: &Resolver,
        deadline: Instant,
    ) -> Result<Vec<IpAddr>, DialError> {
        match &self.host {
            Host::Ip(address) => Ok(vec![*address]),
            // The way to a DNS server may lead through this very proxy.
            Host::Domain(name) => {
                let resolver = resolver.without_servers();
                let found = timeout_at(deadline, resolver.resolve(name, Family::Any));
                Ok(found.await.map_err(|_elapsed| DialError::ResolveTimeout)??)
            }
        }
    }

    pub(super) async fn shake_hands<M: Machine<Error = ClientError>>(
        &self,
        stream: &mut Stream,
        mut client: M,
        deadline: Instant,
    ) -> Result<(M::Output, Vec<u8>), DialError> {
        let proxy = || self.host.clone();
        match timeout_at(deadline, drive(stream, &mut client)).await {
            Err(_elapsed) => Err(DialError::HandshakeTimeout { proxy: proxy() }),
            Ok(Ok(done)) => Ok(done),
            Ok(Err(DriveError::Closed | DriveError::Io(_))) => {
                Err(DialError::HandshakeClosed { proxy: proxy() })
            }
            Ok(Err(DriveError::Failed { error: ClientError::CredentialsRejected, .. })) => {
                Err(DialError::CredentialsRejected { proxy: proxy() })
            }
            Ok(Err(DriveError::Failed { error, .. })) => {
                Err(DialError::Proxy { proxy: proxy(), source: error })
            }
        }
    }
}
