//! Steady traffic: small requests through the proxy whose answers are checked.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

const PER_SECOND: u64 = 100;
/// How long a client waits for its answer: longer than the proxy may take to give up.
const PATIENCE: Duration = Duration::from_secs(20);
const MAX_ANSWER_BYTES: u64 = 1024;

/// Where traffic goes, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Traffic {
    pub(crate) proxy: SocketAddr,
    pub(crate) origin: SocketAddr,
    pub(crate) begin: Instant,
    pub(crate) span: Duration,
}

/// One connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// When it began, from the begin of the traffic.
    pub(crate) at: Duration,
    /// Until the proxy said that the connection stands.
    pub(crate) setup: Duration,
    /// Until the whole answer was there.
    pub(crate) answered: Duration,
    /// Why it counts as lost.
    pub(crate) lost: Option<String>,
}

/// Opens connections until the time is over. The channel closes with the last of them.
pub(crate) async fn run(traffic: Traffic, records: mpsc::Sender<Record>) {
    let mut ticks = interval(Duration::from_millis(1000 / PER_SECOND));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut token: u64 = 0;
    while traffic.begin.elapsed() < traffic.span {
        ticks.tick().await;
        token += 1;
        let records = records.clone();
        tokio::spawn(async move {
            // Nobody wants to know any more.
            let _over = records.send(connect(traffic, token).await).await;
        });
    }
}

async fn connect(traffic: Traffic, token: u64) -> Record {
    let start = Instant::now();
    let mut setup = None;
    let lost = match timeout(PATIENCE, converse(traffic, token, start, &mut setup)).await {
        Ok(Ok(())) => None,
        Ok(Err(reason)) => Some(reason),
        Err(_elapsed) => Some("no answer".to_owned()),
    };
    let answered = start.elapsed();
    Record { at: start.duration_since(traffic.begin), setup: setup.unwrap_or(answered), answered, lost }
}

async fn converse(
    traffic: Traffic,
    token: u64,
    start: Instant,
    setup: &mut Option<Duration>,
) -> Result<(), String> {
    let failed = |step: &'static str| move |error: io::Error| format!("{step}: {error}");
    let mut stream = TcpStream::connect(traffic.proxy).await.map_err(failed("connect"))?;
    stream.set_nodelay(true).map_err(failed("connect"))?;
    open_tunnel(&mut stream, traffic.origin).await.map_err(failed("SOCKS"))?;
    *setup = Some(start.elapsed());
    let request = format!("GET /{token} HTTP/1.1\r\nHost: {}\r\n\r\n", traffic.origin);
    stream.write_all(request.as_bytes()).await.map_err(failed("send"))?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer).await.map_err(failed("answer"))?;
    if answer.ends_with(format!("\r\n\r\n/{token}").as_bytes()) {
        Ok(())
    } else {
        Err(format!("wrong answer: {:?}", String::from_utf8_lossy(&answer)))
    }
}

/// Asks a SOCKS5 server without authentication for a tunnel (RFC 1928).
async fn open_tunnel(stream: &mut TcpStream, target: SocketAddr) -> io::Result<()> {
    let SocketAddr::V4(target) = target else { return Err(io::ErrorKind::Unsupported.into()) };
    stream.write_all(&[5, 1, 0]).await?;
    stream.read_exact(&mut [0; 2]).await?;
    let mut request = vec![5, 1, 0, 1];
    request.extend_from_slice(&target.ip().octets());
    request.extend_from_slice(&target.port().to_be_bytes());
    stream.write_all(&request).await?;
    let mut reply = [0; 10];
    stream.read_exact(&mut reply).await?;
    match reply {
        [5, 0, ..] => Ok(()),
        [_, code, ..] => Err(io::Error::new(io::ErrorKind::ConnectionRefused, format!("reply {code}"))),
    }
}
