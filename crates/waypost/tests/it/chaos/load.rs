//! Steady traffic: small requests whose answers are checked, and how long everything took.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout},
};

/// How long a client waits for its answer: longer than the proxy may take to give up.
const PATIENCE: Duration = Duration::from_secs(20);
const PER_SECOND: u64 = 50;

/// What clients send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// `GET /token`; the answer holds the token.
    Http,
    /// A TLS ClientHello with the token in its random; the answer begins like a ServerHello and holds
    /// the token.
    TlsHello,
}

/// One connection.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    /// When it began, from the begin of the load.
    pub(crate) at: Duration,
    /// Until the proxy said that the connection stands.
    pub(crate) setup: Duration,
    /// Until the whole answer was there.
    pub(crate) answered: Duration,
    /// Why it counts as lost.
    pub(crate) lost: Option<String>,
}

/// An origin that proves with each answer that it got the request.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
}

impl Origin {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    // A client that goes away ends its connection only.
                    let _gone = answer(stream).await;
                });
            }
        });
        Self { address }
    }
}

async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        request.extend_from_slice(&buffer[..count]);
        if request[0] == 0x16 {
            if request.len() >= HELLO_LEN {
                // A handshake record with a ServerHello's type, and the client's own random.
                let mut reply = vec![0x16, 3, 3, 0, 36, 2, 0, 0, 32];
                reply.extend_from_slice(&request[11..43]);
                return stream.write_all(&reply).await;
            }
        } else if request.windows(4).any(|window| window == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&request).into_owned();
            let path = text.split(' ').nth(1).unwrap_or_default();
            let reply = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{path}",
                path.len()
            );
            return stream.write_all(reply.as_bytes()).await;
        }
    }
}

/// Record header, handshake header, version, random, session id, one suite, one compression method and
/// no extensions (RFC 5246 §7.4.1.2).
const HELLO_LEN: usize = 5 + 4 + 2 + 32 + 1 + 4 + 2;

pub(crate) fn hello(token: u64) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend_from_slice(&[0x5a; 24]);
    body.extend_from_slice(&token.to_be_bytes());
    body.extend_from_slice(&[0, 0, 2, 0xc0, 0x2f, 1, 0]);
    let len = u8::try_from(body.len()).unwrap();
    let mut hello = vec![0x16, 3, 1, 0, len + 4, 1, 0, 0, len];
    hello.extend_from_slice(&body);
    assert_eq!(hello.len(), HELLO_LEN);
    hello
}

/// Opens a connection every 20 ms for so long, and waits for the end of each.
pub(crate) async fn run(
    proxy: SocketAddr,
    origin: SocketAddr,
    request: Request,
    span: Duration,
) -> Vec<Record> {
    let begin = Instant::now();
    let mut ticks = interval(Duration::from_millis(1000 / PER_SECOND));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut connections = JoinSet::new();
    let mut token = 0;
    while begin.elapsed() < span {
        ticks.tick().await;
        token += 1;
        connections.spawn(connect(proxy, origin, request, token, begin));
    }
    let mut records = connections.join_all().await;
    records.sort_by_key(|record| record.at);
    records
}

/// Waits until so long after `begin`.
pub(crate) async fn until(begin: Instant, offset: Duration) {
    sleep_until(begin + offset).await;
}

pub(crate) async fn connect(
    proxy: SocketAddr,
    origin: SocketAddr,
    request: Request,
    token: u64,
    begin: Instant,
) -> Record {
    let start = Instant::now();
    let mut setup = None;
    let result = timeout(PATIENCE, converse(proxy, origin, request, token, start, &mut setup)).await;
    let lost = match result {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error),
        Err(_elapsed) => Some("no answer".to_owned()),
    };
    let answered = start.elapsed();
    Record { at: start - begin, setup: setup.unwrap_or(answered), answered, lost }
}

async fn converse(
    proxy: SocketAddr,
    origin: SocketAddr,
    request: Request,
    token: u64,
    start: Instant,
    setup: &mut Option<Duration>,
) -> Result<(), String> {
    let failed = |step: &'static str| move |error: std::io::Error| format!("{step}: {error}");
    let mut stream = TcpStream::connect(proxy).await.map_err(failed("connect"))?;
    stream.set_nodelay(true).map_err(failed("nodelay"))?;
    stream.write_all(&[5, 1, 0]).await.map_err(failed("greet"))?;
    stream.read_exact(&mut [0; 2]).await.map_err(failed("method"))?;
    let SocketAddr::V4(target) = origin else { return Err("an IPv4 origin".to_owned()) };
    let mut connect = vec![5, 1, 0, 1];
    connect.extend_from_slice(&target.ip().octets());
    connect.extend_from_slice(&target.port().to_be_bytes());
    stream.write_all(&connect).await.map_err(failed("ask"))?;
    let mut reply = [0; 10];
    stream.read_exact(&mut reply).await.map_err(failed("reply"))?;
    *setup = Some(start.elapsed());
    if reply[1] != 0 {
        return Err(format!("SOCKS reply {}", reply[1]));
    }
    let (sent, expected) = match request {
        Request::Http => {
            let sent = format!("GET /{token} HTTP/1.1\r\nHost: origin\r\n\r\n").into_bytes();
            (sent, format!("\r\n\r\n/{token}").into_bytes())
        }
        Request::TlsHello => (hello(token), hello(token)[11..43].to_vec()),
    };
    stream.write_all(&sent).await.map_err(failed("send"))?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.map_err(failed("answer"))?;
    if answer.ends_with(&expected) { Ok(()) } else { Err(format!("wrong answer: {answer:?}")) }
}

/// The value that so many percent do not exceed.
pub(crate) fn percentile(records: &[&Record], percent: usize, of: fn(&Record) -> Duration) -> Duration {
    let mut values: Vec<Duration> = records.iter().map(|record| of(record)).collect();
    values.sort_unstable();
    let rank = (values.len() * percent).div_ceil(100).max(1);
    values[rank - 1]
}
