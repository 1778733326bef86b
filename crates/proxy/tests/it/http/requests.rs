use serde_json::json;
use tokio::{
    io::AsyncWriteExt,
    time::{Instant, sleep},
};
use waypost_testkit::{Behaviour, EchoServer, HttpOrigin, Socks5Node, refused_address};

use super::{Client, LIMIT, origin::Origin, start, start_direct};

#[tokio::test]
async fn many_requests_use_one_connection_each_way() {
    let (proxy, origin) = (start_direct(), Origin::start().await);
    let mut client = Client::connect(&proxy).await;
    for round in 0..5 {
        let url = origin.url(&format!("/{round}?x=%20y"));
        client.send(&format!("GET {url} HTTP/1.1\r\nHost: other\r\nX-Mine: 1\r\n\r\n")).await;
        let response = client.read_until("hello").await;
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    }
    assert_eq!(origin.connections(), 1);
    let requests = origin.requests();
    assert_eq!(requests[4].line, "GET /4?x=%20y HTTP/1.1");
    assert_eq!(requests[4].headers["host"], origin.address.to_string());
    assert_eq!(requests[4].headers["x-mine"], "1");
}

#[tokio::test]
async fn requests_that_come_at_once_are_answered_in_order() {
    let (proxy, origin) = (start_direct(), Origin::start().await);
    let mut client = Client::connect(&proxy).await;
    let get = |path: &str| format!("GET {} HTTP/1.1\r\n\r\n", origin.url(path));
    let post = format!("POST {} HTTP/1.1\r\nContent-Length: 3\r\n\r\none", origin.url("/echo"));
    client.send(&format!("{post}{}{}", get("/empty"), get("/x"))).await;
    let responses = client.read_until("hello").await;
    let lines: Vec<&str> = responses.lines().filter(|line| line.contains("HTTP/1.1 ")).collect();
    assert_eq!(lines, ["HTTP/1.1 200 OK", "oneHTTP/1.1 204 No Content", "HTTP/1.1 200 OK"], "{responses}");
}

#[tokio::test]
async fn headers_of_one_hop_stay_there() {
    let (proxy, origin) = (start_direct(), Origin::start().await);
    let mut client = Client::connect(&proxy).await;
    let url = origin.url("/headers");
    client
        .send(&format!(
            "GET {url} HTTP/1.1\r\nConnection: X-Mine, keep-alive\r\nX-Mine: 1\r\nX-Other: 2\r\n\
             Proxy-Connection: keep-alive\r\nUpgrade: h2c\r\nTE: trailers\r\n\r\n"
        ))
        .await;
    let response = client.read_until("hello").await.to_lowercase();
    assert!(response.contains("\r\nx-end: 1\r\n"), "{response}");
    for name in ["x-hop", "proxy-authenticate", "keep-alive", "connection"] {
        assert!(!response.contains(&format!("\r\n{name}:")), "{response}");
    }
    let headers = &origin.requests()[0].headers;
    assert_eq!((&headers["x-other"], &headers["te"]), (&"2".parse().unwrap(), &"trailers".parse().unwrap()));
    for name in ["x-mine", "proxy-connection", "upgrade", "via"] {
        assert!(!headers.contains_key(name), "{headers:?}");
    }
}

#[tokio::test]
async fn chunks_and_trailers_pass_both_ways() {
    let (proxy, origin) = (start_direct(), Origin::start().await);
    let mut client = Client::connect(&proxy).await;
    let url = origin.url("/echo");
    client
        .send(&format!(
            "POST {url} HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: TE\r\nTE: trailers\r\n\
             Trailer: X-Sum\r\n\r\n5;a=b\r\nhello\r\n"
        ))
        .await;
    // The first piece comes back before the last one is sent.
    let response = client.read_until("hello\r\n").await.to_lowercase();
    assert!(response.contains("transfer-encoding: chunked"), "{response}");
    client.send("3\r\nyou\r\n0\r\nX-Sum: 8\r\n\r\n").await;
    let response = client.read_until("\r\n\r\n").await.to_lowercase();
    assert!(response.ends_with("you\r\n0\r\nx-sum: 8\r\n\r\n"), "{response}");
    let headers = &origin.requests()[0].headers;
    assert_eq!(
        (&headers["trailer"], &headers["transfer-encoding"]),
        (&"X-Sum".parse().unwrap(), &"chunked".parse().unwrap())
    );
}

#[tokio::test]
async fn responses_without_a_body_end_with_their_head() {
    let (proxy, origin) = (start_direct(), Origin::start().await);
    let mut client = Client::connect(&proxy).await;
    client.send(&format!("HEAD {} HTTP/1.1\r\n\r\n", origin.url("/"))).await;
    let response = client.read_until("\r\n\r\n").await.to_lowercase();
    assert!(response.contains("content-length: 5"), "{response}");
    client.send(&format!("GET {} HTTP/1.1\r\n\r\n", origin.url("/empty"))).await;
    client.read_until("\r\n\r\n").await;
    client.send(&format!("GET {} HTTP/1.1\r\n\r\n", origin.url("/"))).await;
    client.read_until("hello").await;
}

#[tokio::test]
async fn a_client_of_http_1_0_is_answered_and_closed() {
    let (proxy, origin) = (start_direct(), Origin::start().await);
    let mut client = Client::connect(&proxy).await;
    client.send(&format!("POST {} HTTP/1.0\r\nContent-Length: 4\r\n\r\nbody", origin.url("/echo"))).await;
    let response = client.read_to_end().await;
    assert!(response.starts_with("HTTP/1.0 200 OK\r\n") && response.ends_with("\r\n\r\nbody"), "{response}");
    assert!(!response.to_lowercase().contains("transfer-encoding"), "{response}");
}

#[tokio::test]
async fn a_client_that_has_closed_its_side_still_gets_its_answer() {
    let (proxy, origin) = (start_direct(), Origin::start().await);
    let mut client = Client::connect(&proxy).await;
    client.send(&format!("GET {} HTTP/1.1\r\n\r\n", origin.url("/"))).await;
    client.0.shutdown().await.unwrap();
    assert!(client.read_to_end().await.ends_with("hello"));
}

#[tokio::test]
async fn a_body_waits_until_the_origin_server_wants_it() {
    let (proxy, origin) = (start_direct(), Origin::start().await);
    let head = |path: &str| {
        format!("POST {} HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n", origin.url(path))
    };
    let mut client = Client::connect(&proxy).await;
    client.send(&head("/echo")).await;
    client.read_until("HTTP/1.1 100 Continue\r\n\r\n").await;
    client.send("body").await;
    client.read_until("body").await;
    // One that does not want it says so at once.
    let begin = Instant::now();
    client.send(&head("/unwanted")).await;
    let response = client.read_until("\r\n\r\n").await;
    assert!(response.starts_with("HTTP/1.1 417 "), "{response}");
    assert!(begin.elapsed().as_millis() < 900, "{:?}", begin.elapsed());
    assert_eq!(origin.requests()[1].headers["expect"], "100-continue");
}

#[tokio::test]
async fn both_sides_may_switch_to_another_protocol() {
    let (proxy, origin) = (start_direct(), Origin::start().await);
    let mut client = Client::connect(&proxy).await;
    let request = |path: &str| {
        format!(
            "GET {} HTTP/1.1\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n",
            origin.url(path)
        )
    };
    // An origin server that does not switch leaves the connection to the next request, which may be
    // there already.
    client.send(&request("/no")).await;
    client.read_until("hello").await;
    client.send(&format!("{}{}", request("/no"), request("/no"))).await;
    client.read_until("hello").await;
    client.read_until("hello").await;
    client.send(&request("/upgrade")).await;
    let response = client.read_until("welcome ").await.to_lowercase();
    assert!(response.starts_with("http/1.1 101 "), "{response}");
    assert!(response.contains("upgrade: websocket\r\n") && response.contains("connection: upgrade\r\n"));
    client.send("\0GET / HTTP/1.1\n\n").await;
    client.read_until("\0GET / HTTP/1.1\n\n").await;
    client.0.shutdown().await.unwrap();
    assert_eq!(client.read_to_end().await, "");
}

#[tokio::test]
async fn a_connect_may_follow_on_the_same_connection() {
    let (proxy, origin, echo) = (start_direct(), Origin::start().await, EchoServer::start().await);
    let mut client = Client::connect(&proxy).await;
    client.send(&format!("GET {} HTTP/1.1\r\n\r\n", origin.url("/"))).await;
    client.read_until("hello").await;
    client.send(&format!("CONNECT {} HTTP/1.1\r\n\r\nfirst", echo.address)).await;
    client.read_until(" 200 Connection established\r\n\r\nfirst").await;
    client.send("second").await;
    client.read_until("second").await;
}

#[tokio::test]
async fn each_request_has_to_have_its_user() {
    let proxy = start(&json!({
        "inbounds": [{
            "protocol": "http", "listen": "127.0.0.1", "port": 0,
            "settings": {"accounts": [{"user": "user", "pass": "pass"}]}
        }],
        "outbounds": [{"protocol": "freedom"}],
    }));
    let origin = Origin::start().await;
    let mut client = Client::connect(&proxy).await;
    let mut request = async |header: &str| {
        client.send(&format!("GET {} HTTP/1.1\r\n{header}\r\n", origin.url("/"))).await;
        let head = client.read_until("\r\n\r\n").await.to_lowercase();
        let body = if head.starts_with("http/1.1 200 ") { "hello" } else { "a password.\n" };
        client.read_until(body).await;
        head
    };
    for (header, accepted) in [
        ("", false),
        ("Proxy-Authorization: Basic dXNlcjpwYXNT\r\n", false),
        ("Proxy-Authorization: Basic dXNlcjpwYXNz\r\n", true),
        ("Authorization: Basic dXNlcjpwYXNz\r\n", false),
    ] {
        let head = request(header).await;
        assert_eq!(head.starts_with("http/1.1 200 "), accepted, "{header}: {head}");
        assert!(accepted || head.contains("proxy-authenticate: basic realm=\"proxy\"\r\n"), "{head}");
    }
    let requests = origin.requests();
    assert_eq!(requests.len(), 1);
    assert!(!requests[0].headers.contains_key("proxy-authorization"));
}

#[tokio::test]
async fn each_request_is_routed_for_itself() {
    let proxy = start(&json!({
        "inbounds": [{"protocol": "http", "listen": "127.0.0.1", "port": 0}],
        "outbounds": [{"protocol": "freedom"}, {"protocol": "blackhole", "tag": "block"}],
        "routing": {"rules": [
            {"protocol": "http", "attrs": {":path": "^/secret"}, "outboundTag": "block"},
            {"attrs": {"x-block": "yes"}, "outboundTag": "block"},
        ]},
    }));
    let origin = Origin::start().await;
    let mut client = Client::connect(&proxy).await;
    for (path, header, status) in [
        ("/", "", "200 OK"),
        ("/secret", "", "403 Forbidden"),
        ("/", "X-Block: yes\r\n", "403 Forbidden"),
        ("/public", "X-Block: no\r\n", "200 OK"),
    ] {
        client.send(&format!("GET {} HTTP/1.1\r\n{header}\r\n", origin.url(path))).await;
        let head = client.read_until("\r\n\r\n").await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{path} {header}: {head}");
        client.read_until(if status == "200 OK" { "hello" } else { "forbids the connection.\n" }).await;
    }
    assert_eq!((origin.requests().len(), origin.connections()), (2, 1));
}

#[tokio::test]
async fn a_failure_is_a_response_and_the_connection_stays() {
    let (proxy, origin) = (start_direct(), Origin::start().await);
    let mut client = Client::connect(&proxy).await;
    client.send(&format!("GET http://{}/ HTTP/1.1\r\n\r\n", refused_address().await)).await;
    let response = client.read_until("refused the connection.\n").await;
    assert!(response.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{response}");
    client.send(&format!("GET {} HTTP/1.1\r\n\r\n", origin.url("/"))).await;
    client.read_until("hello").await;
}

#[tokio::test]
async fn a_connection_that_the_origin_server_closed_is_not_missed() {
    // This origin server closes after each response.
    let (proxy, origin) = (start_direct(), HttpOrigin::start("bye").await);
    let mut client = Client::connect(&proxy).await;
    for _round in 0..10 {
        client.send(&format!("GET http://{}/ HTTP/1.1\r\n\r\n", origin.address)).await;
        client.read_until("bye").await;
    }
    assert_eq!(origin.heads().len(), 10);
}

#[tokio::test]
async fn a_request_goes_through_the_next_member_when_one_freezes() {
    let origin = HttpOrigin::start("hello").await;
    let mut outbounds = vec![json!({"protocol": "loadbalance", "tag": "lb", "settings": {
        "primary_outbounds": ["m0", "m1", "m2"], "strategy": "failover",
        "url": format!("http://{}/probe", origin.address), "timeout": "300ms", "interval": "10m",
    }})];
    let mut nodes = Vec::new();
    for (index, behaviour) in
        [Behaviour::Close, Behaviour::GrantThenSilent, Behaviour::Relay].into_iter().enumerate()
    {
        let node = Socks5Node::start("", behaviour).await;
        let server = json!({"address": node.address.ip(), "port": node.address.port()});
        let tag = format!("m{index}");
        outbounds.push(json!({"protocol": "socks", "tag": tag, "settings": {"servers": [server]}}));
        nodes.push(node);
    }
    let proxy = start(&json!({
        "inbounds": [{"protocol": "http", "listen": "127.0.0.1", "port": 0}], "outbounds": outbounds,
    }));
    let mut client = Client::connect(&proxy).await;
    client.send(&format!("GET http://{}/asked HTTP/1.1\r\n\r\n", origin.address)).await;
    client.read_until("hello").await;
    let asked = origin.heads().iter().filter(|head| head.starts_with("GET /asked ")).count();
    assert_eq!(asked, 1);
    assert!(
        nodes[1].seen().iter().any(|seen| seen.target == origin.address.into()),
        "the frozen one was asked"
    );
}

#[tokio::test]
async fn a_large_body_in_chunks_arrives_whole() {
    const CHUNK: usize = 100_000;
    const N_CHUNKS: usize = 100;
    let (proxy, origin) = (start_direct(), Origin::start().await);
    let mut client = Client::connect(&proxy).await;
    let url = origin.url("/length");
    client.send(&format!("PUT {url} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")).await;
    let chunk = format!("{CHUNK:x}\r\n{}\r\n", "x".repeat(CHUNK));
    for _ in 0..N_CHUNKS {
        client.send(&chunk).await;
    }
    client.send("0\r\n\r\n").await;
    client.read_until(&(CHUNK * N_CHUNKS).to_string()).await;
}

#[tokio::test]
async fn what_a_client_leaves_behind_ends_with_it() {
    let (proxy, origin) = (start_direct(), Origin::start().await);
    let mut client = Client::connect(&proxy).await;
    client.send(&format!("GET {} HTTP/1.1\r\n\r\n", origin.url("/"))).await;
    client.read_until("hello").await;
    assert_eq!(proxy.connections().snapshot().len(), 1);
    drop(client);
    let begin = Instant::now();
    while !proxy.connections().snapshot().is_empty() {
        assert!(begin.elapsed() < LIMIT, "it stays");
        sleep(std::time::Duration::from_millis(5)).await;
    }
}
