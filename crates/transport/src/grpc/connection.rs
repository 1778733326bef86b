use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use tokio::task::AbortHandle;

use super::{
    CONNECTION_WINDOW_BYTES, MAX_FRAME_BYTES, MAX_HEADER_LIST_BYTES, SEND_BUFFER_BYTES, STREAM_WINDOW_BYTES,
    inbound::Inbound,
    keepalive::{Keepalive, watch},
};
use crate::{Io, Moment, TransportError};

/// More streams than this share no connection, whatever the server allows.
const MAX_STREAMS: usize = 128;
/// A connection that was silent for so long is asked whether it still stands when it gets a stream.
const SILENCE: Duration = Duration::from_secs(10);

/// A connection of HTTP/2 to a server.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    pub(super) requests: SendRequest<Bytes>,
    pub(super) shared: Arc<Shared>,
}

/// What a connection and its streams know of each other.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) inbound: Arc<Inbound>,
    n_streams: AtomicUsize,
}

/// The place of a stream in a connection.
#[derive(Debug)]
pub(super) struct Seat(Arc<Shared>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.n_streams.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connection {
    /// Agrees on HTTP/2.
    pub(super) async fn open(stream: impl Io, keepalive: Keepalive) -> Result<Self, TransportError> {
        let inbound = Inbound::new();
        let mut builder = Builder::new();
        builder
            .initial_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_frame_size(MAX_FRAME_BYTES)
            .max_header_list_size(MAX_HEADER_LIST_BYTES)
            .max_send_buffer_size(SEND_BUFFER_BYTES)
            .enable_push(false);
        let shaken = builder.handshake(inbound.heed(stream)).await;
        let (requests, mut connection) =
            shaken.map_err(|error| inbound.explain(&error, Moment::Http2Handshake))?;
        let shared = Arc::new(Shared { inbound, n_streams: AtomicUsize::new(0) });
        let pings = connection.ping_pong();
        let of_task = shared.clone();
        let task = tokio::spawn(async move {
            let inbound = of_task.inbound.clone();
            let has_streams = || of_task.n_streams.load(Ordering::Relaxed) > 0;
            let reason = tokio::select! {
                ended = connection => match ended {
                    Ok(()) => TransportError::Closed { during: Moment::Stream },
                    Err(error) => of_task.inbound.explain(&error, Moment::Stream),
                },
                reason = async {
                    let reason = watch(inbound, pings, keepalive, has_streams).await;
                    // Known before the streams are told by the end of the connection.
                    of_task.inbound.fail(reason.clone());
                    reason
                } => reason,
            };
            of_task.inbound.fail(reason);
        });
        let guard = AbortOnDrop(Some(task.abort_handle()));
        shared.inbound.greeted().await.map_err(|reason| {
            let is_closed = matches!(reason, TransportError::Closed { .. });
            if is_closed { TransportError::Closed { during: Moment::Http2Handshake } } else { reason }
        })?;
        guard.disarm();
        Ok(Self { requests, shared })
    }

    /// A place for one more stream, if there is one.
    pub(super) fn seat(&self) -> Option<Seat> {
        let max = self.requests.current_max_send_streams().min(MAX_STREAMS);
        let add = |n: usize| (n < max).then_some(n + 1);
        self.shared.n_streams.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).ok()?;
        let seat = Seat(self.shared.clone());
        if self.shared.inbound.silence() >= SILENCE {
            self.shared.inbound.doubt();
        }
        Some(seat)
    }

    pub(super) fn is_over(&self) -> bool {
        self.shared.inbound.failure().is_some()
    }
}

/// Ends a task unless the work for which it was started is done.
struct AbortOnDrop(Option<AbortHandle>);

impl AbortOnDrop {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}
