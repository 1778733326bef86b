//! The sessions of an association: bounded, found by target, ended when idle.

use std::{collections::HashMap, time::Duration};

use slab::Slab;
use tokio::time::Instant;

/// The place of a session, which nobody else has had before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SessionId {
    index: usize,
    serial: u64,
}

/// Sessions by key. When one more comes than there is room for, the one that was not used for the
/// longest time goes.
#[derive(Debug)]
pub(super) struct Table<S> {
    slots: Slab<Slot<S>>,
    by_key: HashMap<Box<[u8]>, usize>,
    max: usize,
    next_serial: u64,
}

#[derive(Debug)]
struct Slot<S> {
    key: Box<[u8]>,
    serial: u64,
    idle_limit: Duration,
    last_used: Instant,
    session: S,
}

impl<S> Table<S> {
    pub(super) fn new(max: usize) -> Self {
        Self { slots: Slab::new(), by_key: HashMap::new(), max, next_serial: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.slots.len() >= self.max
    }

    pub(super) fn find(&self, key: &[u8]) -> Option<SessionId> {
        let index = *self.by_key.get(key)?;
        self.slots.get(index).map(|slot| SessionId { index, serial: slot.serial })
    }

    /// Adds a session whose key is not there yet. There has to be room.
    pub(super) fn insert(&mut self, key: &[u8], idle_limit: Duration, now: Instant, session: S) -> SessionId {
        let serial = self.next_serial;
        self.next_serial += 1;
        let slot = Slot { key: key.into(), serial, idle_limit, last_used: now, session };
        let index = self.slots.insert(slot);
        self.by_key.insert(key.into(), index);
        SessionId { index, serial }
    }

    pub(super) fn get(&self, id: SessionId) -> Option<&S> {
        self.slots.get(id.index).filter(|slot| slot.serial == id.serial).map(|slot| &slot.session)
    }

    pub(super) fn get_mut(&mut self, id: SessionId) -> Option<&mut S> {
        self.slots.get_mut(id.index).filter(|slot| slot.serial == id.serial).map(|slot| &mut slot.session)
    }

    /// Gives a session another limit.
    pub(super) fn set_idle_limit(&mut self, id: SessionId, limit: Duration) {
        if let Some(slot) = self.slots.get_mut(id.index).filter(|slot| slot.serial == id.serial) {
            slot.idle_limit = limit;
        }
    }

    /// Notes that a datagram went either way.
    pub(super) fn touch(&mut self, id: SessionId, now: Instant) {
        if let Some(slot) = self.slots.get_mut(id.index).filter(|slot| slot.serial == id.serial) {
            slot.last_used = now;
        }
    }

    pub(super) fn remove(&mut self, id: SessionId) -> Option<S> {
        if self.slots.get(id.index)?.serial != id.serial {
            return None;
        }
        let slot = self.slots.remove(id.index);
        self.by_key.remove(&slot.key);
        Some(slot.session)
    }

    /// The session that was not used for the longest time.
    pub(super) fn least_used(&self) -> Option<SessionId> {
        let oldest = self.slots.iter().min_by_key(|(_, slot)| slot.last_used);
        oldest.map(|(index, slot)| SessionId { index, serial: slot.serial })
    }

    /// The sessions that have been idle for too long.
    pub(super) fn expired(&self, now: Instant) -> Vec<SessionId> {
        let expired = self.slots.iter().filter(|(_, slot)| now >= slot.last_used + slot.idle_limit);
        expired.map(|(index, slot)| SessionId { index, serial: slot.serial }).collect()
    }

    /// When the first session will have been idle for too long, if nothing more comes.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.slots.iter().map(|(_, slot)| slot.last_used + slot.idle_limit).min()
    }

    pub(super) fn ids(&self) -> Vec<SessionId> {
        self.slots.iter().map(|(index, slot)| SessionId { index, serial: slot.serial }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn sessions_are_found_by_key_and_never_confused_with_earlier_ones() {
        let (mut table, now) = (Table::new(4), Instant::now());
        let first = table.insert(b"a", SECOND, now, 1);
        assert_eq!((table.find(b"a"), table.get(first)), (Some(first), Some(&1)));
        assert_eq!(table.remove(first), Some(1));
        let second = table.insert(b"a", SECOND, now, 2);
        assert_eq!(table.remove(first), None);
        assert_eq!(table.get(first), None);
        assert_eq!((table.find(b"a"), table.get(second)), (Some(second), Some(&2)));
    }

    #[test]
    fn the_one_that_was_not_used_for_the_longest_time_is_known() {
        let (mut table, now) = (Table::new(3), Instant::now());
        let ids = [b"a", b"b", b"c"].map(|key| table.insert(key, SECOND, now, ()));
        assert!(table.is_full());
        for (id, after) in [(ids[0], 3), (ids[1], 1), (ids[2], 2)] {
            table.touch(id, now + after * SECOND);
        }
        assert_eq!(table.least_used(), Some(ids[1]));
        table.remove(ids[1]);
        assert_eq!((table.is_full(), table.least_used()), (false, Some(ids[2])));
    }

    #[test]
    fn each_session_expires_by_its_own_limit() {
        let (mut table, now) = (Table::new(3), Instant::now());
        let short = table.insert(b"dns", 10 * SECOND, now, ());
        let long = table.insert(b"game", 300 * SECOND, now, ());
        assert_eq!(table.next_expiry(), Some(now + 10 * SECOND));
        assert!(table.expired(now + 9 * SECOND).is_empty());
        assert_eq!(table.expired(now + 10 * SECOND), [short]);
        table.touch(short, now + 10 * SECOND);
        assert!(table.expired(now + 19 * SECOND).is_empty());
        table.remove(short);
        assert_eq!(table.next_expiry(), Some(now + 300 * SECOND));
        assert_eq!(table.expired(now + 300 * SECOND), [long]);
    }
}
