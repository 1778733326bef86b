use std::{collections::HashMap, net::IpAddr, num::NonZeroU32, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use waypost_config::model::Limits;

/// More than this at once is an attack or a loop, and takes some hundred MB.
pub const DEFAULT_MAX_CONNECTIONS: usize = 65_536;

/// Client and upstream. What moves through a pipe holds two more meanwhile, and is copied instead
/// when there are none.
const DESCRIPTORS_PER_CONNECTION: usize = 2;
/// Listeners, files, runtimes, pipes, second attempts.
const RESERVED_DESCRIPTORS: usize = 256;

/// Bounds how many connections live at a time. Clones count together.
#[derive(Debug, Clone)]
pub struct ConnectionLimit(Arc<Semaphore>);

impl ConnectionLimit {
    /// At most `max` connections.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self(Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS))))
    }

    /// As many connections as the limit for open files (`RLIMIT_NOFILE`) leaves room for, at most
    /// [`DEFAULT_MAX_CONNECTIONS`]. The limit is read from `/proc`; where that is missing, the default
    /// stands.
    #[must_use]
    pub fn from_system() -> Self {
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
        Self::new(connections_within(&limits))
    }

    /// Waits for room; the room is taken until the permit is dropped.
    pub async fn acquire(&self) -> OwnedSemaphorePermit {
        match self.0.clone().acquire_owned().await {
            Ok(permit) => permit,
            // Nothing closes the semaphore; were it closed, there would never be room again.
            Err(_closed) => std::future::pending().await,
        }
    }

    /// Takes room if there is some.
    #[must_use]
    pub fn try_acquire(&self) -> Option<OwnedSemaphorePermit> {
        self.0.clone().try_acquire_owned().ok()
    }

    /// How many more connections there is room for.
    #[must_use]
    pub fn available(&self) -> usize {
        self.0.available_permits()
    }
}

/// Bounds the connections of one inbound. Clones count together.
#[derive(Debug, Clone)]
pub(crate) struct InboundLimits {
    all: Option<ConnectionLimit>,
    sources: Option<Arc<Sources>>,
}

/// How many connections each address has; only those that have some are here.
#[derive(Debug)]
struct Sources {
    max: NonZeroU32,
    live: Mutex<HashMap<IpAddr, u32>>,
}

/// A connection's place among those of its address, until it is dropped.
#[derive(Debug)]
pub(crate) struct SourcePermit(Option<(Arc<Sources>, IpAddr)>);

impl InboundLimits {
    pub(crate) fn new(limits: Limits) -> Self {
        let all = limits.connections.map(|max| ConnectionLimit::new(max.get() as usize));
        let sources = limits.per_source.map(|max| Arc::new(Sources { max, live: Mutex::default() }));
        Self { all, sources }
    }

    /// Waits for room in the inbound.
    pub(crate) async fn acquire(&self) -> Option<OwnedSemaphorePermit> {
        match &self.all {
            None => None,
            Some(all) => Some(all.acquire().await),
        }
    }

    /// Takes room for a client; `None` if its address has as many connections as it may.
    pub(crate) fn admit(&self, source: Option<IpAddr>) -> Option<SourcePermit> {
        let (Some(sources), Some(source)) = (&self.sources, source) else { return Some(SourcePermit(None)) };
        let mut live = sources.live.lock();
        let count = live.entry(source).or_insert(0);
        if *count >= sources.max.get() {
            return None;
        }
        *count += 1;
        Some(SourcePermit(Some((sources.clone(), source))))
    }
}

impl Drop for SourcePermit {
    fn drop(&mut self) {
        let Some((sources, source)) = &self.0 else { return };
        let mut live = sources.live.lock();
        if let Some(count) = live.get_mut(source) {
            *count -= 1;
            if *count == 0 {
                live.remove(source);
            }
        }
    }
}

/// Reads the soft limit of the line `Max open files`.
fn connections_within(limits: &str) -> usize {
    limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next()?.parse().ok())
        .map_or(DEFAULT_MAX_CONNECTIONS, |soft: usize| {
            let room = soft.saturating_sub(RESERVED_DESCRIPTORS) / DESCRIPTORS_PER_CONNECTION;
            room.clamp(1, DEFAULT_MAX_CONNECTIONS)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_fit_into_the_limit_for_open_files() {
        let limits = |soft: &str| format!("Limit  Soft\nMax open files            {soft}    4096  files\n");
        assert_eq!(connections_within(&limits("1024")), 384);
        assert_eq!(connections_within(&limits("20000")), 9872);
        assert_eq!(connections_within(&limits("64")), 1);
        assert_eq!(connections_within(&limits("1048576")), DEFAULT_MAX_CONNECTIONS);
        assert_eq!(connections_within(&limits("unlimited")), DEFAULT_MAX_CONNECTIONS);
        assert_eq!(connections_within(""), DEFAULT_MAX_CONNECTIONS);
    }

    #[tokio::test]
    async fn room_comes_back_when_a_permit_is_dropped() {
        let limit = ConnectionLimit::new(1);
        let permit = limit.acquire().await;
        assert!(limit.try_acquire().is_none());
        drop(permit);
        assert_eq!(limit.available(), 1);
    }

    #[test]
    fn an_address_has_so_many_connections_at_a_time() {
        let per_source = NonZeroU32::new(2);
        let limits = InboundLimits::new(Limits { per_source, ..Limits::default() });
        let [one, other] = [IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])];
        let permits = [limits.admit(Some(one)).unwrap(), limits.admit(Some(one)).unwrap()];
        assert!(limits.admit(Some(one)).is_none());
        assert!(limits.admit(Some(other)).is_some() && limits.admit(None).is_some());
        drop(permits);
        assert!(limits.admit(Some(one)).is_some());
        assert!(limits.sources.unwrap().live.lock().is_empty(), "who is gone is forgotten");
    }
}
