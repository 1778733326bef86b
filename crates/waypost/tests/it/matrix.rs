//! Bytes through every pair of inbound and outbound, by what they hash to.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    task::JoinSet,
    time::timeout,
};

use crate::binary::Waypost;

const BYTES: usize = 64 << 20;
const PIECE: usize = 256 << 10;
/// Debug builds on a busy machine.
const LIMIT: Duration = Duration::from_secs(240);
/// Pairs at a time; each keeps two processes and this one busy.
const ABREAST: usize = 4;

const OUTBOUNDS: [&str; 6] = ["direct", "to-socks", "to-http", "again", "group", "balancer"];
const INBOUNDS: [&str; 6] = ["socks5", "socks4a", "http", "mixed-socks", "mixed-http", "door"];

/// The piece of number `index`: nothing in it is where it is in another one.
fn piece(seed: u64, index: usize) -> Vec<u8> {
    let start = (index * PIECE) as u64 / 8;
    let words = start..start + PIECE as u64 / 8;
    words.flat_map(|word| (word ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()).collect()
}

/// Sends all pieces and the end; yields their hash.
async fn send(mut stream: impl AsyncWrite + Unpin, seed: u64) -> [u8; 32] {
    let mut hash = Sha256::new();
    for index in 0..BYTES / PIECE {
        let piece = piece(seed, index);
        hash.update(&piece);
        stream.write_all(&piece).await.unwrap();
    }
    stream.shutdown().await.unwrap();
    hash.finalize().into()
}

/// Reads to the end; yields how much it was and its hash.
async fn receive(mut stream: impl AsyncRead + Unpin) -> (usize, [u8; 32]) {
    let (mut hash, mut count, mut buffer) = (Sha256::new(), 0, vec![0; PIECE]);
    loop {
        match stream.read(&mut buffer).await.unwrap() {
            0 => return (count, hash.finalize().into()),
            read => {
                count += read;
                hash.update(&buffer[..read]);
            }
        }
    }
}

/// Sends and receives at the same time, and says what was received and what was sent.
async fn exchange<S: AsyncRead + AsyncWrite + Send + 'static>(stream: S, seed: u64) -> Exchanged {
    let (read, write) = tokio::io::split(stream);
    let sending = tokio::spawn(send(write, seed));
    let received = receive(read).await;
    Exchanged { sent: sending.await.unwrap(), received }
}

#[derive(Debug, PartialEq, Eq)]
struct Exchanged {
    sent: [u8; 32],
    received: (usize, [u8; 32]),
}

async fn open_socks5(stream: &mut TcpStream, target: SocketAddr) {
    let mut request = vec![5, 1, 0, 5, 1, 0, 1];
    request.extend_from_slice(&Ipv4Addr::LOCALHOST.octets());
    request.extend_from_slice(&target.port().to_be_bytes());
    stream.write_all(&request).await.unwrap();
    let mut reply = [0; 12];
    stream.read_exact(&mut reply).await.unwrap();
    assert_eq!(reply[..4], [5, 0, 5, 0]);
}

async fn open_socks4a(stream: &mut TcpStream, target: SocketAddr) {
    let mut request = vec![4, 1];
    request.extend_from_slice(&target.port().to_be_bytes());
    request.extend_from_slice(b"\0\0\0\x01user\0localhost\0");
    stream.write_all(&request).await.unwrap();
    let mut reply = [0; 8];
    stream.read_exact(&mut reply).await.unwrap();
    assert_eq!(reply[..2], [0, 90]);
}

async fn open_http(stream: &mut TcpStream, target: SocketAddr) {
    stream
        .write_all(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&head));
}

async fn open(inbound: &str, address: SocketAddr, target: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    match inbound {
        "socks5" | "mixed-socks" => open_socks5(&mut stream, target).await,
        "socks4a" => open_socks4a(&mut stream, target).await,
        "http" | "mixed-http" => open_http(&mut stream, target).await,
        "door" => {}
        other => panic!("{other}"),
    }
    stream
}

fn inbound(kind: &str, tag: &str, target: SocketAddr) -> Value {
    let protocol = match kind {
        "socks5" | "socks4a" => "socks",
        "http" => "http",
        "mixed-socks" | "mixed-http" => "mixed",
        _ => "dokodemo-door",
    };
    let settings =
        if kind == "door" { json!({"address": target.ip(), "port": target.port()}) } else { json!({}) };
    json!({"protocol": protocol, "tag": tag, "listen": "127.0.0.1", "port": 0, "settings": settings})
}

/// A proxy with an inbound for each pair, and `extra` inbounds.
fn configuration(target: SocketAddr, node: &BTreeMap<String, SocketAddr>) -> String {
    let through = |tag: &str, protocol: &str| {
        let node = node[protocol];
        json!({"protocol": protocol, "tag": tag,
            "settings": {"servers": [{"address": node.ip(), "port": node.port()}]}})
    };
    let (mut inbounds, mut rules) = (Vec::new(), Vec::new());
    for outbound in OUTBOUNDS {
        let tags: Vec<String> = INBOUNDS.iter().map(|kind| format!("{kind} {outbound}")).collect();
        inbounds.extend(INBOUNDS.iter().zip(&tags).map(|(kind, tag)| inbound(kind, tag, target)));
        let way = if outbound == "balancer" { "balancerTag" } else { "outboundTag" };
        rules.push(json!({"inboundTag": tags, way: outbound}));
    }
    rules.push(json!({"inboundTag": ["looped"], "outboundTag": "to-socks"}));
    json!({
        "inbounds": inbounds,
        "outbounds": [
            {"protocol": "freedom", "tag": "direct"},
            through("to-socks", "socks"), through("to-http", "http"),
            {"protocol": "loopback", "tag": "again", "settings": {"inboundTag": "looped"}},
            {"protocol": "loadbalance", "tag": "group", "settings": {
                "primary_outbounds": ["to-socks", "to-http"], "strategy": "round_robin",
                "url": format!("http://{target}/"), "interval": "10m"}},
        ],
        "routing": {
            "rules": rules,
            "balancers": [{"tag": "balancer", "selector": ["to-"], "strategy": {"type": "random"}}],
        },
    })
    .to_string()
}

/// An origin that sends as much as it is sent.
async fn start_origin() -> (SocketAddr, tokio::sync::mpsc::UnboundedReceiver<Exchanged>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (told, hears) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let told = told.clone();
            tokio::spawn(async move {
                // A probe of the group sends a few bytes only and is not of the test.
                let mut first = [0; 4];
                let read = stream.peek(&mut first).await.unwrap_or(0);
                if !first[..read].starts_with(b"GET") && !first[..read].starts_with(b"HEAD") && read > 0 {
                    let _test_is_over = told.send(exchange(stream, 2).await);
                }
            });
        }
    });
    (address, hears)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_out_is_what_went_in_through_every_pair() {
    let (target, mut origin) = start_origin().await;
    let node = Waypost::start(
        &json!({
            "inbounds": [
                {"protocol": "socks", "tag": "socks", "listen": "127.0.0.1", "port": 0},
                {"protocol": "http", "tag": "http", "listen": "127.0.0.1", "port": 0},
            ],
            "outbounds": [{"protocol": "freedom"}],
        })
        .to_string(),
        None,
    )
    .await;
    let proxy = Arc::new(Waypost::start(&configuration(target, &node.addresses()), None).await);
    let up: [u8; 32] = {
        let mut hash = Sha256::new();
        (0..BYTES / PIECE).for_each(|index| hash.update(piece(1, index)));
        hash.finalize().into()
    };
    let mut pairs = OUTBOUNDS.iter().flat_map(|outbound| INBOUNDS.map(|inbound| (inbound, *outbound)));
    let mut under_way = JoinSet::new();
    let mut begin = |under_way: &mut JoinSet<_>| {
        let Some((inbound, outbound)) = pairs.next() else { return };
        let address = proxy.address(&format!("{inbound} {outbound}"));
        under_way.spawn(async move {
            let stream = open(inbound, address, target).await;
            (inbound, outbound, timeout(LIMIT, exchange(stream, 1)).await)
        });
    };
    (0..ABREAST).for_each(|_| begin(&mut under_way));
    let mut checked = 0;
    while let Some(ended) = under_way.join_next().await {
        let (inbound, outbound, exchanged) = ended.unwrap();
        let exchanged = exchanged.unwrap_or_else(|_| panic!("{inbound} {outbound} took too long"));
        let other = origin.recv().await.unwrap();
        assert_eq!(exchanged.sent, up, "{inbound} {outbound}");
        assert_eq!(exchanged.received, (BYTES, other.sent), "{inbound} {outbound}");
        assert_eq!(other.received, (BYTES, up), "{inbound} {outbound}");
        checked += 1;
        begin(&mut under_way);
    }
    assert_eq!(checked, OUTBOUNDS.len() * INBOUNDS.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unix_socket_carries_as_much() {
    let (target, mut origin) = start_origin().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("waypost.sock");
    let config = json!({
        "inbounds": [
            {"protocol": "dokodemo-door", "listen": path,
             "settings": {"address": target.ip(), "port": target.port()}},
        ],
        "outbounds": [{"protocol": "freedom"}],
    });
    let mut proxy = Waypost::start_silent(&config.to_string()).await;
    proxy.wait_for(|proxy| proxy.log().contains("waypost.sock")).await;
    let stream = UnixStream::connect(&path).await.unwrap();
    let exchanged = timeout(LIMIT, exchange(stream, 1)).await.unwrap();
    let other = origin.recv().await.unwrap();
    assert_eq!(exchanged.received, (BYTES, other.sent));
    assert_eq!(other.received, (BYTES, exchanged.sent));
}
