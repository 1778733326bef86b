//! What an outbound sends the datagrams of an association with.

use std::{
    collections::HashMap,
    io,
    mem::MaybeUninit,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, ReadBuf},
    sync::{OnceCell, OwnedSemaphorePermit},
    time::Instant,
};
use waypost_config::model::SocketOptions;
use waypost_dns::Resolver;
use waypost_health::MemberId;
use waypost_net::Target;

use super::{
    batch::{Buffers, Outgoing, Socket},
    sealed::Sealed,
    streamed::Streamed,
};
use crate::{ConnectionLimit, DialError, Stream, dial::ProxyServers};

/// How long a carrier outlives its last datagram, so that the address that others have learned stays the
/// same (RFC 4787 §4.3).
pub(super) const LINGER: Duration = Duration::from_secs(300);

/// Sends and receives for one outbound. The sessions that use it share it.
#[derive(Debug)]
pub(super) struct Carrier {
    kind: Kind,
    /// Set when it can carry nothing any more.
    over: AtomicBool,
    /// The room that its descriptors take among the connections.
    _permit: OwnedSemaphorePermit,
}

#[derive(Debug)]
enum Kind {
    /// One socket per family, for all targets.
    Freedom { v4: OnceLock<Socket>, v6: OnceLock<Socket>, options: SocketOptions },
    /// An association at a proxy server.
    Socks { socket: Socket, control: Mutex<Stream> },
    /// A stream to a proxy server.
    Stream(Mutex<Streamed>),
    /// A socket to a proxy server, by which datagrams go encrypted.
    Sealed(Box<Sealed>),
}

impl Carrier {
    pub(super) fn freedom(options: &SocketOptions, limit: &ConnectionLimit) -> Result<Self, DialError> {
        let kind = Kind::Freedom { v4: OnceLock::new(), v6: OnceLock::new(), options: options.clone() };
        Self::new(kind, limit)
    }

    pub(super) async fn socks(
        servers: &ProxyServers,
        resolver: &Resolver,
        deadline: Instant,
        limit: &ConnectionLimit,
    ) -> Result<Self, DialError> {
        let associated = servers.associate(resolver, deadline).await?;
        let relay = associated.relay;
        let open = async { connected(relay, &servers.passage().socket).await };
        let socket = open.await.map_err(|error| DialError::connect(relay, &error))?;
        Self::new(Kind::Socks { socket, control: Mutex::new(associated.control) }, limit)
    }

    /// A stream for datagrams to `target`, or to all targets where each datagram names its own.
    pub(super) async fn stream(
        servers: &ProxyServers,
        target: &Target,
        resolver: &Resolver,
        deadline: Instant,
        limit: &ConnectionLimit,
    ) -> Result<Self, DialError> {
        let datagrams = servers.datagram_stream(target, resolver, deadline).await?;
        Self::new(Kind::Stream(Mutex::new(Streamed::to_server(datagrams, target.clone()))), limit)
    }

    /// A socket to a server that takes each datagram by itself.
    pub(super) async fn sealed(
        servers: &ProxyServers,
        resolver: &Resolver,
        deadline: Instant,
        limit: &ConnectionLimit,
    ) -> Result<Self, DialError> {
        let (server, session) = servers.sealed_datagrams(resolver, deadline).await?;
        let socket = connected(server, &servers.passage().socket).await;
        let socket = socket.map_err(|error| DialError::connect(server, &error))?;
        Self::new(Kind::Sealed(Box::new(Sealed::new(socket, session))), limit)
    }

    fn new(kind: Kind, limit: &ConnectionLimit) -> Result<Self, DialError> {
        let permit = limit.try_acquire().ok_or(DialError::NoRoom)?;
        Ok(Self { kind, over: AtomicBool::new(false), _permit: permit })
    }

    /// Whether it sends to targets itself, so that no header goes before its datagrams.
    pub(super) fn is_direct(&self) -> bool {
        match self.kind {
            Kind::Freedom { .. } => true,
            Kind::Socks { .. } | Kind::Stream(_) | Kind::Sealed(_) => false,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// The socket that reaches `to`; for a proxy server there is only one.
    pub(super) fn socket(&self, to: Option<SocketAddr>) -> io::Result<&Socket> {
        match &self.kind {
            Kind::Socks { socket, .. } => Ok(socket),
            Kind::Sealed(sealed) => Ok(sealed.socket()),
            Kind::Stream(_) => Err(io::ErrorKind::Unsupported.into()),
            Kind::Freedom { v4, v6, options } => {
                let to = to.ok_or(io::ErrorKind::InvalidInput)?;
                let cell = if to.is_ipv4() { v4 } else { v6 };
                if let Some(socket) = cell.get() {
                    return Ok(socket);
                }
                let socket = Socket::bind(near_end(to, options)?, options)?;
                socket.keep_errors(to.is_ipv4())?;
                Ok(cell.get_or_init(|| socket))
            }
        }
    }

    /// Sends in order; `to` is where those go that go to a target itself. Yields which could not be sent.
    pub(super) fn send(&self, to: Option<SocketAddr>, datagrams: &[Outgoing<'_>]) -> Vec<(usize, io::Error)> {
        match &self.kind {
            Kind::Freedom { .. } | Kind::Socks { .. } => match self.socket(to) {
                Ok(socket) => socket.send(datagrams),
                Err(error) => vec![(0, error)],
            },
            Kind::Stream(streamed) => {
                streamed.lock().queue(datagrams);
                Vec::new()
            }
            Kind::Sealed(sealed) => sealed.send(datagrams),
        }
    }

    /// What came, with the header of SOCKS5; `None` if its sockets have to be read.
    pub(super) fn take_opened(&self, buffers: &Buffers) -> Option<Vec<Vec<u8>>> {
        match &self.kind {
            Kind::Freedom { .. } | Kind::Socks { .. } => None,
            Kind::Stream(streamed) => Some(streamed.lock().take()),
            Kind::Sealed(sealed) => Some(sealed.receive(buffers)),
        }
    }

    /// Its open sockets.
    pub(super) fn sockets(&self) -> impl Iterator<Item = &Socket> {
        let (first, second) = match &self.kind {
            Kind::Freedom { v4, v6, .. } => (v4.get(), v6.get()),
            Kind::Socks { socket, .. } => (Some(socket), None),
            Kind::Sealed(sealed) => (Some(sealed.socket()), None),
            Kind::Stream(_) => (None, None),
        };
        first.into_iter().chain(second)
    }

    /// Whether there may be something to read. The proxy server's end of the association makes the
    /// carrier over.
    pub(super) fn poll_readable(&self, context: &mut Context<'_>) -> bool {
        match &self.kind {
            Kind::Socks { control, .. } if poll_end(&mut control.lock(), context).is_ready() => self.end(),
            Kind::Stream(streamed) => match streamed.lock().poll(context) {
                Poll::Pending => return false,
                Poll::Ready(Ok(())) => return true,
                Poll::Ready(Err(_over)) => self.end(),
            },
            Kind::Freedom { .. } | Kind::Socks { .. } | Kind::Sealed(_) => {}
        }
        // Each has to be asked, or it would not wake the task.
        self.sockets().filter(|socket| socket.poll_readable(context).is_ready()).count() > 0
    }
}

/// Waits for the end of a connection on which nothing more is to come; what comes is dropped.
pub(super) fn poll_end(stream: &mut Stream, context: &mut Context<'_>) -> Poll<()> {
    loop {
        let mut space = [MaybeUninit::uninit(); 512];
        let mut buffer = ReadBuf::uninit(&mut space);
        match ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer)) {
            Ok(()) if !buffer.filled().is_empty() => {}
            Ok(()) | Err(_) => return Poll::Ready(()),
        }
    }
}

/// A socket that sends to `far`.
async fn connected(far: SocketAddr, options: &SocketOptions) -> io::Result<Socket> {
    let socket = Socket::bind(near_end(far, options)?, options)?;
    socket.connect(far).await?;
    Ok(socket)
}

/// The address to send to `far` from: that of `sendThrough`, or any; and any port.
fn near_end(far: SocketAddr, options: &SocketOptions) -> io::Result<SocketAddr> {
    let any = if far.is_ipv4() { IpAddr::from(Ipv4Addr::UNSPECIFIED) } else { Ipv6Addr::UNSPECIFIED.into() };
    let near = options.send_through.unwrap_or(any);
    if near.is_ipv4() != far.is_ipv4() {
        let message = format!("`{far}` cannot be reached from {near}, which is of the other family");
        return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, message));
    }
    Ok(SocketAddr::new(near, 0))
}

/// The carriers of an association, by outbound, and by target where a carrier has one only.
#[derive(Debug, Default)]
pub(super) struct Carriers(Mutex<HashMap<CarrierKey, Arc<OnceCell<Arc<Carrier>>>>>);

/// An outbound, and the target where a carrier has one only.
type CarrierKey = (MemberId, Option<Target>);

impl Carriers {
    /// The carrier of a member, opened by `open` if there is none; and whether it was. Those who ask for
    /// it meanwhile wait for the same.
    pub(super) async fn get_or_open<F>(
        &self,
        (member, target): (MemberId, Option<Target>),
        open: F,
    ) -> Result<(Arc<Carrier>, bool), DialError>
    where
        F: Future<Output = Result<Carrier, DialError>>,
    {
        let cell = {
            let mut cells = self.0.lock();
            cells.retain(|_, cell| !cell.get().is_some_and(|carrier| carrier.is_over()));
            let cell = cells.entry((member, target)).or_default();
            cell.clone()
        };
        let mut is_new = false;
        let opened = cell.get_or_try_init(|| async {
            is_new = true;
            open.await.map(Arc::new)
        });
        let carrier = opened.await?.clone();
        Ok((carrier, is_new))
    }
}
