//! The HTTP proxy for requests that are forwarded one by one: each is a flow of its own.
//!
//! A server of hyper reads what a [`waypost_wire::RequestGuard`] lets through, and each request goes to
//! its origin server by a connection through this proxy itself.

mod body;
mod exchange;
mod forwarder;
mod guarded;
mod headers;
mod origins;

use std::sync::Arc;

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tracing::debug;
use waypost_wire::MAX_HTTP_HEAD_BYTES;

use self::{
    exchange::{Exchange, Switched},
    forwarder::Forwarder,
    guarded::{GuardedEnd, GuardedIo},
};
use crate::{
    Conduit, Ends, HandshakeSettings, Relay, Side, Stream, chain::Chain, inbound::Inbound, shared::Shared,
    wire_io::send_and_close,
};

/// The room that hyper has for a head, which is whole when it comes, and for a piece of a body.
const BUFFER_BYTES: usize = MAX_HTTP_HEAD_BYTES + 16 * 1024;
/// More headers than this let no request through to here.
const MAX_HEADERS: usize = 128;

/// A connection whose next request is a CONNECT, with what was read of it.
#[derive(Debug)]
pub(crate) struct Connect {
    pub(crate) stream: Stream,
    pub(crate) read: Vec<u8>,
}

/// Forwards requests until the client has no more; yields the connection if a CONNECT comes.
/// `read` is what was read already.
pub(crate) async fn forward_requests(
    stream: Stream,
    read: Vec<u8>,
    (inbound, settings): (&Inbound, &HandshakeSettings),
    ends: Ends,
    shared: Shared<'_>,
) -> Option<Connect> {
    let exchange = Exchange::default();
    let forwarder = Forwarder::new(shared.core.clone(), (inbound, settings), ends, exchange.clone());
    let io = TokioIo::new(GuardedIo::new(stream, read, exchange.clone(), settings.timeout));
    let service = service_fn(|request| forwarder.forward(request));
    let mut builder = http1::Builder::new();
    builder
        .half_close(true)
        .preserve_header_case(true)
        .auto_date_header(false)
        .max_headers(MAX_HEADERS)
        .max_buf_size(BUFFER_BYTES);
    let parts = match Box::pin(builder.serve_connection(io, service).without_shutdown()).await {
        Ok(parts) => parts,
        Err(error) => {
            debug!(inbound = inbound.tag.as_deref(), source = ?ends.source, error = %Chain(&error), "requests ended");
            return None;
        }
    };
    let (stream, mut read, end) = parts.io.into_inner().into_parts();
    read.splice(..0, parts.read_buf);
    if let Some(Switched { stream: origin, rest }) = exchange.take_switched() {
        let (client, origin) = (Side { stream, rest: read }, Side { stream: origin, rest });
        Relay::new(client, origin, inbound.terms.clone(), Arc::new(Conduit::default())).await;
        return None;
    }
    match end {
        GuardedEnd::Closed => {
            // Everything has been told; who is slow to take it has a second.
            send_and_close(stream, &[]).await;
            None
        }
        GuardedEnd::Refused { reply, error } => {
            debug!(inbound = inbound.tag.as_deref(), source = ?ends.source, %error, "request refused");
            send_and_close(stream, &reply).await;
            None
        }
        GuardedEnd::Connect => Some(Connect { stream, read }),
    }
}
