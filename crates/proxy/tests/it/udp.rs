//! Datagrams through a running proxy.

mod client;
mod hostile;
mod members;

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::{
    net::UdpSocket,
    time::{Instant, sleep, timeout},
};
use waypost_config::{Options, Source};
use waypost_net::Network;
use waypost_proxy::{
    Proxy,
    build::{Assets, load},
};
use waypost_testkit::UdpEcho;

use self::client::{Associated, LIMIT, request};

/// Starts a proxy; `settings` are those of its only inbound, which carries datagrams.
fn start(settings: &Value, outbounds: &Value, routing: &Value) -> (Proxy, SocketAddr) {
    let mut all = json!({"udp": true});
    all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    let inbound =
        json!({"tag": "in", "protocol": "socks", "listen": "127.0.0.1", "port": 0, "settings": all});
    start_with(&json!([inbound]), outbounds, routing)
}

fn start_with(inbounds: &Value, outbounds: &Value, routing: &Value) -> (Proxy, SocketAddr) {
    start_config(&json!({
        "dns": {"hosts": {"echo.test": "127.0.0.1"}},
        "inbounds": inbounds, "outbounds": outbounds, "routing": routing,
    }))
}

fn start_config(config: &Value) -> (Proxy, SocketAddr) {
    let source = Source::new("config.json", config.to_string()).unwrap();
    let loaded = load(&source, &Options::default(), &Assets::new(None, &|_| None));
    let ready = loaded.ready.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    let proxy = Proxy::start(&ready.config, ready.snapshot).unwrap();
    let address = proxy.addresses()[0].address.ip().unwrap();
    (proxy, address)
}

fn start_direct() -> (Proxy, SocketAddr) {
    let freedom = json!([{"protocol": "freedom", "settings": {"domainStrategy": "UseIP"}}]);
    start(&json!({}), &freedom, &json!({}))
}

/// Waits until something is so.
async fn until(seen: impl Fn() -> bool) {
    let begin = Instant::now();
    while !seen() {
        assert!(begin.elapsed() < LIMIT, "it never came");
        sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn datagrams_reach_addresses_and_names_and_answers_come_back() {
    let (proxy, address) = start_direct();
    let echo = UdpEcho::start().await;
    let client = Associated::open(address).await;
    assert_eq!(client.relay.ip(), address.ip());
    let by_address = echo.address.to_string();
    for payload in [&b"hello"[..], b"", &[7; 60_000]] {
        assert_eq!(client.ask(&by_address, payload).await, payload);
    }
    client.send(&format!("echo.test:{}", echo.address.port()), b"by name").await;
    // The answer names the address that it came from.
    assert_eq!(client.receive().await, (by_address.clone(), b"by name".to_vec()));
    let entries = proxy.connections().snapshot();
    let targets: Vec<String> = entries.iter().map(|entry| entry.info.target.to_string()).collect();
    assert_eq!(targets, [by_address, format!("echo.test:{}", echo.address.port())]);
    assert!(entries.iter().all(|entry| entry.info.network == Network::Udp));
    assert_eq!(entries[0].conduit.counters.totals(), (60_005, 60_005));
}

#[tokio::test]
async fn a_burst_arrives_whole_and_in_order() {
    let (_proxy, address) = start_direct();
    let echo = UdpEcho::start().await;
    let client = Associated::open(address).await;
    let target = echo.address.to_string();
    client.ask(&target, b"open").await;
    for number in 0..100_u8 {
        client.send(&target, &[number; 40]).await;
    }
    for number in 0..100 {
        assert_eq!(client.receive().await.1, [number; 40]);
    }
}

#[tokio::test]
async fn whoever_learns_the_address_of_a_client_can_send_to_it() {
    let (_proxy, address) = start_direct();
    let echo = UdpEcho::start().await;
    let client = Associated::open(address).await;
    client.ask(&echo.address.to_string(), b"hello").await;
    let (seen_as, _) = echo.seen()[0].clone();
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    stranger.send_to(b"from a stranger", seen_as).await.unwrap();
    let expected = (stranger.local_addr().unwrap().to_string(), b"from a stranger".to_vec());
    assert_eq!(client.receive().await, expected);
    // Another target sees the same address: the mapping does not depend on it.
    let other = UdpEcho::start().await;
    client.ask(&other.address.to_string(), b"hello").await;
    assert_eq!(other.seen()[0].0, seen_as);
}

#[tokio::test]
async fn the_sessions_of_a_client_end_with_its_connection() {
    let (proxy, address) = start_direct();
    let echo = UdpEcho::start().await;
    let client = Associated::open(address).await;
    client.ask(&echo.address.to_string(), b"hello").await;
    assert_eq!(proxy.connections().len(), 1);
    drop(client.control);
    until(|| proxy.connections().is_empty()).await;
    let (seen_as, _) = echo.seen()[0].clone();
    // The port is given back.
    UdpSocket::bind(seen_as).await.unwrap();
}

#[tokio::test]
async fn a_session_that_is_closed_in_the_table_ends_and_the_next_datagram_begins_another() {
    let (proxy, address) = start_direct();
    let echo = UdpEcho::start().await;
    let client = Associated::open(address).await;
    client.ask(&echo.address.to_string(), b"hello").await;
    let first = proxy.connections().snapshot()[0].id;
    assert!(proxy.connections().close(first));
    until(|| proxy.connections().is_empty()).await;
    client.ask(&echo.address.to_string(), b"again").await;
    assert_ne!(proxy.connections().snapshot()[0].id, first);
}

#[tokio::test]
async fn a_session_whose_target_is_closed_ends() {
    let (proxy, address) = start_direct();
    let (echo, closed) = (UdpEcho::start().await, UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let target = closed.local_addr().unwrap();
    drop(closed);
    let client = Associated::open(address).await;
    client.ask(&echo.address.to_string(), b"hello").await;
    client.send(&target.to_string(), b"anybody?").await;
    until(|| proxy.connections().len() == 2).await;
    until(|| proxy.connections().len() == 1).await;
    let left = proxy.connections().snapshot();
    assert_eq!(left[0].info.target, echo.address.into());
    // The error of the one is not the other's.
    client.ask(&echo.address.to_string(), b"still here").await;
}

#[tokio::test]
async fn each_session_goes_the_way_that_its_rule_says() {
    let echo = UdpEcho::start().await;
    let other = UdpEcho::start_at("127.0.0.2".parse().unwrap()).await;
    let outbounds = json!([
        {"protocol": "blackhole", "tag": "block"}, {"protocol": "freedom", "tag": "port"},
        {"protocol": "freedom", "tag": "ip"}, {"protocol": "freedom", "tag": "user"},
    ]);
    let rules = json!({"rules": [
        {"network": "tcp", "outboundTag": "block"},
        {"user": ["bob"], "inboundTag": ["in"], "network": "udp", "outboundTag": "user"},
        {"port": echo.address.port(), "outboundTag": "port"},
        {"ip": ["127.0.0.2"], "source": ["127.0.0.1"], "outboundTag": "ip"},
    ]});
    let accounts = json!([{"user": "alice", "pass": "a"}, {"user": "bob", "pass": "b"}]);
    let (proxy, address) = start(&json!({"auth": "password", "accounts": accounts}), &outbounds, &rules);
    let ways = || {
        let entries = proxy.connections().snapshot();
        entries.iter().map(|entry| entry.path().outbound.clone().unwrap().to_string()).collect::<Vec<_>>()
    };
    let alice = Associated::open_as(address, Some(("alice", "a"))).await;
    let blocked = UdpEcho::start().await;
    alice.send(&blocked.address.to_string(), b"swallowed").await;
    alice.ask(&echo.address.to_string(), b"hello").await;
    alice.ask(&other.address.to_string(), b"hello").await;
    assert_eq!(ways(), ["port", "ip"]);
    let bob = Associated::open_as(address, Some(("bob", "b"))).await;
    bob.ask(&other.address.to_string(), b"hello").await;
    assert_eq!(ways(), ["port", "ip", "user"]);
    assert_eq!(proxy.connections().snapshot()[2].info.user.as_deref(), Some("bob"));
    assert!(blocked.seen().is_empty());
}

#[tokio::test]
async fn a_port_that_all_clients_share_tells_them_apart() {
    // A port that was free a moment ago, because the file has to name one.
    let port = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let (proxy, address) = start(&json!({"udpPort": port}), &json!([{"protocol": "freedom"}]), &json!({}));
    let echo = UdpEcho::start().await;
    let target = echo.address.to_string();
    let first = Associated::open(address).await;
    assert_eq!(first.relay.port(), port);
    first.ask(&target, b"first").await;
    // This one says which port it sends from.
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let claimed = socket.local_addr().unwrap();
    let (control, relay) = request(address, claimed, None).await.unwrap();
    let second = Associated { control, relay, socket };
    assert_eq!(second.ask(&target, b"second").await, b"second");
    assert_eq!(first.ask(&target, b"first again").await, b"first again");
    let sources: Vec<SocketAddr> = echo.seen().iter().map(|(source, _)| *source).collect();
    assert!(sources[0] == sources[2] && sources[0] != sources[1], "{sources:?}");
    drop(first);
    until(|| proxy.connections().len() == 1).await;
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    stranger.send_to(&[0, 0, 0, 1, 127, 0, 0, 1, 0, 9, 7], relay).await.unwrap();
    until(|| proxy.dropped_datagrams().spoofed == 1).await;
    second.ask(&target, b"second again").await;
}

#[tokio::test]
async fn clients_are_told_the_address_that_the_file_says() {
    let (_proxy, address) = start(&json!({"ip": "127.0.0.9"}), &json!([{"protocol": "freedom"}]), &json!({}));
    let (_control, relay) = request(address, "0.0.0.0:0".parse().unwrap(), None).await.unwrap();
    assert_eq!(relay.ip().to_string(), "127.0.0.9");
}

#[tokio::test]
async fn a_client_that_is_idle_does_not_hold_up_the_stop() {
    let (proxy, address) = start_direct();
    let mut client = Associated::open(address).await;
    let echo = UdpEcho::start().await;
    client.ask(&echo.address.to_string(), b"hello").await;
    proxy.connections().close_all();
    let begin = Instant::now();
    timeout(LIMIT, proxy.stop(LIMIT)).await.expect("an end in time");
    assert!(begin.elapsed() < LIMIT / 2);
    assert_eq!(tokio::io::AsyncReadExt::read(&mut client.control, &mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_door_takes_datagrams_of_every_sender_to_its_target() {
    let echo = UdpEcho::start().await;
    let inbound = |tag: &str, network: &str, target: SocketAddr| {
        json!({
            "tag": tag, "protocol": "dokodemo-door", "listen": "127.0.0.1", "port": 0,
            "settings": {"address": target.ip(), "port": target.port(), "network": network},
        })
    };
    let outbounds = json!([{"protocol": "freedom"}]);
    let (proxy, door) = start_with(&json!([inbound("door", "udp", echo.address)]), &outbounds, &json!({}));
    let senders =
        [UdpSocket::bind("127.0.0.1:0").await.unwrap(), UdpSocket::bind("127.0.0.2:0").await.unwrap()];
    let ask = async |sender: &UdpSocket, payload: &[u8; 3]| {
        sender.send_to(payload, door).await.unwrap();
        let mut answer = [0; 16];
        let received = timeout(LIMIT, sender.recv_from(&mut answer)).await.expect("an answer in time");
        // The answer has no header, and comes from where it was sent to.
        assert_eq!((&answer[..3], received.unwrap()), (&payload[..], (3, door)));
    };
    for (sender, payload) in senders.iter().zip([b"one", b"two"]) {
        ask(sender, payload).await;
    }
    let entries = proxy.connections().snapshot();
    let sources: Vec<SocketAddr> = entries.iter().map(|entry| entry.info.source.unwrap()).collect();
    assert_eq!(sources, senders.each_ref().map(|sender| sender.local_addr().unwrap()));
    assert!(entries.iter().all(|entry| entry.info.inbound.as_deref() == Some("door")));
    // Nobody else reaches a sender by it.
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    stranger.send_to(b"psst", echo.seen()[0].0).await.unwrap();
    ask(&senders[0], b"tre").await;
    tokio::net::TcpStream::connect(door).await.unwrap_err();
}

#[tokio::test]
async fn options_of_a_freedom_outbound_hold_for_datagrams() {
    let echo = UdpEcho::start().await;
    let outbounds = json!([
        {"protocol": "loopback", "settings": {"inboundTag": "second"}},
        {"protocol": "freedom", "tag": "out", "sendThrough": "127.0.0.5",
         "settings": {"redirect": format!("127.0.0.1:{}", echo.address.port())}},
    ]);
    let rules = json!({"rules": [{"inboundTag": ["second"], "outboundTag": "out"}]});
    let (proxy, address) = start(&json!({}), &outbounds, &rules);
    let client = Associated::open(address).await;
    client.send("192.0.2.1:9", b"hello").await;
    assert_eq!(client.receive().await, (echo.address.to_string(), b"hello".to_vec()));
    assert_eq!(echo.seen()[0].0.ip().to_string(), "127.0.0.5");
    assert_eq!(proxy.connections().snapshot()[0].path().outbound.as_deref(), Some("out"));
}

#[tokio::test]
async fn a_session_that_is_idle_ends_and_its_client_can_go_on() {
    let config = json!({
        "policy": {"levels": {"0": {"connIdle": 1}}},
        "inbounds": [{"protocol": "socks", "listen": "127.0.0.1", "port": 0, "settings": {"udp": true}}],
        "outbounds": [{"protocol": "freedom"}],
    });
    let (proxy, address) = start_config(&config);
    let echo = UdpEcho::start().await;
    let client = Associated::open(address).await;
    client.ask(&echo.address.to_string(), b"hello").await;
    let first = proxy.connections().snapshot()[0].id;
    until(|| proxy.connections().is_empty()).await;
    client.ask(&echo.address.to_string(), b"again").await;
    assert_ne!(proxy.connections().snapshot()[0].id, first);
    // The address that others know the client by outlives its sessions.
    let seen = echo.seen();
    assert_eq!(seen[0].0, seen[1].0);
}
