//! Requests that two servers could read differently, floods, and clients that take their time.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use waypost_proxy::{DEFAULT_HANDSHAKE_TIMEOUT, DEFAULT_IDLE_TIMEOUT};

use super::{
    Client,
    origin::{Origin, Recorder},
    start_direct,
};

/// Sends a good request and then, at once or afterwards, a bad one, whose target is `/bad`. The bad one
/// is answered with `status`, and nothing of it reaches the origin server.
async fn check_refused(bad: &str, status: &str) {
    for good_first in [false, true] {
        for at_once in [false, true] {
            let (proxy, origin) = (start_direct(), Recorder::start().await);
            let good = format!("GET http://{}/good HTTP/1.1\r\nHost: x\r\n\r\n", origin.address);
            let bad = bad.replace("ORIGIN", &origin.address.to_string());
            let mut client = Client::connect(&proxy).await;
            if good_first && at_once {
                client.send(&format!("{good}{bad}")).await;
            } else {
                if good_first {
                    client.send(&good).await;
                    client.read_until("\r\n\r\n").await;
                }
                client.send(&bad).await;
            }
            let answer = client.read_to_end().await;
            let last = answer.rfind("HTTP/1.1 ").map_or("", |start| &answer[start..]);
            assert!(last.starts_with(&format!("HTTP/1.1 {status} ")), "{bad:?}: {answer:?}");
            let reached = origin.text();
            assert_eq!(reached.contains("/good"), good_first, "{bad:?}: {reached:?}");
            assert!(!reached.contains("bad") && !reached.contains("smuggled"), "{bad:?}: {reached:?}");
        }
    }
}

#[tokio::test]
async fn smuggled_requests_are_refused_before_a_byte_is_forwarded() {
    let smuggled = "GET http://ORIGIN/smuggled HTTP/1.1\r\n\r\n";
    for headers in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
        "Content-Length: 1\r\nContent-Length: 2",
        "Content-Length: -1",
        "Content-Length: 18446744073709551615",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding : chunked",
        "Content-Length: 3\r\n Transfer-Encoding: chunked",
        "A: b\nTransfer-Encoding: chunked",
        "A: b\0c",
        "A\0: b",
        "Host: a\r\nHost: b",
        "A: b\rTransfer-Encoding: chunked",
    ] {
        check_refused(&format!("POST http://ORIGIN/bad HTTP/1.1\r\n{headers}\r\n\r\n{smuggled}"), "400")
            .await;
    }
    check_refused(&format!("POST http://ORIGIN/bad HTTP/1.1\nContent-Length: 0\r\n\r\n{smuggled}"), "400")
        .await;
    check_refused(&format!("GET http://ORIGIN/bad HTTP/1.1\r\nA: b\n\n{smuggled}"), "400").await;
    check_refused(&format!("GET /bad HTTP/1.1\r\nHost: ORIGIN\r\n\r\n{smuggled}"), "400").await;
    check_refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505").await;
}

#[tokio::test]
async fn a_body_that_goes_wrong_never_ends_well() {
    for chunks in [
        "fffffffffffffffff\r\n",
        "-1\r\n",
        "5\nhello\r\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "0\nGET http://ORIGIN/smuggled HTTP/1.1\r\n\r\n",
        "0\r\nContent-Length: 5\r\n\r\n",
        "0\r\nX: 1\n\r\nGET http://ORIGIN/smuggled HTTP/1.1\r\n\r\n",
    ] {
        let (proxy, origin) = (start_direct(), Recorder::start().await);
        let chunks = chunks.replace("ORIGIN", &origin.address.to_string());
        let mut client = Client::connect(&proxy).await;
        let head = format!("POST http://{}/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", origin.address);
        client.send(&format!("{head}1\r\na\r\n")).await;
        client.send(&chunks).await;
        let answer = client.read_to_end().await;
        assert!(!answer.contains(" 200 "), "{chunks:?}: {answer:?}");
        let reached = origin.text();
        assert!(!reached.contains("0\r\n\r\n") && !reached.contains("smuggled"), "{chunks:?}: {reached:?}");
    }
}

#[tokio::test]
async fn floods_of_headers_are_refused() {
    let many = "X: y\r\n".repeat(129);
    check_refused(&format!("GET http://ORIGIN/bad HTTP/1.1\r\n{many}\r\n"), "431").await;
    let long = "y".repeat(70 * 1024);
    check_refused(&format!("GET http://ORIGIN/bad HTTP/1.1\r\nX: {long}\r\n\r\n"), "431").await;
    // What is allowed does not fail elsewhere.
    let (proxy, origin) = (start_direct(), Origin::start().await);
    let mut client = Client::connect(&proxy).await;
    let headers = format!("{}X: {}\r\n", "X: y\r\n".repeat(127), "y".repeat(60 * 1024));
    client.send(&format!("GET {} HTTP/1.1\r\n{headers}\r\n", origin.url("/"))).await;
    client.read_until("hello").await;
    assert_eq!(origin.requests()[0].headers.get_all("x").iter().count(), 128);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_comes_drop_by_drop_is_cut_at_the_deadline() {
    let (proxy, origin) = (start_direct(), Origin::start().await);
    let mut client = Client::connect(&proxy).await;
    client.send(&format!("GET {} HTTP/1.1\r\n\r\n", origin.url("/"))).await;
    client.read_until("hello").await;
    let begin = Instant::now();
    let (mut reader, mut writer) = client.0.into_split();
    tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        writer.write_all(b"GET http://a/ HTTP/1.1\r\n").await.unwrap();
        while writer.write_all(b"X: y\r\n").await.is_ok() {
            sleep(Duration::from_secs(1)).await;
        }
    });
    let mut answer = Vec::new();
    let _reset = tokio::io::AsyncReadExt::read_to_end(&mut reader, &mut answer).await;
    assert!(String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 408 "), "{answer:?}");
    let took = begin.elapsed();
    assert!(took >= DEFAULT_HANDSHAKE_TIMEOUT && took < DEFAULT_HANDSHAKE_TIMEOUT * 2, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_request_is_closed_after_a_while() {
    let (proxy, origin) = (start_direct(), Origin::start().await);
    let mut client = Client::connect(&proxy).await;
    client.send(&format!("GET {} HTTP/1.1\r\n\r\n", origin.url("/"))).await;
    client.read_until("hello").await;
    let begin = Instant::now();
    sleep(Duration::from_secs(90)).await;
    assert_eq!(client.read_to_end().await, "");
    assert!(begin.elapsed() < Duration::from_secs(95));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stops_ends_the_request() {
    let (proxy, origin) = (start_direct(), Origin::start().await);
    let mut client = Client::connect(&proxy).await;
    let begin = Instant::now();
    client.send(&format!("POST {} HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf", origin.url("/length"))).await;
    sleep(DEFAULT_IDLE_TIMEOUT + Duration::from_secs(30)).await;
    let answer = client.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer:?}");
    assert!(begin.elapsed() < DEFAULT_IDLE_TIMEOUT * 2);
    assert!(proxy.connections().snapshot().is_empty());
}
