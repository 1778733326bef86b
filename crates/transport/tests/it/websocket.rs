//! WebSocket against an independent implementation, and against peers that break its rules.

use std::{future::poll_fn, pin::Pin, time::Duration};

use futures_core::Stream as _;
use futures_sink::Sink as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async, client_async,
    tungstenite::{
        Message,
        client::IntoClientRequest,
        handshake::server::{ErrorResponse, Request, Response},
        http::HeaderValue,
    },
};
use waypost_transport::{
    ClientLayer, ClientTransport, EARLY_DATA_HEADER, EarlyData, Entered, IoStream, Moment, ServerLayer,
    ServerTransport, TransportError, WebSocketClient, WebSocketServer,
};

use crate::world::{client, open_to, reason, server};

fn our_client(early_data: Option<EarlyData>) -> ClientTransport {
    let layer = WebSocketClient { path: "/ws".to_owned(), early_data, ..WebSocketClient::default() };
    client(None, ClientLayer::WebSocket(layer))
}

fn our_server(early_data: Option<EarlyData>) -> ServerTransport {
    let layer = WebSocketServer { path: "/ws".to_owned(), early_data, ..WebSocketServer::default() };
    server(None, ServerLayer::WebSocket(layer))
}

fn by_header() -> EarlyData {
    EarlyData { max_bytes: 8, header: Some(EARLY_DATA_HEADER.to_owned()) }
}

fn by_path() -> EarlyData {
    EarlyData { max_bytes: 8, header: None }
}

/// Our client with a server that is not ours.
async fn with_their_server() -> (IoStream, WebSocketStream<DuplexStream>) {
    let (near, far) = duplex(64 * 1024);
    let client = our_client(None);
    let (ours, theirs) = tokio::join!(open_to(&client, near), tokio_tungstenite::accept_async(far));
    (ours.unwrap(), theirs.unwrap())
}

/// Our server with a client that is not ours.
async fn with_their_client() -> (IoStream, WebSocketStream<DuplexStream>) {
    let (near, far) = duplex(64 * 1024);
    let server = our_server(None);
    let (ours, theirs) = tokio::join!(server.accept(far), client_async("ws://a.example/ws", near));
    (one(ours.unwrap()), theirs.unwrap().0)
}

fn one(entered: Entered) -> IoStream {
    match entered {
        Entered::One(stream) => stream,
        Entered::Many(_) => panic!("not one stream"),
    }
}

async fn send(peer: &mut WebSocketStream<DuplexStream>, message: Message) {
    poll_fn(|context| Pin::new(&mut *peer).poll_ready(context)).await.unwrap();
    Pin::new(&mut *peer).start_send(message).unwrap();
    poll_fn(|context| Pin::new(&mut *peer).poll_flush(context)).await.unwrap();
}

async fn next(peer: &mut WebSocketStream<DuplexStream>) -> Option<Message> {
    poll_fn(|context| Pin::new(&mut *peer).poll_next(context)).await.transpose().unwrap()
}

#[tokio::test]
async fn bytes_go_both_ways_in_messages() {
    for (mut ours, mut theirs) in [with_their_server().await, with_their_client().await] {
        let long = vec![7; 200_000];
        let writing = long.clone();
        let (reading, mut to) = tokio::io::split(ours);
        let written = tokio::spawn(async move {
            to.write_all(b"hello").await.unwrap();
            to.flush().await.unwrap();
            to.write_all(&writing).await.unwrap();
            to.flush().await.unwrap();
            to
        });
        let first = next(&mut theirs).await.unwrap();
        assert_eq!(first, Message::Binary(b"hello"[..].into()));
        let mut received = Vec::new();
        while received.len() < long.len() {
            let message = next(&mut theirs).await.unwrap().into_data();
            assert!(message.len() <= 64 * 1024);
            received.extend_from_slice(&message);
        }
        assert!(received == long);
        ours = reading.unsplit(written.await.unwrap());
        // Text and empty messages as well, with a ping in between.
        let (answer, question) = tokio::join!(
            async {
                let mut answer = vec![0; 9 + long.len()];
                ours.read_exact(&mut answer).await.unwrap();
                ours.flush().await.unwrap();
                answer
            },
            async {
                for message in [
                    Message::Text("text".into()),
                    Message::Binary(Vec::new().into()),
                    Message::Ping(b"are you there"[..].into()),
                    Message::Binary(b"bytes"[..].into()),
                    Message::Binary(long.clone().into()),
                ] {
                    send(&mut theirs, message).await;
                }
                next(&mut theirs).await
            }
        );
        assert!(answer == [&b"textbytes"[..], &long].concat());
        assert_eq!(question, Some(Message::Pong(b"are you there"[..].into())));
    }
}

#[tokio::test]
async fn an_end_is_a_close_frame_on_either_side() {
    for (mut ours, mut theirs) in [with_their_server().await, with_their_client().await] {
        ours.shutdown().await.unwrap();
        assert!(matches!(next(&mut theirs).await, Some(Message::Close(Some(_)))));
        assert!(ours.write_all(b"more").await.is_err());
    }
    for (mut ours, mut theirs) in [with_their_server().await, with_their_client().await] {
        send(&mut theirs, Message::Binary(b"last"[..].into())).await;
        send(&mut theirs, Message::Close(None)).await;
        let mut read = String::new();
        ours.read_to_string(&mut read).await.unwrap();
        assert_eq!(read, "last");
    }
}

/// A stream of our server, and the bare connection to it.
async fn bare_client() -> (IoStream, DuplexStream) {
    let (mut near, far) = duplex(64 * 1024);
    near.write_all(
        b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    )
    .await
    .unwrap();
    let ours = one(our_server(None).accept(far).await.unwrap());
    let mut answer = vec![0; 4096];
    let length = near.read(&mut answer).await.unwrap();
    assert!(answer[..length].ends_with(b"\r\n\r\n"));
    (ours, near)
}

#[tokio::test]
async fn frames_that_break_the_rules_end_the_stream() {
    for (frame, expected) in [
        (&[0x82, 0x01, b'x'][..], "a client sent a frame without mask"),
        (&[0xc2, 0x81, 0, 0, 0, 0, b'x'], "a frame uses an extension that was not agreed on"),
        (&[0x83, 0x81, 0, 0, 0, 0, b'x'], "a frame of an unknown kind"),
        (&[0x89, 0xfe, 0, 126, 0, 0, 0, 0], "a control frame that is too long or in pieces"),
        (&[0x09, 0x80, 0, 0, 0, 0], "a control frame that is too long or in pieces"),
        (&[0x82, 0xff, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0], "a frame with an impossible length"),
    ] {
        let (mut ours, mut bare) = bare_client().await;
        // What was right before is read first.
        bare.write_all(&[&[0x82, 0x82, 0, 0, 0, 0, b'o', b'k'], frame].concat()).await.unwrap();
        let mut read = [0; 64];
        assert_eq!(ours.read(&mut read).await.unwrap(), 2);
        assert_eq!(&read[..2], b"ok");
        for _again in 0..2 {
            let problem = reason(ours.read(&mut read).await);
            assert_eq!(problem, TransportError::BrokenWebSocket { problem: expected });
        }
    }
}

#[tokio::test]
async fn what_follows_a_close_frame_is_discarded_however_it_comes() {
    for mask in [&[0; 4][..], &[]] {
        for is_at_once in [true, false] {
            let (mut ours, mut bare) =
                if mask.is_empty() { bare_server(&[]).await } else { bare_client().await };
            let masked = if mask.is_empty() { 0 } else { 0x80 };
            let frame = |opcode: u8, payload: &[u8]| {
                let length = u8::try_from(payload.len()).unwrap();
                [&[0x80 | opcode, masked | length], mask, payload].concat()
            };
            let frames = [frame(2, b"last"), frame(8, &[3, 232]), frame(2, b"more"), frame(9, b"")].concat();
            for piece in frames.chunks(if is_at_once { frames.len() } else { 1 }) {
                bare.write_all(piece).await.unwrap();
            }
            let mut read = [0; 64];
            assert_eq!(ours.read(&mut read).await.unwrap(), 4);
            assert_eq!(&read[..4], b"last");
            assert_eq!(ours.read(&mut read).await.unwrap(), 0);
            ours.shutdown().await.unwrap();
            assert_eq!(ours.read(&mut read).await.unwrap(), 0);
            drop(ours);
            let mut answer = Vec::new();
            bare.read_to_end(&mut answer).await.unwrap();
            assert_eq!(answer.first(), Some(&0x88), "a Close frame and no pong: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_pong_that_cannot_be_sent_loses_nothing_that_came() {
    let (mut ours, mut bare) = bare_client().await;
    bare.write_all(&[0x82, 0x82, 0, 0, 0, 0, b'o', b'k', 0x89, 0x80, 0, 0, 0, 0]).await.unwrap();
    drop(bare);
    let mut read = String::new();
    ours.read_to_string(&mut read).await.unwrap();
    assert_eq!(read, "ok");
    assert!(ours.write_all(b"more").await.is_err());
}

#[tokio::test]
async fn a_frame_arrives_as_it_comes_and_a_cut_one_is_an_error() {
    let (mut ours, mut bare) = bare_client().await;
    let mut header = vec![0x82, 0xff];
    header.extend_from_slice(&(1_u64 << 40).to_be_bytes());
    header.extend_from_slice(&[1, 2, 3, 4]);
    for byte in header {
        bare.write_all(&[byte]).await.unwrap();
    }
    for (n, expected) in [(1_u8, 0), (2, 0), (3, 0), (4, 0), (1, 0)] {
        bare.write_all(&[n]).await.unwrap();
        assert_eq!(ours.read_u8().await.unwrap(), expected);
    }
    bare.shutdown().await.unwrap();
    let cut = ours.read(&mut [0; 8]).await;
    assert_eq!(reason(cut), TransportError::Closed { during: Moment::Frame });
}

#[tokio::test]
async fn a_connection_that_ends_between_frames_has_ended() {
    let (mut ours, mut bare) = bare_client().await;
    bare.write_all(&[0x82, 0x81, 0, 0, 0, 0, b'x']).await.unwrap();
    bare.shutdown().await.unwrap();
    let mut read = String::new();
    ours.read_to_string(&mut read).await.unwrap();
    assert_eq!(read, "x");
}

/// A stream of our client, and the bare connection to it.
async fn bare_server(first: &[u8]) -> (IoStream, DuplexStream) {
    let (near, mut far) = duplex(64 * 1024);
    let client = our_client(None);
    let serving = async {
        let mut head = vec![0; 4096];
        let length = far.read(&mut head).await.unwrap();
        let head = String::from_utf8(head[..length].to_vec()).unwrap();
        let key = head.split("Sec-WebSocket-Key: ").nth(1).unwrap().split("\r\n").next().unwrap();
        let accept = tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes());
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
            Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        // The first frame comes with the answer.
        far.write_all(&[answer.as_bytes(), first].concat()).await.unwrap();
        far
    };
    let (ours, far) = tokio::join!(open_to(&client, near), serving);
    (ours.unwrap(), far)
}

#[tokio::test]
async fn a_client_that_has_closed_reads_what_still_comes() {
    let (mut ours, mut far) = bare_server(&[0x82, 0x03, b'i', b's', b' ']).await;
    ours.shutdown().await.unwrap();
    // As Go's peers do: the answer to the Close frame at once, and then the rest of what there was to say.
    far.write_all(&[0x88, 0x00, 0x82, 0x02, b'o', b'k']).await.unwrap();
    far.shutdown().await.unwrap();
    let mut read = String::new();
    ours.read_to_string(&mut read).await.unwrap();
    assert_eq!(read, "is ok");
}

#[tokio::test]
async fn early_data_is_where_the_others_put_it() {
    for (early, expected) in
        [(by_header(), ("/ws", Some("aGVsbG8gdGg"))), (by_path(), ("/wsaGVsbG8gdGg", None))]
    {
        let (near, far) = duplex(64 * 1024);
        let mut seen = None;
        #[expect(clippy::result_large_err, reason = "the library wants it so")]
        let callback = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            let header = request.headers().get(EARLY_DATA_HEADER);
            let header = header.map(|value| value.to_str().unwrap().to_owned());
            seen = Some((request.uri().to_string(), header));
            Ok(response)
        };
        let mut ours = open_to(&our_client(Some(early)), near).await.unwrap();
        let (_written, theirs) = tokio::join!(
            async {
                ours.write_all(b"hello there").await.unwrap();
                ours.flush().await.unwrap();
            },
            accept_hdr_async(far, callback)
        );
        let mut theirs = theirs.unwrap();
        let (path, header) = seen.unwrap();
        assert_eq!((path.as_str(), header.as_deref()), expected);
        assert_eq!(next(&mut theirs).await, Some(Message::Binary(b"ere"[..].into())));
    }
}

#[tokio::test]
async fn early_data_of_others_comes_first() {
    for (early, path, header) in [
        (by_header(), "/ws", Some("aGVsbG8")),
        (by_path(), "/wsaGVsbG8", None),
        (by_path(), "/ws", None),
        (by_header(), "/ws", Some("aGVsbG8=")),
    ] {
        let mut request = format!("ws://a.example{path}").into_client_request().unwrap();
        if let Some(header) = header {
            request.headers_mut().insert(EARLY_DATA_HEADER, HeaderValue::from_static(header));
        }
        let (near, far) = duplex(64 * 1024);
        let server = our_server(Some(early));
        let (ours, theirs) = tokio::join!(server.accept(far), client_async(request, near));
        let (mut ours, (mut theirs, response)) = (one(ours.unwrap()), theirs.unwrap());
        assert_eq!(response.headers().get(EARLY_DATA_HEADER).map(|value| value.to_str().unwrap()), header);
        send(&mut theirs, Message::Binary(b" there"[..].into())).await;
        send(&mut theirs, Message::Close(None)).await;
        let mut read = String::new();
        ours.read_to_string(&mut read).await.unwrap();
        assert_eq!(read, if path == "/ws" && header.is_none() { " there" } else { "hello there" });
    }
}

#[tokio::test]
async fn a_refused_early_request_fails_what_waits_for_it() {
    let (near, far) = duplex(64 * 1024);
    let server = server(None, ServerLayer::WebSocket(WebSocketServer::default()));
    let mut ours = open_to(&our_client(Some(by_header())), near).await.unwrap();
    let serving = tokio::spawn(async move { server.accept(far).await.unwrap_err() });
    ours.write_all(b"hello").await.unwrap();
    let refused = TransportError::WebSocketRefused { status: 404 };
    assert_eq!(reason(ours.read(&mut [0]).await), refused);
    assert_eq!(reason(ours.write(b"more").await), refused);
    assert_eq!(serving.await.unwrap(), TransportError::WrongPath { path: "/ws".into() });
}

#[tokio::test(start_paused = true)]
async fn an_early_request_waits_for_the_first_bytes() {
    let (near, mut far) = duplex(64 * 1024);
    let mut ours = open_to(&our_client(Some(by_header())), near).await.unwrap();
    let nothing = tokio::time::timeout(Duration::from_secs(60), far.read_u8()).await;
    assert!(nothing.is_err());
    ours.write_all(b"x").await.unwrap();
    assert_eq!(far.read_u8().await.unwrap(), b'G');
}
