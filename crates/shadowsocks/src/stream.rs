use std::{
    error::Error,
    fmt, io,
    ops::Range,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;
use waypost_wire::{Open, Opened, Seal};

/// How much is asked for in one read: several chunks come in at once.
const READ_BYTES: usize = 64 * 1024;
/// How much is sealed for one write.
const WRITE_BYTES: usize = 256 * 1024;

/// A stream that seals what is written to it and opens what is read.
///
/// What is written goes out at once as far as the stream beneath takes it, in one piece if it can; the rest
/// goes out with the next write or with a flush. The head of the sealer goes out with the first bytes that
/// are written, or alone when the stream is flushed or read from before that. Errors carry the opener's
/// error inside of an [`io::Error`].
pub struct Coded<S, E, O> {
    io: S,
    sealer: E,
    opener: O,
    has_begun: bool,
    has_finished: bool,
    is_over: bool,
    /// Plain bytes that come before all that is opened.
    first: BytesMut,
    /// What was read and not used up.
    read: BytesMut,
    /// The piece at the front of `read`.
    piece: Piece,
    /// What is sealed and not sent.
    write: Vec<u8>,
    sent: usize,
}

#[derive(Debug, Default)]
struct Piece {
    /// What of it is not yet delivered.
    plain: Range<usize>,
    consumed: usize,
}

impl<S, E, O> Coded<S, E, O> {
    /// Puts a sealer and an opener around `io`.
    pub fn new(io: S, sealer: E, opener: O) -> Self {
        Self {
            io,
            sealer,
            opener,
            has_begun: false,
            has_finished: false,
            is_over: false,
            first: BytesMut::new(),
            read: BytesMut::new(),
            piece: Piece::default(),
            write: Vec::new(),
            sent: 0,
        }
    }

    /// Takes what was read of `io` before: `plain` has been opened, and `unread` has not.
    #[must_use]
    pub fn with_read(self, plain: &[u8], unread: &[u8]) -> Self {
        let (first, read) = (plain.into(), unread.into());
        Self { first, read, ..self }
    }

    /// The stream beneath.
    pub fn get_ref(&self) -> &S {
        &self.io
    }
}

impl<S: AsyncWrite + Unpin, E: Seal, O> Coded<S, E, O> {
    fn begin(&mut self) {
        if !self.has_begun {
            self.has_begun = true;
            self.sealer.seal(&[], &mut self.write);
        }
    }

    /// Sends what is sealed.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(unsent) = self.write.get(self.sent..).filter(|unsent| !unsent.is_empty()) {
            let sent = ready!(Pin::new(&mut self.io).poll_write(cx, unsent))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += sent;
        }
        self.write.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    /// Sends what can be sent, and leaves the rest for later.
    fn try_send(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.poll_send(cx) {
            Poll::Ready(sent) => sent,
            Poll::Pending => Ok(()),
        }
    }
}

impl<S: AsyncRead + Unpin, E, O: Open> Coded<S, E, O>
where
    O::Error: Error + Send + Sync + 'static,
{
    /// Copies what has been opened.
    fn deliver(&mut self, buffer: &mut ReadBuf<'_>) {
        let length = self.first.len().min(buffer.remaining());
        buffer.put_slice(self.first.get(..length).unwrap_or_default());
        self.first.advance(length);
        let Piece { plain, consumed } = &mut self.piece;
        let length = plain.len().min(buffer.remaining());
        let end = plain.start + length;
        buffer.put_slice(self.read.get(plain.start..end).unwrap_or_default());
        plain.start = end;
        if plain.start >= plain.end {
            self.read.advance(std::mem::take(consumed));
        }
    }

    /// Opens pieces and delivers them; reads only while nothing has been delivered.
    fn poll_open(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        loop {
            self.deliver(buffer);
            let has_some = buffer.filled().len() > before;
            if buffer.remaining() == 0 || self.is_over {
                return Poll::Ready(Ok(()));
            }
            match self.opener.open(&mut self.read) {
                Err(_error) if has_some => return Poll::Ready(Ok(())),
                Err(error) => return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error))),
                Ok(Opened::Skip { consumed }) => self.read.advance(consumed),
                Ok(Opened::Piece { plain, consumed }) => self.piece = Piece { plain, consumed },
                Ok(Opened::Ended { consumed }) => {
                    self.read.advance(consumed);
                    self.is_over = true;
                }
                Ok(Opened::NeedMore { .. }) if has_some => return Poll::Ready(Ok(())),
                Ok(Opened::NeedMore { at_least }) => ready!(self.poll_fill(cx, at_least))?,
            }
        }
    }

    /// Reads until `at_least` bytes are there, or there is nothing more.
    fn poll_fill(&mut self, cx: &mut Context<'_>, at_least: usize) -> Poll<io::Result<()>> {
        while self.read.len() < at_least {
            self.read.reserve(READ_BYTES.max(at_least - self.read.len()));
            match poll_read_buf(Pin::new(&mut self.io), cx, &mut self.read) {
                Poll::Ready(Ok(0)) => {
                    self.is_over = true;
                    let closed = self.opener.close(self.read.len());
                    return Poll::Ready(
                        closed.map_err(|error| io::Error::new(io::ErrorKind::UnexpectedEof, error)),
                    );
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    // A connection that waits holds no memory for what may come.
                    if self.read.is_empty() {
                        self.read = BytesMut::new();
                    }
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S, E, O> AsyncRead for Coded<S, E, O>
where
    S: AsyncRead + AsyncWrite + Unpin,
    E: Seal + Unpin,
    O: Open + Unpin,
    O::Error: Error + Send + Sync + 'static,
{
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.has_begun {
            this.begin();
            this.try_send(cx)?;
        }
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        this.poll_open(cx, buffer)
    }
}

impl<S, E, O> AsyncWrite for Coded<S, E, O>
where
    S: AsyncRead + AsyncWrite + Unpin,
    E: Seal + Unpin,
    O: Unpin,
{
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, plain: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        let plain = plain.get(..WRITE_BYTES).unwrap_or(plain);
        this.has_begun = true;
        this.sealer.seal(plain, &mut this.write);
        this.try_send(cx)?;
        Poll::Ready(Ok(plain.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.begin();
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.has_finished {
            this.has_finished = true;
            this.has_begun = true;
            this.sealer.finish(&mut this.write);
        }
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}

impl<S: fmt::Debug, E: fmt::Debug, O: fmt::Debug> fmt::Debug for Coded<S, E, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coded")
            .field("io", &self.io)
            .field("sealer", &self.sealer)
            .field("opener", &self.opener)
            .finish_non_exhaustive()
    }
}
