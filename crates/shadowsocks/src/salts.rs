//! Which salts have been used.

use std::{collections::HashSet, sync::Arc};

use parking_lot::Mutex;

use crate::{Method, method::Edition};

/// How long a salt of SIP022 has to be remembered: requests may be 30 seconds old, or as far ahead.
const WINDOW_SECONDS: u64 = 60;

/// How many salts a generation holds; two of them take about 16 MiB. Who has no key adds none, and a
/// connection of SIP004 adds that of its answer as well.
const GENERATION: usize = 1 << 18;

/// The salts that have been used, so that no recorded connection is taken twice. Servers that have keys in
/// common, one after the other or at the same time, share it by a clone.
#[derive(Debug, Clone)]
pub struct Salts(Arc<Editions>);

/// Of each edition, because only those of SIP022 are too old one day.
#[derive(Debug)]
struct Editions {
    aead: Mutex<Generations>,
    aead_2022: Mutex<Generations>,
}

/// Remembers salts in two generations: when the newer one is full or, for SIP022, old enough, the older one
/// is forgotten. A salt of SIP004 is remembered until as many others have come after it.
#[derive(Debug)]
struct Generations {
    expires: bool,
    capacity: usize,
    since: u64,
    newer: HashSet<[u8; 16]>,
    older: HashSet<[u8; 16]>,
}

impl Salts {
    /// No salt has been used yet.
    #[must_use]
    pub fn new() -> Self {
        let of = |expires| Mutex::new(Generations::new(expires, GENERATION));
        Self(Arc::new(Editions { aead: of(false), aead_2022: of(true) }))
    }

    /// Remembers the salt of a request that was authenticated, and says whether it is new.
    pub(crate) fn insert(&self, method: Method, salt: &[u8], now: u64) -> bool {
        let generations = match method.edition() {
            Edition::Aead => &self.0.aead,
            Edition::Aead2022 => &self.0.aead_2022,
        };
        generations.lock().insert(salt, now)
    }
}

impl Default for Salts {
    fn default() -> Self {
        Self::new()
    }
}

impl Generations {
    fn new(expires: bool, capacity: usize) -> Self {
        Self { expires, capacity, since: 0, newer: HashSet::new(), older: HashSet::new() }
    }

    /// Salts are random: their first half tells them apart.
    fn insert(&mut self, salt: &[u8], now: u64) -> bool {
        let Some(salt) = salt.first_chunk::<16>() else { return false };
        let is_old = self.expires && now.saturating_sub(self.since) > WINDOW_SECONDS;
        if is_old || self.newer.len() >= self.capacity {
            self.older = std::mem::take(&mut self.newer);
            self.since = now;
        }
        !self.older.contains(salt) && self.newer.insert(*salt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_salt_is_new_once_within_the_window() {
        let mut salts = Generations::new(true, GENERATION);
        assert!(salts.insert(&[1; 16], 1000));
        assert!(!salts.insert(&[1; 16], 1000));
        assert!(salts.insert(&[2; 16], 1060));
        assert!(!salts.insert(&[1; 16], 1061));
        assert!(!salts.insert(&[2; 16], 1120));
        assert!(salts.insert(&[1; 16], 1122));
        assert!(!salts.insert(&[1; 16], 9000));
        assert!(salts.insert(&[3; 16], 9000));
        assert!(salts.insert(&[1; 16], 9061));
    }

    #[test]
    fn a_salt_without_time_is_remembered_until_there_is_no_room() {
        let mut salts = Generations::new(false, 4);
        assert!(salts.insert(&[0; 32], 0));
        assert!(!salts.insert(&[0; 32], 1_000_000));
        for number in 1..8 {
            assert!(salts.insert(&[number; 32], 0));
        }
        assert!(salts.newer.len() + salts.older.len() <= 8);
        assert!(salts.insert(&[9; 32], 0));
        assert!(salts.insert(&[0; 32], 0));
    }
}
