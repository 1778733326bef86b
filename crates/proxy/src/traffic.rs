//! How much went through each inbound and each outbound.

use std::{collections::BTreeMap, fmt, sync::Arc};

use parking_lot::Mutex;
use waypost_config::model::Stats;
use waypost_net::Tag;

use crate::Connection;

/// Which end of the proxy bytes went through.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// An inbound with this tag.
    Inbound(Tag),
    /// An outbound with this tag.
    Outbound(Tag),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inbound(tag) => write!(f, "inbound {tag}"),
            Self::Outbound(tag) => write!(f, "outbound {tag}"),
        }
    }
}

/// Bytes that went through a place; `None` is not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amount {
    /// From clients.
    pub up: Option<u64>,
    /// To clients.
    pub down: Option<u64>,
}

/// Bytes of both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Volume {
    /// From clients.
    pub up: u64,
    /// To clients.
    pub down: u64,
}

/// All that was carried, by where it went through.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Volumes {
    /// Altogether.
    pub all: Volume,
    /// By the inbound.
    pub inbounds: BTreeMap<Tag, Volume>,
    /// By the outbound.
    pub outbounds: BTreeMap<Tag, Volume>,
    /// By the user.
    pub users: BTreeMap<Arc<str>, Volume>,
}

/// What connections that are over have carried.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    stats: Mutex<Stats>,
    finished: Mutex<Volumes>,
    /// What was told last. A connection that ends meanwhile must not let a sum go back.
    told: Mutex<Volumes>,
}

impl Traffic {
    pub(crate) fn new(stats: Stats) -> Self {
        Self { stats: Mutex::new(stats), finished: Mutex::default(), told: Mutex::default() }
    }

    /// Shows other counts from now on.
    pub(crate) fn set_stats(&self, stats: Stats) {
        *self.stats.lock() = stats;
    }

    /// Takes in a connection that ends.
    pub(crate) fn finish(&self, connection: &Connection) {
        self.finished.lock().add(connection);
    }

    /// All that was carried so far, also by connections that `live` yields. Never less than before.
    pub(crate) fn volumes(&self, live: impl FnOnce() -> Vec<Arc<Connection>>) -> Volumes {
        let mut volumes = self.finished.lock().clone();
        live().iter().for_each(|connection| volumes.add(connection));
        let mut told = self.told.lock();
        volumes.raise_to(&told);
        *told = volumes.clone();
        volumes
    }

    /// What the configuration wants counted.
    pub(crate) fn totals(&self, live: impl FnOnce() -> Vec<Arc<Connection>>) -> BTreeMap<Place, Amount> {
        let stats = *self.stats.lock();
        let Volumes { inbounds, outbounds, .. } = self.volumes(live);
        let shown = |place: Place, volume: Volume, counts_up: bool, counts_down: bool| {
            let amount =
                Amount { up: counts_up.then_some(volume.up), down: counts_down.then_some(volume.down) };
            (counts_up || counts_down).then_some((place, amount))
        };
        let inbounds = inbounds.into_iter().filter_map(|(tag, volume)| {
            shown(Place::Inbound(tag), volume, stats.inbound_up, stats.inbound_down)
        });
        let outbounds = outbounds.into_iter().filter_map(|(tag, volume)| {
            shown(Place::Outbound(tag), volume, stats.outbound_up, stats.outbound_down)
        });
        inbounds.chain(outbounds).collect()
    }
}

impl Volumes {
    fn add(&mut self, connection: &Connection) {
        let (up, down) = connection.conduit.counters.totals();
        let volume = Volume { up, down };
        self.all = self.all.add(volume);
        if let Some(inbound) = &connection.info.inbound {
            add(&mut self.inbounds, inbound, volume);
        }
        if let Some(outbound) = &connection.path().outbound {
            add(&mut self.outbounds, outbound, volume);
        }
        if let Some(user) = &connection.info.user {
            add(&mut self.users, user, volume);
        }
    }
}

impl Volumes {
    fn raise_to(&mut self, other: &Self) {
        self.all = self.all.max(other.all);
        raise(&mut self.inbounds, &other.inbounds);
        raise(&mut self.outbounds, &other.outbounds);
        raise(&mut self.users, &other.users);
    }
}

fn raise<K: Clone + Ord>(volumes: &mut BTreeMap<K, Volume>, least: &BTreeMap<K, Volume>) {
    for (key, least) in least {
        let known = volumes.entry(key.clone()).or_default();
        *known = known.max(*least);
    }
}

impl Volume {
    fn max(self, other: Self) -> Self {
        Self { up: self.up.max(other.up), down: self.down.max(other.down) }
    }

    pub(crate) fn add(self, other: Self) -> Self {
        Self { up: self.up.saturating_add(other.up), down: self.down.saturating_add(other.down) }
    }
}

fn add<K: Clone + Ord>(volumes: &mut BTreeMap<K, Volume>, key: &K, volume: Volume) {
    match volumes.get_mut(key) {
        Some(known) => *known = known.add(volume),
        None => {
            volumes.insert(key.clone(), volume);
        }
    }
}
