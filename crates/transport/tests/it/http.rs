//! Requests and answers that are not what they should be.

use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use waypost_transport::{
    ClientLayer, ClientOptions, ClientTransport, Entered, FirstBytes, HttpUpgradeClient, HttpUpgradeServer,
    Moment, ServerLayer, ServerTransport, SetupError, TransportError, WebSocketClient, WebSocketServer,
};

use crate::world::{World, client, open_to_bytes, send_to, server};

fn web_socket(path: &str) -> ClientTransport {
    let path = path.to_owned();
    client(None, ClientLayer::WebSocket(WebSocketClient { path, ..WebSocketClient::default() }))
}

fn upgrade(path: &str) -> ClientTransport {
    let path = path.to_owned();
    client(None, ClientLayer::HttpUpgrade(HttpUpgradeClient { path, ..HttpUpgradeClient::default() }))
}

fn web_socket_server(path: &str, host: Option<&str>) -> ServerTransport {
    let (path, host) = (path.to_owned(), host.map(str::to_owned));
    server(None, ServerLayer::WebSocket(WebSocketServer { path, host, ..WebSocketServer::default() }))
}

fn upgrade_server(path: &str, host: Option<&str>) -> ServerTransport {
    let (path, host) = (path.to_owned(), host.map(str::to_owned));
    server(None, ServerLayer::HttpUpgrade(HttpUpgradeServer { path, host, ..HttpUpgradeServer::default() }))
}

#[tokio::test]
async fn a_wrong_path_is_not_found() {
    let cases = [
        (web_socket("/b"), web_socket_server("/a", None), TransportError::WebSocketRefused { status: 404 }),
        (upgrade("/b"), upgrade_server("/a", None), TransportError::UpgradeRefused { status: 404 }),
    ];
    for (client, server, expected) in cases {
        let mut world = World::new(server);
        let error = world.open(&client).await.unwrap_err();
        assert!(error.to_string().ends_with("HTTP status 404 (is the path right?)"), "{error}");
        assert_eq!(error, expected);
        assert_eq!(world.next().await.unwrap_err(), TransportError::WrongPath { path: "/b".into() });
    }
}

#[tokio::test]
async fn a_client_of_the_other_kind_is_refused() {
    let cases = [
        (web_socket("/"), upgrade_server("/", None), TransportError::WebSocketRefused { status: 400 }),
        (upgrade("/"), web_socket_server("/", None), TransportError::UpgradeRefused { status: 400 }),
    ];
    for (client, server, expected) in cases {
        let mut world = World::new(server);
        assert_eq!(world.open(&client).await.unwrap_err(), expected);
        let error = world.next().await.unwrap_err();
        assert!(matches!(error, TransportError::WrongRequest { .. }), "{error}");
    }
}

#[tokio::test]
async fn the_host_counts_where_one_is_wanted() {
    for (host, is_taken) in
        [("a.example", true), ("A.example", true), ("a.example:8080", true), ("b.example", false)]
    {
        let headers = vec![("hOST".to_owned(), host.to_owned())];
        for (client, server) in [
            (
                ClientLayer::WebSocket(WebSocketClient {
                    headers: headers.clone(),
                    ..WebSocketClient::default()
                }),
                web_socket_server("", Some("a.example")),
            ),
            (
                ClientLayer::HttpUpgrade(HttpUpgradeClient {
                    host: Some(host.to_owned()),
                    ..HttpUpgradeClient::default()
                }),
                upgrade_server("", Some("a.example")),
            ),
        ] {
            let mut world = World::new(server);
            let opened = world.open(&crate::world::client(None, client)).await;
            assert_eq!(opened.is_ok(), is_taken, "{host}");
            if !is_taken {
                let expected = TransportError::WrongHost { host: host.into() };
                assert_eq!(world.next().await.unwrap_err(), expected);
            }
        }
    }
}

#[tokio::test]
async fn a_query_belongs_to_the_path_only_if_it_is_served() {
    for (asked, served, is_taken) in
        [("/a?x=1", "/a", true), ("/a?x=1", "/a?x=1", true), ("/a", "/a?x=1", false), ("/ä b", "/ä b", true)]
    {
        for (client, server) in [
            (web_socket(asked), web_socket_server(served, None)),
            (upgrade(asked), upgrade_server(served, None)),
        ] {
            assert_eq!(World::new(server).open(&client).await.is_ok(), is_taken, "{asked} for {served}");
        }
    }
}

#[tokio::test]
async fn answers_that_are_none_are_told_by_what_is_wrong() {
    let too_large = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    for client in [web_socket("/"), upgrade("/")] {
        for (answer, expected) in [
            (&b"SSH-2.0-x\r\n"[..], TransportError::NotHttp { found: FirstBytes::new(b"SSH-2.0-x") }),
            (b"HT", TransportError::NotHttp { found: FirstBytes::new(b"HT") }),
            (b"", TransportError::Closed { during: Moment::HttpHandshake }),
            (b"HTTP/1.1 101 Sw", TransportError::Closed { during: Moment::HttpHandshake }),
            (b"HTTP/1.1 abc\r\n\r\n", TransportError::BrokenHttp { problem: "invalid status" }),
            (
                b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
                TransportError::BrokenHttp { problem: "the answer does not fit the request for an upgrade" },
            ),
            (too_large.as_bytes(), TransportError::BrokenHttp { problem: "the head is longer than 16 KiB" }),
        ] {
            let error = open_to_bytes(&client, answer).await;
            let text = error.to_string().replace("a WebSocket", "an upgrade");
            assert_eq!(text, expected.to_string());
        }
    }
}

#[tokio::test]
async fn a_websocket_needs_the_answer_to_its_own_key() {
    let answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: keep-alive, Upgrade\r\n\
        Upgrade: WebSocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    let error = open_to_bytes(&web_socket("/"), answer).await;
    assert_eq!(
        error,
        TransportError::BrokenHttp { problem: "the answer does not fit the request for a WebSocket" }
    );
}

#[tokio::test]
async fn requests_that_are_none_are_answered_in_http() {
    let too_large = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    for server in [web_socket_server("/", None), upgrade_server("/", None)] {
        for (request, status, expected) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "400", "a request that asks for no upgrade"),
            ("GET /favicon.ico HTTP/1.1\r\nHost: a\r\n\r\n", "404", "request for the path `/favicon.ico`"),
            (
                "POST / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
                "400",
                "a request that asks for no upgrade",
            ),
            ("\u{5}\u{1}\u{0}\r\n\r\n", "", "the peer does not speak HTTP/1.1, it sent 0x0501000d0a0d0a"),
            ("GET / HTTP/1.1\r\nHo", "", "the peer closed the connection during the HTTP handshake"),
            (&too_large, "", "broken HTTP: the head is longer than 16 KiB"),
        ] {
            let (result, answer) = send_to(&server, request.as_bytes()).await;
            assert_eq!(result.unwrap_err().to_string().replace("no WebSocket", "no upgrade"), expected);
            let answer = String::from_utf8(answer).unwrap();
            let found = answer.strip_prefix("HTTP/1.1 ").map_or("", |rest| &rest[..3]);
            assert_eq!(found, status, "{request}");
        }
    }
}

#[tokio::test]
async fn a_head_ends_with_the_first_empty_line_however_lines_end() {
    for end in ["\r\n\r\n", "\n\n", "\n\r\n"] {
        let request = format!("GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket{end}hi\r\n\r\n");
        let (mut near, far) = duplex(4096);
        near.write_all(request.as_bytes()).await.unwrap();
        near.shutdown().await.unwrap();
        let Entered::One(mut stream) = upgrade_server("/", None).accept(far).await.unwrap() else {
            panic!("not one stream");
        };
        let mut came = String::new();
        stream.read_to_string(&mut came).await.unwrap();
        assert_eq!(came, "hi\r\n\r\n");
    }
}

#[test]
fn options_that_would_break_a_request_are_refused() {
    let layer = |path: &str, host: &str, header: &str| {
        ClientLayer::WebSocket(WebSocketClient {
            path: path.to_owned(),
            host: Some(host.to_owned()),
            headers: vec![("X".to_owned(), header.to_owned())],
            early_data: None,
        })
    };
    for (layer, expected) in [
        (layer("/a\r\nX: y", "", ""), SetupError::Path { path: "/a\r\nX: y".into() }),
        (layer("/", "a b", ""), SetupError::RequestHost { host: "a b".into() }),
        (layer("/", "", "a\r\nb"), SetupError::Header { name: "X".into() }),
    ] {
        let options = ClientOptions { tls: None, layer };
        assert_eq!(ClientTransport::try_new(&options).unwrap_err(), expected);
    }
}
