//! Streams of bytes, whatever carries them.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream of bytes both ways. `shutdown` ends one way only: what the peer still sends can be read.
pub trait Io: AsyncRead + AsyncWrite + fmt::Debug + Send + Sync + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + fmt::Debug + Send + Sync + Unpin + 'static> Io for T {}

/// A stream whose layers are known to nobody but itself.
pub type IoStream = Box<dyn Io>;

/// A stream of which the first bytes were read already.
pub(crate) struct Prefixed<S> {
    prefix: Vec<u8>,
    /// How much of `prefix` was taken.
    taken: usize,
    stream: S,
}

impl<S: Io> Prefixed<S> {
    /// A stream that begins with `prefix`; the stream itself, if there is none.
    pub(crate) fn boxed(prefix: Vec<u8>, stream: S) -> IoStream {
        if prefix.is_empty() { Box::new(stream) } else { Box::new(Self::new(prefix, stream)) }
    }

    pub(crate) fn new(prefix: Vec<u8>, stream: S) -> Self {
        Self { prefix, taken: 0, stream }
    }
}

impl<S: fmt::Debug> fmt::Debug for Prefixed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prefixed").field("stream", &self.stream).finish_non_exhaustive()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prefixed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let rest = this.prefix.get(this.taken..).unwrap_or_default();
        if rest.is_empty() {
            return Pin::new(&mut this.stream).poll_read(context, buffer);
        }
        let taken = rest.len().min(buffer.remaining());
        buffer.put_slice(rest.get(..taken).unwrap_or_default());
        this.taken += taken;
        if this.taken == this.prefix.len() {
            (this.prefix, this.taken) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prefixed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
