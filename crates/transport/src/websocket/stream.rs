use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frame::{FrameReader, Kind, Met, Role, append_frame};
use crate::{Moment, TransportError};

/// The most that one frame carries. Peers with small buffers read larger frames in pieces as well; larger
/// ones save nothing.
const MAX_FRAME_BYTES: usize = 64 * 1024;
/// The status of an ordinary end (RFC 6455 §7.4.1).
const NORMAL_CLOSURE: u16 = 1000;

/// A WebSocket as a stream of bytes.
///
/// `shutdown` sends a Close frame, and the peer's Close frame is the end of what is read. As long as only
/// one side has closed, the other may go on sending, which RFC 6455 does not foresee but Go's peers
/// of this kind do: a client that has closed reads on until the connection ends.
pub(super) struct WebSocketStream<S> {
    stream: S,
    role: Role,
    reader: FrameReader,
    /// Frames that are not sent yet.
    out: Vec<u8>,
    /// How much of `out` was sent.
    sent: usize,
    /// The payload of a ping that was not answered yet.
    ping: Option<Vec<u8>>,
    has_sent_close: bool,
    has_seen_close: bool,
    /// Whether the end was read.
    is_ended: bool,
    /// Why nothing more can be read.
    problem: Option<&'static str>,
}

impl<S> WebSocketStream<S> {
    pub(super) fn new(stream: S, role: Role) -> Self {
        Self {
            stream,
            role,
            reader: FrameReader::new(role),
            out: Vec::new(),
            sent: 0,
            ping: None,
            has_sent_close: false,
            has_seen_close: false,
            is_ended: false,
            problem: None,
        }
    }

    fn append(&mut self, kind: Kind, payload: &[u8]) {
        let mask = match self.role {
            Role::Client => Some(random_mask()),
            Role::Server => None,
        };
        append_frame(kind, mask, payload, &mut self.out);
    }

    /// Takes the bytes of the stream out of what was read, and takes note of what else is there; yields
    /// how many they are.
    fn take(&mut self, read: &mut [u8]) -> usize {
        let ends_at_close = match self.role {
            Role::Client => !self.has_sent_close,
            // RFC 6455 §7.1.1: the server is the first to leave.
            Role::Server => true,
        };
        let mut met = Met::default();
        let taken = self.reader.take_payload(read, ends_at_close, &mut met);
        self.has_seen_close |= met.is_closed;
        self.is_ended |= met.is_closed && ends_at_close;
        self.problem = met.problem;
        if met.ping.is_some() {
            self.ping = met.ping;
        }
        taken
    }
}

impl<S: AsyncWrite + Unpin> WebSocketStream<S> {
    /// Sends what there is to send.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while let Some(rest) = self.out.get(self.sent..).filter(|rest| !rest.is_empty()) {
                match ready!(Pin::new(&mut self.stream).poll_write(context, rest))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    sent => self.sent += sent,
                }
            }
            self.out.clear();
            self.sent = 0;
            match self.ping.take() {
                Some(ping) if !self.has_sent_close => {
                    self.append(Kind::Pong, &ping);
                }
                Some(_) | None => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocketStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let start = buffer.filled().len();
        loop {
            if let Some(problem) = this.problem {
                return Poll::Ready(Err(TransportError::BrokenWebSocket { problem }.into_io()));
            }
            if this.is_ended || buffer.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
            let read = buffer.filled_mut().get_mut(start..).unwrap_or_default();
            if read.is_empty() {
                this.is_ended = true;
                let is_whole = this.reader.is_between_frames();
                let cut = || TransportError::Closed { during: Moment::Frame }.into_io();
                return Poll::Ready(if is_whole { Ok(()) } else { Err(cut()) });
            }
            let taken = this.take(read);
            buffer.set_filled(start + taken);
            if this.ping.is_some() {
                // What keeps a pong from going out is told to whoever writes: what came is to be read.
                let _sent = this.poll_send(context);
            }
            if taken > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WebSocketStream<S> {
    /// Makes one frame of the bytes. What the stream beneath does not take at once is sent with the next
    /// write or flush.
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.has_sent_close {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        ready!(this.poll_send(context))?;
        let payload = bytes.get(..MAX_FRAME_BYTES).unwrap_or(bytes);
        if payload.is_empty() {
            return Poll::Ready(Ok(0));
        }
        this.append(Kind::Data, payload);
        if let Poll::Ready(Err(error)) = this.poll_send(context) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(payload.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.has_sent_close {
            this.ping = None;
            this.append(Kind::Close, &NORMAL_CLOSURE.to_be_bytes());
            this.has_sent_close = true;
        }
        ready!(this.poll_send(context))?;
        ready!(Pin::new(&mut this.stream).poll_flush(context))?;
        if this.has_seen_close {
            Pin::new(&mut this.stream).poll_shutdown(context)
        } else {
            Poll::Ready(Ok(()))
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for WebSocketStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stream, role, has_sent_close, has_seen_close, .. } = self;
        f.debug_struct("WebSocketStream")
            .field("stream", stream)
            .field("role", role)
            .field("has_sent_close", has_sent_close)
            .field("has_seen_close", has_seen_close)
            .finish_non_exhaustive()
    }
}

/// RFC 6455 §5.3: nobody may know it in advance.
#[expect(clippy::disallowed_methods, reason = "a mask is random and says nothing")]
fn random_mask() -> [u8; 4] {
    rand::Rng::next_u32(&mut rand::rng()).to_ne_bytes()
}
