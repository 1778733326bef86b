use std::{
    io,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};
use waypost_net::{DomainName, canonical_ip};

use crate::{
    Family, Hosts, ResolveError, ServersSpec, SystemLookup, TokioLookup,
    cache::{Cache, Cached, Keep, Promise},
    hosts::Listed,
    servers::Servers,
};

/// How long a caller waits for the system; a client gives up not much later.
const SYSTEM_TIMEOUT: Duration = Duration::from_secs(5);
/// Look-ups at a time; each holds a thread, and `getaddrinfo` can hang for half a minute.
const MAX_LOOKUPS: usize = 64;
/// `getaddrinfo` gives no time to live; a minute is what many zones have and short enough to follow
/// changes.
const SYSTEM_TTL: Duration = Duration::from_secs(60);
/// Long enough to answer a burst of retries, short enough not to outlive a network that comes back.
const SYSTEM_FAILURE_TTL: Duration = Duration::from_secs(5);
/// A busy gateway sees some thousand names a minute; an entry takes some 200 bytes.
const MAX_ENTRIES: usize = 4096;
/// What is in `hosts` holds until the file is read again.
pub(crate) const HOSTS_TTL: Duration = Duration::from_secs(60);

/// What the system said of a name.
type Outcome = Result<Arc<[IpAddr]>, Arc<io::Error>>;

/// Resolves names by `hosts`, and then by servers, or by the system if there are none. Cheap to clone;
/// clones share cache and look-ups.
#[derive(Debug, Clone)]
pub struct Resolver {
    hosts: Arc<Hosts>,
    system: Arc<System>,
    servers: Option<Arc<Servers>>,
    /// The only one of them that is asked.
    only: Option<u16>,
    family: Family,
}

/// Addresses, and how long they hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The addresses; never empty.
    pub addresses: Vec<IpAddr>,
    /// How long they hold.
    pub ttl: Duration,
}

#[derive(Debug)]
struct System {
    lookup: Arc<dyn SystemLookup>,
    cache: Mutex<Cache<DomainName, Outcome>>,
    permits: Semaphore,
    counts: Counts,
}

/// What all clones have done.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) lookups: AtomicU64,
    pub(crate) failures: AtomicU64,
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
        let system =
            System { lookup, cache: Mutex::new(Cache::new(MAX_ENTRIES)), permits, counts: Counts::default() };
        Self {
            hosts: Arc::new(hosts),
            system: Arc::new(system),
            servers: None,
            only: None,
            family: Family::Any,
        }
    }

    /// This resolver with other `hosts`; cache and look-ups of the system stay shared.
    #[must_use]
    pub fn with_hosts(&self, hosts: Hosts) -> Self {
        Self { hosts: Arc::new(hosts), ..self.clone() }
    }

    /// This resolver, asking servers in place of the system. Their own names it resolves as it does now.
    ///
    /// # Errors
    ///
    /// If the TLS library lacks a version of TLS that it supports by default.
    pub fn with_servers(self, servers: ServersSpec) -> Result<Self, rustls::Error> {
        let servers = Servers::new(servers, &self)?;
        Ok(Self { servers: Some(Arc::new(servers)), ..self })
    }

    /// This resolver, looking up these families only.
    #[must_use]
    pub fn with_family(self, family: Family) -> Self {
        Self { family, ..self }
    }

    /// The same resolver, asking the server of a number and nobody else. A resolver without servers asks
    /// the system.
    #[must_use]
    pub fn with_only(&self, server: u16) -> Self {
        Self { only: Some(server), ..self.clone() }
    }

    /// The same resolver without its servers, for the names of servers and of proxies that queries to
    /// servers may go through.
    #[must_use]
    pub fn without_servers(&self) -> Self {
        Self { servers: None, only: None, family: Family::Any, ..self.clone() }
    }

    /// The addresses of `name` by `hosts`, or else by the servers or the system. Never empty. An address
    /// written as a name is its own answer.
    ///
    /// # Errors
    ///
    /// See [`ResolveError`].
    pub async fn resolve(&self, name: &DomainName, family: Family) -> Result<Vec<IpAddr>, ResolveError> {
        self.find(name, family).await.map(|found| found.addresses)
    }

    /// As [`resolve`](Self::resolve), with the time that the addresses hold.
    ///
    /// # Errors
    ///
    /// See [`ResolveError`].
    pub async fn find(&self, name: &DomainName, family: Family) -> Result<Found, ResolveError> {
        let no_data = || ResolveError::NoData { name: name.clone(), family };
        let wanted = self.family.intersect(family).ok_or_else(no_data)?;
        let name = match self.hosts.resolve(name, wanted)? {
            Listed::Addresses(addresses) => return Ok(Found { addresses, ttl: HOSTS_TTL }),
            Listed::Elsewhere(name) => name,
        };
        self.system.counts.lookups.fetch_add(1, Ordering::Relaxed);
        // Boxed, so that what `hosts` answers costs no more than that.
        let found = Box::pin(self.find_elsewhere(&name, wanted)).await;
        if found.is_err() {
            self.system.counts.failures.fetch_add(1, Ordering::Relaxed);
        }
        found
    }

    async fn find_elsewhere(&self, name: &DomainName, wanted: Family) -> Result<Found, ResolveError> {
        match &self.servers {
            Some(servers) if name.as_str().parse::<IpAddr>().is_err() => {
                servers.resolve(name, wanted, self.only, self).await
            }
            Some(_) | None => self.find_by_system(name, wanted).await,
        }
    }

    /// The addresses of `name` by the system, whatever `hosts` and servers say. Never empty.
    ///
    /// # Errors
    ///
    /// See [`ResolveError`].
    pub async fn resolve_by_system(
        &self,
        name: &DomainName,
        family: Family,
    ) -> Result<Vec<IpAddr>, ResolveError> {
        self.find_by_system(name, family).await.map(|found| found.addresses)
    }

    pub(crate) async fn find_by_system(
        &self,
        name: &DomainName,
        family: Family,
    ) -> Result<Found, ResolveError> {
        let (found, ttl) = match name.as_str().parse::<IpAddr>() {
            Ok(address) => (Arc::from([address]), HOSTS_TTL),
            Err(_not_an_address) => self.ask_system(name).await?,
        };
        let addresses: Vec<IpAddr> =
            found.iter().copied().map(canonical_ip).filter(|&address| family.contains(address)).collect();
        if addresses.is_empty() {
            return Err(ResolveError::NoData { name: name.clone(), family });
        }
        Ok(Found { addresses, ttl })
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.system.counts
    }

    pub(crate) fn n_cached_by_system(&self) -> u64 {
        self.system.cache.lock().n_hits()
    }

    pub(crate) fn flush_system(&self) {
        self.system.cache.lock().clear();
    }

    pub(crate) fn servers(&self) -> Option<&Servers> {
        self.servers.as_deref()
    }

    async fn ask_system(&self, name: &DomainName) -> Result<(Arc<[IpAddr]>, Duration), ResolveError> {
        let cached = self.system.cache.lock().get(name, Instant::now());
        let mut waiter = match cached {
            Cached::Ready(outcome, left) => {
                return outcome.map(|addresses| (addresses, left)).map_err(|error| system_error(name, error));
            }
            Cached::Stale(outcome, promise) => {
                if let Some(promise) = promise {
                    self.fetch_by_system(name, promise);
                }
                return outcome
                    .map(|addresses| (addresses, SYSTEM_FAILURE_TTL))
                    .map_err(|error| system_error(name, error));
            }
            Cached::Pending(waiter) => waiter,
            Cached::Absent(promise, waiter) => {
                self.fetch_by_system(name, promise);
                waiter
            }
        };
        let outcome = match timeout(SYSTEM_TIMEOUT, waiter.wait_for(Option::is_some)).await {
            Err(_elapsed) => return Err(ResolveError::Timeout { name: name.clone() }),
            Ok(Ok(outcome)) => outcome.clone(),
            Ok(Err(_sender_is_gone)) => None,
        };
        let cancelled = || Err(Arc::new(io::Error::from(io::ErrorKind::Interrupted)));
        let addresses = outcome.unwrap_or_else(cancelled).map_err(|error| system_error(name, error))?;
        Ok((addresses, SYSTEM_TTL))
    }

    /// Begins to ask the system, in a task of its own, because the one who asked first may leave before
    /// the others.
    fn fetch_by_system(&self, name: &DomainName, promise: Promise<Outcome>) {
        let (system, name) = (self.system.clone(), name.clone());
        tokio::spawn(async move {
            let outcome = system.look_up(&name).await;
            let ttl = if outcome.is_ok() { SYSTEM_TTL } else { SYSTEM_FAILURE_TTL };
            let keep = Keep { ttl, stale: Duration::ZERO };
            system.cache.lock().fill(&name, outcome.clone(), Some(keep), Instant::now());
            promise.send_replace(Some(outcome));
        });
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
