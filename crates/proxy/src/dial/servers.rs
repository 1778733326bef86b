use std::sync::atomic::{AtomicUsize, Ordering};

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
pub(super) struct ProxyServers {
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
struct Server {
    host: Host,
    port: u16,
    credentials: Option<Credentials>,
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
            Ok(Server { host: server.host.clone(), port: server.port, credentials: credentials.transpose()? })
        };
        let servers: Box<[Server]> = servers.iter().map(server).collect::<Result<_, AccountsError>>()?;
        if servers.is_empty() {
            return Err(DialerError::NoServer);
        }
        Ok(Self { protocol, servers, turn: AtomicUsize::new(0), socket: socket.clone() })
    }

    /// Tries the servers one after the other, each dial beginning with another one. Each gets an equal
    /// share of what is left of the time, so that one that hangs leaves some for the next.
    pub(super) async fn dial(
        &self,
        target: &Target,
        resolver: &Resolver,
        deadline: Instant,
    ) -> Result<Dialed, DialError> {
        let count = self.servers.len();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut first_error = None;
        for attempt in 0..count {
            let Some(server) = self.servers.get(turn.wrapping_add(attempt) % count) else { continue };
            let now = Instant::now();
            let servers_left = u32::try_from(count - attempt).unwrap_or(u32::MAX);
            let share = now + deadline.saturating_duration_since(now) / servers_left;
            match self.dial_through(server, target, resolver, share).await {
                Ok(dialed) => return Ok(dialed),
                Err(error) => {
                    tracing::debug!(proxy = %server.host, %error, "proxy server failed");
                    first_error.get_or_insert(error);
                }
            }
        }
        Err(first_error.unwrap_or(DialError::NoAddress))
    }

    async fn dial_through(
        &self,
        server: &Server,
        target: &Target,
        resolver: &Resolver,
        deadline: Instant,
    ) -> Result<Dialed, DialError> {
        let addresses = match &server.host {
            Host::Ip(address) => vec![*address],
            Host::Domain(name) => timeout_at(deadline, resolver.resolve(name, Family::Any))
                .await
                .map_err(|_elapsed| DialError::ResolveTimeout)??,
        };
        let stream = connect(&order_addresses(&[], &addresses, server.port), &self.socket, deadline).await?;
        let bound = bound(&stream)?;
        let mut stream = Stream::from(stream);
        let rest = match self.protocol {
            ProxyProtocol::Socks5 => {
                let client = Socks5Client::new(target, server.credentials.clone());
                server.shake_hands(&mut stream, client, deadline).await?
            }
            ProxyProtocol::HttpConnect => {
                let client = HttpConnectClient::new(target, server.credentials.as_ref());
                server.shake_hands(&mut stream, client, deadline).await?
            }
        };
        Ok(Dialed { stream, rest, bound })
    }
}

impl Server {
    async fn shake_hands(
        &self,
        stream: &mut Stream,
        mut client: impl Machine<Output = (), Error = ClientError>,
        deadline: Instant,
    ) -> Result<Vec<u8>, DialError> {
        let proxy = || self.host.clone();
        match timeout_at(deadline, drive(stream, &mut client)).await {
            Err(_elapsed) => Err(DialError::HandshakeTimeout { proxy: proxy() }),
            Ok(Ok(((), rest))) => Ok(rest),
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
