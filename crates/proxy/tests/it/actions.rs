//! Rules of sing-box that do something with a connection besides sending it out.

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::{Instant, timeout},
};
use waypost_config::{Options, Source};
use waypost_proxy::{
    Proxy,
    build::{Assets, load},
};
use waypost_testkit::{Behaviour, Socks5Node, UdpEcho};

const LIMIT: Duration = Duration::from_secs(20);

/// A question for the address of `localhost`, and its answer.
const QUESTION: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x09localhost\0\0\x01\0\x01";

struct Running {
    proxy: Proxy,
    /// Where everything goes, and where rules may send something.
    nodes: [Socks5Node; 2],
}

impl Running {
    /// A proxy with these rules in front of the nodes `out` and `other`.
    async fn start(rules: Value) -> Self {
        Self::start_before([Behaviour::Label; 2], rules).await
    }

    async fn start_before(behaviours: [Behaviour; 2], rules: Value) -> Self {
        Self::start_with(behaviours, json!({"rules": rules, "final": "out"}), json!({})).await
    }

    /// The same with a whole `route` and `dns`.
    async fn start_with(behaviours: [Behaviour; 2], route: Value, dns: Value) -> Self {
        let [out, other] = behaviours;
        let nodes = [Socks5Node::start("out", out).await, Socks5Node::start("other", other).await];
        let node = |tag: &str, node: &Socks5Node| {
            let (server, port) = (node.address.ip(), node.address.port());
            json!({"type": "socks", "tag": tag, "server": server, "server_port": port})
        };
        let config = json!({
            "inbounds": [{"type": "mixed", "tag": "in", "listen": "127.0.0.1", "listen_port": 0}],
            "outbounds": [
                node("out", &nodes[0]), node("other", &nodes[1]), {"type": "direct", "tag": "direct"}
            ],
            "route": route, "dns": dns, "experimental": {"clash_api": {}},
        });
        let source = Source::new("config.json", config.to_string()).unwrap();
        let loaded = load(&source, &Options::default(), &Assets::new(None, &|_| None));
        let ready = loaded.ready.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
        Self { proxy: Proxy::start(&ready.config, ready.snapshot).unwrap(), nodes }
    }

    async fn ask(&self, name: &str, port: u16) -> TcpStream {
        let mut stream = TcpStream::connect(self.proxy.addresses()[0].address.ip().unwrap()).await.unwrap();
        let mut request = vec![5, 1, 0, 5, 1, 0, 3, u8::try_from(name.len()).unwrap()];
        request.extend_from_slice(name.as_bytes());
        request.extend_from_slice(&port.to_be_bytes());
        stream.write_all(&request).await.unwrap();
        stream.read_exact(&mut [0; 2]).await.unwrap();
        stream
    }

    /// A tunnel, or the code of the refusal.
    async fn tunnel(&self, name: &str, port: u16) -> Result<TcpStream, u8> {
        let opening = async {
            let mut stream = self.ask(name, port).await;
            let mut reply = [0; 10];
            stream.read_exact(&mut reply).await.unwrap();
            if reply[1] == 0 { Ok(stream) } else { Err(reply[1]) }
        };
        timeout(LIMIT, opening).await.expect("an answer in time")
    }

    /// Who carries a connection that begins so, and what it was asked for.
    async fn way(&self, name: &str, port: u16, first: &[u8]) -> (String, String) {
        let mut stream = self.tunnel(name, port).await.unwrap();
        stream.write_all(first).await.unwrap();
        let mut label = String::new();
        timeout(LIMIT, stream.read_to_string(&mut label)).await.expect("an end in time").unwrap();
        let node = if label == "other" { &self.nodes[1] } else { &self.nodes[0] };
        (label, node.seen().last().unwrap().target.to_string())
    }

    /// An association for datagrams: its control connection, its port, and a socket.
    async fn associate(&self) -> (TcpStream, SocketAddr, UdpSocket) {
        let mut control = TcpStream::connect(self.proxy.addresses()[0].address.ip().unwrap()).await.unwrap();
        control.write_all(&[5, 1, 0, 5, 3, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
        let mut reply = [0; 12];
        control.read_exact(&mut reply).await.unwrap();
        let port = u16::from_be_bytes([reply[10], reply[11]]);
        (control, ([127, 0, 0, 1], port).into(), UdpSocket::bind("127.0.0.1:0").await.unwrap())
    }
}

fn check(found: &(String, String), node: &str, target: &str) {
    assert_eq!((&*found.0, &*found.1), (node, target));
}

fn datagram(target: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let SocketAddr::V4(target) = target else { panic!("an IPv4 target") };
    [&[0, 0, 0, 1][..], &target.ip().octets(), &target.port().to_be_bytes(), payload].concat()
}

async fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 1500];
    let (length, _) = timeout(LIMIT, socket.recv_from(&mut buffer)).await.expect("an answer").unwrap();
    buffer[..length].to_vec()
}

#[tokio::test]
async fn a_sniffed_name_is_for_rules_behind_and_is_not_dialled() {
    let running = Running::start(json!([
        {"domain": "a.example", "outbound": "other"},
        {"action": "sniff"},
        {"domain": "a.example", "outbound": "other"},
        {"protocol": "bittorrent", "outbound": "other"},
    ]))
    .await;
    let get = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
    check(&running.way("b.example", 8080, get).await, "other", "b.example:8080");
    check(
        &running.way("b.example", 8080, b"GET / HTTP/1.1\r\nHost: c.example\r\n\r\n").await,
        "out",
        "b.example:8080",
    );
    check(&running.way("b.example", 8080, b"\x13BitTorrent protocol").await, "other", "b.example:8080");
    let begin = Instant::now();
    check(&running.way("b.example", 25, get).await, "out", "b.example:25");
    assert!(begin.elapsed() < Duration::from_millis(200), "there the server speaks first");
    let begin = Instant::now();
    check(&running.way("b.example", 443, b"").await, "out", "b.example:443");
    assert!(begin.elapsed() >= Duration::from_millis(300), "it was waited for");
    let begin = Instant::now();
    check(&running.way("b.example", 22, b"").await, "out", "b.example:22");
    let took = begin.elapsed();
    // A loaded machine may be late by itself.
    assert!((45..250).contains(&took.as_millis()), "a server may want to speak first: {took:?}");
}

#[tokio::test]
async fn what_clients_of_streams_speak_is_recognised() {
    let running = Running::start(json!([
        {"action": "sniff"},
        {"protocol": ["ssh", "rdp", "dns"], "outbound": "other"},
    ]))
    .await;
    let rdp = [3, 0, 0, 19, 14, 0xe0, 0, 0, 0, 0, 0, 1, 0, 8, 0, 3, 0, 0, 0];
    let question = [&[0, 27][..], QUESTION].concat();
    for first in [&b"SSH-2.0-x\r\n"[..], &rdp, &question] {
        check(&running.way("b.example", 22, first).await, "other", "b.example:22");
    }
    check(&running.way("b.example", 22, b"SSH-9\r\n").await, "out", "b.example:22");
}

/// The datagrams of a QUIC client for `quic.example`, both of which are needed to know that.
fn quic() -> [Vec<u8>; 2] {
    let recorded = include_str!("../../../../testdata/sniff/quic-two-datagrams.txt");
    let byte = |at: usize, line: &str| u8::from_str_radix(&line[at..at + 2], 16).unwrap();
    let read = |line: &str| (0..line.len()).step_by(2).map(|at| byte(at, line)).collect();
    let mut lines = recorded.lines().map(read);
    [lines.next().unwrap(), lines.next().unwrap()]
}

#[tokio::test]
async fn a_hello_in_two_datagrams_is_routed_by_its_name_and_loses_nothing() {
    let (here, there) = (UdpEcho::start().await, UdpEcho::start().await);
    let port = |echo: &UdpEcho| echo.address.port();
    let running = Running::start(json!([
        {"action": "sniff"},
        {"protocol": "quic", "domain": "quic.example", "outbound": "direct", "override_port": port(&there)},
        {"network": "udp", "outbound": "direct", "override_port": port(&here)},
    ]))
    .await;
    let (_control, proxy, socket) = running.associate().await;
    let [first, second] = quic();
    let target: SocketAddr = "127.0.0.1:9".parse().unwrap();
    let expected = [first.clone(), b"early".to_vec(), second.clone(), b"late".to_vec()];
    for payload in &expected {
        socket.send_to(&datagram(target, payload), proxy).await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for payload in &expected {
        assert_eq!(receive(&socket).await, datagram(target, payload), "its answer comes from the target");
    }
    let came: Vec<Vec<u8>> = there.seen().into_iter().map(|(_, payload)| payload).collect();
    assert_eq!(came, expected);
    assert!(here.seen().is_empty());
    // Half a hello is QUIC without a name, and goes on when the time is over.
    let target: SocketAddr = "127.0.0.1:10".parse().unwrap();
    let begin = Instant::now();
    socket.send_to(&datagram(target, &first), proxy).await.unwrap();
    assert_eq!(receive(&socket).await, datagram(target, &first));
    assert!(begin.elapsed() >= Duration::from_millis(300));
    assert_eq!(here.seen().len(), 1);
}

#[tokio::test]
async fn only_the_sniffers_that_a_rule_names_recognise() {
    let running = Running::start(json!([
        {"action": "sniff", "sniffer": ["tls"], "timeout": "100ms"},
        {"protocol": "http", "outbound": "other"},
    ]))
    .await;
    let get = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
    check(&running.way("b.example", 8080, get).await, "out", "b.example:8080");
}

#[tokio::test]
async fn a_resolved_name_is_dialled_by_its_addresses_also_at_proxies() {
    let running = Running::start(json!([
        {"domain": "localhost", "action": "resolve", "strategy": "ipv4_only"},
        {"ip_cidr": "127.0.0.0/8", "port": 1, "outbound": "other"},
    ]))
    .await;
    check(&running.way("localhost", 1, b"").await, "other", "127.0.0.1:1");
    check(&running.way("localhost", 2, b"").await, "out", "127.0.0.1:2");
    check(&running.way("unresolved.example", 1, b"").await, "out", "unresolved.example:1");
}

#[tokio::test]
async fn a_name_that_cannot_be_resolved_goes_nowhere() {
    let running = Running::start(json!([{"action": "resolve"}])).await;
    // RFC 6761 §6.4: no resolver has an answer for it.
    let refused = running.tunnel("name.invalid", 1).await.map(|_| ()).unwrap_err();
    assert_eq!(refused, 4, "host unreachable");
}

#[tokio::test]
async fn another_target_takes_the_place_of_what_the_client_asked_for() {
    let running = Running::start(json!([
        {"port": 1, "action": "route-options", "override_address": "c.example", "override_port": 443},
        {"domain": "c.example", "port": 443, "outbound": "other"},
        {"port": 2, "outbound": "other", "override_port": 8443},
    ]))
    .await;
    check(&running.way("b.example", 1, b"").await, "other", "c.example:443");
    check(&running.way("b.example", 2, b"").await, "other", "b.example:8443");
    check(&running.way("b.example", 3, b"").await, "out", "b.example:3");
}

#[tokio::test]
async fn a_rejected_client_is_told_so_or_is_told_nothing() {
    let running = Running::start(json!([
        {"port": 1, "action": "reject"},
        {"port": 2, "action": "reject", "method": "drop"},
        {"port": 3, "action": "reject", "no_drop": true},
    ]))
    .await;
    assert_eq!(running.tunnel("b.example", 1).await.map(|_| ()), Err(2), "not allowed by the ruleset");
    let mut dropped = running.ask("b.example", 2).await;
    timeout(Duration::from_millis(300), dropped.read_exact(&mut [0])).await.expect_err("no answer");
    for _ in 0..60 {
        assert_eq!(running.tunnel("b.example", 3).await.map(|_| ()), Err(2));
    }
    for _ in 1..50 {
        assert_eq!(running.tunnel("b.example", 1).await.map(|_| ()), Err(2));
    }
    let mut dropped = running.ask("b.example", 1).await;
    timeout(Duration::from_millis(300), dropped.read_exact(&mut [0])).await.expect_err("too many");
}

#[tokio::test]
async fn questions_are_answered_here_by_stream_and_by_datagram() {
    let running = Running::start(json!([
        {"action": "sniff"},
        {"protocol": "dns", "action": "hijack-dns"},
    ]))
    .await;
    let target: SocketAddr = "192.0.2.53:53".parse().unwrap();
    let mut stream = running.tunnel("192.0.2.53", 53).await.unwrap();
    let length = u16::try_from(QUESTION.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length[..], QUESTION].concat()).await.unwrap();
    let mut head = [0; 2];
    timeout(LIMIT, stream.read_exact(&mut head)).await.expect("an answer").unwrap();
    let mut answer = vec![0; u16::from_be_bytes(head).into()];
    stream.read_exact(&mut answer).await.unwrap();
    assert!(answer.starts_with(&[0x12, 0x34, 0x81]) && answer.ends_with(&[127, 0, 0, 1]), "{answer:?}");
    let (_control, proxy, socket) = running.associate().await;
    socket.send_to(&datagram(target, QUESTION), proxy).await.unwrap();
    let answer = receive(&socket).await;
    assert!(answer.starts_with(&datagram(target, &[0x12, 0x34, 0x81])), "{answer:?}");
    assert!(answer.ends_with(&[127, 0, 0, 1]), "{answer:?}");
    assert!(running.nodes.iter().all(|node| node.accepted() == 0), "nobody else was asked");
}

#[tokio::test]
async fn datagrams_go_by_what_is_sniffed_resolved_and_changed() {
    let target = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = target.local_addr().unwrap();
    let running = Running::start_before(
        [Behaviour::Close; 2],
        json!([
            {"action": "sniff"},
            {"port": 1, "protocol": "ntp", "outbound": "direct", "override_address": "127.0.0.1",
             "override_port": address.port(), "udp_timeout": "1s"},
            {"network": "udp", "port": 2, "action": "reject"},
        ]),
    )
    .await;
    let (_control, proxy, socket) = running.associate().await;
    let asked: SocketAddr = "192.0.2.1:1".parse().unwrap();
    let mut request = vec![0; 48];
    request[0] = 0x23;
    socket.send_to(&datagram("192.0.2.1:2".parse().unwrap(), &request), proxy).await.unwrap();
    socket.send_to(&datagram(asked, &request), proxy).await.unwrap();
    let mut buffer = [0; 100];
    let (length, from) = timeout(LIMIT, target.recv_from(&mut buffer)).await.expect("it arrives").unwrap();
    assert_eq!(buffer[..length], request);
    target.send_to(b"the time", from).await.unwrap();
    assert_eq!(
        receive(&socket).await,
        datagram(asked, b"the time"),
        "it comes from where the client sent to"
    );
    assert_eq!(running.proxy.connections().len(), 1);
    let begin = Instant::now();
    while !running.proxy.connections().is_empty() {
        assert!(begin.elapsed() < Duration::from_secs(5), "its time is over");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Servers that are lists, each with an address of its own for the same names.
fn lists() -> Value {
    let list = |tag: &str, address: &str| {
        json!({"type": "hosts", "tag": tag, "predefined": {
            "a.example": address, "b.example": [address], "c.example": address,
        }})
    };
    json!({
        "servers": [list("one", "127.1.0.1"), list("two", "127.2.0.1"), list("three", "127.3.0.1")],
        "rules": [
            {"domain": "b.example", "server": "two"},
            {"type": "logical", "mode": "and", "rules": [{"domain_suffix": "example"}, {"domain_keyword": "c."}],
             "action": "reject"},
        ],
        "final": "one",
    })
}

#[tokio::test]
async fn names_go_to_the_servers_that_dns_rules_say_or_that_an_action_names() {
    let rules = json!([
        {"port": 1, "action": "resolve"},
        {"port": 2, "action": "resolve", "server": "three"},
        {"port": 3, "action": "resolve", "server": "three", "disable_cache": true, "strategy": "ipv4_only"},
    ]);
    let route = json!({"rules": rules, "final": "out"});
    let running = Running::start_with([Behaviour::Label; 2], route, lists()).await;
    for (name, port, address) in [
        ("a.example", 1, "127.1.0.1"),
        ("b.example", 1, "127.2.0.1"),
        ("b.example", 2, "127.3.0.1"),
        ("c.example", 2, "127.3.0.1"),
        ("c.example", 3, "127.3.0.1"),
    ] {
        check(&running.way(name, port, b"").await, "out", &format!("{address}:{port}"));
    }
    let refused = [running.tunnel("c.example", 1).await, running.tunnel("d.example", 1).await];
    assert!(refused.iter().all(|refused| matches!(refused, Err(4))), "a rule refuses, and no list has it");
}

#[tokio::test]
async fn dns_rules_see_the_mode() {
    let mut dns = lists();
    dns["rules"] = json!([
        {"clash_mode": "Away", "query_type": ["A", "AAAA"], "server": "two", "disable_cache": true},
        {"clash_mode": "Quiet", "action": "reject"},
    ]);
    let route = json!({"rules": [{"action": "resolve"}], "final": "out"});
    let running = Running::start_with([Behaviour::Label; 2], route, dns).await;
    check(&running.way("a.example", 1, b"").await, "out", "127.1.0.1:1");
    running.proxy.set_mode("away").await.unwrap();
    check(&running.way("a.example", 1, b"").await, "out", "127.2.0.1:1");
    running.proxy.set_mode("quiet").await.unwrap();
    assert!(matches!(running.tunnel("a.example", 1).await, Err(4)), "a rule refuses");
    running.proxy.set_mode("rule").await.unwrap();
    check(&running.way("a.example", 1, b"").await, "out", "127.1.0.1:1");
}

#[tokio::test]
async fn dns_rules_refuse_where_only_the_system_is_asked() {
    let route = json!({"rules": [{"action": "resolve"}], "final": "out"});
    let dns = json!({"rules": [{"domain": "localhost", "action": "reject"}]});
    let running = Running::start_with([Behaviour::Label; 2], route, dns).await;
    assert!(matches!(running.tunnel("localhost", 1).await, Err(4)), "a rule refuses");
}

#[tokio::test]
async fn names_that_outbounds_dial_are_resolved_by_the_server_that_is_said() {
    let echo = tokio::net::TcpListener::bind("127.3.0.1:0").await.unwrap();
    let port = echo.local_addr().unwrap().port();
    let route = json!({
        "rules": [{"port": port, "outbound": "direct"}], "final": "out", "default_domain_resolver": "three",
    });
    let running = Running::start_with([Behaviour::Label; 2], route, lists()).await;
    running.tunnel("a.example", port).await.unwrap();
    timeout(LIMIT, echo.accept()).await.expect("it goes there").unwrap();
}

#[tokio::test]
async fn questions_take_the_detour_of_their_server() {
    for (server, node) in [
        (json!({"type": "tcp", "tag": "s", "server": "192.0.2.53", "detour": "other"}), 1),
        (json!({"type": "udp", "tag": "s", "server": "192.0.2.53", "detour": "other"}), 1),
        (json!({"address": "tcp://192.0.2.53", "tag": "s"}), 0),
    ] {
        let route = json!({"rules": [{"network": "tcp", "action": "resolve"}], "final": "out"});
        let dns = json!({"servers": [server]});
        let running = Running::start_with([Behaviour::Label; 2], route, dns).await;
        running.tunnel("a.example", 1).await.expect_err("the node is no DNS server");
        assert_eq!(running.nodes[node].seen()[0].target.to_string(), "192.0.2.53:53");
        assert_eq!(running.nodes[1 - node].accepted(), 0);
    }
}
