use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};
use waypost_config::model::Inbound;
use waypost_net::{PortRange, canonical_ip};

/// Enough for a burst of connections between two turns of the accept loop; the kernel caps it.
const BACKLOG: i32 = 1024;
/// The first pause after the system refuses to hand out a connection, doubled up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// A listening socket.
#[derive(Debug)]
pub struct BoundListener {
    listener: TcpListener,
    address: SocketAddr,
}

/// Why an inbound cannot listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The system refuses.
    #[error("cannot listen on `{address}`")]
    Socket {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The inbound has no port.
    #[error("no port to listen on in `{ports}`")]
    NoPort {
        /// The range that holds none.
        ports: PortRange,
    },
}

/// Listens on every port of an inbound. Must be called in a tokio runtime.
///
/// # Errors
///
/// If one of the ports cannot be listened on; none is then.
pub fn bind(inbound: &Inbound) -> Result<Vec<BoundListener>, BindError> {
    let ports = inbound.ports;
    if ports.first > ports.last {
        return Err(BindError::NoPort { ports });
    }
    (ports.first..=ports.last).map(|port| BoundListener::bind(inbound.listen, port)).collect()
}

impl BoundListener {
    fn bind(ip: IpAddr, port: u16) -> Result<Self, BindError> {
        let address = SocketAddr::new(ip, port);
        let bound = listen(address).and_then(|listener| {
            let address = listener.local_addr()?;
            Ok(Self { listener, address })
        });
        bound.map_err(|source| BindError::Socket { address, source })
    }

    /// The address listened on, with the port that the system chose for port 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next client, without delay on small writes, and its address. Cancel safe.
    ///
    /// When the system has no connection to give, for want of descriptors say, this waits and tries
    /// again.
    pub async fn accept(&self) -> (TcpStream, SocketAddr) {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    // A client that is gone already is found out by the first read.
                    let _set = stream.set_nodelay(true);
                    return (stream, SocketAddr::new(canonical_ip(peer.ip()), peer.port()));
                }
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
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
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
