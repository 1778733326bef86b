//! A running proxy with a file of sing-box: modes, programs and their users, and what an outbound may carry.

use std::{net::SocketAddr, path::Path, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};
use waypost_config::{Options, Source};
use waypost_proxy::{
    Proxy,
    build::{Assets, load},
};
use waypost_testkit::{Behaviour, Socks5Node};

const LIMIT: Duration = Duration::from_secs(20);

struct Running {
    proxy: Proxy,
    _nodes: [Socks5Node; 2],
}

impl Running {
    /// A proxy with these rules in front of the nodes `out` and `other`; `out` takes what is left.
    async fn start(rules: Value, experimental: Value) -> Self {
        Self::start_before(Behaviour::Label, rules, experimental, json!({})).await
    }

    /// The same with nodes that do this, and with more keys in the outbound `out`.
    async fn start_before(behaviour: Behaviour, rules: Value, experimental: Value, out_extra: Value) -> Self {
        let nodes = [Socks5Node::start("out", behaviour).await, Socks5Node::start("other", behaviour).await];
        let node = |tag: &str, node: &Socks5Node| {
            let (server, port) = (node.address.ip(), node.address.port());
            json!({"type": "socks", "tag": tag, "server": server, "server_port": port})
        };
        let mut out = node("out", &nodes[0]);
        out.as_object_mut().unwrap().extend(out_extra.as_object().unwrap().clone());
        let config = json!({
            "inbounds": [{"type": "mixed", "tag": "in", "listen": "127.0.0.1", "listen_port": 0}],
            "outbounds": [out, node("other", &nodes[1])],
            "route": {"rules": rules, "final": "out"},
            "experimental": experimental,
        });
        let source = Source::new("config.json", config.to_string()).unwrap();
        let loaded = load(&source, &Options::default(), &Assets::new(None, &|_| None));
        let ready = loaded.ready.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
        Self { proxy: Proxy::start(&ready.config, ready.snapshot).unwrap(), _nodes: nodes }
    }

    fn address(&self) -> SocketAddr {
        self.proxy.addresses()[0].address.ip().unwrap()
    }

    /// Who carries a connection, by what the node says.
    async fn who(&self) -> String {
        let asking = async {
            let mut stream = TcpStream::connect(self.address()).await.unwrap();
            stream.write_all(&[5, 1, 0, 5, 1, 0, 1, 192, 0, 2, 1, 0, 80]).await.unwrap();
            stream.read_exact(&mut [0; 12]).await.unwrap();
            let mut label = String::new();
            stream.read_to_string(&mut label).await.unwrap();
            label
        };
        timeout(LIMIT, asking).await.expect("an answer in time")
    }
}

fn cache(path: &Path) -> Value {
    json!({"clash_api": {"default_mode": "Split"}, "cache_file": {"enabled": true, "path": path}})
}

#[tokio::test]
async fn a_mode_decides_at_once_and_outlives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache");
    let rules = json!([{"clash_mode": "Global", "outbound": "other"}]);
    let running = Running::start(rules.clone(), cache(&path)).await;
    let (mode, names) = running.proxy.mode().unwrap();
    assert_eq!(
        (&*mode, names.iter().map(|name| &**name).collect::<Vec<_>>()),
        ("Split", vec!["Split", "Global"])
    );
    assert_eq!(running.who().await, "out");
    running.proxy.set_mode("GLOBAL").await.unwrap();
    assert_eq!(running.who().await, "other");
    let error = running.proxy.set_mode("Script").await.unwrap_err();
    assert_eq!(error.to_string(), "there is no mode `Script`; there are Split, Global");
    assert_eq!(running.who().await, "other", "the mode is kept");
    running.proxy.stop(Duration::ZERO).await;
    let again = Running::start(rules.clone(), cache(&path)).await;
    assert_eq!(again.who().await, "other");

    // Without the API no mode ever holds, as in sing-box.
    let without = Running::start(rules, json!({})).await;
    assert_eq!((without.proxy.mode(), without.who().await.as_str()), (None, "out"));
}

#[tokio::test]
async fn programs_and_their_users_are_conditions() {
    let program = std::env::current_exe().unwrap();
    let own = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap());
    let name = program.file_name().unwrap().to_str().unwrap();
    let expression = format!("/{}$", regex::escape(name));
    for (condition, holds) in [
        (json!({"process_name": name}), true),
        (json!({"process_name": "curl"}), false),
        (json!({"process_path": program}), true),
        (json!({"process_path_regex": [expression]}), true),
        (json!({"process_path_regex": "^/nowhere/"}), false),
        (json!({"user_id": own}), true),
        (json!({"user_id": [own + 1]}), false),
        // Every kind of condition has to hold, not one of them.
        (json!({"process_name": name, "user_id": own + 1}), false),
        (json!({"process_name": ["curl", name], "user_id": [own, 7]}), true),
        (json!({"process_name": name, "invert": true}), false),
    ] {
        let mut rule = condition.clone();
        rule["outbound"] = json!("other");
        let running = Running::start(json!([rule]), json!({})).await;
        assert_eq!(running.who().await == "other", holds, "{condition}");
    }
}

#[tokio::test]
async fn an_outbound_for_tcp_takes_no_datagrams() {
    for (extra, carried) in
        [(json!({}), true), (json!({"network": "udp"}), true), (json!({"network": "tcp"}), false)]
    {
        let running = Running::start_before(Behaviour::Relay, json!([]), json!({}), extra.clone()).await;
        let target = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut control = TcpStream::connect(running.address()).await.unwrap();
        control.write_all(&[5, 1, 0, 5, 3, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
        let mut reply = [0; 12];
        control.read_exact(&mut reply).await.unwrap();
        let relay = SocketAddr::from(([127, 0, 0, 1], u16::from_be_bytes([reply[10], reply[11]])));
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let [high, low] = target.local_addr().unwrap().port().to_be_bytes();
        client.send_to(&[0, 0, 0, 1, 127, 0, 0, 1, high, low, b'x'], relay).await.unwrap();
        let patience = if carried { LIMIT } else { Duration::from_millis(300) };
        let arrived = timeout(patience, target.recv_from(&mut [0; 64])).await.is_ok();
        assert_eq!(arrived, carried, "{extra}");
    }
    let running =
        Running::start_before(Behaviour::Label, json!([]), json!({}), json!({"network": "udp"})).await;
    let mut stream = TcpStream::connect(running.address()).await.unwrap();
    stream.write_all(&[5, 1, 0, 5, 1, 0, 1, 192, 0, 2, 1, 0, 80]).await.unwrap();
    let mut reply = [0; 12];
    timeout(LIMIT, stream.read_exact(&mut reply)).await.expect("an answer in time").unwrap();
    assert_eq!(reply[3], 2, "not allowed (RFC 1928 §6)");
}
