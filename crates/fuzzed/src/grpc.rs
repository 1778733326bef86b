//! gRPC: HTTP/2 and the messages of a stream, both sides.

use std::{future::poll_fn, pin::Pin, task::Poll};

use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf};
use waypost_transport::{
    ClientLayer, ClientOptions, ClientTransport, Entered, GrpcClient, GrpcServer, GrpcStreams, IoStream,
    ServerLayer, ServerOptions, ServerTransport,
};

use crate::{
    script::{Cuts, Script},
    stream::{Peer, exchange, run},
};

/// What a client begins with (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// The most frames of a script.
const MAX_FRAMES: u8 = 32;
/// More streams than this are not read.
const MAX_READ_STREAMS: usize = 300;

/// A side, how bytes are cut, and what the peer says: frames, or any bytes.
pub fn grpc(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let kind = script.byte();
    let cuts = script.cuts();
    let is_client = kind & 1 != 0;
    let said = if kind & 2 == 0 { frames(&mut script, is_client) } else { Said::any(script.rest()) };
    let plain = if is_client { client(&said, cuts) } else { server(&said, cuts, kind & 4 == 0) };
    assert!(plain <= said.length(), "more came out than went in");
}

/// What a peer says.
#[derive(Debug)]
struct Said {
    greeting: Vec<u8>,
    /// What comes once there was time to answer.
    rest: Vec<u8>,
}

impl Said {
    fn any(bytes: &[u8]) -> Self {
        Self { greeting: Vec::new(), rest: bytes.to_vec() }
    }

    fn peer(&self, cuts: Cuts<'_>) -> Peer {
        Peer::greeting(&self.greeting, &self.rest, cuts)
    }

    fn length(&self) -> usize {
        self.greeting.len() + self.rest.len()
    }
}

fn frames(script: &mut Script<'_>, of_server: bool) -> Said {
    let mut greeting = if of_server { Vec::new() } else { PREFACE.to_vec() };
    if script.byte() & 1 == 0 {
        frame(&mut greeting, SETTINGS, 0, 0, &[]);
    }
    let mut said = Vec::new();
    for _ in 0..script.byte() % MAX_FRAMES {
        let kind = script.byte();
        let stream = 2 * u32::from(script.byte()) + 1;
        match kind & 7 {
            0 if of_server => frame(&mut said, HEADERS, END_HEADERS, stream, &response()),
            0 => frame(&mut said, HEADERS, END_HEADERS, stream, &request()),
            1 => frame(&mut said, HEADERS, END_HEADERS | END_STREAM, stream, b"\0\x0bgrpc-status\x010"),
            2 => frame(
                &mut said,
                DATA,
                kind >> 7 & END_STREAM,
                stream,
                &message(&script.prefixed_and_drawn_out()),
            ),
            3 => frame(&mut said, DATA, kind >> 7 & END_STREAM, stream, &script.prefixed_and_drawn_out()),
            4 => frame(&mut said, HEADERS, END_HEADERS, stream, script.prefixed()),
            5 => said.extend_from_slice(script.prefixed()),
            _ => {
                let (kind, flags, stream) = (script.byte() % 12, script.byte(), u32::from(script.number()));
                frame(&mut said, kind, flags, stream, script.prefixed());
            }
        }
    }
    Said { greeting, rest: said }
}

fn frame(said: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    // A longer payload would not be taken (RFC 9113 §4.2).
    for payload in payload.chunks(16_384).chain(payload.is_empty().then_some(payload)) {
        let [_, length @ ..] = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
        said.extend_from_slice(&length);
        said.extend_from_slice(&[kind, flags]);
        said.extend_from_slice(&stream.to_be_bytes());
        said.extend_from_slice(payload);
    }
}

/// The headers of a call, as RFC 7541 writes them without a table.
fn request() -> Vec<u8> {
    let mut block = vec![0x83, 0x86];
    literal(&mut block, &[0x04], b"/service/Tun");
    literal(&mut block, &[0x01], b"proxy.example");
    literal(&mut block, &[0x0f, 0x10], b"application/grpc");
    block.extend_from_slice(b"\0\x02te\x08trailers");
    block
}

fn response() -> Vec<u8> {
    let mut block = vec![0x88];
    literal(&mut block, &[0x0f, 0x10], b"application/grpc");
    block
}

fn literal(block: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    block.extend_from_slice(name);
    block.push(u8::try_from(value.len()).unwrap_or(0x7f));
    block.extend_from_slice(value);
}

/// A message with one field of bytes.
fn message(payload: &[u8]) -> Vec<u8> {
    let mut field = vec![0x0a];
    let mut left = payload.len();
    while left >= 0x80 {
        field.push(u8::try_from(left & 0x7f).unwrap_or_default() | 0x80);
        left >>= 7;
    }
    field.push(u8::try_from(left).unwrap_or_default());
    field.extend_from_slice(payload);
    let length = u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[0][..], &length, &field].concat()
}

/// How many bytes come out.
fn client(said: &Said, cuts: Cuts<'_>) -> usize {
    let layer = GrpcClient { service_name: "service".to_owned(), ..GrpcClient::default() };
    let options = ClientOptions { tls: None, layer: ClientLayer::Grpc(layer) };
    let (Ok(transport), Ok(authority)) = (ClientTransport::try_new(&options), "proxy.example:80".parse())
    else {
        return 0;
    };
    let peer = said.peer(cuts);
    let written = peer.written();
    let outcome = run(async {
        match transport.open(&authority, async { Ok::<_, std::io::Error>(peer) }).await {
            Ok(mut stream) => {
                // The call is made with the first write or read.
                let _flushed = stream.flush().await;
                Ok(exchange(stream).await)
            }
            Err(error) => Err(error.to_string()),
        }
    });
    let Some(outcome) = outcome else { panic!("waits for a server that has closed") };
    check_written(&written, said);
    outcome.map_or(0, |(plain, _)| plain.len())
}

/// How many bytes come out.
fn server(said: &Said, cuts: Cuts<'_>, reads: bool) -> usize {
    let layer = GrpcServer { service_name: "service".to_owned(), ..GrpcServer::default() };
    let options = ServerOptions { tls: None, layer: ServerLayer::Grpc(layer) };
    let Ok(transport) = ServerTransport::try_new(&options) else { return 0 };
    let peer = said.peer(cuts);
    let written = peer.written();
    let plain = run(async {
        match transport.accept(peer).await {
            Ok(Entered::Many(streams)) => serve(streams, reads).await,
            Ok(Entered::One(_)) | Err(_) => 0,
        }
    });
    let Some(plain) = plain else { panic!("waits for a client that has closed") };
    check_written(&written, said);
    plain
}

/// Reads all streams until the connection is over, and says how much came out of them.
async fn serve(mut streams: Box<GrpcStreams>, reads: bool) -> usize {
    let mut open: Vec<IoStream> = Vec::new();
    let mut n_plain = 0;
    let mut is_over = false;
    poll_fn(|context| {
        let mut has_moved = true;
        while has_moved {
            has_moved = false;
            while !is_over {
                let next = std::pin::pin!(streams.next()).poll(context);
                match next {
                    Poll::Ready(Some(Ok(stream))) if open.len() < MAX_READ_STREAMS => open.push(stream),
                    Poll::Ready(Some(_)) => {}
                    Poll::Ready(None) => is_over = true,
                    Poll::Pending => break,
                }
                has_moved = true;
            }
            open.retain_mut(|stream| {
                let mut space = [0; 512];
                let mut buffer = ReadBuf::new(&mut space);
                if !reads {
                    return true;
                }
                match Pin::new(stream).poll_read(context, &mut buffer) {
                    Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                        n_plain += buffer.filled().len();
                        has_moved = true;
                        true
                    }
                    Poll::Ready(_) => false,
                    Poll::Pending => true,
                }
            });
        }
        if is_over && (open.is_empty() || !reads) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    n_plain
}

/// A peer must not make this side write much more than it sends itself.
fn check_written(written: &crate::stream::Written, said: &Said) {
    let written = written.lock().map(|written| written.len()).unwrap_or_default();
    assert!(written <= 65_536 + 16 * said.length(), "{written} bytes for {}", said.length());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_peers_are_heard() {
        // Settings, headers, a message of five bytes.
        let said = b"\0\x02\0\0\x02\0\x05hello\0\0";
        let client_says = frames(&mut Script::new(said), false);
        assert_eq!(server(&client_says, Cuts::BYTES, true), 5);
        assert_eq!(server(&client_says, Cuts::NONE, false), 0);
        let server_says = frames(&mut Script::new(said), true);
        assert_eq!(client(&server_says, Cuts::BYTES), 5);
    }
}
