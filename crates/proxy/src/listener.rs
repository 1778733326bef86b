//! Listening sockets, of ports and of Unix sockets.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    os::{fd::AsFd as _, unix::fs::FileTypeExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::{
    net::{TcpListener, UnixListener},
    time::sleep,
};
use waypost_config::model::{Inbound, Listen, SocketOptions};
use waypost_net::{PortRange, canonical_ip};

use crate::{Stream, inbound::Ends, socket::apply};

/// Enough for a burst of connections between two turns of the accept loop; the kernel caps it.
const BACKLOG: i32 = 1024;
/// The first pause after the system refuses to hand out a connection, doubled up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// A listening socket that no runtime has taken yet.
#[derive(Debug)]
pub struct BoundListener {
    socket: Socket,
    address: BoundAddress,
    /// Whether nobody else opened it.
    is_ours: bool,
}

/// Where a listening socket is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BoundAddress {
    /// At an address, with the port that the system chose for port 0.
    Ip(SocketAddr),
    /// At a path, or under the name after `@` of an abstract socket.
    Unix(Box<str>),
}

impl BoundAddress {
    /// The address, if it is none of a Unix socket.
    #[must_use]
    pub fn ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for BoundAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix(path) => path.fmt(f),
        }
    }
}

/// Why an inbound cannot listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The system refuses.
    #[error("cannot listen on `{address}`")]
    Socket {
        /// The address.
        address: BoundAddress,
        /// What the system says.
        source: io::Error,
    },
    /// The inbound has no port.
    #[error("no port to listen on in `{ports}`")]
    NoPort {
        /// The range that holds none.
        ports: PortRange,
    },
    /// There is a file that is no socket, which is not removed.
    #[error("`{}` is there already and is no socket: give another path, or remove it", path.display())]
    NoSocket {
        /// The file.
        path: PathBuf,
    },
}

/// Listens wherever an inbound does, with `copies` sockets for each port: the system spreads clients
/// over them (`SO_REUSEPORT`, socket(7)). A Unix socket has one.
///
/// # Errors
///
/// If one of the places cannot be listened on; none is then.
pub fn bind(inbound: &Inbound, copies: usize) -> Result<Vec<Vec<BoundListener>>, BindError> {
    let (ip, ports) = match &inbound.listen {
        Listen::Ports { ip, ports } => (*ip, *ports),
        Listen::Unix { path, mode } => {
            return Ok(vec![vec![BoundListener::bind_unix(path, *mode)?]]);
        }
    };
    if ports.first > ports.last {
        return Err(BindError::NoPort { ports });
    }
    let range = ports.first..=ports.last;
    range.map(|port| BoundListener::bind(ip, port, copies.max(1), &inbound.socket)).collect()
}

impl BoundListener {
    pub(crate) fn bind(
        ip: IpAddr,
        port: u16,
        copies: usize,
        options: &SocketOptions,
    ) -> Result<Vec<Self>, BindError> {
        let address = SocketAddr::new(ip, port);
        let failed = |source| BindError::Socket { address: BoundAddress::Ip(address), source };
        let shares = copies > 1;
        let bound_to = |address: SocketAddr| -> io::Result<(Socket, SocketAddr)> {
            let socket = bind_port(address, shares, options)?;
            let address = socket.local_addr()?.as_socket().unwrap_or(address);
            Ok((socket, address))
        };
        let listen = |(socket, address): (Socket, SocketAddr)| {
            socket.listen(BACKLOG)?;
            Ok(Self { socket, address: BoundAddress::Ip(address), is_ours: true })
        };
        let all = || -> io::Result<Vec<Self>> {
            if shares {
                // Sockets that share would share with another program, too, which nobody would notice.
                bind_port(address, false, options)?;
            }
            let first = bound_to(address)?;
            let others = (1..copies).map(|_| bound_to(first.1)).collect::<io::Result<Vec<_>>>()?;
            std::iter::once(first).chain(others).map(listen).collect()
        };
        all().map_err(failed)
    }

    /// A socket that listens already, which stays where it is when this is dropped.
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub(crate) fn inherit(socket: Socket, address: BoundAddress) -> Result<Self, BindError> {
        let ready = || -> io::Result<()> {
            socket.set_nonblocking(true)?;
            if address.ip().is_some() {
                socket.set_tcp_nodelay(true)?;
            }
            Ok(())
        };
        match ready() {
            Ok(()) => Ok(Self { socket, address, is_ours: false }),
            Err(source) => Err(BindError::Socket { address, source }),
        }
    }

    pub(crate) fn bind_unix(path: &str, mode: Option<u32>) -> Result<Self, BindError> {
        let address = BoundAddress::Unix(path.into());
        let failed = |source| BindError::Socket { address: address.clone(), source };
        if !path.starts_with('@') {
            remove_stale(Path::new(path))?;
        }
        let socket = listen_unix(path).map_err(failed)?;
        if let Some(mode) = mode {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(failed)?;
        }
        Ok(Self { socket, address, is_ours: true })
    }

    /// Where it is reached.
    #[must_use]
    pub fn address(&self) -> &BoundAddress {
        &self.address
    }

    /// Waits for clients in the current runtime.
    ///
    /// # Errors
    ///
    /// If the runtime has no room for it.
    pub fn listen(self) -> io::Result<Listener> {
        let Self { socket, address, is_ours } = self;
        let kind = match &address {
            BoundAddress::Ip(address) => Kind::Tcp {
                listener: TcpListener::from_std(socket.into())?,
                // The other end of a client is this one, unless every address is listened on.
                local: Some(*address).filter(|address| !address.ip().is_unspecified()),
            },
            BoundAddress::Unix(path) => Kind::Unix {
                listener: UnixListener::from_std(socket.into())?,
                _file: RemoveFile((is_ours && !path.starts_with('@')).then(|| PathBuf::from(&**path))),
            },
        };
        Ok(Listener { kind, address })
    }
}

/// A listening socket of a runtime.
#[derive(Debug)]
pub struct Listener {
    kind: Kind,
    address: BoundAddress,
}

#[derive(Debug)]
enum Kind {
    Tcp { listener: TcpListener, local: Option<SocketAddr> },
    Unix { listener: UnixListener, _file: RemoveFile },
}

/// The file of a Unix socket, removed with it.
#[derive(Debug)]
struct RemoveFile(Option<PathBuf>);

impl Drop for RemoveFile {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // Who has removed it already has done what is wanted.
            let _removed = std::fs::remove_file(path);
        }
    }
}

impl Listener {
    /// Where it is reached.
    #[must_use]
    pub fn address(&self) -> &BoundAddress {
        &self.address
    }

    /// The next client, without delay on small writes, and its address. Cancel safe.
    ///
    /// When the system has no connection to give, for want of descriptors say, this waits and tries
    /// again.
    pub async fn accept(&self) -> (Stream, Ends) {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.accept_one().await {
                Ok(accepted) => return accepted,
                Err(error) if concerns_one_client(&error) => {}
                Err(error) => {
                    if pause == FIRST_PAUSE {
                        tracing::warn!(listen = %self.address, %error, "cannot accept connections");
                    }
                    sleep(pause).await;
                    pause = (pause * 2).min(LAST_PAUSE);
                }
            }
        }
    }

    /// A client that waits already; `None` if none does.
    pub(crate) fn accept_waiting(&self) -> Option<(Stream, Ends)> {
        let Kind::Tcp { listener, local } = &self.kind else { return None };
        let (socket, peer) = SockRef::from(listener).accept().ok()?;
        socket.set_nonblocking(true).ok()?;
        let peer = peer.as_socket()?;
        let stream = tokio::net::TcpStream::from_std(socket.into()).ok()?;
        let source = Some(SocketAddr::new(canonical_ip(peer.ip()), peer.port()));
        let local = local.or_else(|| stream.local_addr().ok());
        Some((stream.into(), Ends { source, local }))
    }

    async fn accept_one(&self) -> io::Result<(Stream, Ends)> {
        match &self.kind {
            Kind::Tcp { listener, local } => {
                let (stream, peer) = listener.accept().await?;
                let source = Some(SocketAddr::new(canonical_ip(peer.ip()), peer.port()));
                let local = local.or_else(|| stream.local_addr().ok());
                Ok((stream.into(), Ends { source, local }))
            }
            Kind::Unix { listener, .. } => {
                let (stream, _nameless) = listener.accept().await?;
                Ok((stream.into(), Ends { source: None, local: None }))
            }
        }
    }
}

fn bind_port(address: SocketAddr, shares: bool, options: &SocketOptions) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shares)?;
    socket.set_nonblocking(true)?;
    // Accepted sockets inherit it (tcp(7)).
    socket.set_tcp_nodelay(true)?;
    apply(&SockRef::from(&socket.as_fd()), options)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn listen_unix(path: &str) -> io::Result<Socket> {
    let address = match path.strip_prefix('@') {
        Some(name) => socket2::SockAddr::unix(format!("\0{name}"))?,
        None => socket2::SockAddr::unix(path)?,
    };
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address)?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// Removes the socket of a program that is gone: one that nobody listens on.
fn remove_stale(path: &Path) -> Result<(), BindError> {
    let Ok(found) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !found.file_type().is_socket() {
        return Err(BindError::NoSocket { path: path.to_owned() });
    }
    let gone = std::os::unix::net::UnixStream::connect(path)
        .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    if gone {
        // If that fails, the bind that follows says why.
        let _removed = std::fs::remove_file(path);
    }
    Ok(())
}

/// Whether the error is about a client that went away while it waited (accept(2), "Error handling").
fn concerns_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionReset, HostUnreachable, Interrupted, NetworkDown, NetworkUnreachable,
    };
    let harmless =
        [ConnectionAborted, ConnectionReset, HostUnreachable, Interrupted, NetworkDown, NetworkUnreachable];
    harmless.contains(&error.kind())
}
