//! What a client sends first, as rules with the action `sniff` look at it.

use std::{
    borrow::Cow,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::time::{Instant, timeout_at};
use tracing::debug;
use waypost_net::Flow;
use waypost_router::Sniff;
use waypost_wire::{Sniff as Found, Sniffed, sniff_datagram, sniff_so_far, sniff_widely};

use crate::ClientStream;

/// Ports at which servers speak first, so that a client would be waited for in vain: SMTP, POP3 and IMAP.
const SERVER_FIRST_PORTS: [u16; 7] = [25, 465, 587, 110, 995, 143, 993];

/// Where the first bytes of a client are.
#[derive(Debug)]
pub(crate) enum FirstBytes<'a> {
    /// They come in a stream, once the client has been told that its connection stands.
    Stream(&'a mut ClientStream),
    /// They are in this datagram.
    Datagram(&'a [u8]),
    /// Nobody is there to send any.
    Nowhere,
}

impl FirstBytes<'_> {
    /// Enters into `flow` what the first bytes say. What was recognised already stays; the target stays
    /// in any case, and a name that is found is for rules only.
    pub(crate) async fn sniff(&mut self, sniff: &Sniff, flow: &mut Flow) {
        if flow.protocol.is_some() || flow.is_own_query || SERVER_FIRST_PORTS.contains(&flow.target.port) {
            return;
        }
        let found = match self {
            Self::Stream(client) => read(client, sniff.timeout).await,
            Self::Datagram(datagram) => sniff_datagram(datagram),
            Self::Nowhere => None,
        };
        let Some(found) = found.filter(|found| is_wanted(sniff, found.protocol)) else { return };
        let Sniffed { protocol, host, attributes } = found;
        debug!(
            inbound = flow.inbound.as_deref(), source = ?flow.source, target = %flow.target, protocol,
            host = host.as_ref().map(tracing::field::display), "sniffed"
        );
        flow.protocol = Some(Cow::Borrowed(protocol));
        flow.attributes = attributes;
        flow.route_domain = host.and_then(|host| host.domain().cloned());
    }
}

/// Whether a label is that of one of the sniffers that a rule names. HTTP has its version in the label.
fn is_wanted(sniff: &Sniff, label: &str) -> bool {
    sniff.protocols.is_empty() || sniff.protocols.iter().any(|wanted| label.starts_with(&**wanted))
}

/// Reads until something is recognised, nothing can be, or the time is over.
async fn read(client: &mut ClientStream, limit: Duration) -> Option<Sniffed> {
    let deadline = Instant::now() + limit;
    if client.answer_early(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))).await.is_err() {
        // Whoever dials next finds out that the client is gone.
        return None;
    }
    loop {
        match sniff_widely(client.rest()) {
            Found::Found(found) => return Some(found),
            Found::Unknown => return None,
            Found::NeedMore => {}
        }
        match timeout_at(deadline, client.read_ahead()).await {
            Ok(Ok(count)) if count > 0 => {}
            Ok(Ok(_) | Err(_)) | Err(_) => return sniff_so_far(client.rest()),
        }
    }
}
