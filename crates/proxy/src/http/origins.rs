//! Connections to origin servers, which one client's requests use one after the other.

use std::{mem, sync::Arc, time::Duration};

use hyper::{
    Method, Request, Response,
    body::{Body, Incoming},
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::time::Instant;
use waypost_net::{Flow, Target};

use super::{body::RequestBody, forwarder::Failure};
use crate::{Terms, dispatch::internal, shared::Shared, snapshot::Snapshot};

/// How many idle connections one client has.
const MAX_IDLE: usize = 4;
/// A connection that was idle for longer is not used again.
const IDLE_LIMIT: Duration = Duration::from_secs(30);
/// The heads of responses have more headers than those of requests: one for each cookie.
const MAX_HEADERS: usize = 256;
const BUFFER_BYTES: usize = 128 * 1024;

/// The idle connections of one client, the oldest first.
#[derive(Default)]
pub(super) struct Origins(Mutex<Vec<Origin>>);

struct Origin {
    way: Way,
    sender: SendRequest<RequestBody>,
    idle_since: Instant,
}

/// What two requests need to have in common to use the same connection.
#[derive(Clone)]
pub(super) struct Way {
    pub(super) target: Target,
    pub(super) user: Option<Arc<str>>,
    pub(super) snapshot: Arc<Snapshot>,
    /// The rule that decides.
    pub(super) rule: Option<usize>,
}

impl Way {
    fn is_same(&self, other: &Self) -> bool {
        self.target == other.target
            && self.user == other.user
            && self.rule == other.rule
            && Arc::ptr_eq(&self.snapshot, &other.snapshot)
    }
}

impl Origins {
    /// Sends a request on its way, by a connection that is there or a new one.
    pub(super) async fn send(
        &self,
        shared: Shared<'_>,
        way: Way,
        flow: Flow,
        terms: &Arc<Terms>,
        mut request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, Failure> {
        while let Some(mut sender) = self.take(&way) {
            if sender.ready().await.is_err() {
                continue;
            }
            let again = repeatable(&request);
            match sender.try_send_request(request).await {
                Ok(response) => {
                    self.keep(way, sender);
                    return Ok(response);
                }
                // The origin server may have closed the connection at that moment. What was not sent
                // can be sent by another one, and so can what may be sent twice.
                Err(mut error) => match error.take_message().or(again) {
                    Some(unsent) => request = unsent,
                    None => return Err(Failure::Origin(error.into_error())),
                },
            }
        }
        let stream = internal::connect(shared, flow, terms.clone()).await?;
        let mut builder = http1::Builder::new();
        builder.preserve_header_case(true).max_headers(MAX_HEADERS).max_buf_size(BUFFER_BYTES);
        let (mut sender, connection) =
            builder.handshake(TokioIo::new(stream)).await.map_err(Failure::Origin)?;
        tokio::spawn(connection.with_upgrades());
        let response = sender.send_request(request).await.map_err(Failure::Origin)?;
        self.keep(way, sender);
        Ok(response)
    }

    /// A connection of this way that may still be good.
    fn take(&self, way: &Way) -> Option<SendRequest<RequestBody>> {
        let mut origins = self.0.lock();
        origins.retain(|origin| origin.idle_since.elapsed() < IDLE_LIMIT && !origin.sender.is_closed());
        let found = origins.iter().rposition(|origin| origin.way.is_same(way))?;
        Some(origins.remove(found).sender)
    }

    fn keep(&self, way: Way, sender: SendRequest<RequestBody>) {
        if sender.is_closed() {
            return;
        }
        let mut origins = self.0.lock();
        if origins.len() >= MAX_IDLE {
            origins.remove(0);
        }
        origins.push(Origin { way, sender, idle_since: Instant::now() });
    }
}

/// The same request once more, if that may be sent twice (RFC 9110 §9.2.2).
fn repeatable(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    let is_safe = matches!(*request.method(), Method::GET | Method::HEAD) && request.body().is_end_stream();
    if !is_safe {
        return None;
    }
    let mut again = Request::new(RequestBody::Empty);
    again.method_mut().clone_from(request.method());
    again.uri_mut().clone_from(request.uri());
    again.headers_mut().clone_from(request.headers());
    let _placeholder = mem::replace(again.extensions_mut(), request.extensions().clone());
    Some(again)
}
