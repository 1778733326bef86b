//! What the world outside sees and does of a connection while its bytes are carried.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;

/// Bytes carried so far; a byte counts when it is written to the receiver's socket.
#[derive(Debug, Default)]
pub struct Counters {
    /// From the client to the target.
    pub up: AtomicU64,
    /// From the target to the client.
    pub down: AtomicU64,
}

impl Counters {
    /// Bytes up and bytes down.
    #[must_use]
    pub fn totals(&self) -> (u64, u64) {
        (self.up.load(Ordering::Relaxed), self.down.load(Ordering::Relaxed))
    }
}

/// Asks a connection to end. One task at a time waits for that: the one that carries the connection.
#[derive(Debug, Default)]
pub struct CloseSignal {
    asked: AtomicBool,
    waiting: Mutex<Option<Waker>>,
}

impl CloseSignal {
    /// Asks the connection to end.
    pub fn cancel(&self) {
        self.asked.store(true, Ordering::Release);
        if let Some(waiting) = self.waiting.lock().take() {
            waiting.wake();
        }
    }

    /// Whether it was asked.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    /// Waits until it is asked.
    pub async fn cancelled(&self) {
        std::future::poll_fn(|context| self.poll_cancelled(context)).await;
    }

    /// Waits, as part of a poll, until it is asked.
    pub(crate) fn poll_cancelled(&self, context: &Context<'_>) -> Poll<()> {
        if self.is_cancelled() {
            return Poll::Ready(());
        }
        let mut waiting = self.waiting.lock();
        if !waiting.as_ref().is_some_and(|waiting| waiting.will_wake(context.waker())) {
            *waiting = Some(context.waker().clone());
        }
        drop(waiting);
        // It may have been asked before the waker was there.
        if self.is_cancelled() { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// The counters of a connection, and the way to end it.
#[derive(Debug, Default)]
pub struct Conduit {
    /// Bytes so far.
    pub counters: Counters,
    /// Ends it.
    pub close: CloseSignal,
}

impl AsRef<Self> for Conduit {
    fn as_ref(&self) -> &Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn who_waits_is_told_and_who_comes_later_knows_at_once() {
        let signal = Arc::new(CloseSignal::default());
        let waiting = tokio::spawn({
            let signal = signal.clone();
            async move { signal.cancelled().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished() && !signal.is_cancelled());
        signal.cancel();
        waiting.await.unwrap();
        signal.cancelled().await;
        assert!(signal.is_cancelled());
    }
}
