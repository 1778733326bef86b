//! Who may ask for what.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout},
};

use crate::{
    client::{LIMIT, Reply, SECRET, websocket},
    world::World,
};

const BOARD: &str = "https://board.example";

#[tokio::test]
async fn nothing_but_the_page_is_told_without_the_secret() {
    let world = World::start().await;
    for path in ["/version", "/configs", "/connections", "/metrics", "/waypost/live", "/traffic", "/no/such"]
    {
        let reply = world.stranger("GET", path).send().await;
        assert_eq!((reply.status, &*reply.text()), (401, r#"{"message":"Unauthorized"}"#), "{path}");
    }
    assert_eq!(world.stranger("GET", "/ui/").status().await, 200);
    assert_eq!(world.stranger("POST", "/ui/").status().await, 401);
    assert_eq!(world.stranger("GET", "/uix").status().await, 401);
    assert_eq!(world.get("/version").status().await, 200);
}

#[tokio::test]
async fn the_secret_has_to_be_right_to_the_letter() {
    let world = World::start().await;
    for shown in [
        "",
        "Bearer",
        "Bearer ",
        "Bearer s3cre",
        "Bearer s3cret1",
        "Bearer S3CRET",
        "Basic s3cret",
        "s3cret",
        "Bearer x s3cret",
        "Bearer s3cret s3cret",
    ] {
        let asked = world.stranger("GET", "/version").header("Authorization", shown);
        assert_eq!(asked.status().await, 401, "{shown}");
    }
    let twice = world.get("/version").header("Authorization", "Bearer s3cret");
    assert_eq!(twice.status().await, 401);
    let asked = world.stranger("GET", "/version").header("Authorization", "bearer s3cret");
    assert_eq!(asked.status().await, 200);
}

#[tokio::test]
async fn a_token_counts_for_websockets_only() {
    let world = World::start().await;
    assert_eq!(world.stranger("GET", "/version?token=s3cret").status().await, 401);
    assert_eq!(world.stranger("GET", "/traffic?token=s3cret").status().await, 401);
    let tried = ["", "?token=", "?token=wrong", "?token=s3cret2"];
    for query in tried {
        assert_eq!(websocket(world.api, &format!("/memory{query}"), &[]).await.err(), Some(401), "{query}");
    }
    assert!(websocket(world.api, &format!("/memory?token={SECRET}"), &[]).await.is_ok());
    let bearer = format!("Bearer {SECRET}");
    assert!(websocket(world.api, "/memory", &[("authorization", &bearer)]).await.is_ok());
    // A wrong token is not made up for.
    let both = websocket(world.api, "/memory?token=wrong", &[("authorization", &bearer)]).await;
    assert_eq!(both.err(), Some(401));
    // What is no stream takes no WebSocket, whatever it says.
    let upgrade = world.stranger("PUT", "/configs?token=s3cret").header("Upgrade", "websocket");
    assert_eq!(upgrade.body("{}").status().await, 401);
}

#[tokio::test]
async fn a_secret_with_special_characters_comes_through_a_query() {
    const HARD: &str = "a+b &c=d%é";
    let world = World::with(&|settings| settings.secret = Some(waypost_net::Secret::new(HARD))).await;
    assert!(websocket(world.api, "/memory?token=a%2Bb%20%26c%3Dd%25%C3%A9", &[]).await.is_ok());
}

#[tokio::test]
async fn it_answers_to_its_own_names_only() {
    let world = World::with(&|settings| settings.allowed_hosts = vec!["router.lan".into()]).await;
    for host in ["localhost", "localhost:9090", "127.0.0.1", "[::1]:1", "router.lan", "ROUTER.lan.:80"] {
        assert_eq!(world.get("/version").without_host().host(host).status().await, 200, "{host}");
    }
    for host in ["evil.example", "127.0.0.1.evil.example", "192.0.2.1", "", "localhost@evil.example"] {
        let reply = world.get("/version").host(host).send().await;
        assert!(reply.status == 403 || reply.status == 400, "{host}: {}", reply.status);
        assert_eq!(reply.header("access-control-allow-origin"), None);
    }
    assert_eq!(world.get("/version").without_host().status().await, 403);
    let two = world.get("/version").header("Host", "localhost").status().await;
    assert!(two == 403 || two == 400, "{two}");
    // The page as well: it would be somebody else's page then.
    assert_eq!(world.stranger("GET", "/ui/").host("evil.example").status().await, 403);
    assert_eq!(world.get("http://evil.example/version").status().await, 403);
}

#[tokio::test]
async fn pages_of_other_origins_are_refused() {
    let world = World::start().await;
    let own = format!("http://{}", world.api);
    let reply = world.get("/version").header("Origin", &own).send().await;
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (200, None));
    for origin in ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost"] {
        for asked in
            [world.get("/version"), world.stranger("GET", "/ui/"), world.ask("DELETE", "/connections")]
        {
            let reply = asked.header("Origin", origin).send().await;
            assert_eq!((reply.status, reply.header("access-control-allow-origin")), (403, None), "{origin}");
        }
        let headers = [("origin", origin)];
        let opened = websocket(world.api, &format!("/traffic?token={SECRET}"), &headers).await;
        assert_eq!(opened.err(), Some(403), "{origin}");
    }
}

#[tokio::test]
async fn a_dashboard_that_is_allowed_reads_every_answer() {
    let world = World::with(&|settings| settings.allowed_origins = vec![BOARD.into()]).await;
    let allowed = |reply: &Reply| {
        assert_eq!(reply.header("access-control-allow-origin"), Some(BOARD));
        assert_eq!(reply.header("vary"), Some("Origin"));
    };
    for (asked, status) in [
        (world.get("/version"), 200),
        (world.stranger("GET", "/version"), 401),
        (world.get("/no/such"), 404),
        (world.ask("POST", "/version"), 405),
        (world.ask("PUT", "/proxies/pick").body("{"), 400),
    ] {
        let reply = asked.header("Origin", BOARD).send().await;
        assert_eq!(reply.status, status);
        allowed(&reply);
    }
    let asked = world.stranger("OPTIONS", "/proxies/pick").header("Origin", BOARD);
    let asked = asked.header("Access-Control-Request-Method", "PUT");
    let reply = asked.header("Access-Control-Request-Private-Network", "true").send().await;
    assert_eq!(reply.status, 204);
    allowed(&reply);
    assert_eq!(reply.header("access-control-allow-methods"), Some("GET, POST, PUT, PATCH, DELETE"));
    assert_eq!(reply.header("access-control-allow-headers"), Some("Content-Type, Authorization"));
    assert_eq!(reply.header("access-control-allow-private-network"), None);
    let foreign = world.stranger("OPTIONS", "/version").header("Origin", "https://evil.example");
    assert_eq!(foreign.header("Access-Control-Request-Method", "GET").status().await, 403);
    // It is no preflight without an origin.
    assert_eq!(world.stranger("OPTIONS", "/version").status().await, 401);
    assert_eq!(world.ask("OPTIONS", "/version").status().await, 405);
}

#[tokio::test]
async fn every_page_and_private_networks_are_allowed_if_the_file_says_so() {
    let world = World::with(&|settings| {
        settings.allowed_origins = vec!["*".into()];
        settings.allow_private_network = true;
    })
    .await;
    let asked = world.stranger("OPTIONS", "/version").header("Origin", "https://any.example");
    let asked = asked.header("Access-Control-Request-Method", "GET");
    let reply = asked.header("Access-Control-Request-Private-Network", "true").send().await;
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    assert_eq!(reply.header("access-control-allow-private-network"), Some("true"));
}

#[tokio::test]
async fn a_body_is_at_most_a_mebibyte() {
    let world = World::start().await;
    let payload = |length: usize| format!(r#"{{"payload":"{}"}}"#, "x".repeat(length));
    let large = world.ask("PUT", "/configs").body(payload(1 << 20)).send().await;
    assert_eq!((large.status, &*large.message()), (413, "the body is larger than 1 MiB"));
    assert_eq!(world.ask("PUT", "/configs").body(payload((1 << 20) - 100)).status().await, 400);
    // Without an announced length it is noticed on the way.
    let mut stream = world.ask("PUT", "/configs").header("Transfer-Encoding", "chunked").begin().await;
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    for _ in 0..20 {
        if stream.write_all(chunk.as_bytes()).await.is_err() {
            break;
        }
    }
    let mut answer = Vec::new();
    let _reset = timeout(LIMIT, stream.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 413"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(world.control.generation(), 1);
}

#[tokio::test]
async fn a_client_that_is_slow_to_ask_is_left() {
    let short = Duration::from_millis(200);
    let world = World::with(&|settings| (settings.bounds.head, settings.bounds.body) = (short, short)).await;
    let mut slow = world.ask("PUT", "/configs").header("Content-Length", "10").begin().await;
    let mut answer = Vec::new();
    timeout(LIMIT, slow.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert_eq!(Reply::parse(&answer).status, 408);
    for begun in ["", "GET /version HTTP/1.1\r\nHost: loc"] {
        let mut idle = TcpStream::connect(world.api).await.unwrap();
        idle.write_all(begun.as_bytes()).await.unwrap();
        let begin = Instant::now();
        let _end = timeout(LIMIT, idle.read_to_end(&mut Vec::new())).await.expect("an end");
        assert!(begin.elapsed() >= short / 2);
    }
}

#[tokio::test]
async fn idle_clients_do_not_take_all_places() {
    let short = Duration::from_millis(300);
    let world = World::with(&|settings| {
        (settings.bounds.connections, settings.bounds.head) = (4, short);
    })
    .await;
    let mut idle = Vec::new();
    for _ in 0..12 {
        idle.push(TcpStream::connect(world.api).await.unwrap());
    }
    // It waits behind the others, which are left one after the other.
    assert_eq!(world.get("/version").status().await, 200);
    // Streams keep their places.
    let bearer = format!("Bearer {SECRET}");
    drop(idle);
    let mut streams = Vec::new();
    for _ in 0..4 {
        streams.push(websocket(world.api, "/memory", &[("authorization", &bearer)]).await.unwrap());
    }
    let waiting = world.get("/version");
    let mut answer = Box::pin(waiting.send());
    assert!(timeout(short, answer.as_mut()).await.is_err(), "there was a place left");
    drop(streams);
    assert_eq!(answer.await.status, 200);
}

#[tokio::test]
async fn strange_requests_are_answered_and_change_nothing() {
    let world = World::start().await;
    let long = format!("/proxies/{}", "x".repeat(8000));
    for (method, path, status) in [
        ("GET", "/proxies/%ff", 400),
        ("GET", "/proxies/%00", 404),
        ("GET", "/proxies/%2e%2e%2fconfigs", 404),
        ("GET", "//version", 404),
        ("GET", "/version/", 404),
        ("GET", &long, 404),
        ("BREW", "/version", 405),
        ("TRACE", "/version", 405),
        ("DELETE", "/configs", 405),
        ("POST", "/proxies/pick", 405),
        ("GET", "/connections/1", 405),
        ("GET", "/restart", 405),
        ("GET", "/cache/dns/flush", 405),
    ] {
        let reply = world.ask(method, path).send().await;
        assert_eq!(reply.status, status, "{method} {path}");
        assert!(!reply.message().is_empty());
    }
    let mut stream = TcpStream::connect(world.api).await.unwrap();
    stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await.unwrap();
    stream.shutdown().await.unwrap();
    let _end = timeout(LIMIT, stream.read_to_end(&mut Vec::new())).await.expect("an end");
    assert_eq!(world.get("/version").status().await, 200);
}

#[tokio::test]
async fn without_a_secret_nothing_listens_on_a_port() {
    for secret in [None, Some(waypost_net::Secret::new(""))] {
        let listen = waypost_api::ListenOn::Tcp("127.0.0.1:0".parse().unwrap());
        let settings = waypost_api::ApiSettings::new(listen, secret, "/".into());
        let error = waypost_api::Api::bind(settings).await.unwrap_err();
        assert!(error.to_string().contains("needs a secret"), "{error}");
    }
}
