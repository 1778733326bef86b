//! Streams as calls of gRPC ("gun"): many in one connection of HTTP/2 (RFC 9113), the bytes in messages
//! with one field. Client and server side.

mod client;
mod connection;
mod inbound;
mod keepalive;
mod message;
mod path;
mod server;
mod stream;

pub use client::GrpcClient;
pub(crate) use client::GrpcConnector;
pub(crate) use server::GrpcAcceptor;
pub use server::{GrpcServer, GrpcStreams};

/// How much of a stream may be on its way and unread: enough for 100 Mbit/s at 300 ms.
const STREAM_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// How much of all streams of a connection may be: so much that readers that stand still do not hold up
/// the others.
const CONNECTION_WINDOW_BYTES: u32 = 64 * 1024 * 1024;
/// How much a stream keeps that the connection has not sent yet.
const SEND_BUFFER_BYTES: usize = 256 * 1024;
/// The longest frame that is taken (RFC 9113 §4.2); longer ones save nothing.
const MAX_FRAME_BYTES: u32 = 64 * 1024;
/// The longest headers that are taken.
const MAX_HEADER_LIST_BYTES: u32 = 16 * 1024;
/// The content type of gRPC, of which there are variants.
const CONTENT_TYPE: &str = "application/grpc";

/// That a peer with these first bytes speaks no HTTP/2. It begins with SETTINGS (RFC 9113 §3.4).
fn begins_with_settings(first: &[u8]) -> bool {
    /// The type of a SETTINGS frame, which stands behind the three bytes of its length.
    const SETTINGS: u8 = 4;
    matches!(first, [0, _, _, SETTINGS, ..])
}
