use std::{net::IpAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use rustls::RootCertStore;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};
use waypost_net::DomainName;

use crate::{
    Family, Names, Network, ResolveError, Resolver, ServerError, ServerSpec,
    cache::{Cache, Cached, Keep, Promise},
    exchange::{Request, Tls},
    hosts::Listed,
    message::{Finding, Kind, Outcome},
    resolver::{Found, HOSTS_TTL},
    server::Server,
};

/// A busy gateway sees some thousand names a minute; an entry takes some 300 bytes.
const MAX_ENTRIES: usize = 8192;
/// Questions under way to all servers together; the others wait.
const MAX_QUESTIONS: usize = 512;
/// How much later than the addresses of one family those of the other may come.
const OTHER_FAMILY: Duration = Duration::from_millis(500);
/// What a stale answer says of itself (RFC 8767 §4).
const STALE_TTL: Duration = Duration::from_secs(30);

/// Which servers are asked besides those that a name was given to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fallback {
    /// All, after those.
    #[default]
    Always,
    /// All, if the name was given to nobody.
    UnlessMatched,
    /// None.
    Never,
}

/// Chooses the one server that is asked for a name. This is a seam: rules are put here.
pub trait Chooser: Send + Sync + std::fmt::Debug {
    /// Who is asked.
    fn choose(&self, name: &DomainName) -> Chosen;
}

/// What a [`Chooser`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chosen {
    /// The server of this number is asked, and nobody else.
    Server(u16),
    /// Nobody is asked.
    Nobody,
}

/// The servers of a [`Resolver`].
#[derive(Debug)]
pub struct ServersSpec {
    /// The servers; their places are their numbers.
    pub servers: Vec<ServerSpec>,
    /// Which names come to which server first.
    pub names: Names,
    /// Who is asked else.
    pub fallback: Fallback,
    /// What chooses the server in place of `names` and `fallback`.
    pub chooser: Option<Arc<dyn Chooser>>,
    /// What queries travel in.
    pub network: Arc<dyn Network>,
    /// Who may vouch for servers with TLS; `None` for the authorities that Mozilla trusts.
    pub roots: Option<RootCertStore>,
}

/// The servers with what they said lately.
#[derive(Debug)]
pub(crate) struct Servers {
    list: Box<[Arc<Server>]>,
    names: Names,
    fallback: Fallback,
    chooser: Option<Arc<dyn Chooser>>,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    cache: Mutex<Cache<Key, Result<Finding, ServerError>>>,
    permits: Semaphore,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    server: u16,
    name: DomainName,
    kind: Kind,
}

/// What a server comes to for a name.
enum Verdict {
    Found(Found),
    NoData,
    NoName,
    Failed(ServerError),
    /// The system has failed, or does not know the name; it does not say which.
    System(ResolveError),
}

impl Servers {
    pub(crate) fn new(spec: ServersSpec, bootstrap: &Resolver) -> Result<Self, rustls::Error> {
        let ServersSpec { servers, names, fallback, chooser, network, roots } = spec;
        let tls = roots.map_or_else(Tls::mozilla, Tls::trusting)?;
        let server = |spec| Arc::new(Server::new(spec, &network, &tls, bootstrap));
        let state =
            State { cache: Mutex::new(Cache::new(MAX_ENTRIES)), permits: Semaphore::new(MAX_QUESTIONS) };
        let list = servers.into_iter().map(server).collect();
        Ok(Self { list, names, fallback, chooser, state: Arc::new(state) })
    }

    /// Forgets every answer.
    pub(crate) fn flush(&self) {
        self.state.cache.lock().clear();
    }

    /// How often an answer was there already.
    pub(crate) fn n_cached(&self) -> u64 {
        self.state.cache.lock().n_hits()
    }

    /// Whom to ask for a name, in order: those that it was given to, then the others. If that is
    /// nobody, the first one, as in V2Ray.
    fn order(&self, name: &DomainName) -> Vec<u16> {
        if let Some(chooser) = &self.chooser {
            return match chooser.choose(name) {
                Chosen::Server(number) => vec![number],
                Chosen::Nobody => Vec::new(),
            };
        }
        let mut order = self.names.servers(name);
        let others = match self.fallback {
            Fallback::Always => true,
            Fallback::UnlessMatched => order.is_empty(),
            Fallback::Never => false,
        };
        if others {
            let count = u16::try_from(self.list.len()).unwrap_or(u16::MAX);
            let is_other = |number: &u16| {
                self.server(*number).is_some_and(|server| !server.spec.skip_fallback)
                    && !order.contains(number)
            };
            let others: Vec<u16> = (0..count).filter(is_other).collect();
            order.extend(others);
        }
        if order.is_empty() && !self.list.is_empty() {
            order.push(0);
        }
        order
    }

    fn server(&self, number: u16) -> Option<&Arc<Server>> {
        self.list.get(usize::from(number))
    }

    /// Asks one server after the other until one has an address that is wanted, or only the one of a
    /// number.
    pub(crate) async fn resolve(
        &self,
        name: &DomainName,
        family: Family,
        only: Option<u16>,
        system: &Resolver,
    ) -> Result<Found, ResolveError> {
        let order = only.map_or_else(|| self.order(name), |only| vec![only]);
        if order.is_empty() {
            return Err(ResolveError::Refused { name: name.clone() });
        }
        let no_data = || ResolveError::NoData { name: name.clone(), family };
        let (mut negative, mut failure) = (None, None);
        for number in order {
            let Some(server) = self.server(number) else { continue };
            let Some(wanted) = server.spec.family.intersect(family) else { continue };
            let verdict = if let Some(hosts) = &server.spec.hosts {
                match hosts.resolve(name, wanted)? {
                    Listed::Addresses(addresses) => Verdict::Found(Found { addresses, ttl: HOSTS_TTL }),
                    Listed::Elsewhere(_) => Verdict::NoName,
                }
            } else if server.is_system() {
                ask_system(system, name, wanted).await
            } else {
                self.ask(number, server, name, wanted).await
            };
            match verdict {
                Verdict::Found(Found { addresses, ttl }) => {
                    let addresses = server.accept(addresses);
                    if !addresses.is_empty() {
                        return Ok(Found { addresses, ttl });
                    }
                    negative.get_or_insert_with(no_data);
                }
                // That a name has no IPv6 address is the usual case, and nobody else knows better.
                Verdict::NoData if wanted == Family::V6 => return Err(no_data()),
                Verdict::NoData => drop(negative.get_or_insert_with(no_data)),
                Verdict::NoName => {
                    negative.get_or_insert_with(|| ResolveError::NoName { name: name.clone() });
                }
                Verdict::Failed(source) => {
                    let server = server.label.clone();
                    failure.get_or_insert_with(|| ResolveError::Server {
                        name: name.clone(),
                        server,
                        source,
                    });
                }
                Verdict::System(error) => drop(failure.get_or_insert(error)),
            }
            if server.spec.is_final {
                break;
            }
        }
        Err(negative.or(failure).unwrap_or_else(no_data))
    }

    /// Asks one server for all that is wanted at once. The slower family is not waited for much longer
    /// than the other.
    async fn ask(&self, number: u16, server: &Arc<Server>, name: &DomainName, wanted: Family) -> Verdict {
        let question = |kind| self.find(number, server, name, kind);
        match wanted {
            Family::V4 => verdict([Some(question(Kind::A).await), None]),
            Family::V6 => verdict([Some(question(Kind::Aaaa).await), None]),
            Family::Any => {
                let (mut v4, mut v6) = (Box::pin(question(Kind::A)), Box::pin(question(Kind::Aaaa)));
                let patience = |first: &Result<Finding, ServerError>| match first {
                    Ok(Finding { outcome: Outcome::Addresses(_), .. }) => OTHER_FAMILY,
                    Ok(Finding { outcome: Outcome::NoData | Outcome::NoName, .. }) | Err(_) => {
                        server.spec.timeout
                    }
                };
                tokio::select! {
                    first = &mut v4 => {
                        let other = timeout(patience(&first), v6).await.ok();
                        verdict([Some(first), other])
                    }
                    first = &mut v6 => {
                        let other = timeout(patience(&first), v4).await.ok();
                        verdict([other, Some(first)])
                    }
                }
            }
        }
    }

    /// Asks the cache and then the server; one question at a time is under way for one name.
    async fn find(
        &self,
        number: u16,
        server: &Arc<Server>,
        name: &DomainName,
        kind: Kind,
    ) -> Result<Finding, ServerError> {
        let key = Key { server: number, name: name.clone(), kind };
        let cached = self.state.cache.lock().get(&key, Instant::now());
        let mut waiter = match cached {
            Cached::Ready(found, left) => {
                return found.map(|Finding { outcome, .. }| Finding { outcome, ttl: left });
            }
            Cached::Stale(found, promise) => {
                if let Some(promise) = promise {
                    self.fetch(server, key, promise);
                }
                return found.map(|Finding { outcome, .. }| Finding { outcome, ttl: STALE_TTL });
            }
            Cached::Pending(waiter) => waiter,
            Cached::Absent(promise, waiter) => {
                self.fetch(server, key, promise);
                waiter
            }
        };
        match waiter.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(found)) => found.clone(),
            Ok(None) | Err(_) => Err(ServerError::Lost),
        }
    }

    /// Begins to find something out, in a task of its own, because the one who asked first may leave
    /// before the others.
    fn fetch(&self, server: &Arc<Server>, key: Key, promise: Promise<Result<Finding, ServerError>>) {
        let (state, server) = (self.state.clone(), server.clone());
        tokio::spawn(async move {
            let _permit = state.permits.acquire().await;
            let found = server.find(&key.name, key.kind).await;
            let ttl = found.as_ref().ok().map(|found| found.ttl).filter(|_| server.spec.cache);
            let keep = ttl.map(|ttl| Keep { ttl, stale: server.spec.stale.unwrap_or_default() });
            state.cache.lock().fill(&key, found.clone(), keep, Instant::now());
            promise.send_replace(Some(found));
        });
    }

    /// Sends a query for something other than addresses to whoever would be asked for those of the same
    /// name; `None` if that is only the system.
    pub(crate) async fn pass_on(
        &self,
        name: Option<&DomainName>,
        request: &Request,
    ) -> Option<Result<Vec<u8>, ServerError>> {
        let order = match name {
            Some(name) => self.order(name),
            None => (0..u16::try_from(self.list.len()).unwrap_or(u16::MAX)).collect(),
        };
        let mut failure = None;
        for number in order {
            let Some(server) = self.server(number).filter(|server| !server.is_system()) else { continue };
            match server.pass_on(request.clone()).await {
                Ok(answer) => return Some(Ok(answer)),
                Err(error) => drop(failure.get_or_insert(error)),
            }
        }
        failure.map(Err)
    }
}

async fn ask_system(system: &Resolver, name: &DomainName, wanted: Family) -> Verdict {
    match system.find_by_system(name, wanted).await {
        Ok(found) => Verdict::Found(found),
        Err(ResolveError::NoData { .. }) => Verdict::NoData,
        Err(error) => Verdict::System(error),
    }
}

/// What the answers of both families come to.
fn verdict(answers: [Option<Result<Finding, ServerError>>; 2]) -> Verdict {
    let (mut addresses, mut ttl) = (Vec::<IpAddr>::new(), Duration::MAX);
    let (mut failure, mut is_unknown) = (None, false);
    for answer in answers.into_iter().flatten() {
        match answer {
            Ok(Finding { outcome: Outcome::Addresses(found), ttl: of_these }) => {
                addresses.extend(found);
                ttl = ttl.min(of_these);
            }
            Ok(Finding { outcome: Outcome::NoName, .. }) => is_unknown = true,
            Ok(Finding { outcome: Outcome::NoData, .. }) => {}
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        _ if !addresses.is_empty() => Verdict::Found(Found { addresses, ttl }),
        _ if is_unknown => Verdict::NoName,
        Some(error) => Verdict::Failed(error),
        None => Verdict::NoData,
    }
}
