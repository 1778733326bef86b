//! Members that die, freeze, flap and lie under steady traffic: no connection is lost.
//!
//! A connection is lost when its client sees an error, a wrong answer or none. The members are
//! processes of their own; the faults are signals.

mod config;
mod faults;
mod keyed;
mod load;
mod nobody;
mod nodes;
mod protocol;
mod urltest;

use std::{net::SocketAddr, sync::OnceLock, time::Duration};

use serde_json::Value;
use tokio::{
    sync::{Mutex, MutexGuard},
    time::sleep,
};

use self::{
    config::config,
    load::{Origin, Record, Request, run},
    nodes::{Kind, Node},
};
use crate::binary::Waypost;

pub(crate) use self::load::hello;

/// Chaos needs the machine for itself; see also `.config/nextest.toml`.
async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: OnceLock<Mutex<()>> = OnceLock::new();
    ALONE.get_or_init(Mutex::default).lock().await
}

/// A proxy with one group in front of members that are processes.
struct Scene {
    waypost: Waypost,
    origin: Origin,
    nodes: Vec<Node>,
}

impl Scene {
    /// Primaries of these kinds, and so many backups; `None` where the programs are not there.
    async fn start(test: &str, primary: &[Kind], n_backup: usize, extra: &Value) -> Option<Self> {
        let config = |addresses: &[SocketAddr], origin| config(addresses, primary.len(), origin, extra);
        Self::start_with(test, primary, n_backup, config).await
    }

    /// The same with a configuration for the addresses of the members and that of the origin.
    async fn start_with(
        test: &str,
        primary: &[Kind],
        n_backup: usize,
        config: impl FnOnce(&[SocketAddr], SocketAddr) -> Value,
    ) -> Option<Self> {
        let origin = Origin::start().await;
        let mut nodes = Vec::new();
        for &kind in primary.iter().chain(&vec![Kind::Microsocks; n_backup]) {
            nodes.push(Node::start(kind, test).await?);
        }
        let addresses: Vec<SocketAddr> = nodes.iter().map(|node| node.address).collect();
        let config = config(&addresses, origin.address);
        let waypost = Waypost::start(&config.to_string(), None).await;
        // The first round of probes.
        sleep(Duration::from_millis(500)).await;
        Some(Self { waypost, origin, nodes })
    }

    async fn load(&self, request: Request, span: Duration) -> Vec<Record> {
        run(self.waypost.address("in"), self.origin.address, request, span).await
    }
}
