use std::{io, net::IpAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};
use waypost_net::{DomainName, canonical_ip};

use crate::{
    Family, Hosts, ResolveError, SystemLookup, TokioLookup,
    cache::{Cache, Cached, Outcome},
    hosts::Listed,
};

/// How long a caller waits for the system; a client gives up not much later.
const SYSTEM_TIMEOUT: Duration = Duration::from_secs(5);
/// Look-ups at a time; each holds a thread, and `getaddrinfo` can hang for half a minute.
const MAX_LOOKUPS: usize = 64;

/// Resolves names by `hosts` and the system. Cheap to clone; clones share cache and look-ups.
#[derive(Debug, Clone)]
pub struct Resolver {
    hosts: Arc<Hosts>,
    system: Arc<System>,
}

#[derive(Debug)]
struct System {
    lookup: Arc<dyn SystemLookup>,
    cache: Mutex<Cache>,
    permits: Semaphore,
}

impl Resolver {
    /// A resolver that asks the operating system for what `hosts` does not list.
    #[must_use]
    pub fn new(hosts: Hosts) -> Self {
        Self::with_lookup(hosts, Arc::new(TokioLookup))
    }

    /// A resolver that asks `lookup` for what `hosts` does not list.
    #[must_use]
    pub fn with_lookup(hosts: Hosts, lookup: Arc<dyn SystemLookup>) -> Self {
        let permits = Semaphore::new(MAX_LOOKUPS);
        let system = System { lookup, cache: Mutex::new(Cache::default()), permits };
        Self { hosts: Arc::new(hosts), system: Arc::new(system) }
    }

    /// This resolver with other `hosts`; cache and look-ups stay shared.
    #[must_use]
    pub fn with_hosts(&self, hosts: Hosts) -> Self {
        Self { hosts: Arc::new(hosts), system: self.system.clone() }
    }

    /// The addresses of `name` by `hosts`, or else by the system. Never empty. An address written as
    /// a name is its own answer.
    ///
    /// # Errors
    ///
    /// See [`ResolveError`].
    pub async fn resolve(&self, name: &DomainName, family: Family) -> Result<Vec<IpAddr>, ResolveError> {
        match self.hosts.resolve(name, family)? {
            Listed::Addresses(addresses) => Ok(addresses),
            Listed::Elsewhere(name) => self.resolve_by_system(&name, family).await,
        }
    }

    /// The addresses of `name` by the system, whatever `hosts` says. Never empty.
    ///
    /// # Errors
    ///
    /// See [`ResolveError`].
    pub async fn resolve_by_system(
        &self,
        name: &DomainName,
        family: Family,
    ) -> Result<Vec<IpAddr>, ResolveError> {
        let found = match name.as_str().parse::<IpAddr>() {
            Ok(address) => Arc::from([address]),
            Err(_not_an_address) => self.ask_system(name).await?,
        };
        let wanted: Vec<IpAddr> =
            found.iter().copied().map(canonical_ip).filter(|&address| family.contains(address)).collect();
        if wanted.is_empty() {
            return Err(ResolveError::NoData { name: name.clone(), family });
        }
        Ok(wanted)
    }

    async fn ask_system(&self, name: &DomainName) -> Result<Arc<[IpAddr]>, ResolveError> {
        let cached = self.system.cache.lock().get(name, Instant::now());
        let mut waiter = match cached {
            Cached::Ready(outcome) => return outcome.map_err(|error| system_error(name, error)),
            Cached::Pending(waiter) => waiter,
            Cached::Absent(sender, waiter) => {
                let (system, name) = (self.system.clone(), name.clone());
                // A task of its own, because the one who asked first may leave before the others.
                tokio::spawn(async move {
                    let outcome = system.look_up(&name).await;
                    system.cache.lock().fill(&name, outcome.clone(), Instant::now());
                    sender.send_replace(Some(outcome));
                });
                waiter
            }
        };
        let outcome = match timeout(SYSTEM_TIMEOUT, waiter.wait_for(Option::is_some)).await {
            Err(_elapsed) => return Err(ResolveError::Timeout { name: name.clone() }),
            Ok(Ok(outcome)) => outcome.clone(),
            Ok(Err(_sender_is_gone)) => None,
        };
        let cancelled = || Err(Arc::new(io::Error::from(io::ErrorKind::Interrupted)));
        outcome.unwrap_or_else(cancelled).map_err(|error| system_error(name, error))
    }
}

impl System {
    /// Holds its permit until the system is done, even if nobody waits any more: the thread is busy.
    async fn look_up(&self, name: &DomainName) -> Outcome {
        let _permit = self.permits.acquire().await;
        self.lookup.lookup(name.as_str()).await.map(Arc::from).map_err(Arc::new)
    }
}

fn system_error(name: &DomainName, source: Arc<io::Error>) -> ResolveError {
    ResolveError::System { name: name.clone(), source }
}

#[cfg(test)]
mod tests;
