//! One connection as a client makes it, and as a router sees it.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use rand::{Rng, RngExt as _, seq::IndexedRandom as _};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream, UdpSocket},
    time::timeout,
};
use waypost_net::{Flow, Host, Network, Target};

use super::rules::{ADDRESSES, INBOUNDS, NAMES, PORTS, SOURCES, USERS};
use crate::oracle::{connect_socks, socks_address};

const TIME_LIMIT: Duration = Duration::from_secs(20);
/// How long to wait for the answer to a datagram before it is sent again.
const RESEND_AFTER: Duration = Duration::from_millis(500);

/// A connection to be made.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    inbound: usize,
    network: Network,
    source: Ipv4Addr,
    target: Target,
    user: usize,
}

impl Connection {
    pub(super) fn generate(rng: &mut impl Rng) -> Self {
        let host = match rng.random_range(0..10) {
            0..6 => Host::parse(NAMES.choose(rng).unwrap()).unwrap(),
            6..8 => Host::parse(ADDRESSES.choose(rng).unwrap()).unwrap(),
            8 => Host::Ip(IpAddr::V4(Ipv4Addr::from(rng.random::<u32>() | 0x0100_0000))),
            _ => Host::Ip(IpAddr::V6(Ipv6Addr::from(rng.random::<u128>() >> 3 | 1 << 125))),
        };
        let port =
            if rng.random_bool(0.8) { *PORTS.choose(rng).unwrap() } else { rng.random_range(1..=u16::MAX) };
        Self {
            inbound: rng.random_range(0..INBOUNDS.len()),
            network: if rng.random_bool(0.2) { Network::Udp } else { Network::Tcp },
            source: SOURCES.choose(rng).unwrap().parse().unwrap(),
            target: Target::new(host, port),
            user: rng.random_range(0..USERS.len()),
        }
    }

    /// What a router gets to know of it, written down without the help of the codecs.
    pub(super) fn flow(&self, source_port: u16) -> Flow {
        let (tag, asks) = INBOUNDS[self.inbound];
        Flow {
            source: Some(SocketAddr::from((self.source, source_port))),
            inbound: Some(tag.into()),
            user: asks.then(|| USERS[self.user].into()),
            ..Flow::new(self.network, self.target.clone())
        }
    }

    /// Makes it: the port that it came from, and the node that answered.
    pub(super) async fn make(
        &self,
        inbounds: &BTreeMap<String, SocketAddr>,
    ) -> (u16, Result<String, String>) {
        let inbound = inbounds[INBOUNDS[self.inbound].0];
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((self.source, 0).into()).unwrap();
        let port = socket.local_addr().unwrap().port();
        let datagrams = UdpSocket::bind((self.source, 0)).await.unwrap();
        let (port, answer) = match self.network {
            Network::Tcp => (port, timeout(TIME_LIMIT, self.over_tcp(socket, inbound)).await),
            Network::Udp => {
                let port = datagrams.local_addr().unwrap().port();
                (port, timeout(TIME_LIMIT, self.over_udp(socket, &datagrams, inbound)).await)
            }
        };
        let answer = answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        (port, answer.map_err(|error| error.to_string()))
    }

    fn account(&self) -> Option<(&'static str, &'static str)> {
        INBOUNDS[self.inbound].1.then(|| (USERS[self.user], "secret"))
    }

    async fn over_tcp(&self, socket: TcpSocket, inbound: SocketAddr) -> io::Result<String> {
        let mut stream = socket.connect(inbound).await?;
        connect_socks(&mut stream, &self.target, self.account()).await?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: node\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        self.node_of(body)
    }

    async fn over_udp(
        &self,
        socket: TcpSocket,
        datagrams: &UdpSocket,
        inbound: SocketAddr,
    ) -> io::Result<String> {
        let mut stream = socket.connect(inbound).await?;
        let relay = associate(&mut stream, self.account()).await?;
        let mut datagram = vec![0, 0, 0];
        datagram.extend(socks_address(&self.target));
        let head = datagram.len();
        datagram.extend_from_slice(b"who");
        let mut answer = vec![0; 2048];
        loop {
            datagrams.send_to(&datagram, relay).await?;
            let Ok(received) = timeout(RESEND_AFTER, datagrams.recv_from(&mut answer)).await else {
                continue;
            };
            let body = answer.get(head..received?.0).unwrap_or_default();
            return self.node_of(&String::from_utf8_lossy(body));
        }
    }

    /// The node, which has to have been asked for the right target.
    fn node_of(&self, body: &str) -> io::Result<String> {
        match body.split_once(' ') {
            Some((node, target)) if target == self.target.to_string() => Ok(node.to_owned()),
            Some(_) | None => Err(io::Error::other(body.to_owned())),
        }
    }
}

/// UDP ASSOCIATE of a SOCKS5 client (RFC 1928 §6); where datagrams go.
async fn associate(stream: &mut TcpStream, account: Option<(&str, &str)>) -> io::Result<SocketAddr> {
    let method = if account.is_some() { 2 } else { 0 };
    stream.write_all(&[5, 1, method]).await?;
    stream.read_exact(&mut [0; 2]).await?;
    if let Some((user, password)) = account {
        let mut login = vec![1];
        for field in [user, password] {
            login.push(u8::try_from(field.len()).unwrap());
            login.extend_from_slice(field.as_bytes());
        }
        stream.write_all(&login).await?;
        stream.read_exact(&mut [0; 2]).await?;
    }
    stream.write_all(&[5, 3, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    let mut reply = [0; 10];
    stream.read_exact(&mut reply).await?;
    if reply[1] != 0 || reply[3] != 1 {
        return Err(io::Error::other(format!("no association: {reply:?}")));
    }
    let address: [u8; 4] = [reply[4], reply[5], reply[6], reply[7]];
    Ok(SocketAddr::from((address, u16::from_be_bytes([reply[8], reply[9]]))))
}
