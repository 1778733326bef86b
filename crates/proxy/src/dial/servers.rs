use std::{
    net::SocketAddr,
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering},
};

use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};
use waypost_config::model::{Account, OutboundProtocol, ProxyServer};
use waypost_dns::Resolver;
use waypost_net::{Host, Target};
use waypost_transport::{ClientTransport, Datagrams};
use waypost_wire::{AccountsError, ClientError, Credentials, HttpConnectClient, Machine, Socks5Client};

use super::{
    DialError, Dialed,
    passage::{Passage, Reached, addresses},
    tunnel::{Tunnel, TunnelError},
};
use crate::{
    Stream,
    shadowsocks::ClientSession,
    wire_io::{DriveError, drive},
};

/// Why an outbound cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DialerError {
    /// An account cannot be sent to a proxy.
    #[error(transparent)]
    Account(#[from] AccountsError),
    /// A key cannot be used.
    #[error(transparent)]
    Tunnel(#[from] TunnelError),
    /// No server is named.
    #[error("an outbound through a proxy needs a server")]
    NoServer,
}

/// What is done with one server.
pub(super) type Attempt<'s, T> = Pin<Box<dyn Future<Output = Result<T, DialError>> + Send + 's>>;

/// Equal proxy servers that take turns.
#[derive(Debug)]
pub(crate) struct ProxyServers {
    servers: Box<[Server]>,
    turn: AtomicUsize,
    passage: Passage,
}

#[derive(Debug)]
pub(super) struct Server {
    pub(super) at: Target,
    pub(super) key: Key,
    /// What is laid over the sockets.
    transport: Option<ClientTransport>,
    /// When it last said that it knows no datagrams.
    pub(super) refused_datagrams: Mutex<Option<Instant>>,
}

/// What a server speaks, and how this end proves itself.
#[derive(Debug)]
pub(super) enum Key {
    Socks5(Option<Credentials>),
    HttpConnect(Option<Credentials>),
    Tunnel(Box<Tunnel>),
}

impl Key {
    fn tunnel(tunnel: Tunnel) -> Self {
        Self::Tunnel(Box::new(tunnel))
    }
}

/// How datagrams get to servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DatagramForm {
    /// They do not.
    None,
    /// By an association beside a connection.
    Associated,
    /// Each by itself, encrypted.
    Sealed,
    /// In a stream for all targets.
    Stream,
    /// In a stream for each target.
    StreamPerTarget,
}

impl ProxyServers {
    /// The servers of an outbound that has some; `None` for another one. `transports` are what is laid
    /// over the way to each of them, or empty.
    pub(super) fn try_new(
        protocol: &OutboundProtocol,
        passage: Passage,
        transports: Vec<ClientTransport>,
    ) -> Result<Option<Self>, DialerError> {
        let login = |account: &Option<Account>| {
            let account = account.as_ref();
            let credentials =
                account.map(|account| Credentials::try_new(account.user.clone(), account.password.clone()));
            Ok::<_, DialerError>(credentials.transpose()?)
        };
        let servers = match protocol {
            OutboundProtocol::Socks(servers) => each(servers, |account| Ok(Key::Socks5(login(account)?))),
            OutboundProtocol::Http(servers) => each(servers, |account| Ok(Key::HttpConnect(login(account)?))),
            OutboundProtocol::Shadowsocks(servers) => {
                each(servers, |key| Ok(Key::tunnel(Tunnel::shadowsocks(key)?)))
            }
            OutboundProtocol::Vmess(servers) => {
                each(servers, |account| Ok(Key::tunnel(Tunnel::vmess(account))))
            }
            OutboundProtocol::Vless(servers) => each(servers, |id| Ok(Key::tunnel(Tunnel::vless(id)))),
            OutboundProtocol::Trojan(servers) => {
                each(servers, |password| Ok(Key::tunnel(Tunnel::trojan(password))))
            }
            OutboundProtocol::Freedom { .. }
            | OutboundProtocol::Blackhole { .. }
            | OutboundProtocol::Dns(_)
            | OutboundProtocol::Api
            | OutboundProtocol::Loopback { .. }
            | OutboundProtocol::LoadBalance(_)
            | OutboundProtocol::Selector(_)
            | OutboundProtocol::UrlTest(_) => return Ok(None),
        };
        let mut servers = servers?;
        if servers.is_empty() {
            return Err(DialerError::NoServer);
        }
        for (server, transport) in servers.iter_mut().zip(transports) {
            server.transport = Some(transport);
        }
        Ok(Some(Self { servers, turn: AtomicUsize::new(0), passage }))
    }

    /// The way to them.
    pub(crate) fn passage(&self) -> &Passage {
        &self.passage
    }

    /// How datagrams get to them.
    pub(crate) fn datagrams(&self) -> DatagramForm {
        match self.servers.first().map(|server| &server.key) {
            None | Some(Key::HttpConnect(_)) => DatagramForm::None,
            Some(Key::Socks5(_)) if self.passage.is_direct() => DatagramForm::Associated,
            Some(Key::Socks5(_)) => DatagramForm::None,
            Some(Key::Tunnel(tunnel)) => {
                let has_transport = self.servers.iter().any(|server| server.transport.is_some());
                tunnel.datagrams(self.passage.is_direct() && !has_transport)
            }
        }
    }

    /// Tries the servers one after the other, each dial beginning with another one.
    pub(super) async fn dial<'s>(
        &'s self,
        target: &'s Target,
        resolver: &'s Resolver,
        deadline: Instant,
    ) -> Result<Dialed, DialError> {
        let dial = |server: &'s Server, share| server.dial(&self.passage, target, resolver, share);
        self.first(move |server, share| Box::pin(dial(server, share)), deadline).await
    }

    /// Opens a stream of datagrams at the first server that grants one.
    pub(crate) async fn datagram_stream<'s>(
        &'s self,
        target: &'s Target,
        resolver: &'s Resolver,
        deadline: Instant,
    ) -> Result<Box<dyn Datagrams>, DialError> {
        let open = |server: &'s Server, share| async move {
            let Key::Tunnel(tunnel) = &server.key else { return Err(DialError::NoDatagrams) };
            let reached = self.passage.reach(server.place(), resolver, share).await?;
            tunnel.datagram_stream(reached.stream, target).ok_or(DialError::NoDatagrams)
        };
        self.first(move |server, share| Box::pin(open(server, share)), deadline).await
    }

    /// A session of datagrams at the first server that has an address, which comes with it.
    pub(crate) async fn sealed_datagrams<'s>(
        &'s self,
        resolver: &'s Resolver,
        deadline: Instant,
    ) -> Result<(SocketAddr, ClientSession), DialError> {
        let open = |server: &'s Server, share| async move {
            let Key::Tunnel(tunnel) = &server.key else { return Err(DialError::NoDatagrams) };
            let Tunnel::Shadowsocks(client) = &**tunnel else { return Err(DialError::NoDatagrams) };
            let found = addresses(&server.at.host, resolver, share).await?;
            let address = found.first().copied().ok_or(DialError::NoAddress)?;
            Ok((SocketAddr::new(address, server.at.port), client.session()))
        };
        self.first(move |server, share| Box::pin(open(server, share)), deadline).await
    }

    /// Does something with one server after the other until it succeeds, each time beginning with another
    /// one; of several failures the first is told.
    pub(super) async fn first<'s, T>(
        &'s self,
        attempt: impl Fn(&'s Server, Instant) -> Attempt<'s, T>,
        deadline: Instant,
    ) -> Result<T, DialError> {
        let mut first_error = None;
        for (server, left) in self.turns() {
            match attempt(server, share(deadline, left)).await {
                Ok(done) => return Ok(done),
                Err(error) => {
                    tracing::debug!(proxy = %server.at, %error, "proxy server failed");
                    first_error.get_or_insert(error);
                }
            }
        }
        Err(first_error.unwrap_or(DialError::NoAddress))
    }

    /// The servers, beginning with another one each time, and how many are left with each.
    fn turns(&self) -> impl Iterator<Item = (&Server, usize)> {
        let count = self.servers.len();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let at = move |attempt: usize| self.servers.get(turn.wrapping_add(attempt) % count);
        (0..count).filter_map(move |attempt| Some((at(attempt)?, count - attempt)))
    }
}

fn each<A>(
    servers: &[ProxyServer<A>],
    key: impl Fn(&A) -> Result<Key, DialerError>,
) -> Result<Box<[Server]>, DialerError> {
    let server = |server: &ProxyServer<A>| {
        let at = Target::new(server.host.clone(), server.port);
        Ok(Server { at, key: key(&server.account)?, transport: None, refused_datagrams: Mutex::default() })
    };
    servers.iter().map(server).collect()
}

/// Until when a server may take, so that one that hangs leaves an equal share for each of the `left`.
fn share(deadline: Instant, left: usize) -> Instant {
    let now = Instant::now();
    now + deadline.saturating_duration_since(now) / u32::try_from(left).unwrap_or(u32::MAX)
}

impl Server {
    /// Where it is, and what is laid over the way there.
    pub(super) fn place(&self) -> (&Target, Option<&ClientTransport>) {
        (&self.at, self.transport.as_ref())
    }

    async fn dial(
        &self,
        passage: &Passage,
        target: &Target,
        resolver: &Resolver,
        deadline: Instant,
    ) -> Result<Dialed, DialError> {
        let Reached { mut stream, bound, .. } = passage.reach(self.place(), resolver, deadline).await?;
        let (stream, rest) = match &self.key {
            Key::Socks5(credentials) => {
                let client = Socks5Client::new(target, credentials.clone());
                let (_, rest) = self.shake_hands(&mut stream, client, deadline).await?;
                (stream, rest)
            }
            Key::HttpConnect(credentials) => {
                let client = HttpConnectClient::new(target, credentials.as_ref());
                let (_, rest) = self.shake_hands(&mut stream, client, deadline).await?;
                (stream, rest)
            }
            Key::Tunnel(tunnel) => (tunnel.stream(stream, target), Vec::new()),
        };
        Ok(Dialed { stream, rest, bound })
    }

    pub(super) async fn shake_hands<M: Machine<Error = ClientError>>(
        &self,
        stream: &mut Stream,
        mut client: M,
        deadline: Instant,
    ) -> Result<(M::Output, Vec<u8>), DialError> {
        let proxy = || -> Host { self.at.host.clone() };
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
