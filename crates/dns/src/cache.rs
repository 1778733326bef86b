use std::{
    collections::{HashMap, VecDeque},
    io,
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use tokio::{sync::watch, time::Instant};
use waypost_net::DomainName;

/// `getaddrinfo` gives no time to live; a minute is what many zones have and short enough to follow
/// changes.
const POSITIVE_TTL: Duration = Duration::from_secs(60);
/// Long enough to answer a burst of retries, short enough not to outlive a network that comes back.
const NEGATIVE_TTL: Duration = Duration::from_secs(5);
/// A busy gateway sees some thousand names a minute; an entry takes some 200 bytes.
const MAX_ENTRIES: usize = 4096;

/// What the system said of a name.
pub(crate) type Outcome = Result<Arc<[IpAddr]>, Arc<io::Error>>;
/// Where an outcome will appear.
pub(crate) type Waiter = watch::Receiver<Option<Outcome>>;

/// What the system said lately, and what it is being asked.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    ready: HashMap<DomainName, Ready>,
    /// The order in which `ready` was filled; the oldest goes first when it is full.
    order: VecDeque<(DomainName, u64)>,
    pending: HashMap<DomainName, Waiter>,
    filled: u64,
}

#[derive(Debug)]
struct Ready {
    outcome: Outcome,
    expires: Instant,
    /// Which filling this is, so that an old place in `order` does not remove a newer entry.
    filling: u64,
}

/// What the cache has for a name.
pub(crate) enum Cached {
    Ready(Outcome),
    /// Somebody asked already.
    Pending(Waiter),
    /// The caller has to ask and to [`fill`](Cache::fill) the cache, and send the outcome here.
    Absent(watch::Sender<Option<Outcome>>, Waiter),
}

impl Cache {
    pub(crate) fn get(&mut self, name: &DomainName, now: Instant) -> Cached {
        if let Some(ready) = self.ready.get(name)
            && now < ready.expires
        {
            return Cached::Ready(ready.outcome.clone());
        }
        // A sender that is gone without an outcome will never send one.
        if let Some(waiter) = self.pending.get(name)
            && waiter.has_changed().is_ok()
        {
            return Cached::Pending(waiter.clone());
        }
        let (sender, waiter) = watch::channel(None);
        self.pending.insert(name.clone(), waiter.clone());
        Cached::Absent(sender, waiter)
    }

    pub(crate) fn fill(&mut self, name: &DomainName, outcome: Outcome, now: Instant) {
        self.pending.remove(name);
        self.filled += 1;
        let ttl = if outcome.is_ok() { POSITIVE_TTL } else { NEGATIVE_TTL };
        let ready = Ready { outcome, expires: now + ttl, filling: self.filled };
        self.ready.insert(name.clone(), ready);
        self.order.push_back((name.clone(), self.filled));
        while self.order.len() > MAX_ENTRIES {
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

    #[tokio::test(start_paused = true)]
    async fn the_oldest_names_make_room() {
        let now = Instant::now();
        let mut cache = Cache::default();
        let name = |n: usize| DomainName::new(&format!("n{n}")).unwrap();
        for n in 0..=MAX_ENTRIES {
            cache.fill(&name(n), Ok(Arc::from([])), now);
        }
        assert_eq!((cache.ready.len(), cache.order.len()), (MAX_ENTRIES, MAX_ENTRIES));
        assert!(matches!(cache.get(&name(0), now), Cached::Absent(..)));
        assert!(matches!(cache.get(&name(1), now), Cached::Ready(_)));
    }
}
