//! Drives the codecs of `waypost-wire` over a stream.

mod buffers;
mod datagrams;
mod halves;

use std::{
    error::Error,
    fmt, io,
    ops::Range,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use waypost_wire::{Open, Opened, Seal};

use self::{
    buffers::BUFFER_BYTES,
    halves::{Unread, Unsent},
};
pub use datagrams::{DatagramStream, Datagrams};

/// A stream whose bytes a protocol changes on their way. It holds memory only while bytes are on their
/// way, and no more than some pieces of the protocol in each direction.
pub struct Coded<S, K, O> {
    stream: S,
    sealer: K,
    opener: O,
    unread: Unread,
    /// What is decrypted of `unread` and not handed out, and how much of it is used up with that.
    plain: Range<usize>,
    consumed: usize,
    unsent: Unsent,
    head: Head,
    has_ended: bool,
    has_finished: bool,
    /// What is to be told once all before it was read.
    failure: Option<io::Error>,
}

/// Who sends the head of what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Head {
    /// Whoever reads or writes first.
    Due,
    /// Whoever reads, who has begun to.
    OnItsWay,
    /// Whoever writes, if it has not gone out.
    Left,
}

impl<S, K, O> Coded<S, K, O> {
    /// The side that asks: its head goes out with the first bytes, or alone as soon as an answer is
    /// waited for, so that a server that speaks first is heard.
    pub fn client(stream: S, sealer: K, opener: O) -> Self {
        Self::new(stream, (sealer, opener), Vec::new(), Head::Due)
    }

    /// The side that answers: its head waits for the first bytes. `read` was read already.
    pub fn server(stream: S, sealer: K, opener: O, read: Vec<u8>) -> Self {
        Self::new(stream, (sealer, opener), read, Head::Left)
    }

    fn new(stream: S, (sealer, opener): (K, O), read: Vec<u8>, head: Head) -> Self {
        Self {
            stream,
            sealer,
            opener,
            unread: Unread::new(read),
            plain: 0..0,
            consumed: 0,
            unsent: Unsent::default(),
            head,
            has_ended: false,
            has_finished: false,
            failure: None,
        }
    }
}

impl<S: fmt::Debug, K, O> fmt::Debug for Coded<S, K, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coded").field("stream", &self.stream).finish_non_exhaustive()
    }
}

/// What a peer that does not keep to the protocol comes to.
fn invalid(error: impl Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// What a peer that closed too early comes to.
fn cut(error: impl Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, error)
}

impl<S, K, O> Coded<S, K, O>
where
    S: AsyncRead + AsyncWrite + Unpin,
    K: Seal,
    O: Open,
    O::Error: Error + Send + Sync + 'static,
{
    /// Sends the head if nothing has taken it along. That it cannot go out at once is no reason to wait.
    fn begin(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.head {
            Head::Left => return Ok(()),
            Head::OnItsWay => {}
            Head::Due => {
                self.unsent.reserve();
                self.sealer.seal(&[], &mut self.unsent.bytes);
                self.head = Head::OnItsWay;
            }
        }
        if let Poll::Ready(sent) = self.unsent.poll_send(context, &mut self.stream) {
            sent?;
            if let Poll::Ready(flushed) = Pin::new(&mut self.stream).poll_flush(context) {
                flushed?;
                self.head = Head::Left;
            }
        }
        Ok(())
    }

    /// Hands out what is decrypted.
    fn hand_out(&mut self, buffer: &mut ReadBuf<'_>) {
        let count = self.plain.len().min(buffer.remaining());
        let end = self.plain.start + count;
        buffer.put_slice(self.unread.bytes().get(self.plain.start..end).unwrap_or_default());
        self.plain.start = end;
        if self.plain.is_empty() {
            self.unread.consume(std::mem::take(&mut self.consumed));
        }
    }
}

impl<S, K, O> AsyncRead for Coded<S, K, O>
where
    S: AsyncRead + AsyncWrite + Unpin,
    K: Seal + Unpin,
    O: Open + Unpin,
    O::Error: Error + Send + Sync + 'static,
{
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(error) = this.failure.take() {
            return Poll::Ready(Err(error));
        }
        this.begin(context)?;
        let before = buffer.filled().len();
        loop {
            if !this.plain.is_empty() {
                this.hand_out(buffer);
            }
            if buffer.remaining() == 0 || this.has_ended {
                return Poll::Ready(Ok(()));
            }
            if this.unread.is_empty() && this.opener.is_plain() {
                if buffer.filled().len() > before {
                    return Poll::Ready(Ok(()));
                }
                return Pin::new(&mut this.stream).poll_read(context, buffer);
            }
            let at_least = match this.opener.open(this.unread.bytes_mut()).map_err(invalid) {
                Err(error) if buffer.filled().len() == before => return Poll::Ready(Err(error)),
                Err(error) => {
                    this.failure = Some(error);
                    return Poll::Ready(Ok(()));
                }
                Ok(Opened::NeedMore { at_least }) => at_least,
                Ok(Opened::Skip { consumed }) => {
                    this.unread.consume(consumed);
                    continue;
                }
                Ok(Opened::Piece { plain, consumed }) => {
                    (this.plain, this.consumed) = (plain, consumed);
                    continue;
                }
                Ok(Opened::Ended { consumed }) => {
                    this.unread.consume(consumed);
                    this.has_ended = true;
                    continue;
                }
            };
            // What is there is worth more than what may come.
            if buffer.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
            if ready!(this.unread.poll_fill(context, &mut this.stream, at_least))? == 0 {
                this.opener.close(this.unread.len()).map_err(cut)?;
                this.unread.release();
                this.has_ended = true;
            }
        }
    }
}

impl<S, K, O> AsyncWrite for Coded<S, K, O>
where
    S: AsyncRead + AsyncWrite + Unpin,
    K: Seal + Unpin,
    O: Open + Unpin,
    O::Error: Error + Send + Sync + 'static,
{
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.head = Head::Left;
        ready!(this.unsent.poll_send(context, &mut this.stream))?;
        if this.has_finished {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if this.sealer.is_plain() {
            return Pin::new(&mut this.stream).poll_write(context, bytes);
        }
        let taken = bytes.get(..BUFFER_BYTES).unwrap_or(bytes);
        this.unsent.reserve();
        this.sealer.seal(taken, &mut this.unsent.bytes);
        if let Poll::Ready(Err(error)) = this.unsent.poll_send(context, &mut this.stream) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(taken.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.unsent.poll_send(context, &mut this.stream))?;
        Pin::new(&mut this.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.has_finished {
            this.has_finished = true;
            this.head = Head::Left;
            this.unsent.reserve();
            this.sealer.finish(&mut this.unsent.bytes);
        }
        ready!(this.unsent.poll_send(context, &mut this.stream))?;
        Pin::new(&mut this.stream).poll_shutdown(context)
    }
}
