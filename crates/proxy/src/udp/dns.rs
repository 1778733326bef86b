//! Sessions whose datagrams an outbound answers itself, as one that answers DNS questions does.

use std::sync::Arc;

use waypost_config::model::DnsOutbound;
use waypost_dns::Carrier;
use waypost_net::Flow;

use crate::{dns_outbound, shared::Shared, snapshot::Outbound};

/// What answers the datagrams of a session in place of its target.
#[derive(Debug, Clone)]
pub(super) struct Answering(Arc<dns_outbound::Answering>);

impl Answering {
    /// What answers for an outbound, if it answers itself.
    pub(super) fn at(shared: Shared<'_>, outbound: &Outbound, flow: &Flow) -> Option<Self> {
        let dns = outbound.dialer.dns()?;
        Some(Self(Arc::new(dns_outbound::Answering::new(shared.snapshot, dns, flow))))
    }

    /// What answers where a rule wants questions answered here.
    pub(super) fn hijacked(shared: Shared<'_>, flow: &Flow) -> Self {
        let outbound = DnsOutbound::default();
        Self(Arc::new(dns_outbound::Answering::new(shared.snapshot, &outbound, flow)))
    }

    /// The answer to a datagram; `None` if it gets none.
    pub(super) async fn answer(self, datagram: Vec<u8>) -> Option<Vec<u8>> {
        self.0.answer(&datagram, Carrier::Datagram).await
    }
}
