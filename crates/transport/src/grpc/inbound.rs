use std::{
    io,
    sync::{Arc, OnceLock},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{io::AsyncRead, sync::Notify, time::Instant};
use tokio_util::io::InspectReader;

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

/// A connection whose other end is listened to.
pub(super) type Heeded<S> = InspectReader<S, Box<dyn FnMut(&[u8]) + Send + Sync>>;

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

    /// Listens to what comes by a connection.
    pub(super) fn heed<S: AsyncRead>(self: &Arc<Self>, stream: S) -> Heeded<S> {
        let inbound = self.clone();
        InspectReader::new(stream, Box::new(move |bytes: &[u8]| inbound.hear(bytes)))
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
