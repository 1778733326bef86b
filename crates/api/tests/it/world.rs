//! A proxy with groups of every kind, and its control interface.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use waypost_api::{Api, ApiSettings, ListenOn, LogFeed};
use waypost_config::{Options, Source, UnknownKeys};
use waypost_net::Secret;
use waypost_proxy::{
    Control, Proxy, Reading,
    build::{Assets, load},
};
use waypost_testkit::{Behaviour, EchoServer, HttpOrigin, Socks5Node};

use crate::client::{Asking, LIMIT, SECRET};

pub(crate) struct World {
    pub(crate) proxy: Proxy,
    pub(crate) control: Control,
    pub(crate) nodes: Vec<Socks5Node>,
    pub(crate) echo: EchoServer,
    pub(crate) origin: HttpOrigin,
    /// Where the interface listens.
    pub(crate) api: SocketAddr,
    pub(crate) folder: TempDir,
    pub(crate) stop: CancellationToken,
    pub(crate) running: JoinHandle<()>,
}

/// What is other than usual.
pub(crate) type Change<'c> = &'c dyn Fn(&mut ApiSettings);

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(&|_| {}).await
    }

    pub(crate) async fn with(change: Change<'_>) -> Self {
        Self::with_feed(LogFeed::new(), change).await
    }

    pub(crate) async fn with_feed(feed: LogFeed, change: Change<'_>) -> Self {
        Self::run(&configuration, feed, change).await
    }

    /// With another configuration, which is made for three nodes and an origin.
    pub(crate) async fn of(configuration: &dyn Fn(&[Socks5Node], SocketAddr) -> Value) -> Self {
        Self::run(configuration, LogFeed::new(), &|_| {}).await
    }

    async fn run(
        configuration: &dyn Fn(&[Socks5Node], SocketAddr) -> Value,
        feed: LogFeed,
        change: Change<'_>,
    ) -> Self {
        let (echo, origin) = (EchoServer::start().await, HttpOrigin::start("origin").await);
        let mut nodes = Vec::new();
        for name in ["n0", "n1", "n2"] {
            nodes.push(Socks5Node::start(name, Behaviour::Relay).await);
        }
        let folder = tempfile::tempdir().unwrap();
        let text = configuration(&nodes, origin.address).to_string();
        let path = folder.path().join("config.json");
        std::fs::write(&path, &text).unwrap();
        let reading = Reading {
            paths: vec![path],
            unknown_keys: UnknownKeys::Error,
            assets: Assets::new(None, &|_| None),
            env: |_| None,
            confined_to: None,
        };
        let loaded = load(&Source::new("config.json", text).unwrap(), &Options::default(), &reading.assets);
        let ready = loaded.ready.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
        let proxy = Proxy::start(&ready.config, ready.snapshot).unwrap();
        let control = proxy.control();
        let loopback = ListenOn::Tcp("127.0.0.1:0".parse().unwrap());
        let mut settings = ApiSettings::new(loopback, Some(Secret::new(SECRET)), folder.path().to_owned());
        settings.reading = Some(reading);
        change(&mut settings);
        let bound = Api::bind(settings).await.unwrap();
        let api = match bound.address() {
            ListenOn::Tcp(address) => *address,
            ListenOn::Unix(_) => "127.0.0.1:0".parse().unwrap(),
        };
        let stop = CancellationToken::new();
        let running = tokio::spawn(bound.run(control.clone(), feed, stop.clone()));
        Self { proxy, control, nodes, echo, origin, api, folder, stop, running }
    }

    /// Waits until every group has asked its members once.
    pub(crate) async fn settle(&self) {
        until(async || self.control.groups().iter().all(|group| !group.is_bootstrapping)).await;
    }

    pub(crate) fn get(&self, path: &str) -> Asking {
        self.ask("GET", path)
    }

    pub(crate) fn ask(&self, method: &str, path: &str) -> Asking {
        Asking::new(self.api, method, path)
    }

    pub(crate) fn stranger(&self, method: &str, path: &str) -> Asking {
        Asking::stranger(self.api, method, path)
    }

    /// A path in the data folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The URL of an origin that the nodes can reach.
    pub(crate) fn url(&self) -> String {
        format!("http%3A%2F%2F{}%2Fgenerate_204", self.origin.address)
    }

    /// A tunnel to the server that sends everything back, by a name that a rule may be for.
    pub(crate) async fn tunnel(&self, name: &str) -> TcpStream {
        let inbound = self.proxy.addresses()[0].address.ip().unwrap();
        let opening = async {
            let mut stream = TcpStream::connect(inbound).await.unwrap();
            let mut request = vec![5, 1, 0, 5, 1, 0];
            match name.parse::<std::net::Ipv4Addr>() {
                Ok(ip) => {
                    request.push(1);
                    request.extend_from_slice(&ip.octets());
                }
                Err(_) => {
                    request.extend_from_slice(&[3, u8::try_from(name.len()).unwrap()]);
                    request.extend_from_slice(name.as_bytes());
                }
            }
            request.extend_from_slice(&self.echo.address.port().to_be_bytes());
            stream.write_all(&request).await.unwrap();
            let mut reply = [0; 12];
            stream.read_exact(&mut reply).await.unwrap();
            assert_eq!(reply[3], 0, "{name} is refused");
            stream
        };
        timeout(LIMIT, opening).await.expect("a tunnel in time")
    }

    /// Sends so many bytes through a tunnel, and has them back.
    pub(crate) async fn echo_through(&self, tunnel: &mut TcpStream, n_bytes: usize) {
        let sent = vec![7; n_bytes];
        let mut back = vec![0; n_bytes];
        tunnel.write_all(&sent).await.unwrap();
        timeout(LIMIT, tunnel.read_exact(&mut back)).await.expect("an echo in time").unwrap();
        assert_eq!(sent, back);
    }
}

/// Waits until something is so.
pub(crate) async fn until(is_so: impl AsyncFn() -> bool) {
    let begin = Instant::now();
    while !is_so().await {
        assert!(begin.elapsed() < LIMIT, "it never came");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Two nodes in front, and one behind them; `lb` takes what no rule matches.
pub(crate) fn configuration(nodes: &[Socks5Node], origin: SocketAddr) -> Value {
    let mut outbounds = vec![
        json!({"type": "selector", "tag": "pick", "outbounds": ["n0", "n1", "direct"]}),
        json!({
            "type": "urltest", "tag": "fast", "outbounds": ["n0", "n1"],
            "url": format!("http://{origin}/probe"), "interval": "30m",
        }),
        json!({
            "type": "loadbalance", "tag": "lb", "primary_outbounds": ["n0", "n1"], "backup_outbounds": ["n2"],
            "strategy": "round_robin", "url": format!("http://{origin}/probe"), "interval": "30m",
        }),
        json!({"type": "direct", "tag": "direct"}),
        json!({"type": "block", "tag": "block"}),
    ];
    for (index, node) in nodes.iter().enumerate() {
        outbounds.push(json!({
            "type": "socks", "tag": format!("n{index}"), "server": node.address.ip(),
            "server_port": node.address.port(),
        }));
    }
    json!({
        "inbounds": [{"type": "mixed", "tag": "in", "listen": "127.0.0.1", "listen_port": 0}],
        "outbounds": outbounds,
        "route": {
            "rules": [
                {"clash_mode": "Direct", "outbound": "direct"},
                {"domain_suffix": [".pick"], "outbound": "pick"},
                {"ip_cidr": ["127.0.0.0/8"], "port": [1], "action": "reject"},
                {"ip_cidr": ["127.0.0.0/8"], "outbound": "pick"},
                {"type": "logical", "mode": "or", "rules": [{"rule_set": "listed"}], "outbound": "fast"},
            ],
            "rule_set": [{
                "type": "inline", "tag": "listed", "rules": [{"domain": ["listed.example"]}],
            }],
            "final": "lb",
        },
        "experimental": {"clash_api": {"default_mode": "Rule"}},
        "dns": {
            "servers": [{"type": "hosts", "tag": "hosts", "predefined": {"name.test": "192.0.2.7"}}],
        },
    })
}
