//! The connections that come.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use rand::{RngExt as _, rngs::StdRng};
use waypost_net::{Flow, Host, Network, Tag, Target};

use crate::{Arrivals, Pattern, connection::Arrival};

/// The first client; the others follow (RFC 1918).
const FIRST_CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// The first target; the others follow (RFC 2544, for tests of networks).
const FIRST_TARGET: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
const CLIENT_PORT: u16 = 50_000;
const TARGET_PORT: u16 = 443;
const INBOUND: &str = "simulated";

/// Makes the connections of a trace, one after the other.
#[derive(Debug)]
pub(crate) struct Traffic {
    arrivals: Arrivals,
    end: Duration,
    rng: StdRng,
    n_made: u64,
    last: f64,
}

/// A connection that comes, and what it will be like.
#[derive(Debug)]
pub(crate) struct Comer {
    pub(crate) arrival: Arrival,
    pub(crate) flow: Flow,
    /// How long it lasts after its first answer.
    pub(crate) lasts: Duration,
}

impl Traffic {
    pub(crate) fn new(arrivals: Arrivals, end: Duration, rng: StdRng) -> Self {
        Self { arrivals, end, rng, n_made: 0, last: 0.0 }
    }

    /// The next one, if any comes before the end.
    pub(crate) fn next(&mut self) -> Option<Comer> {
        let mean = 1.0 / self.arrivals.per_second;
        let pause = self.exponential();
        self.last = match self.arrivals.pattern {
            Pattern::Poisson => self.last + pause * mean,
            Pattern::Steady => (self.n_made + 1) as f64 * mean,
        };
        let arrived = Duration::from_secs_f64(self.last);
        if arrived >= self.end {
            return None;
        }
        let client = self.rng.random_range(0..self.arrivals.clients.max(1));
        let target = self.rng.random_range(0..self.arrivals.targets.max(1));
        let is_repeatable = self.rng.random::<f64>() < self.arrivals.repeatable;
        let lasts = self.arrivals.lasting.mul_f64(self.exponential());
        let arrival = Arrival { id: self.n_made, arrived, is_repeatable, patience: self.arrivals.patience };
        self.n_made += 1;
        Some(Comer { arrival, flow: flow(client, target), lasts })
    }

    fn exponential(&mut self) -> f64 {
        -(1.0 - self.rng.random::<f64>()).ln()
    }
}

/// What is known of a connection from this client to this target.
pub(crate) fn flow(client: u32, target: u32) -> Flow {
    let address =
        |first: Ipv4Addr, number| IpAddr::from(Ipv4Addr::from(u32::from(first).saturating_add(number)));
    let mut flow =
        Flow::new(Network::Tcp, Target::new(Host::from(address(FIRST_TARGET, target)), TARGET_PORT));
    flow.source = Some(SocketAddr::new(address(FIRST_CLIENT, client), CLIENT_PORT));
    flow.inbound = Some(Tag::from(INBOUND));
    flow.route_domain = format!("site-{target}.example").parse().ok();
    flow
}
