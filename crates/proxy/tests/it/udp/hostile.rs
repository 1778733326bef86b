//! Datagrams that nobody should send.

use serde_json::json;
use tokio::net::UdpSocket;
use waypost_testkit::UdpEcho;
use waypost_wire::UdpDatagram;

use super::{
    client::{Associated, request},
    start, start_direct, until,
};

#[tokio::test]
async fn datagrams_of_others_are_dropped_and_counted() {
    let (proxy, address) = start_direct();
    let echo = UdpEcho::start().await;
    let client = Associated::open(address).await;
    let header = UdpDatagram::header_from(echo.address);
    client.ask(&echo.address.to_string(), b"mine").await;
    // Another address, and another port of its own.
    let other_address = UdpSocket::bind("127.0.0.2:0").await.unwrap();
    other_address.send_to(&[&header, &b"spoofed"[..]].concat(), client.relay).await.unwrap();
    until(|| proxy.dropped_datagrams().spoofed == 1).await;
    let other_port = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    other_port.send_to(&[&header, &b"spoofed"[..]].concat(), client.relay).await.unwrap();
    until(|| proxy.dropped_datagrams().spoofed == 2).await;
    client.expect_silence(echo.address).await;
    assert!(echo.seen().iter().all(|(_, payload)| payload != b"spoofed"));
}

#[tokio::test]
async fn a_client_that_names_its_port_sends_from_no_other() {
    let (proxy, address) = start_direct();
    let echo = UdpEcho::start().await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let claimed = socket.local_addr().unwrap();
    let (control, relay) = request(address, claimed, None).await.unwrap();
    let early = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    early.send_to(&[&UdpDatagram::header_from(echo.address)[..], b"spoofed"].concat(), relay).await.unwrap();
    until(|| proxy.dropped_datagrams().spoofed == 1).await;
    let client = Associated { control, relay, socket };
    client.expect_silence(echo.address).await;
    assert_eq!(echo.seen().len(), 1);
}

#[tokio::test]
async fn fragments_and_broken_headers_are_dropped_and_counted() {
    let (proxy, address) = start_direct();
    let echo = UdpEcho::start().await;
    let client = Associated::open(address).await;
    let good = UdpDatagram::header_from(echo.address);
    for fragment in [1, 2, 0x81] {
        let mut header = good.clone();
        header[2] = fragment;
        client.send_raw(&[&header, &b"fragment"[..]].concat()).await;
    }
    for broken in
        [&b""[..], b"\0", b"\0\0\0\x01\x7f\0\0\x01\0", b"\0\0\0\x07aaaaaaaaaa", b"\0\0\0\x03\x01 \0\x35"]
    {
        client.send_raw(broken).await;
    }
    client.expect_silence(echo.address).await;
    let dropped = proxy.dropped_datagrams();
    assert_eq!((dropped.fragments, dropped.malformed), (3, 5));
    assert_eq!(echo.seen().len(), 1);
}

#[tokio::test]
async fn an_answer_that_does_not_fit_behind_its_header_is_dropped_and_counted() {
    let (proxy, address) = start_direct();
    let echo = UdpEcho::start().await;
    let client = Associated::open(address).await;
    client.ask(&echo.address.to_string(), b"hello").await;
    let (seen_as, _) = echo.seen()[0].clone();
    // The longest payload of UDP over IPv4, and the longest that leaves room for the header.
    let target = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for size in [65_507, 65_498, 65_497] {
        target.send_to(&vec![9; size], seen_as).await.unwrap();
    }
    assert_eq!(client.receive().await.1.len(), 65_497);
    assert_eq!(proxy.dropped_datagrams().oversized, 2);
}

#[tokio::test]
async fn a_client_that_asks_too_many_targets_loses_the_oldest_only() {
    let (proxy, address) = start_direct();
    let echo = UdpEcho::start().await;
    let client = Associated::open(address).await;
    // Every address of the loopback network is this machine, and most ports are closed or silent.
    let silent = UdpSocket::bind("0.0.0.0:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    for round in 0..30_u8 {
        for host in 1..=50_u8 {
            client.send(&format!("127.7.{round}.{host}:{port}"), b"x").await;
        }
        // Let them be opened, so that none is dropped for want of room.
        client.expect_silence(echo.address).await;
        let n_targets = (usize::from(round) + 1) * 50 + 1;
        until(|| proxy.connections().len() == n_targets.min(1024)).await;
    }
    assert_eq!(proxy.connections().len(), 1024);
    assert_eq!(proxy.dropped_datagrams().no_room, 0);
}

#[tokio::test]
async fn what_waits_for_a_session_is_bounded() {
    // A proxy server that hangs: the session is never opened.
    let hanging = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = json!({"address": "127.0.0.1", "port": hanging.local_addr().unwrap().port()});
    let outbounds = json!([{"protocol": "socks", "settings": {"servers": [server]}}]);
    let (proxy, address) = start(&json!({}), &outbounds, &json!({}));
    let client = Associated::open(address).await;
    for _ in 0..100 {
        client.send("192.0.2.1:9", &[0; 1000]).await;
    }
    until(|| proxy.dropped_datagrams().no_room == 68).await;
    // And so is the number of sessions that wait.
    for host in 0..200 {
        client.send(&format!("192.0.2.2:{}", 1000 + host), b"x").await;
    }
    until(|| proxy.dropped_datagrams().no_room == 68 + 200 - 127).await;
}

#[tokio::test]
async fn an_inbound_that_carries_no_datagrams_says_so() {
    let (_proxy, address) = start(&json!({"udp": false}), &json!([{"protocol": "freedom"}]), &json!({}));
    assert_eq!(request(address, "0.0.0.0:0".parse().unwrap(), None).await.map(|_| ()), Err(7));
}
