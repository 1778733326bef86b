use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use waypost_net::Secret;
use waypost_proxy::{
    Accepted, DEFAULT_HANDSHAKE_TIMEOUT, HandshakeError, HandshakeSettings, Opened, accept_client,
};
use waypost_testkit::tcp_pair;
use waypost_wire::{Accept, Accounts, DialFailure, ServerError};

fn settings() -> HandshakeSettings {
    HandshakeSettings {
        accept: Accept::Mixed,
        accounts: Accounts::default(),
        udp: false,
        timeout: DEFAULT_HANDSHAKE_TIMEOUT,
    }
}

/// A SOCKS5 client that has asked for `10.1.2.3:443` and said `hello` behind it.
const SOCKS5: &[u8] = b"\x05\x01\x00\x05\x01\x00\x01\x0a\x01\x02\x03\x01\xbbhello";

async fn accept(input: &[u8]) -> (TcpStream, Accepted) {
    let (mut client, server) = tcp_pair().await;
    client.write_all(input).await.unwrap();
    match accept_client(server, &settings()).await.unwrap() {
        Opened::Tunnel(accepted) => (client, accepted),
        Opened::HttpRequests { .. } => panic!("no tunnel"),
    }
}

async fn read_all(client: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    client.read_to_end(&mut all).await.unwrap();
    all
}

#[tokio::test]
async fn a_client_is_answered_and_nothing_it_sent_is_lost() {
    let (mut client, accepted) = accept(SOCKS5).await;
    assert_eq!(accepted.target.to_string(), "10.1.2.3:443");
    let (stream, rest) = accepted.client.answer_success("10.0.0.9:1".parse().unwrap()).await.unwrap();
    assert_eq!(rest, b"hello");
    drop(stream);
    assert_eq!(read_all(&mut client).await, b"\x05\x00\x05\x00\x00\x01\x0a\x00\x00\x09\x00\x01");
}

#[tokio::test]
async fn a_failure_reaches_a_client_that_is_still_sending() {
    let (mut client, accepted) = accept(SOCKS5).await;
    client.write_all(&[0; 100_000]).await.unwrap();
    let told = tokio::spawn(accepted.client.answer_failure(DialFailure::Refused));
    assert_eq!(read_all(&mut client).await, b"\x05\x00\x05\x05\x00\x01\0\0\0\0\0\0");
    drop(client);
    told.await.unwrap();
}

#[tokio::test]
async fn a_blackhole_forbids_or_answers_http_from_behind() {
    let (mut client, accepted) = accept(SOCKS5).await;
    tokio::spawn(accepted.client.answer_blackhole(false));
    assert_eq!(read_all(&mut client).await, b"\x05\x00\x05\x02\x00\x01\0\0\0\0\0\0");

    let (mut client, accepted) = accept(SOCKS5).await;
    tokio::spawn(accepted.client.answer_blackhole(true));
    let answer = read_all(&mut client).await;
    let (reply, response) = answer.split_at(12);
    assert_eq!(reply, b"\x05\x00\x05\x00\x00\x01\0\0\0\0\0\0");
    let response = String::from_utf8_lossy(response);
    assert!(response.starts_with("HTTP/1.1 403 Forbidden\r\nConnection: close\r\n"), "{response}");

    let (mut client, accepted) = accept(b"CONNECT a:1 HTTP/1.1\r\n\r\n").await;
    tokio::spawn(accepted.client.answer_blackhole(false));
    assert!(read_all(&mut client).await.starts_with(b"HTTP/1.1 403 Forbidden\r\n"));
}

#[tokio::test]
async fn requests_to_forward_are_handed_over_as_they_are() {
    let (mut client, server) = tcp_pair().await;
    client.write_all(b"GET http://a/ HT").await.unwrap();
    let Opened::HttpRequests { read, .. } = accept_client(server, &settings()).await.unwrap() else {
        panic!("a tunnel")
    };
    assert_eq!(read, b"GET http://a/ HT");
}

#[tokio::test(start_paused = true)]
async fn half_a_handshake_is_cut_at_the_deadline() {
    for input in [&b""[..], b"\x05", b"\x05\x01\x00", b"CONNECT a:1 HTTP/1.1\r\n"] {
        let (mut client, server) = tcp_pair().await;
        client.write_all(input).await.unwrap();
        let start = tokio::time::Instant::now();
        let error = accept_client(server, &settings()).await.unwrap_err();
        assert!(matches!(error, HandshakeError::Timeout { .. }), "{error}");
        assert!(start.elapsed() >= DEFAULT_HANDSHAKE_TIMEOUT);
        assert!(start.elapsed() < DEFAULT_HANDSHAKE_TIMEOUT + Duration::from_secs(1));
    }
}

#[tokio::test]
async fn a_client_that_leaves_early_is_told_apart() {
    let (mut client, server) = tcp_pair().await;
    client.write_all(b"\x05").await.unwrap();
    drop(client);
    let error = accept_client(server, &settings()).await.unwrap_err();
    assert!(matches!(error, HandshakeError::Closed), "{error}");
}

#[tokio::test]
async fn a_client_without_credentials_is_told_why() {
    let password = Secret::new("pass");
    let accounts = Accounts::try_new([(Arc::from("user"), &password)]).unwrap();
    let (mut client, server) = tcp_pair().await;
    client.write_all(b"CONNECT a:1 HTTP/1.1\r\n\r\n").await.unwrap();
    let served = tokio::spawn(async move {
        accept_client(server, &HandshakeSettings { accounts, ..settings() }).await.map(|_| ())
    });
    assert!(read_all(&mut client).await.starts_with(b"HTTP/1.1 407 "));
    drop(client);
    let error = served.await.unwrap().unwrap_err();
    assert!(matches!(error, HandshakeError::Refused(ServerError::CredentialsMissing)), "{error}");
}

#[tokio::test]
async fn a_client_that_says_nothing_costs_no_buffer() {
    let (_client, server) = tcp_pair().await;
    let settings = settings();
    let future = accept_client(server, &settings);
    assert!(size_of_val(&future) <= 2048, "{} bytes", size_of_val(&future));
}
