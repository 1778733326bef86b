use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use h2::{
    RecvStream,
    server::{Builder, Connection, SendResponse},
};
use http::{HeaderValue, Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use tracing::debug;

use super::{
    CONNECTION_WINDOW_BYTES, MAX_FRAME_BYTES, MAX_HEADER_LIST_BYTES, SEND_BUFFER_BYTES, STREAM_WINDOW_BYTES,
    inbound::{Heeded, Inbound},
    keepalive::{Keepalive, watch},
    path::Paths,
    stream::GrpcStream,
};
use crate::{Io, IoStream, Moment, SetupError, TransportError, http1::shown};

/// How many streams one client may have open at a time in one connection (RFC 9113 §5.1.2).
const MAX_STREAMS: u32 = 256;
/// After so long without a byte from a client it is asked whether it is still there, unless told otherwise.
const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// How long the answer to a ping may take unless told otherwise (the default of Go's gRPC).
const DEFAULT_PING_TIMEOUT: Duration = Duration::from_secs(20);

/// How a client begins, as far as it is looked at (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// Which calls of gRPC a server takes as streams.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GrpcServer {
    /// The service, whose calls `Tun` and `TunMulti` are served; with a slash in front the whole path,
    /// also with two calls as in `/path/one|many` (as with Xray).
    pub service_name: String,
    /// After so long without a byte from a client it is asked whether it is still there; 2 min if not given.
    pub idle_timeout: Option<Duration>,
    /// How long it may take to answer; then the connection is dead. 20 s if not given.
    pub ping_timeout: Option<Duration>,
}

/// Takes connections of HTTP/2.
#[derive(Debug)]
pub(crate) struct GrpcAcceptor {
    paths: Arc<Paths>,
    keepalive: Keepalive,
}

impl GrpcAcceptor {
    pub(crate) fn try_new(options: &GrpcServer) -> Result<Self, SetupError> {
        let given = |time: Option<Duration>| time.filter(|time| !time.is_zero());
        Ok(Self {
            paths: Arc::new(Paths::try_new(&options.service_name)?),
            keepalive: Keepalive {
                idle: Some(given(options.idle_timeout).unwrap_or(DEFAULT_IDLE_TIMEOUT)),
                answer: given(options.ping_timeout).unwrap_or(DEFAULT_PING_TIMEOUT),
                without_stream: true,
            },
        })
    }

    pub(crate) async fn accept<S: Io>(&self, stream: S) -> Result<GrpcStreams, TransportError> {
        let inbound = Inbound::new();
        let stream: IoStream = Box::new(stream);
        let mut builder = Builder::new();
        builder
            .initial_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_frame_size(MAX_FRAME_BYTES)
            .max_header_list_size(MAX_HEADER_LIST_BYTES)
            .max_send_buffer_size(SEND_BUFFER_BYTES)
            .max_concurrent_streams(MAX_STREAMS);
        let shaken = builder.handshake(inbound.heed(stream)).await;
        let mut connection = shaken.map_err(|error| {
            let found = inbound.first();
            if PREFACE.starts_with(found.as_slice()) {
                inbound.explain(&error, Moment::Http2Handshake)
            } else {
                TransportError::NotHttp2 { found }
            }
        })?;
        let watch = watch(inbound.clone(), connection.ping_pong(), self.keepalive, || true);
        Ok(GrpcStreams {
            connection,
            watch: Box::pin(watch),
            paths: self.paths.clone(),
            inbound,
            is_over: false,
        })
    }
}

/// The streams of one connection, as the client opens them.
///
/// The connection makes progress only while [`Self::next`] is polled, also for the streams that it has
/// given out: poll it until it yields `None`. Dropping it ends the connection with all its streams.
pub struct GrpcStreams {
    connection: Connection<Heeded<IoStream>, Bytes>,
    /// Ends when the client does not answer.
    watch: Pin<Box<dyn Future<Output = TransportError> + Send + Sync>>,
    paths: Arc<Paths>,
    inbound: Arc<Inbound>,
    is_over: bool,
}

impl GrpcStreams {
    /// The next stream, an error that ended the connection, or `None` once it is over.
    ///
    /// Calls that are not for this server are answered with the status 404 and passed over.
    pub async fn next(&mut self) -> Option<Result<IoStream, TransportError>> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// Takes no more streams; those that are open go on, and then the connection ends.
    pub fn close(&mut self) {
        self.connection.graceful_shutdown();
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<IoStream, TransportError>>> {
        loop {
            if self.is_over {
                return Poll::Ready(None);
            }
            if let Poll::Ready(reason) = self.watch.as_mut().poll(context) {
                self.is_over = true;
                self.inbound.fail(reason.clone());
                self.connection.abrupt_shutdown(h2::Reason::NO_ERROR);
                return Poll::Ready(Some(Err(reason)));
            }
            match self.connection.poll_accept(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => {
                    self.is_over = true;
                    return Poll::Ready(None);
                }
                Poll::Ready(Some(Err(error))) => {
                    self.is_over = true;
                    let reason = self.inbound.explain(&error, Moment::Stream);
                    self.inbound.fail(reason.clone());
                    return Poll::Ready(Some(Err(reason)));
                }
                Poll::Ready(Some(Ok((request, answer)))) => {
                    if let Some(stream) = self.answer(request, answer) {
                        return Poll::Ready(Some(Ok(stream)));
                    }
                }
            }
        }
    }

    /// Answers a request; a stream, if it is one for this server.
    fn answer(&self, request: Request<RecvStream>, mut answer: SendResponse<Bytes>) -> Option<IoStream> {
        let content_type = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        let is_call = request.method() == Method::POST
            && self.paths.serve(request.uri().path())
            && content_type
                .is_some_and(|content_type| content_type.starts_with(super::CONTENT_TYPE.as_bytes()));
        let mut response = Response::new(());
        if !is_call {
            debug!(path = %shown(request.uri().path()), "a call that is not for this server");
            *response.status_mut() = StatusCode::NOT_FOUND;
            // A client that is gone needs no answer.
            let _gone = answer.send_response(response, true);
            return None;
        }
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(super::CONTENT_TYPE));
        let sender = answer.send_response(response, false).ok()?;
        Some(Box::new(GrpcStream::of_server(request.into_body(), sender, self.inbound.clone())))
    }
}

impl fmt::Debug for GrpcStreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcStreams").field("is_over", &self.is_over).finish_non_exhaustive()
    }
}
