//! Clients of a running proxy that looks at their first bytes.

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    time::{Instant, sleep, timeout},
};
use waypost_proxy::Proxy;
use waypost_testkit::{Behaviour, EchoServer, Socks5Node, UdpEcho, refused_address};

use crate::http::{LIMIT, start};

/// A target that nobody is to reach.
const NOWHERE: &str = "192.0.2.1:8443";

/// A proxy that sends what a rule matches to the node `rule`, and everything else to the node `other`.
struct Running {
    proxy: Proxy,
    rule: Socks5Node,
    other: Socks5Node,
}

impl Running {
    async fn start(sniffing: Value, mut rule: Value) -> Self {
        let nodes = (
            Socks5Node::start("rule", Behaviour::Label).await,
            Socks5Node::start("other", Behaviour::Label).await,
        );
        rule["outboundTag"] = json!("rule");
        let proxy = start(&json!({
            "inbounds": [
                {"protocol": "mixed", "listen": "127.0.0.1", "port": 0, "sniffing": sniffing}
            ],
            "outbounds": [outbound("other", &nodes.1), outbound("rule", &nodes.0)],
            "routing": {"rules": [rule]},
        }));
        Self { proxy, rule: nodes.0, other: nodes.1 }
    }

    /// What the node that a connection with these first bytes came out at is called, and what it was
    /// asked for.
    async fn way(&self, segments: &[&[u8]]) -> (String, String) {
        let mut stream = tunnel(&self.proxy, NOWHERE.parse().unwrap()).await;
        for segment in segments {
            stream.write_all(segment).await.unwrap();
            sleep(Duration::from_millis(3)).await;
        }
        let mut label = String::new();
        timeout(LIMIT, stream.read_to_string(&mut label)).await.expect("an end in time").unwrap();
        let node = if label == "rule" { &self.rule } else { &self.other };
        (label, node.seen().last().unwrap().target.to_string())
    }

    #[track_caller]
    fn check(found: &(String, String), node: &str, target: &str) {
        assert_eq!((&*found.0, &*found.1), (node, target));
    }
}

fn outbound(tag: &str, node: &Socks5Node) -> Value {
    let server = json!({"address": node.address.ip(), "port": node.address.port()});
    json!({"protocol": "socks", "tag": tag, "settings": {"servers": [server]}})
}

/// A SOCKS5 tunnel that has been granted.
async fn tunnel(proxy: &Proxy, target: SocketAddr) -> TcpStream {
    let opening = async {
        let mut stream = TcpStream::connect(proxy.addresses()[0].address.ip().unwrap()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let SocketAddr::V4(target) = target else { panic!("an IPv4 target") };
        let mut request = vec![5, 1, 0, 5, 1, 0, 1];
        request.extend_from_slice(&target.ip().octets());
        request.extend_from_slice(&target.port().to_be_bytes());
        stream.write_all(&request).await.unwrap();
        let mut reply = [0; 12];
        stream.read_exact(&mut reply).await.unwrap();
        assert_eq!(reply[..4], [5, 0, 5, 0]);
        stream
    };
    timeout(LIMIT, opening).await.expect("an answer in time")
}

/// A ClientHello of 1,300 bytes for `name`.
fn hello(name: &str) -> Vec<u8> {
    let short = |length: usize| u16::try_from(length).unwrap().to_be_bytes();
    let padding = [&[0, 21][..], &short(1200), &[0; 1200]].concat();
    let list = [&[0][..], &short(name.len()), name.as_bytes()].concat();
    let server_name = [&[0, 0][..], &short(list.len() + 2), &short(list.len()), &list].concat();
    let extensions = [padding, server_name].concat();
    let ciphers = [0, 0, 2, 0x13, 1, 1, 0];
    let body = [&[3, 3][..], &[7; 32], &ciphers, &short(extensions.len()), &extensions].concat();
    [&[22, 3, 1][..], &short(body.len() + 4), &[1, 0], &short(body.len()), &body].concat()
}

fn by_name(name: &str) -> Value {
    json!({"domain": [format!("full:{name}")]})
}

#[tokio::test]
async fn a_client_hello_in_twenty_segments_is_routed_by_its_name() {
    let sniffing = json!({"enabled": true, "destOverride": ["http", "tls"]});
    let running = Running::start(sniffing, by_name("a.example")).await;
    let hello = hello("A.example");
    let segments: Vec<&[u8]> = hello.chunks(hello.len().div_ceil(20)).collect();
    assert_eq!(segments.len(), 20);
    Running::check(&running.way(&segments).await, "rule", "a.example:8443");
    let request = b"GET / HTTP/1.1\r\nHost: a.example:1\r\n\r\n";
    let segments: Vec<&[u8]> = request.chunks(2).collect();
    Running::check(&running.way(&segments).await, "rule", "a.example:8443");
    Running::check(
        &running.way(&[b"GET / HTTP/1.1\r\nHost: b.example\r\n\r\n"]).await,
        "other",
        "b.example:8443",
    );
    Running::check(&running.way(&[b"SSH-2.0-x\r\n"]).await, "other", NOWHERE);
}

#[tokio::test]
async fn a_name_for_rules_only_is_not_dialled() {
    let sniffing = json!({"enabled": true, "destOverride": ["tls"], "routeOnly": true});
    let running = Running::start(sniffing, by_name("a.example")).await;
    Running::check(&running.way(&[&hello("a.example")]).await, "rule", NOWHERE);
    Running::check(&running.way(&[&hello("b.example")]).await, "other", NOWHERE);
    Running::check(&running.way(&[b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"]).await, "other", NOWHERE);
}

#[tokio::test]
async fn an_excluded_name_changes_nothing() {
    let sniffing = json!({"enabled": true, "destOverride": ["tls"], "domainsExcluded": ["domain:a.example"]});
    let running = Running::start(sniffing, by_name("b.example")).await;
    Running::check(&running.way(&[&hello("x.a.example")]).await, "other", NOWHERE);
    Running::check(&running.way(&[&hello("b.example")]).await, "rule", "b.example:8443");
}

#[tokio::test]
async fn rules_see_what_is_spoken() {
    let running = Running::start(json!({"enabled": true}), json!({"protocol": "bittorrent"})).await;
    Running::check(&running.way(&[b"\x13BitTorrent ", b"protocol\0\0\0\0"]).await, "rule", NOWHERE);
    Running::check(&running.way(&[&hello("a.example")]).await, "other", NOWHERE);
    let running =
        Running::start(json!({"enabled": true}), json!({"attrs": {":method": "DELETE", "x-a": "^1$"}})).await;
    Running::check(
        &running.way(&[b"DELETE /x HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n\r\n"]).await,
        "rule",
        NOWHERE,
    );
    Running::check(&running.way(&[b"GET /x HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n\r\n"]).await, "other", NOWHERE);
}

#[tokio::test]
async fn bittorrent_can_be_sent_nowhere() {
    let echo = EchoServer::start().await;
    let proxy = start(&json!({
        "inbounds": [{"protocol": "socks", "listen": "127.0.0.1", "port": 0, "sniffing": {"enabled": true}}],
        "outbounds": [{"protocol": "freedom"}, {"protocol": "blackhole", "tag": "block"}],
        "routing": {"rules": [{"protocol": "bittorrent", "outboundTag": "block"}]},
    }));
    for (first, comes_back) in
        [(&b"\x13BitTorrent protocol\0\0"[..], false), (b"\x13BitTorrent protokol", true)]
    {
        let mut stream = tunnel(&proxy, echo.address).await;
        stream.write_all(first).await.unwrap();
        let mut answer = vec![0; first.len()];
        let read = timeout(LIMIT, stream.read_exact(&mut answer)).await.expect("an end in time");
        assert_eq!(read.is_ok(), comes_back, "{read:?}");
        assert!(!comes_back || answer == first);
    }
}

/// How long the banner of a server that speaks first takes to come.
async fn banner_time(sniffing: Value) -> Duration {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"220 mail.example ESMTP\r\n").await.unwrap();
            tokio::spawn(async move {
                let mut quit = Vec::new();
                stream.read_to_end(&mut quit).await.unwrap();
            });
        }
    });
    let proxy = start(&json!({
        "inbounds": [{"protocol": "socks", "listen": "127.0.0.1", "port": 0, "sniffing": sniffing}],
        "outbounds": [{"protocol": "freedom"}],
    }));
    // The first connection of all pays for other things, too.
    for last in [false, true] {
        let begin = Instant::now();
        let mut stream = tunnel(&proxy, address).await;
        let mut banner = [0; 24];
        timeout(LIMIT, stream.read_exact(&mut banner)).await.expect("a banner in time").unwrap();
        assert_eq!(&banner, b"220 mail.example ESMTP\r\n");
        if last {
            return begin.elapsed();
        }
    }
    unreachable!("the last round returns");
}

/// Where the datagrams of an inbound that sniffs come out: at the rule's echo, or at the other.
async fn datagrams_way(sniffing: Value, rule: Value, payloads: &[Vec<u8>]) -> (usize, usize) {
    let (matched, other) = (UdpEcho::start().await, UdpEcho::start().await);
    let mut rule = rule;
    rule["outboundTag"] = json!("matched");
    let freedom = |tag: &str, echo: &UdpEcho| json!({"protocol": "freedom", "tag": tag, "settings": {"redirect": echo.address.to_string()}});
    let proxy = start(&json!({
        "inbounds": [{
            "protocol": "dokodemo-door", "listen": "127.0.0.1", "port": 0, "sniffing": sniffing,
            "settings": {"address": "192.0.2.1", "port": 443, "network": "udp"},
        }],
        "outbounds": [freedom("other", &other), freedom("matched", &matched)],
        "routing": {"rules": [rule]},
    }));
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(proxy.addresses()[0].address.ip().unwrap()).await.unwrap();
    for payload in payloads {
        socket.send(payload).await.unwrap();
    }
    let mut answer = [0; 2048];
    for payload in payloads {
        let length = timeout(LIMIT, socket.recv(&mut answer)).await.expect("an answer in time").unwrap();
        assert_eq!(answer[..length], **payload, "in the order that they were sent in");
    }
    (matched.seen().len(), other.seen().len())
}

#[tokio::test]
async fn datagrams_of_an_inbound_that_sniffs_are_looked_at() {
    let recorded = include_str!("../../../../testdata/sniff/quic-two-datagrams.txt");
    let byte = |at: usize, line: &str| u8::from_str_radix(&line[at..at + 2], 16).unwrap();
    let read = |line: &str| (0..line.len()).step_by(2).map(|at| byte(at, line)).collect();
    let quic: Vec<Vec<u8>> = recorded.lines().map(read).collect();
    let sniffing = json!({"enabled": true, "destOverride": ["quic"]});
    let by_label = json!({"protocol": "quic"});
    assert_eq!(datagrams_way(sniffing.clone(), by_label.clone(), &quic).await, (2, 0));
    assert_eq!(datagrams_way(sniffing.clone(), by_name("quic.example"), &quic).await, (2, 0));
    let only_tls = json!({"enabled": true, "destOverride": ["tls"]});
    assert_eq!(datagrams_way(only_tls, by_name("quic.example"), &quic).await, (0, 2));
    assert_eq!(datagrams_way(json!({"enabled": false}), by_label.clone(), &quic).await, (0, 2));
    let mut syn = vec![0x41, 0, 1, 2, 9, 9, 9, 9];
    syn.resize(20, 0);
    let ping = b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe".to_vec();
    for first in [syn, ping] {
        let way = datagrams_way(sniffing.clone(), json!({"protocol": "bittorrent"}), &[first]).await;
        assert_eq!(way, (1, 0));
    }
    // STUN is none of those that V2Ray looks for.
    let stun = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat();
    let way = datagrams_way(sniffing, json!({"protocol": ["quic", "bittorrent", "stun"]}), &[stun]).await;
    assert_eq!(way, (0, 1));
}

#[tokio::test]
async fn a_server_that_speaks_first_is_waited_for_little_longer() {
    let without = banner_time(json!({"enabled": false})).await;
    let with = banner_time(json!({"enabled": true, "destOverride": ["http", "tls"]})).await;
    // A loaded machine may be late by itself; 200 ms is what V2Ray waits for.
    assert!(with < without + Duration::from_millis(50 + 100), "{with:?}, and {without:?} without");
    assert!(with >= Duration::from_millis(45), "it did not wait at all: {with:?}");
}

#[tokio::test]
async fn a_client_that_was_answered_early_finds_a_failed_connection_reset() {
    let proxy = start(&json!({
        "inbounds": [{
            "protocol": "socks", "listen": "127.0.0.1", "port": 0,
            "sniffing": {"enabled": true, "destOverride": ["tls"]}
        }],
        "outbounds": [{"protocol": "freedom"}],
    }));
    let mut stream = tunnel(&proxy, refused_address().await).await;
    stream.write_all(b"hello").await.unwrap();
    let error = timeout(LIMIT, stream.read(&mut [0])).await.expect("an end in time").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn the_next_member_gets_the_bytes_that_were_looked_at() {
    let echo = EchoServer::start().await;
    let kinds = [Behaviour::Close, Behaviour::GrantThenSilent, Behaviour::Relay];
    let (mut nodes, mut outbounds) = (Vec::new(), Vec::new());
    for (index, behaviour) in kinds.into_iter().enumerate() {
        let node = Socks5Node::start("", behaviour).await;
        outbounds.push(outbound(&format!("m{index}"), &node));
        nodes.push(node);
    }
    outbounds.insert(
        0,
        json!({"protocol": "loadbalance", "tag": "lb", "settings": {
            "primary_outbounds": ["m0", "m1", "m2"], "strategy": "failover",
            "url": "http://192.0.2.1/", "timeout": "300ms", "interval": "10m",
        }}),
    );
    let proxy = start(&json!({
        "inbounds": [{
            "protocol": "socks", "listen": "127.0.0.1", "port": 0,
            "sniffing": {"enabled": true, "destOverride": ["tls"], "routeOnly": true}
        }],
        "outbounds": outbounds,
    }));
    let hello = hello("a.example");
    let mut stream = tunnel(&proxy, echo.address).await;
    for segment in hello.chunks(300) {
        stream.write_all(segment).await.unwrap();
        sleep(Duration::from_millis(3)).await;
    }
    let mut answer = vec![0; hello.len()];
    timeout(LIMIT, stream.read_exact(&mut answer)).await.expect("an answer in time").unwrap();
    assert_eq!(answer, hello);
    // Probes of the group come to the nodes as well.
    let asked =
        |node: &Socks5Node| node.seen().iter().filter(|seen| seen.target == echo.address.into()).count();
    assert_eq!((nodes[0].accepted() > 0, asked(&nodes[1]), asked(&nodes[2])), (true, 1, 1));
}
