//! A Waypost to look at: nodes that differ in delay, groups of each kind, and traffic that goes on.

use std::{collections::BTreeMap, io, net::SocketAddr, path::Path, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    binary::{Waypost, command},
    oracle::connect_socks,
};

/// What clients of the control interface have to know.
pub(crate) const SECRET: &str = "tests & clients only";
/// What a delay test asks for; every node answers for it.
pub(crate) const TEST_URL: &str = "http://probe.example/generate_204";

/// The nodes, and how long each takes to reach a target, in milliseconds.
const NODES: [(&str, u64); 6] =
    [("ams-1", 4), ("ams-2", 7), ("fra-1", 11), ("lon-1", 16), ("nyc-1", 42), ("sgp-1", 88)];
/// Where clients go, through which inbound, and how many bytes they send at a time.
const CLIENTS: [(&str, &str, usize); 10] = [
    ("lan", "www.example.com:443", 90),
    ("lan", "cdn.example.net:443", 1200),
    ("lan", "video.media.example:443", 16_000),
    ("lan", "api.shop.example:443", 300),
    ("office", "git.code.example:22", 700),
    ("office", "mail.example.org:993", 60),
    ("office", "static.images.example:80", 2600),
    ("lan", "updates.vendor.example:443", 4000),
    ("lan", "live.media.example:443", 9000),
    ("lan", "[2001:db8::7]:443", 150),
];
/// How many times as much a node sends back.
const GAIN: usize = 12;
const PAUSE: Duration = Duration::from_millis(150);
const LIMIT: Duration = Duration::from_secs(5);

/// A running Waypost with its nodes and its clients; all of it ends when this is dropped.
pub(crate) struct World {
    /// Where the control interface is, such as `http://127.0.0.1:9090`.
    pub(crate) base: String,
    nodes: BTreeMap<&'static str, Node>,
    waypost: Waypost,
    _clients: JoinSet<()>,
}

impl World {
    /// Starts everything, and returns when the interface listens. `page` is the folder of a web page to
    /// serve instead of the one that is built in.
    pub(crate) async fn start(page: Option<&Path>) -> Self {
        let mut nodes = BTreeMap::new();
        for (tag, delay) in NODES {
            nodes.insert(tag, Node::start(Duration::from_millis(delay)).await);
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        let text = serde_json::to_string_pretty(&config(&nodes, page)).unwrap();
        std::fs::write(&path, text).unwrap();
        let mut command = command();
        command.args(["run", "--log-level", "debug", "--log-format", "json", "--config"]).arg(path);
        let mut waypost = Waypost::spawn(command, folder, 2).await;
        waypost.wait_for(|waypost| interface(waypost).is_some()).await;
        let base = format!("http://{}", interface(&waypost).unwrap());
        let mut clients = JoinSet::new();
        for (inbound, target, size) in CLIENTS {
            clients.spawn(stay(waypost.address(inbound), target, size));
        }
        Self { base, nodes, waypost, _clients: clients }
    }

    /// Ends a node with all that it carries.
    pub(crate) fn take_down(&mut self, tag: &str) {
        assert!(self.nodes.remove(tag).is_some(), "there is no node `{tag}`");
    }

    /// What Waypost has logged.
    pub(crate) fn log(&self) -> String {
        self.waypost.log()
    }
}

/// Where the control interface listens, by the log.
fn interface(waypost: &Waypost) -> Option<String> {
    let log = waypost.log();
    let mut records = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let told = records.find(|record| record["fields"]["message"] == "the control interface listens")?;
    told["fields"]["address"].as_str().map(str::to_owned)
}

fn config(nodes: &BTreeMap<&'static str, Node>, page: Option<&Path>) -> Value {
    let mut api = json!({"external_controller": "127.0.0.1:0", "secret": SECRET});
    if let Some(page) = page {
        api["external_ui"] = page.to_str().unwrap().into();
    }
    let mut outbounds = vec![
        json!({
            "type": "selector", "tag": "choice", "outbounds": ["ams-1", "lon-1", "nyc-1", "balanced"],
        }),
        json!({
            "type": "loadbalance", "tag": "balanced", "primary_outbounds": ["ams-1", "ams-2", "fra-1"],
            "backup_outbounds": ["nyc-1"], "strategy": "consistent_hash", "hash": {"key_parts": ["domain"]},
            "url": TEST_URL, "interval": "2s",
        }),
        json!({
            "type": "urltest", "tag": "video", "outbounds": ["lon-1", "fra-1", "sgp-1"],
            "url": TEST_URL, "interval": "5s", "idle_timeout": "5m",
        }),
        json!({"type": "direct", "tag": "direct"}),
    ];
    for (tag, node) in nodes {
        let port = node.address.port();
        outbounds.push(json!({"type": "socks", "tag": tag, "server": "127.0.0.1", "server_port": port}));
    }
    json!({
        "experimental": {"clash_api": api},
        // The name that a client of the interface asks for, which no server has to be asked for.
        "dns": {
            "servers": [{"type": "hosts", "tag": "hosts", "predefined": {"example.com": ["192.0.2.1"]}}],
        },
        "inbounds": [
            {"type": "mixed", "tag": "lan", "listen": "127.0.0.1", "listen_port": 0},
            {"type": "socks", "tag": "office", "listen": "127.0.0.1", "listen_port": 0},
        ],
        "outbounds": outbounds,
        "route": {
            "rules": [
                {"clash_mode": "Global", "outbound": "choice"},
                {"domain_suffix": [".tracker.example"], "domain_keyword": ["telemetry"], "action": "reject"},
                {"domain_suffix": [".corp.example"], "ip_cidr": ["10.0.0.0/8"], "outbound": "direct"},
                {"domain_suffix": [".media.example"], "network": "tcp", "outbound": "video"},
                {"rule_set": "code", "outbound": "choice"},
                {"inbound": "office", "port": 993, "outbound": "choice"},
                {"port": 25, "action": "reject"},
                {"domain_suffix": [".example", ".com", ".net", ".org"], "outbound": "balanced"},
            ],
            "rule_set": [{"type": "inline", "tag": "code", "rules": [{"domain_suffix": [".code.example"]}]}],
            "final": "choice",
        },
    })
}

/// Goes to `target` again and again, and stays as long as it may.
async fn stay(inbound: SocketAddr, target: &str, size: usize) {
    loop {
        // Connections are closed on purpose here, and nodes end: the next one is what it is about.
        let _ended = talk(inbound, target, size).await;
        sleep(2 * PAUSE).await;
    }
}

async fn talk(inbound: SocketAddr, target: &str, size: usize) -> io::Result<()> {
    let mut stream = TcpStream::connect(inbound).await?;
    connect_socks(&mut stream, &target.parse().unwrap(), None).await?;
    let (sent, mut received) = (vec![b'.'; size], vec![0; size * GAIN]);
    loop {
        stream.write_all(&sent).await?;
        timeout(LIMIT, stream.read_exact(&mut received)).await??;
        sleep(PAUSE).await;
    }
}

/// A SOCKS5 server that answers for every target itself: requests of HTTP with 204, and anything else with
/// more of the same. It ends when this is dropped.
struct Node {
    address: SocketAddr,
    _serving: JoinSet<()>,
}

impl Node {
    async fn start(delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut clients = JoinSet::new();
            while let Ok((stream, _peer)) = listener.accept().await {
                clients.spawn(async move {
                    // A client that goes away ends its own connection only.
                    let _gone = answer(stream, delay).await;
                });
                while clients.try_join_next().is_some() {}
            }
        });
        Self { address, _serving: serving }
    }
}

async fn answer(mut stream: TcpStream, delay: Duration) -> io::Result<()> {
    let mut methods = vec![0; usize::from(read::<2>(&mut stream).await?[1])];
    stream.read_exact(&mut methods).await?;
    stream.write_all(&[5, 0]).await?;
    let [_version, _command, _reserved, kind] = read::<4>(&mut stream).await?;
    let length = match kind {
        1 => 4,
        3 => usize::from(read::<1>(&mut stream).await?[0]),
        4 => 16,
        other => return Err(io::Error::other(format!("no kind of address: {other}"))),
    };
    stream.read_exact(&mut vec![0; length + 2]).await?;
    sleep(delay).await;
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    let mut bytes = vec![0; 32 * 1024];
    loop {
        let count = stream.read(&mut bytes).await?;
        let got = &bytes[..count];
        if count == 0 {
            return Ok(());
        }
        if got.starts_with(b"GET ") || got.starts_with(b"HEAD ") {
            stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await?;
            return stream.shutdown().await;
        }
        for _time in 0..GAIN {
            stream.write_all(got).await?;
        }
    }
}

async fn read<const N: usize>(stream: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}
