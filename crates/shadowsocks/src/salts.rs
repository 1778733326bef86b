//! Which salts have been used.

use std::collections::HashSet;

use crate::{Method, method::Edition};

/// How long a salt of SIP022 has to be remembered: requests may be 30 seconds old, or as far ahead.
const WINDOW_SECONDS: u64 = 60;

/// How many salts a generation holds; two of them take about 16 MiB. Who has no key adds none, and a
/// connection of SIP004 adds that of its answer as well.
const GENERATION: usize = 1 << 18;

/// Remembers salts in two generations: when the newer one is full or, for SIP022, old enough, the older one
/// is forgotten. A salt of SIP004 is remembered until as many others have come after it.
#[derive(Debug)]
pub(crate) struct Salts {
    expires: bool,
    capacity: usize,
    since: u64,
    newer: HashSet<[u8; 16]>,
    older: HashSet<[u8; 16]>,
}

impl Salts {
    pub(crate) fn new(method: Method) -> Self {
        Self {
            expires: method.edition() == Edition::Aead2022,
            capacity: GENERATION,
            since: 0,
            newer: HashSet::new(),
            older: HashSet::new(),
        }
    }

    /// Remembers the salt of a request that was authenticated, and says whether it is new. Salts are random:
    /// their first half tells them apart.
    pub(crate) fn insert(&mut self, salt: &[u8], now: u64) -> bool {
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
        let mut salts = Salts::new(Method::Blake3Aes128Gcm);
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
        let mut salts = Salts { capacity: 4, ..Salts::new(Method::Aes256Gcm) };
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
