//! How much went through each inbound and each outbound.

use std::{collections::BTreeMap, fmt};

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

/// What connections that are over have carried.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    stats: Stats,
    finished: Mutex<BTreeMap<Place, Amount>>,
}

impl Traffic {
    pub(crate) fn new(stats: Stats) -> Self {
        Self { stats, finished: Mutex::default() }
    }

    /// Takes in a connection that ends.
    pub(crate) fn finish(&self, connection: &Connection) {
        if self.stats != Stats::default() {
            add(&mut self.finished.lock(), self.stats, connection);
        }
    }

    /// All that was carried so far, also by connections that are `live`.
    pub(crate) fn totals<'c>(
        &self,
        live: impl IntoIterator<Item = &'c Connection>,
    ) -> BTreeMap<Place, Amount> {
        let mut totals = self.finished.lock().clone();
        if self.stats != Stats::default() {
            live.into_iter().for_each(|connection| add(&mut totals, self.stats, connection));
        }
        totals
    }
}

fn add(totals: &mut BTreeMap<Place, Amount>, stats: Stats, connection: &Connection) {
    let (up, down) = connection.conduit.counters.totals();
    let mut note = |place: Option<Place>, counts_up: bool, counts_down: bool| {
        let Some(place) = place.filter(|_| counts_up || counts_down) else { return };
        let amount = totals.entry(place).or_default();
        for (sum, bytes, counts) in [(&mut amount.up, up, counts_up), (&mut amount.down, down, counts_down)] {
            if counts {
                *sum = Some(sum.unwrap_or(0).saturating_add(bytes));
            }
        }
    };
    let inbound = connection.info.inbound.clone().map(Place::Inbound);
    note(inbound, stats.inbound_up, stats.inbound_down);
    let outbound = connection.path().outbound.clone().map(Place::Outbound);
    note(outbound, stats.outbound_up, stats.outbound_down);
}
