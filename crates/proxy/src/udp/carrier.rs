//! What an outbound sends the datagrams of an association with.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{OnceCell, OwnedSemaphorePermit},
    time::Instant,
};
use waypost_config::model::SocketOptions;
use waypost_dns::Resolver;
use waypost_health::MemberId;

use super::batch::Socket;
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
    Socks { socket: Socket, control: Stream },
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
        let open = async {
            let options = servers.socket();
            let socket = Socket::bind(near_end(relay, options)?, options)?;
            socket.connect(relay).await?;
            io::Result::Ok(socket)
        };
        let socket = open.await.map_err(|error| DialError::connect(relay, &error))?;
        Self::new(Kind::Socks { socket, control: associated.control }, limit)
    }

    fn new(kind: Kind, limit: &ConnectionLimit) -> Result<Self, DialError> {
        let permit = limit.try_acquire().ok_or(DialError::NoRoom)?;
        Ok(Self { kind, over: AtomicBool::new(false), _permit: permit })
    }

    /// Whether it sends to targets itself, so that no header goes before its datagrams.
    pub(super) fn is_direct(&self) -> bool {
        match self.kind {
            Kind::Freedom { .. } => true,
            Kind::Socks { .. } => false,
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

    /// Its open sockets.
    pub(super) fn sockets(&self) -> impl Iterator<Item = &Socket> {
        let (first, second) = match &self.kind {
            Kind::Freedom { v4, v6, .. } => (v4.get(), v6.get()),
            Kind::Socks { socket, .. } => (Some(socket), None),
        };
        first.into_iter().chain(second)
    }

    /// Whether there may be something to read. The proxy server's end of the association makes the
    /// carrier over.
    pub(super) fn poll_readable(&self, context: &mut Context<'_>) -> bool {
        if let Kind::Socks { control, .. } = &self.kind
            && poll_end(control, context).is_ready()
        {
            self.end();
        }
        // Each has to be asked, or it would not wake the task.
        self.sockets().filter(|socket| socket.poll_readable(context).is_ready()).count() > 0
    }
}

/// Waits for the end of a connection on which nothing more is to come; what comes is dropped.
pub(super) fn poll_end(stream: &Stream, context: &mut Context<'_>) -> Poll<()> {
    loop {
        match stream.poll_read_ready(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(_failed)) => return Poll::Ready(()),
            Poll::Ready(Ok(())) => match stream.try_read(&mut [0; 512]) {
                Ok(0) => return Poll::Ready(()),
                Ok(_ignored) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_failed) => return Poll::Ready(()),
            },
        }
    }
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

/// The carriers of an association, by outbound.
#[derive(Debug, Default)]
pub(super) struct Carriers(Mutex<HashMap<MemberId, Arc<OnceCell<Arc<Carrier>>>>>);

impl Carriers {
    /// The carrier of a member, opened by `open` if there is none; and whether it was. Those who ask for
    /// it meanwhile wait for the same.
    pub(super) async fn get_or_open<F>(
        &self,
        member: MemberId,
        open: F,
    ) -> Result<(Arc<Carrier>, bool), DialError>
    where
        F: Future<Output = Result<Carrier, DialError>>,
    {
        let cell = {
            let mut cells = self.0.lock();
            let cell = cells.entry(member).or_default();
            if cell.get().is_some_and(|carrier| carrier.is_over()) {
                *cell = Arc::default();
            }
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
