use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use rand::{Rng, RngExt as _};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

/// No visit takes longer; what it is cut off from is one more fault.
const LIMIT: Duration = Duration::from_secs(4);

/// Where visitors go.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) socks: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) direct: SocketAddr,
    pub(crate) echo: SocketAddr,
    pub(crate) udp: SocketAddr,
    pub(crate) origin: SocketAddr,
    pub(crate) refused: SocketAddr,
}

/// What a visitor does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Visit {
    /// Some bytes there and back, and a proper end.
    Echo,
    /// Megabytes there and back.
    Bulk,
    /// A reset in the middle of megabytes.
    Reset,
    /// One side closed, and nothing more.
    HalfClose,
    /// Gone in the middle of the handshake.
    HandshakeLost,
    /// Nonsense instead of a handshake.
    Nonsense,
    /// A target that refuses.
    Refused,
    /// A first flight that may be sent through several members.
    Get,
    /// Several requests over one connection to the HTTP proxy.
    Forward,
    /// Datagrams.
    Datagrams,
    /// An association whose client goes away in the middle.
    DatagramsLost,
}

impl Visit {
    pub(crate) const ALL: [Self; 11] = [
        Self::Echo,
        Self::Bulk,
        Self::Reset,
        Self::HalfClose,
        Self::HandshakeLost,
        Self::Nonsense,
        Self::Refused,
        Self::Get,
        Self::Forward,
        Self::Datagrams,
        Self::DatagramsLost,
    ];

    /// Makes the visit, however it ends: faults are what it is for.
    pub(crate) async fn make(self, places: &Places, rng: &mut impl Rng) {
        let is_bulk = matches!(self, Self::Bulk | Self::Reset);
        let size = if is_bulk { rng.random_range(200_000..3_000_000) } else { rng.random_range(1..4000) };
        let entry = if rng.random_range(0..2) == 0 { places.socks } else { places.direct };
        let visiting = async {
            match self {
                Self::Echo | Self::Bulk => echo(tunnel(entry, places.echo).await?, size).await,
                Self::Reset => reset(tunnel(entry, places.echo).await?, size).await,
                Self::HalfClose => half_close(tunnel(entry, places.echo).await?).await,
                Self::HandshakeLost => TcpStream::connect(entry).await?.write_all(&[5, 1]).await,
                Self::Nonsense => TcpStream::connect(entry).await?.write_all(&[0xff; 64]).await,
                Self::Refused => tunnel(entry, places.refused).await.map(drop),
                Self::Get => get(tunnel(places.socks, places.origin).await?).await,
                Self::Forward => forward(places).await,
                Self::Datagrams => datagrams(places, true).await,
                Self::DatagramsLost => datagrams(places, false).await,
            }
        };
        let _however = timeout(LIMIT, visiting).await;
    }
}

async fn tunnel(entry: SocketAddr, target: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(entry).await?;
    let mut request = vec![5, 1, 0, 5, 1, 0, 1];
    request.extend_from_slice(&Ipv4Addr::LOCALHOST.octets());
    request.extend_from_slice(&target.port().to_be_bytes());
    stream.write_all(&request).await?;
    stream.read_exact(&mut [0; 12]).await?;
    Ok(stream)
}

async fn echo(stream: TcpStream, size: usize) -> io::Result<()> {
    let (mut read, mut write) = stream.into_split();
    let sending = tokio::spawn(async move {
        write.write_all(&vec![7; size]).await?;
        write.shutdown().await
    });
    let mut back = vec![0; size];
    read.read_exact(&mut back).await?;
    sending.await.unwrap()
}

async fn reset(mut stream: TcpStream, size: usize) -> io::Result<()> {
    stream.write_all(&vec![7; size / 4]).await?;
    stream.set_zero_linger()
}

async fn half_close(mut stream: TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    stream.read(&mut [0; 16]).await.map(drop)
}

async fn get(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: origin\r\nConnection: close\r\n\r\n").await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.map(drop)
}

async fn forward(places: &Places) -> io::Result<()> {
    let mut stream = TcpStream::connect(places.http).await?;
    let origin = places.origin;
    for _ in 0..3 {
        stream
            .write_all(format!("GET http://{origin}/ HTTP/1.1\r\nHost: {origin}\r\n\r\n").as_bytes())
            .await?;
        if stream.read(&mut [0; 4096]).await? == 0 {
            break;
        }
    }
    Ok(())
}

async fn datagrams(places: &Places, to_the_end: bool) -> io::Result<()> {
    let mut control = TcpStream::connect(places.direct).await?;
    control.write_all(&[5, 1, 0, 5, 3, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    let mut reply = [0; 12];
    control.read_exact(&mut reply).await?;
    let port = u16::from_be_bytes([reply[10], reply[11]]);
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let mut datagram = vec![0, 0, 0, 1, 127, 0, 0, 1];
    datagram.extend_from_slice(&places.udp.port().to_be_bytes());
    datagram.extend_from_slice(b"hello");
    for _ in 0..5 {
        socket.send_to(&datagram, (Ipv4Addr::LOCALHOST, port)).await?;
        if to_the_end {
            socket.recv(&mut [0; 64]).await?;
        }
    }
    Ok(())
}
