use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// More than this at once is an attack or a loop, and takes some hundred MB.
pub const DEFAULT_MAX_CONNECTIONS: usize = 65_536;

/// Client, upstream, and half a pipe or a second attempt.
const DESCRIPTORS_PER_CONNECTION: usize = 3;
/// Listeners, files, the runtime.
const RESERVED_DESCRIPTORS: usize = 64;

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
        assert_eq!(connections_within(&limits("1024")), 320);
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
}
