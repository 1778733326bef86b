//! Datagrams of a session that nothing carries yet.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;
use waypost_wire::Sniffed;

/// Datagrams that wait until their session can carry. A client that has no answer sends again.
const MAX_WAITING: usize = 32;

/// The datagrams that a client sends while its session is being opened, which whoever opens it may look
/// at. The association puts them in, and takes them out when the session can carry.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    inner: Mutex<Inner>,
    /// Told of each that comes.
    came: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    datagrams: Vec<Arc<[u8]>>,
    sniffed: Option<Sniffed>,
}

impl Waiting {
    /// Begins with what is known of a session that was open before.
    pub(crate) fn again(sniffed: Option<Sniffed>) -> Self {
        Self { inner: Mutex::new(Inner { datagrams: Vec::new(), sniffed }), came: Notify::new() }
    }

    /// Keeps a datagram; `false` if too many wait.
    pub(crate) fn push(&self, payload: &[u8]) -> bool {
        let mut inner = self.inner.lock();
        let has_room = inner.datagrams.len() < MAX_WAITING;
        if has_room {
            inner.datagrams.push(payload.into());
        }
        drop(inner);
        self.came.notify_one();
        has_room
    }

    /// Gives out all that wait, and what was recognised in them.
    pub(crate) fn take(&self) -> (Vec<Arc<[u8]>>, Option<Sniffed>) {
        let Inner { datagrams, sniffed } = std::mem::take(&mut *self.inner.lock());
        (datagrams, sniffed)
    }

    /// The datagram of this number, once it has come; `None` if so many wait that it never will.
    pub(crate) async fn datagram(&self, number: usize) -> Option<Arc<[u8]>> {
        loop {
            {
                let inner = self.inner.lock();
                if number < inner.datagrams.len() || inner.datagrams.len() >= MAX_WAITING {
                    return inner.datagrams.get(number).cloned();
                }
            }
            self.came.notified().await;
        }
    }

    /// What was recognised.
    pub(crate) fn sniffed(&self) -> Option<Sniffed> {
        self.inner.lock().sniffed.clone()
    }

    /// Notes what was recognised, for the session may be opened another time.
    pub(crate) fn set_sniffed(&self, sniffed: &Sniffed) {
        self.inner.lock().sniffed = Some(sniffed.clone());
    }
}
