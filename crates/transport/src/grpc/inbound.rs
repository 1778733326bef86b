use std::{
    io,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Notify,
    time::Instant,
};

use super::begins_with_settings;
use crate::{FirstBytes, Moment, TransportError};

/// What is known of the other end of a connection.
#[derive(Debug)]
pub(super) struct Inbound {
    heard: Mutex<Heard>,
    /// Why the connection is over, once it is.
    failure: OnceLock<TransportError>,
    changed: Notify,
    /// Somebody wants to know whether the peer is still there.
    doubted: Notify,
}

#[derive(Debug)]
struct Heard {
    first: FirstBytes,
    last: Instant,
}

impl Inbound {
    pub(super) fn new() -> Arc<Self> {
        let heard = Heard { first: FirstBytes::default(), last: Instant::now() };
        Arc::new(Self {
            heard: Mutex::new(heard),
            failure: OnceLock::new(),
            changed: Notify::new(),
            doubted: Notify::new(),
        })
    }

    fn hear(&self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let mut heard = self.heard.lock();
        heard.last = Instant::now();
        if !heard.first.is_full() {
            heard.first.extend(bytes);
            if heard.first.is_full() {
                drop(heard);
                self.changed.notify_waiters();
            }
        }
    }

    /// When the last bytes came.
    pub(super) fn last(&self) -> Instant {
        self.heard.lock().last
    }

    /// For how long nothing came.
    pub(super) fn silence(&self) -> Duration {
        self.last().elapsed()
    }

    /// How the peer began.
    pub(super) fn first(&self) -> FirstBytes {
        self.heard.lock().first
    }

    /// Has the peer asked whether it is still there.
    pub(super) fn doubt(&self) {
        self.doubted.notify_one();
    }

    /// Waits until somebody doubts that.
    pub(super) async fn doubted(&self) {
        self.doubted.notified().await;
    }

    pub(super) fn fail(&self, reason: TransportError) {
        // The first reason is the one that led to the others.
        let _later = self.failure.set(reason);
        self.changed.notify_waiters();
    }

    pub(super) fn failure(&self) -> Option<&TransportError> {
        self.failure.get()
    }

    /// That the peer speaks something else, if its first bytes show it.
    pub(super) fn not_http2(&self) -> Option<TransportError> {
        let found = self.first();
        let is_settings = found.as_slice().len() < 4 || begins_with_settings(found.as_slice());
        (!is_settings).then_some(TransportError::NotHttp2 { found })
    }

    /// Waits until the peer has shown that it speaks HTTP/2.
    pub(super) async fn greeted(&self) -> Result<(), TransportError> {
        loop {
            let changed = self.changed.notified();
            if let Some(error) = self.not_http2() {
                return Err(error);
            }
            if self.first().is_full() {
                return Ok(());
            }
            if let Some(error) = self.failure() {
                return Err(error.clone());
            }
            changed.await;
        }
    }

    /// Why a call of the HTTP/2 library failed.
    pub(super) fn explain(&self, error: &h2::Error, moment: Moment) -> TransportError {
        if let Some(failure) = self.failure() {
            return failure.clone();
        }
        match (error.get_io(), error.reason()) {
            (Some(error), _) => {
                let reason = TransportError::during(moment, error);
                // How the library says that a connection is gone.
                let is_gone = reason == TransportError::Io(io::ErrorKind::BrokenPipe);
                if is_gone { TransportError::Closed { during: moment } } else { reason }
            }
            (None, Some(reason)) => TransportError::Http2 { reason: reason.into() },
            (None, None) => TransportError::Closed { during: moment },
        }
    }
}

/// A connection whose other end is listened to.
#[derive(Debug)]
pub(super) struct Heeded<S> {
    stream: S,
    inbound: Arc<Inbound>,
}

impl<S> Heeded<S> {
    pub(super) fn new(stream: S, inbound: Arc<Inbound>) -> Self {
        Self { stream, inbound }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Heeded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let already = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.inbound.hear(buffer.filled().get(already..).unwrap_or_default());
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heeded<S> {
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
