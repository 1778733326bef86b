//! Looks at the first bytes of a client, for a while, to learn what it speaks and with whom.

use std::{
    borrow::Cow,
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::time::{Instant, timeout_at};
use tracing::debug;
use waypost_net::Flow;
use waypost_router::{Router, Step};
use waypost_wire::{Sniff, Sniffed, sniff, sniff_so_far};

use crate::ClientStream;

/// How long the first byte is waited for. A client of a protocol in which the server speaks first loses
/// this and what the timer is late by, 50 ms at most.
const FIRST_BYTE: Duration = Duration::from_millis(45);
/// How long is waited in all; V2Ray and Xray wait for 200 ms, of which a distant client needs most for
/// one round trip.
const BUDGET: Duration = Duration::from_millis(300);
/// Ports at which clients speak first, so that a distant one may take its time.
const CLIENT_FIRST_PORTS: [u16; 2] = [80, 443];

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
        if let Some(sniffed) = read(client, flow.target.port).await {
            debug!(
                inbound = flow.inbound.as_deref(), source = ?flow.source, target = %flow.target,
                protocol = sniffed.protocol, host = sniffed.host.as_ref().map(tracing::field::display), "sniffed"
            );
            self.enter(sniffed, flow);
        }
        Ok(())
    }

    /// Enters what was recognised into `flow`. The port of the target stays in any case.
    fn enter(&self, sniffed: Sniffed, flow: &mut Flow) {
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

/// Reads until something is recognised, nothing can be, or the time is over.
async fn read(client: &mut ClientStream, port: u16) -> Option<Sniffed> {
    let begin = Instant::now();
    let first_byte = if CLIENT_FIRST_PORTS.contains(&port) { BUDGET } else { FIRST_BYTE };
    loop {
        match sniff(client.rest()) {
            Sniff::Found(found) => return Some(found),
            Sniff::Unknown => return None,
            Sniff::NeedMore => {}
        }
        let patience = if client.rest().is_empty() { first_byte } else { BUDGET };
        match timeout_at(begin + patience, client.read_ahead()).await {
            Ok(Ok(count)) if count > 0 => {}
            // Nothing more comes, at least not in time; whoever reads next finds out why.
            Ok(Ok(_) | Err(_)) | Err(_) => return sniff_so_far(client.rest()),
        }
    }
}

#[cfg(test)]
mod tests;
