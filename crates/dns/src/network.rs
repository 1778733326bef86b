use std::{fmt, io, net::SocketAddr, pin::Pin};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UdpSocket},
};
use waypost_net::{Tag, Target};

/// Where queries go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The server; always an address if the way is direct.
    pub target: Target,
    /// How they get there.
    pub way: Way,
    /// What the configuration says they travel in. Rules go by this, also where a stream has to stand in
    /// for datagrams.
    pub network: waypost_net::Network,
}

/// What a [`Network`] returns.
pub type NetworkFuture<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;

/// A stream to a DNS server.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// How queries get to a server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Way {
    /// Out of this host, past all rules.
    Direct,
    /// As the rules say.
    Routed {
        /// The inbound tag that rules see.
        tag: Option<Tag>,
    },
    /// Through an outbound, whatever the rules say.
    Through {
        /// The outbound; `None` is the one that takes what no rule matches.
        outbound: Option<Tag>,
    },
}

/// Opens what queries travel in. This is a seam: a proxy sends them through its own rules, tests put
/// servers here that exist nowhere else.
pub trait Network: Send + Sync + fmt::Debug {
    /// Opens a stream.
    fn stream<'a>(&'a self, to: &'a Destination) -> NetworkFuture<'a, Box<dyn Stream>>;

    /// Opens a socket for one exchange of datagrams; `None` if queries have to go in a stream by this
    /// way.
    fn datagrams<'a>(&'a self, to: &'a Destination) -> NetworkFuture<'a, Option<Box<dyn Datagrams>>>;
}

/// A socket that sends to one peer and receives from that peer only.
pub trait Datagrams: Send + Sync + fmt::Debug {
    /// Sends one datagram.
    fn send<'a>(&'a self, datagram: &'a [u8]) -> NetworkFuture<'a, ()>;

    /// Waits for one datagram, and says how long it is.
    fn receive<'a>(&'a self, buffer: &'a mut [u8]) -> NetworkFuture<'a, usize>;
}

/// Sockets of this host; it knows no rules.
#[derive(Debug, Clone, Copy, Default)]
pub struct DirectNetwork;

impl Network for DirectNetwork {
    fn stream<'a>(&'a self, to: &'a Destination) -> NetworkFuture<'a, Box<dyn Stream>> {
        Box::pin(async move {
            let stream = TcpStream::connect(direct_address(to)?).await?;
            // Queries are small, and nobody gains by waiting for more of them.
            let _best_effort = stream.set_nodelay(true);
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }

    fn datagrams<'a>(&'a self, to: &'a Destination) -> NetworkFuture<'a, Option<Box<dyn Datagrams>>> {
        Box::pin(async move {
            let peer = direct_address(to)?;
            let any: SocketAddr = if peer.is_ipv4() { ([0; 4], 0).into() } else { ([0_u16; 8], 0).into() };
            let socket = UdpSocket::bind(any).await?;
            // The system drops what comes from anybody else.
            socket.connect(peer).await?;
            Ok(Some(Box::new(socket) as Box<dyn Datagrams>))
        })
    }
}

fn direct_address(to: &Destination) -> io::Result<SocketAddr> {
    match (to.target.host.ip(), &to.way) {
        (Some(address), Way::Direct) => Ok(SocketAddr::new(address, to.target.port)),
        (_, _) => Err(io::ErrorKind::Unsupported.into()),
    }
}

impl Datagrams for UdpSocket {
    fn send<'a>(&'a self, datagram: &'a [u8]) -> NetworkFuture<'a, ()> {
        Box::pin(async move { self.send(datagram).await.map(drop) })
    }

    fn receive<'a>(&'a self, buffer: &'a mut [u8]) -> NetworkFuture<'a, usize> {
        Box::pin(self.recv(buffer))
    }
}
