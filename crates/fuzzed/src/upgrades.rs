//! WebSocket and HTTPUpgrade: the heads of HTTP/1 and the frames behind them, both sides.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use sha1::{Digest as _, Sha1};
use waypost_transport::{
    ClientLayer, ClientOptions, ClientTransport, EARLY_DATA_HEADER, EarlyData, Entered, HttpUpgradeClient,
    HttpUpgradeServer, ServerLayer, ServerOptions, ServerTransport, WebSocketClient, WebSocketServer,
};

use crate::{
    script::{Cuts, Script},
    stream::{Peer, exchange, run, what},
};

/// What the key of a request is hashed with (RFC 6455 §1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// What is written beside the answers to what a peer sends: a head, an error, frames without payload.
const MAX_OWN_BYTES: usize = 8192;

/// What came of a connection: the bytes of the stream, or why there is none.
type Outcome = Option<Result<(Vec<u8>, Option<String>), String>>;

/// A side and a layer, whether the head of the peer is a good one, and what the peer says (then).
pub fn upgrades(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let kind = script.byte();
    let cuts = script.cuts();
    let sent = script.rest();
    let early_data = (kind & 0x10 != 0).then(|| EarlyData {
        max_bytes: 64,
        header: (kind & 0x20 != 0).then(|| EARLY_DATA_HEADER.to_owned()),
    });
    let head = Head { is_good: kind & 0x40 != 0, is_web_socket: kind & 1 != 0, early: kind & 0x80 != 0 };
    let connect = |cuts| match kind >> 1 & 1 {
        0 => client(head, early_data.clone(), sent, cuts),
        _ => server(head, early_data.clone(), sent, cuts),
    };
    let outcome = connect(cuts);
    assert!(outcome.is_some(), "waits for a peer that has closed");
    let whole = connect(Cuts::NONE);
    assert_eq!(whole, outcome, "cut otherwise");
    if let Some(Ok((plain, _))) = outcome {
        assert!(plain.len() <= sent.len() + 64, "more came out than went in");
    }
}

/// The head of the peer.
#[derive(Debug, Clone, Copy)]
struct Head {
    /// Whether there is one before what the peer says.
    is_good: bool,
    is_web_socket: bool,
    /// Whether there is early data in a request.
    early: bool,
}

fn client(head: Head, early_data: Option<EarlyData>, sent: &[u8], cuts: Cuts<'_>) -> Outcome {
    let path = "/path".to_owned();
    let layer = if head.is_web_socket {
        ClientLayer::WebSocket(WebSocketClient { path, early_data, ..WebSocketClient::default() })
    } else {
        ClientLayer::HttpUpgrade(HttpUpgradeClient { path, ..HttpUpgradeClient::default() })
    };
    let transport = ClientTransport::try_new(&ClientOptions { tls: None, layer }).ok()?;
    let authority = "proxy.example:80".parse().ok()?;
    let is_good = head.is_good;
    let peer = Peer::answering(move |request| answer(is_good, request), sent, cuts);
    let written = peer.written();
    let outcome = run(async {
        match transport.open(&authority, async { Ok::<_, std::io::Error>(peer) }).await {
            Ok(stream) => Ok(exchange(stream).await),
            Err(error) => Err(what(&error.to_string())),
        }
    });
    check_written(&written, sent);
    outcome
}

/// The answer of a server to `request`.
fn answer(is_good: bool, request: &[u8]) -> Vec<u8> {
    if !is_good {
        return Vec::new();
    }
    let request = String::from_utf8_lossy(request);
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
    let accept =
        key.map(|key| BASE64_STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize()));
    let accept = accept.map(|accept| format!("Sec-WebSocket-Accept: {accept}\r\n")).unwrap_or_default();
    let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
    format!("{head}{accept}\r\n").into_bytes()
}

fn server(head: Head, early_data: Option<EarlyData>, sent: &[u8], cuts: Cuts<'_>) -> Outcome {
    let path = "/path".to_owned();
    let in_path = matches!(&early_data, Some(EarlyData { header: None, .. }));
    let layer = if head.is_web_socket {
        ServerLayer::WebSocket(WebSocketServer { path, early_data, ..WebSocketServer::default() })
    } else {
        ServerLayer::HttpUpgrade(HttpUpgradeServer { path, ..HttpUpgradeServer::default() })
    };
    let transport = ServerTransport::try_new(&ServerOptions { tls: None, layer }).ok()?;
    let all = if head.is_good { [&request(head, in_path)[..], sent].concat() } else { sent.to_vec() };
    let peer = Peer::new(&all, cuts);
    let written = peer.written();
    let outcome = run(async {
        match transport.accept(peer).await {
            Ok(Entered::One(stream)) => Ok(exchange(stream).await),
            Ok(Entered::Many(_)) => Err("many streams".to_owned()),
            Err(error) => Err(what(&error.to_string())),
        }
    });
    check_written(&written, sent);
    outcome
}

fn request(head: Head, in_path: bool) -> Vec<u8> {
    let (suffix, early) = match (head.early, in_path) {
        (false, _) => ("", ""),
        (true, true) => ("aGVsbG8", ""),
        (true, false) => ("", "Sec-WebSocket-Protocol: aGVsbG8\r\n"),
    };
    let key = if head.is_web_socket {
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    } else {
        ""
    };
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    format!("GET /path{suffix} HTTP/1.1\r\nHost: proxy.example\r\n{upgrade}{key}{early}\r\n").into_bytes()
}

/// A peer must not make this side write much more than it sends itself.
fn check_written(written: &crate::stream::Written, sent: &[u8]) {
    let written = written.lock().map(|written| written.len()).unwrap_or_default();
    assert!(written <= MAX_OWN_BYTES + 8 * sent.len(), "{written} bytes for {}", sent.len());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(outcome: &Outcome, expected: &[u8]) {
        assert_eq!(outcome, &Some(Ok((expected.to_vec(), None))));
    }

    #[test]
    fn peers_with_good_heads_are_heard() {
        let head = |is_web_socket, early| Head { is_good: true, is_web_socket, early };
        let early_data = |header| Some(EarlyData { max_bytes: 64, header });
        let (frame, masked) = (b"\x82\x05hello", b"\x82\x85\0\0\0\0 all.");
        check(&client(head(true, false), None, frame, Cuts::BYTES), b"hello");
        check(&client(head(true, false), early_data(None), frame, Cuts::BYTES), b"hello");
        check(&client(head(false, false), None, b"hello", Cuts::BYTES), b"hello");
        check(&server(head(true, false), None, masked, Cuts::BYTES), b" all.");
        check(&server(head(true, true), early_data(None), masked, Cuts::NONE), b"hello all.");
        let header = Some(EARLY_DATA_HEADER.to_owned());
        check(&server(head(true, true), early_data(header), masked, Cuts::NONE), b"hello all.");
        check(&server(head(false, false), None, b"hello", Cuts::BYTES), b"hello");
    }
}
