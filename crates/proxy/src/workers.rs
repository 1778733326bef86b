//! The threads that connections run on.

use std::{
    io,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

/// So many connections more than the least busy one, and a quarter, has a worker that hands new ones
/// over. Handing over costs four system calls and a wake, so that it has to be worth it.
const MAX_LEAD: usize = 8;

/// Threads with a runtime each, so that a connection stays on the core that accepted it: work that is
/// stolen costs a wake of another core each time.
#[derive(Debug)]
pub struct Workers {
    workers: Box<[Worker]>,
    /// Ends the threads when the last of them is dropped.
    stop: CancellationToken,
}

#[derive(Debug)]
struct Worker {
    runtime: Handle,
    connections: AtomicUsize,
}

/// A connection of a worker, until it is dropped.
#[derive(Debug)]
pub(crate) struct Placed {
    workers: Arc<Workers>,
    index: usize,
}

impl Workers {
    /// The current runtime alone. Must be called in one.
    #[must_use]
    pub fn current() -> Self {
        let worker = Worker { runtime: Handle::current(), connections: AtomicUsize::new(0) };
        Self { workers: Box::new([worker]), stop: CancellationToken::new() }
    }

    /// The current runtime and a thread for each further core that this process may use. Must be
    /// called in a runtime.
    ///
    /// # Errors
    ///
    /// If the system has no room for another thread.
    pub fn per_core() -> io::Result<Self> {
        Self::start(thread::available_parallelism().unwrap_or(NonZeroUsize::MIN))
    }

    /// The current runtime, and as many threads more as it takes for `count` workers.
    ///
    /// # Errors
    ///
    /// As [`per_core`](Self::per_core).
    pub fn start(count: NonZeroUsize) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let mut runtimes = vec![Handle::current()];
        for number in 1..count.get() {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            runtimes.push(runtime.handle().clone());
            let stop = stop.clone();
            thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
                runtime.block_on(stop.cancelled());
                // A look-up that the system still works on must not hold the thread back.
                runtime.shutdown_background();
            })?;
        }
        let worker = |runtime| Worker { runtime, connections: AtomicUsize::new(0) };
        Ok(Self { workers: runtimes.into_iter().map(worker).collect(), stop })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.workers.len()
    }

    /// Whether there is none, which is never so.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.workers.is_empty()
    }

    /// The runtime of a worker.
    pub(crate) fn runtime(&self, index: usize) -> Option<&Handle> {
        self.workers.get(index).map(|worker| &worker.runtime)
    }

    /// How many connections each has.
    pub(crate) fn loads(&self) -> Vec<usize> {
        self.workers.iter().map(|worker| worker.connections.load(Ordering::Relaxed)).collect()
    }

    /// Gives a connection that worker `at` has accepted a place: there, unless others have far less
    /// to do.
    pub(crate) fn place(self: &Arc<Self>, at: usize) -> Placed {
        let load = |index: usize| {
            self.workers.get(index).map_or(usize::MAX, |worker| worker.connections.load(Ordering::Relaxed))
        };
        let least = (0..self.workers.len()).min_by_key(|&index| load(index)).unwrap_or(at);
        let most = load(least).saturating_add(load(least) / 4).saturating_add(MAX_LEAD);
        let index = if load(at) > most { least } else { at };
        if let Some(worker) = self.workers.get(index) {
            worker.connections.fetch_add(1, Ordering::Relaxed);
        }
        Placed { workers: self.clone(), index }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Placed {
    /// The worker.
    pub(crate) fn index(&self) -> usize {
        self.index
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        if let Some(worker) = self.workers.workers.get(self.index) {
            worker.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_stay_where_they_are_accepted_until_others_have_far_less_to_do() {
        let workers = Arc::new(Workers::start(NonZeroUsize::new(2).unwrap()).unwrap());
        let mut placed: Vec<Placed> = (0..=MAX_LEAD).map(|_| workers.place(0)).collect();
        assert!(placed.iter().all(|placed| placed.index() == 0));
        placed.push(workers.place(0));
        assert_eq!(placed.last().map(Placed::index), Some(1), "worker 0 leads by 9");
        placed.truncate(4);
        assert_eq!((workers.place(0).index(), workers.place(1).index()), (0, 1));
    }
}
