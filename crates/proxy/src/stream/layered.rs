//! A stream inside of others, and the socket beneath them.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use waypost_transport::{Io, IoStream};

use super::Stream;

/// What is read ahead of a client while it is watched.
const AHEAD_BYTES: usize = 4096;

/// Tells the socket beneath layers to end with a reset.
#[derive(Debug, Clone, Default)]
pub(crate) struct Abort(Arc<AtomicBool>);

/// A stream inside of TLS, of a transport or of a protocol.
#[derive(Debug)]
pub struct Layered {
    io: IoStream,
    /// What was read while nobody wanted it.
    ahead: Vec<u8>,
    abort: Abort,
    fault: Option<Box<str>>,
}

impl Layered {
    pub(crate) fn new(io: impl Io, abort: Abort) -> Self {
        Self { io: Box::new(io), ahead: Vec::new(), abort, fault: None }
    }

    /// Has the socket beneath end with a reset.
    pub(super) fn abort(&self) {
        self.abort.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    pub(super) fn poll_peek_end(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.ahead.is_empty() {
            let mut space = [MaybeUninit::uninit(); AHEAD_BYTES];
            let mut buffer = ReadBuf::uninit(&mut space);
            ready!(Pin::new(&mut self.io).poll_read(context, &mut buffer))?;
            self.ahead = buffer.filled().to_vec();
        }
        Poll::Ready(Ok(self.ahead.is_empty()))
    }

    /// Keeps what the layers say of a failure.
    fn note<T>(&mut self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &result
            && self.fault.is_none()
            && let Some(fault) = error.get_ref()
        {
            self.fault = Some(fault.to_string().into());
        }
        result
    }
}

impl From<Layered> for Stream {
    fn from(layered: Layered) -> Self {
        Self::Layered(Box::new(layered))
    }
}

impl AsyncRead for Layered {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.ahead.is_empty() {
            let count = this.ahead.len().min(buffer.remaining());
            buffer.put_slice(this.ahead.get(..count).unwrap_or_default());
            this.ahead.drain(..count);
            return Poll::Ready(Ok(()));
        }
        let read = Pin::new(&mut this.io).poll_read(context, buffer);
        this.note(read)
    }
}

impl AsyncWrite for Layered {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write(context, bytes);
        this.note(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write_vectored(context, slices);
        this.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.io).poll_flush(context);
        this.note(flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = Pin::new(&mut this.io).poll_shutdown(context);
        this.note(shut)
    }
}

/// A stream beneath layers. It ends with a reset if one of them has failed: not every layer tells a cut
/// transfer from a whole one.
#[derive(Debug)]
pub(crate) struct Base {
    stream: Stream,
    abort: Abort,
}

impl Base {
    pub(crate) fn new(stream: Stream) -> (Self, Abort) {
        let abort = Abort::default();
        (Self { stream, abort: abort.clone() }, abort)
    }
}

impl Drop for Base {
    fn drop(&mut self) {
        if self.abort.0.load(Ordering::Relaxed) {
            self.stream.reset_on_close();
        }
    }
}

impl AsyncRead for Base {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Base {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
