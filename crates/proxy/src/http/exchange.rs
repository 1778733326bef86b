//! What the reader of a client's connection and the one who forwards its requests tell each other.

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;

use crate::Stream;

/// A connection to an origin server that has switched to another protocol.
#[derive(Debug)]
pub(super) struct Switched {
    pub(super) stream: Stream,
    /// What the origin server has said in it.
    pub(super) rest: Vec<u8>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Exchange(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// How many requests are not answered to their end.
    under_way: usize,
    /// The last request did not lead to another protocol.
    declined: bool,
    /// Who waits for that.
    waker: Option<Waker>,
    switched: Option<Switched>,
}

/// A request that is under way while this lives.
#[derive(Debug)]
pub(super) struct UnderWay(Exchange);

impl Exchange {
    pub(super) fn begin(&self) -> UnderWay {
        self.0.lock().under_way += 1;
        UnderWay(self.clone())
    }

    pub(super) fn is_idle(&self) -> bool {
        self.0.lock().under_way == 0
    }

    /// Says that what the client sends next is another request.
    pub(super) fn decline_upgrade(&self) {
        let mut state = self.0.lock();
        state.declined = true;
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    /// Waits for [`decline_upgrade`](Self::decline_upgrade).
    pub(super) fn poll_declined(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.lock();
        if std::mem::take(&mut state.declined) {
            return Poll::Ready(());
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }

    pub(super) fn switch(&self, switched: Switched) {
        self.0.lock().switched = Some(switched);
    }

    pub(super) fn take_switched(&self) -> Option<Switched> {
        self.0.lock().switched.take()
    }

    /// Forgets what an earlier request has left.
    pub(super) fn reset_upgrade(&self) {
        self.0.lock().declined = false;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.0.0.lock();
        state.under_way = state.under_way.saturating_sub(1);
    }
}
