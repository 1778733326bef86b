use std::{
    fmt, io, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{IoStream, TransportError};

type Handshake = Pin<Box<dyn Future<Output = Result<IoStream, TransportError>> + Send + Sync>>;
type Begin = Box<dyn FnOnce(Vec<u8>) -> Handshake + Send + Sync>;

/// A stream whose handshake carries the first bytes that are written.
///
/// A read, a flush or a shutdown that comes before any write begins the handshake without bytes.
pub(super) struct EarlyStream {
    state: State,
    limit: usize,
}

enum State {
    Waiting(Begin),
    Shaking(Handshake),
    Open(IoStream),
    Failed(TransportError),
}

impl EarlyStream {
    /// `limit` is how many bytes `begin` takes at most.
    pub(super) fn new<F>(limit: usize, begin: impl FnOnce(Vec<u8>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<IoStream, TransportError>> + Send + Sync + 'static,
    {
        Self { state: State::Waiting(Box::new(move |first| Box::pin(begin(first)))), limit }
    }

    /// Begins with these bytes; `false` if it has begun already.
    fn begin(&mut self, first: &[u8]) -> bool {
        if !matches!(self.state, State::Waiting(_)) {
            return false;
        }
        let placeholder = State::Failed(TransportError::Io(io::ErrorKind::NotConnected));
        if let State::Waiting(begin) = mem::replace(&mut self.state, placeholder) {
            self.state = State::Shaking(begin(first.to_vec()));
        }
        true
    }

    /// The stream, once the handshake is done.
    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<io::Result<&mut IoStream>> {
        self.begin(&[]);
        if let State::Shaking(handshake) = &mut self.state {
            self.state = match ready!(handshake.as_mut().poll(context)) {
                Ok(stream) => State::Open(stream),
                Err(error) => State::Failed(error),
            };
        }
        Poll::Ready(match &mut self.state {
            State::Open(stream) => Ok(stream),
            State::Failed(error) => Err(error.clone().into_io()),
            State::Waiting(_) | State::Shaking(_) => Err(io::ErrorKind::NotConnected.into()),
        })
    }
}

impl AsyncRead for EarlyStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(ready!(self.poll_open(context))?).poll_read(context, buffer)
    }
}

impl AsyncWrite for EarlyStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !bytes.is_empty() && matches!(self.state, State::Waiting(_)) {
            let first = bytes.get(..self.limit).unwrap_or(bytes);
            self.begin(first);
            // The bytes are taken; how the handshake goes is told by what comes next.
            if let Poll::Ready(Err(error)) = self.poll_open(context) {
                return Poll::Ready(Err(error));
            }
            return Poll::Ready(Ok(first.len()));
        }
        Pin::new(ready!(self.poll_open(context))?).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(ready!(self.poll_open(context))?).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(ready!(self.poll_open(context))?).poll_shutdown(context)
    }
}

impl fmt::Debug for EarlyStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state: &dyn fmt::Debug = match &self.state {
            State::Waiting(_) => &"waiting for the first bytes",
            State::Shaking(_) => &"in the handshake",
            State::Open(stream) => stream,
            State::Failed(error) => error,
        };
        f.debug_struct("EarlyStream").field("state", state).finish_non_exhaustive()
    }
}
