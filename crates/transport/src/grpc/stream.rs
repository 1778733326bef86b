use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use h2::{Reason, RecvStream, SendStream, client::ResponseFuture};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    connection::Seat,
    inbound::Inbound,
    message::{Decoder, MAX_OVERHEAD_BYTES, encode},
};
use crate::{Moment, TransportError, http1::shown};

/// The most that one message carries.
const MAX_PAYLOAD_BYTES: usize = 64 * 1024;
const STATUS: &str = "grpc-status";
const MESSAGE: &str = "grpc-message";

/// A call of gRPC as a stream of bytes.
pub(super) struct GrpcStream {
    receiver: Receiver,
    decoder: Decoder,
    /// What came and was not decoded yet.
    chunk: Bytes,
    /// Of the message: what was decoded and not read yet.
    piece: Bytes,
    /// How much of the window `chunk` takes.
    chunk_bytes: usize,
    sender: SendStream<Bytes>,
    ending: Ending,
    has_ended: bool,
    /// What is to be told once all before it was read.
    failure: Option<io::Error>,
    inbound: Arc<Inbound>,
    _seat: Option<Seat>,
}

enum Receiver {
    /// The server has not answered yet.
    Waiting(ResponseFuture),
    Open(RecvStream),
    /// All data was read; what comes last is not.
    Trailers(RecvStream),
    Ended,
}

/// How one's own side ends.
#[derive(Debug, Clone, Copy)]
enum Ending {
    /// The client says no more.
    Plain,
    /// The server says that all is well.
    Trailers,
}

impl GrpcStream {
    pub(super) fn of_client(
        response: ResponseFuture,
        sender: SendStream<Bytes>,
        inbound: Arc<Inbound>,
        seat: Seat,
    ) -> Self {
        Self::new(Receiver::Waiting(response), sender, Ending::Plain, inbound, Some(seat))
    }

    pub(super) fn of_server(body: RecvStream, sender: SendStream<Bytes>, inbound: Arc<Inbound>) -> Self {
        Self::new(Receiver::Open(body), sender, Ending::Trailers, inbound, None)
    }

    fn new(
        receiver: Receiver,
        sender: SendStream<Bytes>,
        ending: Ending,
        inbound: Arc<Inbound>,
        seat: Option<Seat>,
    ) -> Self {
        Self {
            receiver,
            decoder: Decoder::default(),
            chunk: Bytes::new(),
            piece: Bytes::new(),
            chunk_bytes: 0,
            sender,
            ending,
            has_ended: false,
            failure: None,
            inbound,
            _seat: seat,
        }
    }

    fn explain(&self, error: &h2::Error) -> io::Error {
        self.inbound.explain(error, Moment::Stream).into_io()
    }

    /// Makes sure that there is something to read; `false` at the end.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            if self.piece.has_remaining() {
                return Poll::Ready(Ok(true));
            }
            match self.decoder.next(&mut self.chunk) {
                Ok(Some(piece)) => {
                    self.piece = piece;
                    continue;
                }
                Ok(None) => {}
                Err(problem) => {
                    self.sender.send_reset(Reason::CANCEL);
                    self.receiver = Receiver::Ended;
                    self.chunk = Bytes::new();
                    return Poll::Ready(Err(TransportError::BrokenGrpc { problem }.into_io()));
                }
            }
            if !ready!(self.poll_chunk(context))? {
                return Poll::Ready(Ok(false));
            }
        }
    }

    /// Takes the next data of the call; `false` at the end.
    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            match &mut self.receiver {
                Receiver::Waiting(response) => {
                    let response = match ready!(Pin::new(response).poll(context)) {
                        Ok(response) => response,
                        Err(error) => return Poll::Ready(self.end(Some(error))),
                    };
                    self.receiver = match check_response(response) {
                        Ok(body) => Receiver::Open(body),
                        Err(error) => {
                            self.receiver = Receiver::Ended;
                            return Poll::Ready(Err(error.into_io()));
                        }
                    };
                }
                Receiver::Open(body) => {
                    // What was taken was read, so that the peer may send as much again.
                    let _late = body.flow_control().release_capacity(std::mem::take(&mut self.chunk_bytes));
                    match ready!(body.poll_data(context)) {
                        Some(Ok(chunk)) => {
                            self.chunk_bytes = chunk.len();
                            self.chunk = chunk;
                            return Poll::Ready(Ok(true));
                        }
                        Some(Err(error)) => return Poll::Ready(self.end(Some(error))),
                        None => {
                            if let Receiver::Open(body) =
                                std::mem::replace(&mut self.receiver, Receiver::Ended)
                            {
                                self.receiver = Receiver::Trailers(body);
                            }
                        }
                    }
                }
                Receiver::Trailers(body) => {
                    let trailers = match ready!(body.poll_trailers(context)) {
                        Ok(trailers) => trailers,
                        Err(error) => return Poll::Ready(self.end(Some(error))),
                    };
                    if let Some(error) = trailers.as_ref().and_then(grpc_failure) {
                        self.receiver = Receiver::Ended;
                        return Poll::Ready(Err(error.into_io()));
                    }
                    return Poll::Ready(self.end(None));
                }
                Receiver::Ended => return Poll::Ready(Ok(false)),
            }
        }
    }

    /// The end of what is received. A stream that is reset without an error has ended as well (RFC 9113 §8.1).
    fn end(&mut self, error: Option<h2::Error>) -> io::Result<bool> {
        self.receiver = Receiver::Ended;
        match error {
            Some(error) if error.reason() != Some(Reason::NO_ERROR) || !error.is_reset() => {
                Err(self.explain(&error))
            }
            Some(_) | None if self.decoder.is_between_messages() => Ok(false),
            Some(_) | None => Err(TransportError::Closed { during: Moment::Message }.into_io()),
        }
    }
}

/// The body of a response that agrees to the call.
fn check_response(response: Response<RecvStream>) -> Result<RecvStream, TransportError> {
    if response.status() != StatusCode::OK {
        return Err(TransportError::GrpcHttpStatus { status: response.status().as_u16() });
    }
    match grpc_failure(response.headers()) {
        Some(error) => Err(error),
        None => Ok(response.into_body()),
    }
}

/// The status of gRPC, if it is there and says that something went wrong.
fn grpc_failure(headers: &HeaderMap) -> Option<TransportError> {
    let status = headers.get(STATUS)?;
    let code = status.to_str().ok().and_then(|code| code.parse().ok());
    let message = headers.get(MESSAGE).and_then(|message| message.to_str().ok()).unwrap_or_default();
    match code {
        Some(0) => None,
        Some(code) => Some(TransportError::GrpcStatus { code, message: shown(message) }),
        None => Some(TransportError::BrokenGrpc { problem: "a status that is no number" }),
    }
}

impl AsyncRead for GrpcStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(error) = this.failure.take() {
            return Poll::Ready(Err(error));
        }
        let start = buffer.filled().len();
        while buffer.remaining() > 0 {
            match this.poll_piece(context) {
                Poll::Ready(Ok(true)) => {
                    let length = this.piece.len().min(buffer.remaining());
                    buffer.put_slice(&this.piece.split_to(length));
                }
                Poll::Ready(Ok(false)) => break,
                Poll::Ready(Err(error)) if buffer.filled().len() == start => return Poll::Ready(Err(error)),
                Poll::Pending if buffer.filled().len() == start => return Poll::Pending,
                Poll::Pending => break,
                Poll::Ready(Err(error)) => {
                    this.failure = Some(error);
                    break;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for GrpcStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.has_ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let wanted = bytes.len().min(MAX_PAYLOAD_BYTES) + MAX_OVERHEAD_BYTES;
        this.sender.reserve_capacity(wanted);
        let capacity = loop {
            match this.sender.capacity() {
                capacity if capacity > MAX_OVERHEAD_BYTES => break capacity.min(wanted),
                _ => {}
            }
            match ready!(this.sender.poll_capacity(context)) {
                Some(Ok(_more)) => {}
                Some(Err(error)) => return Poll::Ready(Err(this.explain(&error))),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        };
        let payload = bytes.get(..capacity - MAX_OVERHEAD_BYTES).unwrap_or(bytes);
        let sent = this.sender.send_data(encode(payload), false);
        // What is kept back for a stream is missing for the others.
        this.sender.reserve_capacity(0);
        sent.map_err(|error| this.explain(&error))?;
        Poll::Ready(Ok(payload.len()))
    }

    /// The connection sends as soon as it can.
    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.has_ended {
            return Poll::Ready(Ok(()));
        }
        this.has_ended = true;
        let ended = match this.ending {
            Ending::Plain => this.sender.send_data(Bytes::new(), true),
            Ending::Trailers => {
                let mut trailers = HeaderMap::new();
                trailers.insert(STATUS, HeaderValue::from_static("0"));
                this.sender.send_trailers(trailers)
            }
        };
        Poll::Ready(ended.map_err(|error| this.explain(&error)))
    }
}

impl fmt::Debug for GrpcStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcStream").field("id", &self.sender.stream_id()).finish_non_exhaustive()
    }
}
