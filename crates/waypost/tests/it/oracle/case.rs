//! One connection as a client makes it, and as a router sees it.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream, UdpSocket},
    time::timeout,
};
use waypost_net::{Flow, Host, Network, Target};

/// How long one connection may take; V2Ray gives up on an outbound after 16 seconds.
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// How long to wait for the answer to a datagram before it is sent again.
const RESEND_AFTER: Duration = Duration::from_millis(300);

/// The inbounds: tag, protocol, and whether clients have to log in. The first one takes datagrams.
pub(crate) const INBOUNDS: [(&str, &str, bool); 4] = [
    ("socks-open", "socks", false),
    ("socks-users", "socks", true),
    ("http-open", "http", false),
    ("http-users", "http", true),
];

/// Who may log in.
pub(crate) const ACCOUNTS: [(&str, &str); 3] =
    [("alice", "a-secret"), ("bob", "b-secret"), ("carol@example.com", "c-secret")];

/// A connection to be made.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) inbound: usize,
    pub(crate) network: Network,
    pub(crate) source: Ipv4Addr,
    pub(crate) target: Target,
    /// An index of [`ACCOUNTS`], for inbounds that ask for it.
    pub(crate) user: usize,
    /// A request in absolute form instead of a tunnel, at an inbound that speaks HTTP.
    pub(crate) request: Option<Request>,
}

/// What a client of an HTTP proxy asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    /// As written in the request.
    pub(crate) path: &'static str,
    /// Without the query, and with escapes decoded.
    pub(crate) plain_path: &'static str,
    /// Headers that are passed on.
    pub(crate) headers: &'static [(&'static str, &'static str)],
}

/// What came of a connection: the port that it was made from, and what the node at the end said.
pub(crate) struct Told {
    pub(crate) source_port: u16,
    pub(crate) answer: io::Result<Answer>,
}

/// What a node says of itself and of what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) node: String,
    pub(crate) target: String,
}

impl Case {
    pub(crate) fn is_http(&self) -> bool {
        INBOUNDS[self.inbound].1 == "http"
    }

    /// Makes the fields agree with each other.
    pub(crate) fn settle(mut self) -> Self {
        if self.network == Network::Udp {
            self.inbound = 0;
        }
        if self.request.is_some() && !self.is_http() {
            self.inbound = if INBOUNDS[self.inbound].2 { 3 } else { 2 };
        }
        if self.network == Network::Udp {
            (self.inbound, self.request) = (0, None);
        }
        self
    }

    /// What a router gets to know of it, written down without the help of the codecs.
    pub(crate) fn flow(&self, source_port: u16) -> Flow {
        let (tag, _, asks) = INBOUNDS[self.inbound];
        let mut flow = Flow::new(self.network, self.target.clone());
        flow.source = Some(SocketAddr::from((self.source, source_port)));
        flow.inbound = Some(tag.into());
        flow.user = asks.then(|| ACCOUNTS[self.user].0.into());
        if let Some(request) = self.request {
            flow.protocol = Some("http/1.1".into());
            flow.attributes.insert(":method", request.method);
            flow.attributes.insert(":path", request.plain_path);
            flow.attributes.insert("host", &authority(&self.target));
            // Of a header that comes several times, V2Ray takes the first one.
            for (name, value) in request.headers.iter().rev() {
                flow.attributes.insert(name, value);
            }
        }
        flow
    }

    /// Makes the connection through the proxy at `inbound`.
    pub(crate) async fn make(&self, inbound: SocketAddr) -> Told {
        match self.network {
            Network::Tcp => {
                let socket = TcpSocket::new_v4().unwrap();
                socket.bind((self.source, 0).into()).unwrap();
                let source_port = socket.local_addr().unwrap().port();
                let answer = timeout(TIME_LIMIT, self.over_tcp(socket, inbound)).await;
                Told { source_port, answer: answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) }
            }
            Network::Udp => {
                let socket = UdpSocket::bind((self.source, 0)).await.unwrap();
                let source_port = socket.local_addr().unwrap().port();
                let answer = timeout(TIME_LIMIT, self.over_udp(&socket, inbound)).await;
                Told { source_port, answer: answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) }
            }
        }
    }

    async fn over_tcp(&self, socket: TcpSocket, inbound: SocketAddr) -> io::Result<Answer> {
        let mut stream = socket.connect(inbound).await?;
        let account = INBOUNDS[self.inbound].2.then(|| ACCOUNTS[self.user]);
        let host = authority(&self.target);
        if let Some(Request { method, path, headers, .. }) = self.request {
            let mut head = format!("{method} http://{host}{path} HTTP/1.1\r\nHost: {host}\r\n");
            for (name, value) in headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            head.push_str(&authorization(account));
            head.push_str("Connection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
        } else {
            if self.is_http() {
                connect_http(&mut stream, &host, account).await?;
            } else {
                connect_socks(&mut stream, &self.target, account).await?;
            }
            stream.write_all(b"GET / HTTP/1.1\r\nHost: node\r\n\r\n").await?;
        }
        read_answer(&mut stream).await
    }

    /// One datagram through V2Ray's SOCKS inbound, which wants no association for it.
    async fn over_udp(&self, socket: &UdpSocket, inbound: SocketAddr) -> io::Result<Answer> {
        let mut datagram = vec![0, 0, 0];
        datagram.extend(socks_address(&self.target));
        let head = datagram.len();
        datagram.extend_from_slice(b"who");
        let mut answer = vec![0; 2048];
        // V2Ray loses one datagram in a hundred, and may give one client the answer to another.
        loop {
            socket.send_to(&datagram, inbound).await?;
            let Ok(received) = timeout(RESEND_AFTER, socket.recv_from(&mut answer)).await else { continue };
            let body = answer.get(head..received?.0).unwrap_or_default();
            match parse_answer(&String::from_utf8_lossy(body)) {
                Ok(answer) if answer.target == self.target.to_string() => return Ok(answer),
                Ok(_) | Err(_) => {}
            }
        }
    }
}

/// `HOST:PORT`, with brackets around IPv6 addresses.
pub(crate) fn authority(target: &Target) -> String {
    if target.port == 80 {
        return match target.host {
            Host::Ip(IpAddr::V6(address)) => format!("[{address}]"),
            Host::Ip(IpAddr::V4(_)) | Host::Domain(_) => target.host.to_string(),
        };
    }
    target.to_string()
}

fn authorization(account: Option<(&str, &str)>) -> String {
    let encoded = account.map(|(user, password)| base64(&format!("{user}:{password}")));
    encoded.map_or_else(String::new, |encoded| format!("Proxy-Authorization: Basic {encoded}\r\n"))
}

/// RFC 4648, written here so that nothing is shared with what is tested.
fn base64(text: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bits =
            chunk.iter().fold(0_u32, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
            encoded.push(if place <= chunk.len() { letter.into() } else { '=' });
        }
    }
    encoded
}

async fn connect_http(stream: &mut TcpStream, host: &str, account: Option<(&str, &str)>) -> io::Result<()> {
    let host = if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
        host.to_owned()
    } else {
        format!("{host}:80")
    };
    let head = format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n{}\r\n", authorization(account));
    stream.write_all(head.as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await?);
    }
    let answer = String::from_utf8_lossy(&answer).into_owned();
    if answer.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(io::Error::other(answer)) }
}

/// CONNECT of a SOCKS5 client, with a login or without.
pub(crate) async fn connect_socks(
    stream: &mut TcpStream,
    target: &Target,
    account: Option<(&str, &str)>,
) -> io::Result<()> {
    let method = if account.is_some() { 2 } else { 0 };
    stream.write_all(&[5, 1, method]).await?;
    let mut chosen = [0; 2];
    stream.read_exact(&mut chosen).await?;
    expect_bytes(chosen, [5, method])?;
    if let Some((user, password)) = account {
        let mut login = vec![1];
        for field in [user, password] {
            login.push(u8::try_from(field.len()).unwrap());
            login.extend_from_slice(field.as_bytes());
        }
        stream.write_all(&login).await?;
        stream.read_exact(&mut chosen).await?;
        expect_bytes([chosen[1]], [0])?;
    }
    let mut request = vec![5, 1, 0];
    request.extend(socks_address(target));
    stream.write_all(&request).await?;
    let mut reply = [0; 4];
    stream.read_exact(&mut reply).await?;
    expect_bytes([reply[0], reply[1]], [5, 0])?;
    let rest = if reply[3] == 4 { 18 } else { 6 };
    stream.read_exact(&mut vec![0; rest]).await.map(|_| ())
}

fn expect_bytes<const N: usize>(found: [u8; N], expected: [u8; N]) -> io::Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(io::Error::other(format!("expected {expected:?}, found {found:?}")))
}

/// Type, address and port (RFC 1928 §5).
pub(crate) fn socks_address(target: &Target) -> Vec<u8> {
    let mut bytes = Vec::new();
    match &target.host {
        Host::Ip(IpAddr::V4(address)) => {
            bytes.push(1);
            bytes.extend(address.octets());
        }
        Host::Ip(IpAddr::V6(address)) => {
            bytes.push(4);
            bytes.extend(address.octets());
        }
        Host::Domain(name) => {
            bytes.extend([3, u8::try_from(name.as_str().len()).unwrap()]);
            bytes.extend_from_slice(name.as_str().as_bytes());
        }
    }
    bytes.extend(target.port.to_be_bytes());
    bytes
}

/// Reads a response to the end that its head states; V2Ray closes a tunnel a second later only.
async fn read_answer(stream: &mut TcpStream) -> io::Result<Answer> {
    let mut response = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let text = String::from_utf8_lossy(&response);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
            let length = length.and_then(|length| length.parse::<usize>().ok());
            if !head.starts_with("HTTP/1.1 200") {
                return Err(io::Error::other(format!("unexpected answer: {text:?}")));
            }
            if length.is_some_and(|length| body.len() >= length) {
                return parse_answer(body);
            }
        }
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Err(io::Error::other(format!("the answer breaks off: {text:?}")));
        }
        response.extend(buffer.iter().take(count));
    }
}

fn parse_answer(text: &str) -> io::Result<Answer> {
    let (node, target) = text.split_once(' ').ok_or_else(|| io::Error::other(text.to_owned()))?;
    Ok(Answer { node: node.to_owned(), target: target.to_owned() })
}
