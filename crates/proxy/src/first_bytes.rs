//! What a client sends first, as it is looked at to learn what it speaks and with whom.

use std::{
    borrow::Cow,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::time::{Instant, timeout, timeout_at};
use tracing::debug;
use waypost_net::Flow;
use waypost_router::Sniff;
use waypost_wire::{DatagramSniffer, Protocols, Sniff as Found, Sniffed, sniff_so_far, sniff_widely};

use crate::{ClientStream, udp::Waiting};

/// How long the first byte of a stream is waited for. A client of a protocol in which the server speaks
/// first loses this and what the timer is late by, 50 ms at most.
const FIRST_BYTE: Duration = Duration::from_millis(45);
/// Ports at which clients speak first, so that a distant one may take its time.
const CLIENT_FIRST_PORTS: [u16; 2] = [80, 443];
/// Ports at which rules look at nothing, because only servers speak first: SMTP, POP3 and IMAP. At
/// those of FTP and SSH clients are silent, too, or they are not: an SSH client does not wait.
const SERVER_FIRST_PORTS: [u16; 7] = [25, 465, 587, 110, 995, 143, 993];

/// Where the first bytes of a client are.
#[derive(Debug)]
pub(crate) enum FirstBytes<'a> {
    /// They come in a stream, once the client has been told that its connection stands.
    Stream(&'a mut ClientStream),
    /// They are in these datagrams, and more may come.
    Datagrams(&'a Waiting),
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
        let wanted = if sniff.protocols.is_empty() {
            Protocols::ALL
        } else {
            Protocols::named(sniff.protocols.iter().map(|name| &**name))
        };
        let found = match self {
            Self::Stream(client) => {
                if client.answer_early(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))).await.is_err() {
                    // Whoever dials next finds out that the client is gone.
                    return;
                }
                read(client, flow.target.port, wanted, sniff.timeout).await
            }
            Self::Datagrams(waiting) => read_datagrams(waiting, wanted, sniff.timeout).await,
            Self::Nowhere => None,
        };
        let Some(found) = found.filter(|found| is_wanted(sniff, found.protocol)) else { return };
        log(flow, &found);
        let Sniffed { protocol, host, attributes } = found;
        flow.protocol = Some(Cow::Borrowed(protocol));
        flow.attributes = attributes;
        flow.route_domain = host.and_then(|host| host.domain().cloned());
    }
}

/// Whether a label is that of one of the sniffers that a rule names. HTTP has its version in the label.
fn is_wanted(sniff: &Sniff, label: &str) -> bool {
    sniff.protocols.is_empty() || sniff.protocols.iter().any(|wanted| label.starts_with(&**wanted))
}

/// Reads from a client that was answered until something is recognised, nothing can be, or `limit` is
/// over. The first byte is waited for less, unless `port` is one at which clients speak first.
pub(crate) async fn read(
    client: &mut ClientStream,
    port: u16,
    wanted: Protocols,
    limit: Duration,
) -> Option<Sniffed> {
    let begin = Instant::now();
    let first_byte = if CLIENT_FIRST_PORTS.contains(&port) { limit } else { limit.min(FIRST_BYTE) };
    loop {
        match sniff_widely(client.rest(), wanted) {
            Found::Found(found) => return Some(found),
            Found::Unknown => return None,
            Found::NeedMore => {}
        }
        let patience = if client.rest().is_empty() { first_byte } else { limit };
        match timeout_at(begin + patience, client.read_ahead()).await {
            Ok(Ok(count)) if count > 0 => {}
            // Nothing more comes, at least not in time; whoever reads next finds out why.
            Ok(Ok(_) | Err(_)) | Err(_) => return sniff_so_far(client.rest(), wanted),
        }
    }
}

/// Looks at the datagrams of a session, also at those that come within `limit`, until something is
/// recognised or nothing can be. What was recognised when the session was opened before still holds.
pub(crate) async fn read_datagrams(waiting: &Waiting, wanted: Protocols, limit: Duration) -> Option<Sniffed> {
    if let Some(sniffed) = waiting.sniffed() {
        return Some(sniffed);
    }
    let mut sniffer = DatagramSniffer::new(wanted);
    let reading = async {
        let mut number = 0;
        while let Some(datagram) = waiting.datagram(number).await {
            match sniffer.feed(&datagram) {
                Found::Found(found) => return Some(found),
                Found::Unknown => return None,
                Found::NeedMore => number += 1,
            }
        }
        // No room is left for more.
        sniffer.so_far()
    };
    let found = timeout(limit, reading).await;
    let found = found.unwrap_or_else(|_too_late| sniffer.so_far());
    if let Some(found) = &found {
        waiting.set_sniffed(found);
    }
    found
}

/// Tells what was recognised.
pub(crate) fn log(flow: &Flow, found: &Sniffed) {
    debug!(
        inbound = flow.inbound.as_deref(), source = ?flow.source, target = %flow.target, network = flow.network.as_str(),
        protocol = found.protocol, host = found.host.as_ref().map(tracing::field::display), "sniffed"
    );
}

#[cfg(test)]
mod tests;
