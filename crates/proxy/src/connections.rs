use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use parking_lot::Mutex;
use slab::Slab;
use tokio::{
    sync::{Notify, broadcast},
    time::{Instant, timeout_at},
};
use waypost_config::model::Stats;
use waypost_net::{DomainName, Flow, Network, Tag, Target};

use crate::{
    AttemptRecord, Conduit,
    snapshot::Why,
    system::wall_clock,
    traffic::{Amount, Place, Traffic, Volumes},
};

/// Enough that the workers of a large machine seldom meet at one lock.
const SHARDS: usize = 16;
/// Connections that were announced and not heard of yet.
const MAX_ANNOUNCED: usize = 1024;

/// The number of a connection; never given twice by one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// What is known of a connection when it is entered.
#[derive(Debug, Clone)]
pub struct ConnectionInfo {
    /// TCP or UDP.
    pub network: Network,
    /// The inbound it came in by.
    pub inbound: Option<Tag>,
    /// The client's address; none on a Unix socket.
    pub source: Option<SocketAddr>,
    /// Where it goes.
    pub target: Target,
    /// The user.
    pub user: Option<Arc<str>>,
    /// What the deciding rule is called.
    pub rule: Arc<str>,
    /// Its position; `None` if no rule matched.
    pub rule_index: Option<usize>,
    /// The name that the first bytes of the client were for.
    pub sniffed: Option<DomainName>,
    /// The protocol of the first bytes.
    pub protocol: Option<Cow<'static, str>>,
}

/// The way that a connection takes. Until its first answer it may change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Path {
    /// The outbound that carries it.
    pub outbound: Option<Tag>,
    /// The way to that outbound: the groups passed, outermost first.
    pub chain: Vec<Tag>,
    /// What was tried, in order; nothing if there was nobody to choose from.
    pub attempts: Vec<AttemptRecord>,
    /// Why a group gave it to that outbound.
    pub why: Option<Why>,
    /// What was hashed, if the group hashes.
    pub key: Option<Box<str>>,
}

/// A live connection.
#[derive(Debug)]
pub struct Connection {
    /// Its number.
    pub id: ConnectionId,
    /// When it was entered.
    pub start: Instant,
    /// The time of the day then.
    pub started_at: SystemTime,
    /// What is known of it.
    pub info: ConnectionInfo,
    /// Its bytes so far, and the way to close it.
    pub conduit: Conduit,
    path: Mutex<Arc<Path>>,
}

/// The live connections. Clones share them.
#[derive(Clone, Default)]
pub struct Connections(Arc<Table>);

#[derive(Default)]
struct Table {
    shards: [Mutex<Slab<Arc<Connection>>>; SHARDS],
    entered: AtomicU64,
    live: AtomicUsize,
    /// Told whenever the last connection leaves.
    empty: Notify,
    traffic: Traffic,
    /// Whether somebody wants to hear of each connection.
    is_followed: AtomicBool,
    entries: Entries,
}

/// Where connections are announced that are entered.
struct Entries(broadcast::Sender<Arc<Connection>>);

impl Default for Entries {
    fn default() -> Self {
        Self(broadcast::Sender::new(MAX_ANNOUNCED))
    }
}

/// Keeps a connection in the table until it is dropped.
#[derive(Debug)]
pub struct ConnectionGuard {
    table: Connections,
    connection: Arc<Connection>,
    key: usize,
}

impl ConnectionInfo {
    /// What a flow tells, and what its rule is called.
    pub(crate) fn new(flow: &Flow, rule: Arc<str>) -> Self {
        Self {
            network: flow.network,
            inbound: flow.inbound.clone(),
            source: flow.source,
            target: flow.target.clone(),
            user: flow.user.clone(),
            rule,
            rule_index: None,
            sniffed: flow.route_domain.clone(),
            protocol: flow.protocol.clone(),
        }
    }
}

impl Connections {
    /// An empty table that counts traffic for these.
    #[must_use]
    pub fn new(stats: Stats) -> Self {
        Self(Arc::new(Table { traffic: Traffic::new(stats), ..Table::default() }))
    }

    /// How much went through each inbound and outbound that is counted, until now.
    #[must_use]
    pub fn traffic(&self) -> BTreeMap<Place, Amount> {
        self.0.traffic.totals(|| self.snapshot())
    }

    /// All that went through each inbound and outbound, and altogether, until now.
    #[must_use]
    pub fn volumes(&self) -> Volumes {
        self.0.traffic.volumes(|| self.snapshot())
    }

    /// Has [`traffic`](Self::traffic) show other counts from now on.
    pub(crate) fn set_stats(&self, stats: Stats) {
        self.0.traffic.set_stats(stats);
    }

    /// How many connections were decided on since the start.
    #[must_use]
    pub fn n_entered(&self) -> u64 {
        self.0.entered.load(Ordering::Relaxed)
    }

    /// Hears of each connection that is entered from now on. Who does not listen for long misses some.
    #[must_use]
    pub fn follow(&self) -> broadcast::Receiver<Arc<Connection>> {
        self.0.is_followed.store(true, Ordering::Relaxed);
        self.0.entries.0.subscribe()
    }

    /// A connection by its number.
    #[must_use]
    pub fn get(&self, id: ConnectionId) -> Option<Arc<Connection>> {
        let shard = self.shard(id).lock();
        shard.iter().find(|(_, connection)| connection.id == id).map(|(_, connection)| connection.clone())
    }

    /// Enters a connection.
    #[must_use]
    pub fn insert(&self, info: ConnectionInfo, path: impl Into<Arc<Path>>) -> ConnectionGuard {
        self.insert_as(self.next_id(), info, path)
    }

    /// The number of a connection that is about to be decided on. It is in every line that the log has of
    /// it, also if it never comes about.
    #[must_use]
    pub fn next_id(&self) -> ConnectionId {
        ConnectionId(self.0.entered.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Enters a connection under the number that it was decided on with.
    #[must_use]
    pub(crate) fn insert_as(
        &self,
        id: ConnectionId,
        info: ConnectionInfo,
        path: impl Into<Arc<Path>>,
    ) -> ConnectionGuard {
        let connection = Arc::new(Connection {
            id,
            start: Instant::now(),
            started_at: wall_clock(),
            info,
            conduit: Conduit::default(),
            path: Mutex::new(path.into()),
        });
        if self.0.is_followed.load(Ordering::Relaxed) {
            let _nobody = self.0.entries.0.send(connection.clone());
        }
        self.0.live.fetch_add(1, Ordering::AcqRel);
        let key = self.shard(id).lock().insert(connection.clone());
        ConnectionGuard { table: self.clone(), connection, key }
    }

    /// How many connections there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.live.load(Ordering::Acquire)
    }

    /// Whether there is no connection.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All connections, oldest first.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Arc<Connection>> {
        let mut all = Vec::with_capacity(self.len());
        for shard in &self.0.shards {
            all.extend(shard.lock().iter().map(|(_, connection)| connection.clone()));
        }
        all.sort_unstable_by_key(|connection| connection.id);
        all
    }

    /// Asks a connection to close; `false` if there is none of this number.
    #[must_use]
    pub fn close(&self, id: ConnectionId) -> bool {
        // The look-up scans a shard: closing by number is a person's click, entering is not.
        let shard = self.shard(id).lock();
        match shard.iter().find(|(_, connection)| connection.id == id) {
            Some((_, connection)) => {
                connection.conduit.close.cancel();
                true
            }
            None => false,
        }
    }

    /// Asks all connections to close; says how many.
    pub fn close_all(&self) -> usize {
        let all = self.snapshot();
        for connection in &all {
            connection.conduit.close.cancel();
        }
        all.len()
    }

    /// Asks those connections of a group and a network to close that go through one of these members of
    /// it; says how many.
    pub fn close_through(&self, group: &str, network: Network, members: &[Tag]) -> usize {
        let all = self.snapshot();
        let of_network = all.iter().filter(|connection| connection.info.network == network);
        let concerned = of_network.filter(|connection| {
            let path = connection.path.lock().clone();
            let behind = path.chain.iter().skip_while(|tag| tag.as_str() != group);
            // The member is the next group on the way, or else the outbound.
            let mut behind = behind.chain(&path.outbound).skip(1);
            path.chain.iter().any(|tag| tag.as_str() == group)
                && behind.next().is_some_and(|member| members.contains(member))
        });
        concerned.map(|connection| connection.conduit.close.cancel()).count()
    }

    /// Waits until there is no connection; `false` if there still are some at `deadline`.
    pub async fn wait_until_empty(&self, deadline: Instant) -> bool {
        let empty = async {
            loop {
                let told = self.0.empty.notified();
                tokio::pin!(told);
                // From here on a connection that leaves is not missed.
                told.as_mut().enable();
                if self.is_empty() {
                    return;
                }
                told.await;
            }
        };
        timeout_at(deadline, empty).await.is_ok()
    }

    fn shard(&self, id: ConnectionId) -> &Mutex<Slab<Arc<Connection>>> {
        let shards = &self.0.shards;
        let index = usize::try_from(id.0 % SHARDS as u64).unwrap_or(0);
        shards.get(index).unwrap_or(&shards[0])
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl Connection {
    /// The way that it takes now.
    #[must_use]
    pub fn path(&self) -> Arc<Path> {
        self.path.lock().clone()
    }

    pub(crate) fn set_path(&self, path: impl Into<Arc<Path>>) {
        *self.path.lock() = path.into();
    }
}

impl AsRef<Conduit> for ConnectionGuard {
    fn as_ref(&self) -> &Conduit {
        &self.connection.conduit
    }
}

impl ConnectionGuard {
    /// The connection.
    #[must_use]
    pub fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        let mut shard = self.table.shard(self.connection.id).lock();
        shard.remove(self.key);
        // Under the lock, so that no connection is counted twice or not at all.
        self.table.0.traffic.finish(&self.connection);
        drop(shard);
        if self.table.0.live.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.table.0.empty.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn info() -> ConnectionInfo {
        ConnectionInfo {
            network: Network::Tcp,
            inbound: None,
            source: "127.0.0.1:1".parse().ok(),
            target: "example.com:443".parse().unwrap(),
            user: None,
            rule: "default".into(),
            rule_index: None,
            sniffed: None,
            protocol: None,
        }
    }

    fn through(chain: &[&str], outbound: &str) -> Path {
        let chain = chain.iter().map(|&tag| Tag::from(tag)).collect();
        Path { outbound: Some(Tag::from(outbound)), chain, ..Path::default() }
    }

    #[tokio::test]
    async fn those_of_a_group_are_closed_whose_member_is_gone() {
        let table = Connections::default();
        let paths = [
            through(&["g"], "a"),
            through(&["g"], "b"),
            through(&["other"], "a"),
            through(&["g", "inner"], "c"),
            through(&[], "a"),
        ];
        let guards = paths.map(|path| table.insert(info(), path));
        assert_eq!(table.close_through("g", Network::Udp, &[Tag::from("a"), Tag::from("inner")]), 0);
        assert_eq!(table.close_through("g", Network::Tcp, &[Tag::from("a"), Tag::from("inner")]), 2);
        let closed: Vec<bool> =
            guards.iter().map(|guard| guard.connection().conduit.close.is_cancelled()).collect();
        assert_eq!(closed, [true, false, false, true, false]);
        guards[1].connection().set_path(through(&["g"], "a"));
        assert_eq!(guards[1].connection().path().outbound.as_deref(), Some("a"));
    }

    #[tokio::test]
    async fn connections_are_listed_while_they_live() {
        let table = Connections::default();
        let mut guards: Vec<_> = (0..40).map(|_| table.insert(info(), Path::default())).collect();
        guards.remove(7);
        let ids: Vec<u64> = table.snapshot().iter().map(|connection| connection.id.0).collect();
        assert_eq!(ids, (1..=40).filter(|&id| id != 8).collect::<Vec<_>>());
        assert_eq!(table.len(), 39);
        drop(guards);
        assert!(table.is_empty() && table.snapshot().is_empty());
    }

    #[tokio::test]
    async fn one_or_all_are_asked_to_close() {
        let table = Connections::default();
        let guards: Vec<_> = (0..3).map(|_| table.insert(info(), Path::default())).collect();
        let closed = || guards.iter().filter(|guard| guard.connection().conduit.close.is_cancelled()).count();
        assert!(table.close(guards[1].connection().id));
        assert!(!table.close(ConnectionId(99)));
        assert_eq!(closed(), 1);
        assert_eq!(table.close_all(), 3);
        assert_eq!(closed(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_with_the_last_connection_or_at_the_deadline() {
        let table = Connections::default();
        let soon = Duration::from_secs(1);
        assert!(table.wait_until_empty(Instant::now() + soon).await);
        let guard = table.insert(info(), Path::default());
        assert!(!table.wait_until_empty(Instant::now() + soon).await);
        let waiting = tokio::spawn({
            let table = table.clone();
            async move { table.wait_until_empty(Instant::now() + soon).await }
        });
        tokio::task::yield_now().await;
        drop(guard);
        assert!(waiting.await.unwrap());
    }
}
