use std::collections::{HashSet, VecDeque};

/// Remembers the requests of the last while, so that a recorded one is not served again.
///
/// One filter is meant for all connections of an inbound. A request is remembered until its own time is
/// out of the window in any case, unless more come in than the filter has room for.
#[derive(Debug)]
pub struct ReplayFilter {
    window_seconds: u64,
    capacity: usize,
    seen: HashSet<[u8; 16]>,
    in_order: VecDeque<(u64, [u8; 16])>,
}

/// How long a filter remembers: a request may be as far in the future as in the past, and it is judged by
/// when its connection came in, which may wait as long before it sends.
const WINDOW_SECONDS: u64 = 3 * super::server::MAX_CLOCK_DIFFERENCE + 1;

/// About 60 MiB once 3000 requests a second have come in for six minutes. Who knows no id adds nothing.
const DEFAULT_CAPACITY: usize = 1 << 20;

impl ReplayFilter {
    /// A filter that remembers up to `capacity` requests; beyond that it forgets the oldest ones.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let (seen, in_order) = (HashSet::new(), VecDeque::new());
        Self { window_seconds: WINDOW_SECONDS, capacity: capacity.max(1), seen, in_order }
    }

    /// Remembers a request that came in at `now` (in seconds) by its first 16 bytes, and says whether it
    /// is the first with them.
    pub fn insert(&mut self, auth_id: [u8; 16], now: u64) -> bool {
        let is_old = |&(at, _): &(u64, [u8; 16])| at.saturating_add(self.window_seconds) < now;
        while self.in_order.len() >= self.capacity || self.in_order.front().is_some_and(is_old) {
            let Some((_, oldest)) = self.in_order.pop_front() else { break };
            self.seen.remove(&oldest);
        }
        let is_new = self.seen.insert(auth_id);
        if is_new {
            self.in_order.push_back((now, auth_id));
        }
        is_new
    }

    /// How many requests are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.in_order.len()
    }

    /// Whether none is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.in_order.is_empty()
    }
}

impl Default for ReplayFilter {
    fn default() -> Self {
        Self::new(DEFAULT_CAPACITY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_let_in_once_within_the_window() {
        let mut filter = ReplayFilter::default();
        assert!(filter.insert([1; 16], 1000));
        assert!(filter.insert([2; 16], 1000));
        assert!(!filter.insert([1; 16], 1000));
        assert!(!filter.insert([1; 16], 1361));
        assert!(filter.insert([1; 16], 1362));
        assert_eq!(filter.len(), 1);
    }

    #[test]
    fn memory_is_bounded() {
        let mut filter = ReplayFilter::new(3);
        for number in 0..10 {
            assert!(filter.insert([number; 16], 1000));
        }
        assert_eq!(filter.len(), 3);
        assert!(!filter.insert([9; 16], 1000));
    }

    #[test]
    fn a_clock_that_goes_back_forgets_nothing() {
        let mut filter = ReplayFilter::default();
        assert!(filter.insert([1; 16], 1000));
        assert!(filter.insert([2; 16], 10));
        assert!(!filter.insert([1; 16], 10));
    }
}
