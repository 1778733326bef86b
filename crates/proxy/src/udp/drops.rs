use std::sync::atomic::{AtomicU64, Ordering};

/// Datagrams that were dropped since the start, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DroppedDatagrams {
    /// They came from somebody else than the client of the association.
    pub spoofed: u64,
    /// They were fragments in the sense of RFC 1928 §7.
    pub fragments: u64,
    /// Their header was cut short or named no target.
    pub malformed: u64,
    /// They do not fit into a datagram together with the header.
    pub oversized: u64,
    /// There was no room: too many waited for a session, or there were too many sessions.
    pub no_room: u64,
}

/// Counts what is dropped.
#[derive(Debug, Default)]
pub(crate) struct Drops {
    spoofed: AtomicU64,
    fragments: AtomicU64,
    malformed: AtomicU64,
    oversized: AtomicU64,
    no_room: AtomicU64,
}

/// Why a datagram is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    Spoofed,
    Fragment,
    Malformed,
    Oversized,
    NoRoom,
}

impl Drops {
    pub(super) fn count(&self, reason: Reason) {
        let counter = match reason {
            Reason::Spoofed => &self.spoofed,
            Reason::Fragment => &self.fragments,
            Reason::Malformed => &self.malformed,
            Reason::Oversized => &self.oversized,
            Reason::NoRoom => &self.no_room,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn totals(&self) -> DroppedDatagrams {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        DroppedDatagrams {
            spoofed: read(&self.spoofed),
            fragments: read(&self.fragments),
            malformed: read(&self.malformed),
            oversized: read(&self.oversized),
            no_room: read(&self.no_room),
        }
    }
}
