//! WebSocket (RFC 6455) as a stream of bytes, client and server side.

mod client;
mod early;
mod frame;
mod server;
mod stream;

use base64::{Engine, prelude::BASE64_STANDARD};
pub(crate) use client::WebSocketConnector;
pub use client::{EarlyData, WebSocketClient};
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
pub(crate) use server::WebSocketAcceptor;
pub use server::WebSocketServer;

/// The header in which early data goes, by convention.
pub const EARLY_DATA_HEADER: &str = "Sec-WebSocket-Protocol";
/// Early data is part of a head, which has 16 KiB, in base64.
const MAX_EARLY_DATA_BYTES: usize = 8 * 1024;
/// RFC 6455 §1.3.
const ACCEPT_SALT: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The answer to a key (RFC 6455 §4.2.2).
fn accept_of(key: &str) -> String {
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    context.update(key.as_bytes());
    context.update(ACCEPT_SALT);
    BASE64_STANDARD.encode(context.finish())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_example_of_the_rfc_is_answered_as_there() {
        assert_eq!(super::accept_of("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
