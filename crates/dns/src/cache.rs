use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

/// What is known of many keys, and what is being found out. Whoever finds a key absent has to find it
/// out, so that each is asked for once at a time, however many want it.
#[derive(Debug)]
pub(crate) struct Cache<K, V> {
    ready: HashMap<K, Ready<V>>,
    /// The order in which `ready` was filled; the oldest goes first when it is full.
    order: VecDeque<(K, u64)>,
    pending: HashMap<K, Waiter<V>>,
    filled: u64,
    capacity: usize,
    /// How often a value was there.
    n_hits: u64,
}

/// Where a value will appear.
pub(crate) type Waiter<V> = watch::Receiver<Option<V>>;
/// Where whoever finds a value out has to send it, besides [`Cache::fill`].
pub(crate) type Promise<V> = watch::Sender<Option<V>>;

#[derive(Debug)]
struct Ready<V> {
    value: V,
    expires: Instant,
    /// Until when it may be used although its time is up.
    stale_until: Instant,
    /// Which filling this is, so that an old place in `order` does not remove a newer entry.
    filling: u64,
}

/// What the cache has for a key.
#[derive(Debug)]
pub(crate) enum Cached<V> {
    /// A value, and how long it still holds.
    Ready(V, Duration),
    /// A value whose time is up. With a promise, the caller has to find out a new one.
    Stale(V, Option<Promise<V>>),
    /// Somebody is finding it out.
    Pending(Waiter<V>),
    /// The caller has to find it out.
    Absent(Promise<V>, Waiter<V>),
}

/// How long a value is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keep {
    pub(crate) ttl: Duration,
    pub(crate) stale: Duration,
}

impl<K: Hash + Eq + Clone, V: Clone> Cache<K, V> {
    /// A cache for so many keys.
    pub(crate) fn new(capacity: usize) -> Self {
        let (ready, order, pending) = (HashMap::new(), VecDeque::new(), HashMap::new());
        Self { ready, order, pending, filled: 0, capacity, n_hits: 0 }
    }

    /// Forgets everything but what is being found out.
    pub(crate) fn clear(&mut self) {
        self.ready.clear();
        self.order.clear();
    }

    /// How often a value was there.
    pub(crate) fn n_hits(&self) -> u64 {
        self.n_hits
    }

    pub(crate) fn get(&mut self, key: &K, now: Instant) -> Cached<V> {
        let stale = match self.ready.get(key) {
            Some(ready) if now < ready.expires => {
                self.n_hits += 1;
                return Cached::Ready(ready.value.clone(), ready.expires - now);
            }
            Some(ready) if now < ready.stale_until => Some(ready.value.clone()),
            Some(_) | None => None,
        };
        // A promise that is gone without a value will never be kept.
        let waiter = self.pending.get(key).filter(|waiter| waiter.has_changed().is_ok()).cloned();
        match (stale, waiter) {
            (None, Some(waiter)) => Cached::Pending(waiter),
            (Some(value), Some(_)) => Cached::Stale(value, None),
            (stale, None) => {
                let (promise, waiter) = watch::channel(None);
                self.pending.insert(key.clone(), waiter.clone());
                match stale {
                    Some(value) => Cached::Stale(value, Some(promise)),
                    None => Cached::Absent(promise, waiter),
                }
            }
        }
    }

    /// Ends the finding out of `key`. Without `keep` the value is only for those who wait.
    pub(crate) fn fill(&mut self, key: &K, value: V, keep: Option<Keep>, now: Instant) {
        self.pending.remove(key);
        let Some(Keep { ttl, stale }) = keep else { return };
        self.filled += 1;
        let expires = now + ttl;
        let ready = Ready { value, expires, stale_until: expires + stale, filling: self.filled };
        self.ready.insert(key.clone(), ready);
        self.order.push_back((key.clone(), self.filled));
        while self.order.len() > self.capacity {
            let Some((oldest, filling)) = self.order.pop_front() else { break };
            if self.ready.get(&oldest).is_some_and(|ready| ready.filling == filling) {
                self.ready.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Option<Keep> = Some(Keep { ttl: Duration::from_secs(60), stale: Duration::from_secs(10) });

    #[tokio::test(start_paused = true)]
    async fn the_oldest_keys_make_room() {
        let now = Instant::now();
        let mut cache = Cache::new(10);
        for key in 0..=10 {
            cache.fill(&key, (), KEEP, now);
        }
        assert_eq!((cache.ready.len(), cache.order.len()), (10, 10));
        assert!(matches!(cache.get(&0, now), Cached::Absent(..)));
        assert!(matches!(cache.get(&1, now), Cached::Ready(..)));
    }

    #[tokio::test(start_paused = true)]
    async fn one_caller_renews_what_is_stale() {
        let now = Instant::now();
        let mut cache = Cache::new(10);
        cache.fill(&1, "old", KEEP, now);
        let late = now + Duration::from_secs(60);
        let Cached::Stale("old", Some(promise)) = cache.get(&1, late) else { panic!("not stale") };
        assert!(matches!(cache.get(&1, late), Cached::Stale("old", None)));
        drop(promise);
        assert!(matches!(cache.get(&1, late), Cached::Stale("old", Some(_))));
        assert!(matches!(cache.get(&1, late + Duration::from_secs(10)), Cached::Absent(..)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_kept_is_found_out_again() {
        let now = Instant::now();
        let mut cache = Cache::new(10);
        let Cached::Absent(_promise, _waiter) = cache.get(&1, now) else { panic!("not absent") };
        assert!(matches!(cache.get(&1, now), Cached::Pending(_)));
        cache.fill(&1, (), None, now);
        assert!(matches!(cache.get(&1, now), Cached::Absent(..)));
    }
}
