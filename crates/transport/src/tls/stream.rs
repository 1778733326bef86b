use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Watched;
use crate::{Moment, TransportError};

/// A stream inside of TLS, whose errors say what is wrong.
#[derive(Debug)]
pub(crate) struct TlsStream<S> {
    inner: tokio_rustls::TlsStream<Watched<S>>,
    /// What is to be told once all before it was read.
    failure: Option<io::Error>,
}

impl<S> TlsStream<S> {
    pub(super) fn new(inner: tokio_rustls::TlsStream<Watched<S>>) -> Self {
        Self { inner, failure: None }
    }
}

fn explain(error: io::Error) -> io::Error {
    if error.get_ref().is_none() {
        return error;
    }
    TransportError::during(Moment::Tls, &error).into_io()
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<S> {
    /// Takes all that is there, and not only what one record holds.
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(error) = self.failure.take() {
            return Poll::Ready(Err(error));
        }
        let before = buffer.filled().len();
        loop {
            let so_far = buffer.filled().len();
            match Pin::new(&mut self.inner).poll_read(context, buffer) {
                Poll::Ready(Ok(())) if buffer.filled().len() > so_far && buffer.remaining() > 0 => {}
                // An end is found again by the next read.
                Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
                // Many servers close without a close_notify (RFC 8446 §6.1), and what has come counts. Who
                // wants to know a cut transfer from a whole one finds out by what is inside.
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Err(error)) if so_far == before => return Poll::Ready(Err(explain(error))),
                Poll::Ready(Err(error)) => {
                    self.failure = Some(explain(error));
                    return Poll::Ready(Ok(()));
                }
                Poll::Pending if so_far == before => return Poll::Pending,
                Poll::Pending => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes).map_err(explain)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, slices).map_err(explain)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context).map_err(explain)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context).map_err(explain)
    }
}
