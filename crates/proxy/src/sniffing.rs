//! Looks at the first bytes of a client, for a while, to learn what it speaks and with whom.

use std::{
    borrow::Cow,
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use waypost_net::Flow;
use waypost_router::{Router, Step};
use waypost_wire::{Protocols, Sniffed};

use crate::{
    ClientStream,
    first_bytes::{log, read, read_datagrams},
    udp::Waiting,
};

/// How long is waited in all; V2Ray and Xray wait for 200 ms, of which a distant client needs most for
/// one round trip.
const BUDGET: Duration = Duration::from_millis(300);
/// What the connections of an inbound are sniffed by.
#[derive(Debug)]
pub(crate) struct Sniffing {
    /// What the labels begin with whose name takes the place of the target.
    pub(crate) dest_override: Box<[&'static str]>,
    /// Rules see the name, and the target is dialled.
    pub(crate) route_only: bool,
    /// What matches keeps its target.
    pub(crate) excluded: Option<Router>,
}

impl Sniffing {
    /// Reads the first bytes of a client and enters into `flow` what they say. The client has been told
    /// by then that its connection stands, because it says nothing before.
    ///
    /// # Errors
    ///
    /// If the client is gone.
    pub(crate) async fn sniff_client(&self, client: &mut ClientStream, flow: &mut Flow) -> io::Result<()> {
        client.answer_early(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))).await?;
        if let Some(sniffed) = read(client, flow.target.port, Protocols::V2RAY, BUDGET).await {
            self.enter(sniffed, flow);
        }
        Ok(())
    }

    /// Looks at the datagrams of a session and enters into `flow` what they say: whether they are QUIC,
    /// and of which name, or BitTorrent.
    pub(crate) async fn sniff_datagrams(&self, waiting: &Waiting, flow: &mut Flow) {
        if let Some(sniffed) = read_datagrams(waiting, Protocols::V2RAY, BUDGET).await {
            self.enter(sniffed, flow);
        }
    }

    /// Enters what was recognised into `flow`. The port of the target stays in any case.
    fn enter(&self, sniffed: Sniffed, flow: &mut Flow) {
        log(flow, &sniffed);
        let Sniffed { protocol, host, attributes } = sniffed;
        flow.protocol = Some(Cow::Borrowed(protocol));
        flow.attributes = attributes;
        let overrides = self.dest_override.iter().any(|prefix| protocol.starts_with(prefix));
        let Some(host) = host.filter(|_| overrides) else { return };
        flow.route_domain = host.domain().cloned();
        if self.is_excluded(flow) {
            flow.route_domain = None;
        } else if !self.route_only {
            flow.route_domain = None;
            flow.target.host = host;
        }
    }

    /// Whether the target of `flow` stays, or the name that would take its place is left out.
    fn is_excluded(&self, flow: &Flow) -> bool {
        match self.excluded.as_ref().map(|excluded| excluded.route(flow)) {
            Some(Step::Decided(decision)) => decision.rule.is_some(),
            Some(Step::Ask(_) | Step::Perform(_)) | None => false,
        }
    }
}

#[cfg(test)]
mod tests;
