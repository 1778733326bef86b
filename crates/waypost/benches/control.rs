//! What the control interface costs (`cargo bench -p waypost --bench control`): `/connections` with 10,000
//! live connections (as many as descriptors allow), its stream, and the counters that it shows.
//!
//! The last needs a second program without them: `RUSTFLAGS="--cfg waypost_without_counters" cargo build
//! --release --target-dir target/without-counters`, named in `WITHOUT_COUNTERS`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark that cannot go on ends, and its table is what it is for"
)]

#[path = "../tests/it/binary.rs"]
#[expect(dead_code, reason = "tests use more of it")]
mod binary;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    process::Command,
    time::{Instant, sleep},
};

use self::binary::Waypost;

/// Each takes two descriptors of the proxy, and two here; without enough of them there are fewer.
const N_CONNECTIONS: usize = 10_000;
/// Descriptors for everything else.
const SPARE: usize = 1000;
const N_REQUESTS: usize = 50;
const STREAM_SECONDS: u64 = 10;
/// A process that is busy for longer is not at rest because of what was opened and asked before.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
const ROUNDS: usize = 8;
const BULK_BYTES: usize = 4 << 30;
const SECRET: &str = "s3cret";
/// Clock ticks of a second, which Linux has always told programs (proc(5), `_SC_CLK_TCK`).
const TICKS: f64 = 100.0;

#[tokio::main]
async fn main() {
    waypost_proxy::raise_descriptor_limit();
    let n_connections = N_CONNECTIONS.min(descriptors().saturating_sub(SPARE) / 2);
    let control = { TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap() };
    let (waypost, proxy) = start(Path::new(env!("CARGO_BIN_EXE_waypost")), Some(control)).await;
    let target = sink().await;
    let mut tunnels = Vec::with_capacity(n_connections);
    for number in 0..n_connections {
        // A client address has 28,000 ports.
        let local = format!("127.0.0.{}:0", 1 + number / 5000);
        tunnels.push(tunnel(&local, proxy, target).await);
    }
    requests(control, n_connections).await;
    stream(control, waypost.pid(), n_connections).await;
    drop((tunnels, waypost));
    if let Some(without) = without_counters() {
        counters(&without, target).await;
    }
}

/// How many files a process may have open (proc(5), `limits`).
fn descriptors() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap_or(usize::MAX)
}

#[expect(clippy::disallowed_methods, reason = "which program to compare with is told so")]
fn without_counters() -> Option<PathBuf> {
    std::env::var_os("WITHOUT_COUNTERS").map(PathBuf::from)
}

async fn start(program: &Path, control: Option<SocketAddr>) -> (Waypost, SocketAddr) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    let mut config = json!({
        "inbounds": [{"type": "mixed", "tag": "in", "listen": "127.0.0.1", "listen_port": 0}],
        "outbounds": [{"type": "direct", "tag": "direct"}],
    });
    if let Some(control) = control {
        config["experimental"] =
            json!({"clash_api": {"external_controller": control.to_string(), "secret": SECRET}});
    }
    std::fs::write(&path, config.to_string()).unwrap();
    let mut command = Command::new(program);
    command.args(["run", "--log-level", "info", "--log-format", "json", "-c"]).arg(&path).kill_on_drop(true);
    let waypost = Waypost::spawn(command, folder, 1).await;
    let proxy = waypost.address("in");
    (waypost, proxy)
}

/// Takes clients and leaves them alone, or sends as many bytes as they ask for.
async fn sink() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let Ok(wanted) = stream.read_u64().await else { return };
                let (chunk, mut left) = (vec![0; 1 << 18], usize::try_from(wanted).unwrap());
                while left > 0 {
                    let n = left.min(chunk.len());
                    if stream.write_all(&chunk[..n]).await.is_err() {
                        return;
                    }
                    left -= n;
                }
            });
        }
    });
    address
}

async fn tunnel(local: &str, proxy: SocketAddr, target: SocketAddr) -> TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(local.parse().unwrap()).unwrap();
    let mut stream = socket.connect(proxy).await.unwrap();
    let SocketAddr::V4(target) = target else { return stream };
    let mut request = vec![5, 1, 0, 5, 1, 0, 1];
    request.extend_from_slice(&target.ip().octets());
    request.extend_from_slice(&target.port().to_be_bytes());
    stream.write_all(&request).await.unwrap();
    let mut reply = [0; 12];
    stream.read_exact(&mut reply).await.unwrap();
    assert_eq!(reply[3], 0, "refused");
    stream
}

/// Asks for all connections, one request after the other.
async fn requests(control: SocketAddr, n_connections: usize) {
    let mut times = Vec::new();
    let mut n_bytes = 0;
    for _ in 0..N_REQUESTS {
        let mut stream = TcpStream::connect(control).await.unwrap();
        let begin = Instant::now();
        let request = format!(
            "GET /connections HTTP/1.1\r\nHost: {control}\r\nAuthorization: Bearer {SECRET}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        times.push(begin.elapsed());
        assert!(
            answer.starts_with(b"HTTP/1.1 200"),
            "{}",
            String::from_utf8_lossy(&answer[..200.min(answer.len())])
        );
        n_bytes = answer.len();
    }
    times.sort();
    println!(
        "/connections with {n_connections}: median {:.1} ms, p99 {:.1} ms, {} KB",
        times[times.len() / 2].as_secs_f64() * 1e3,
        times[times.len() - 1].as_secs_f64() * 1e3,
        n_bytes / 1024,
    );
}

/// Waits until a process has had nothing to do for a while; says how much it had to do until then.
async fn settle(pid: u32) {
    let (begin, before) = (Instant::now(), cpu(pid));
    let mut spent = before;
    loop {
        sleep(Duration::from_secs(2)).await;
        let now = cpu(pid);
        if now - spent < 2.0 / TICKS || begin.elapsed() > SETTLED_WITHIN {
            println!("at rest after {:.0} s, {:.2} s of a core", begin.elapsed().as_secs_f64(), now - before);
            return;
        }
        spent = now;
    }
}

/// Follows all connections with a frame each second.
async fn stream(control: SocketAddr, pid: u32, n_connections: usize) {
    settle(pid).await;
    let idle = cpu(pid);
    sleep(Duration::from_secs(STREAM_SECONDS)).await;
    let idle = cpu(pid) - idle;
    let mut stream = TcpStream::connect(control).await.unwrap();
    let request = format!(
        "GET /connections?interval=1000&token={SECRET} HTTP/1.1\r\nHost: {control}\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut stream = BufReader::with_capacity(1 << 16, stream);
    let (mut head, mut line) = (String::new(), String::new());
    while line != "\r\n" {
        line.clear();
        assert!(stream.read_line(&mut line).await.unwrap() > 0, "ended within {head}");
        head.push_str(&line);
    }
    assert!(head.starts_with("HTTP/1.1 101 "), "no WebSocket: {head}");
    // One comes at once.
    frame(&mut stream, n_connections).await;
    let (busy, begin) = (cpu(pid), Instant::now());
    let mut n_bytes = 0;
    for _ in 0..STREAM_SECONDS {
        n_bytes += frame(&mut stream, n_connections).await;
    }
    let (busy, time) = (cpu(pid) - busy, begin.elapsed().as_secs_f64());
    let seconds = f64::from(u32::try_from(STREAM_SECONDS).unwrap());
    assert!((time - seconds).abs() < 1.0, "{STREAM_SECONDS} frames in {time:.1} s");
    println!(
        "its stream: {:.1} % of a core, {:.1} % without; {STREAM_SECONDS} frames of {} KB in {time:.1} s",
        busy / time * 100.0,
        idle / seconds * 100.0,
        n_bytes / STREAM_SECONDS / 1024,
    );
}

/// Reads a message of a WebSocket to its end (RFC 6455 §5.2); yields its length.
async fn frame(stream: &mut BufReader<TcpStream>, n_connections: usize) -> u64 {
    let mut n_bytes = 0;
    loop {
        let (kind, length) = (stream.read_u8().await.unwrap(), stream.read_u8().await.unwrap());
        let length = match length {
            126 => stream.read_u16().await.unwrap().into(),
            127 => stream.read_u64().await.unwrap(),
            short => short.into(),
        };
        tokio::io::copy(&mut stream.take(length), &mut tokio::io::sink()).await.unwrap();
        // Not a control frame.
        if kind & 0x08 == 0 {
            n_bytes += length;
            if kind & 0x80 != 0 {
                assert!(
                    n_bytes > n_connections as u64 * 100,
                    "a frame of {n_bytes} bytes has not all of them"
                );
                return n_bytes;
            }
        }
    }
}

/// Carries bulk through both programs in turn.
async fn counters(without: &Path, target: SocketAddr) {
    let mut ratios = Vec::new();
    for round in 0..ROUNDS {
        let mut costs = [0.0; 2];
        let programs = [Path::new(env!("CARGO_BIN_EXE_waypost")), without];
        for place in [round % 2, 1 - round % 2] {
            let (waypost, proxy) = start(programs[place], None).await;
            let begin = cpu(waypost.pid());
            let mut stream = tunnel("127.0.0.1:0", proxy, target).await;
            stream.write_u64(BULK_BYTES as u64).await.unwrap();
            let (mut buffer, mut left) = (vec![0; 1 << 18], BULK_BYTES);
            while left > 0 {
                left -= stream.read(&mut buffer).await.unwrap();
            }
            costs[place] = cpu(waypost.pid()) - begin;
        }
        ratios.push(costs[0] / costs[1]);
        println!("{:.2} s with counters, {:.2} s without", costs[0], costs[1]);
    }
    ratios.sort_by(f64::total_cmp);
    println!("ratio, of {ROUNDS}: median {:.3}", (ratios[ROUNDS / 2 - 1] + ratios[ROUNDS / 2]) / 2.0);
}

/// The CPU seconds of a process (proc(5), `stat`).
fn cpu(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks = |place: usize| fields[place].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / TICKS
}
