//! Clients that prove themselves by a key, and those who cannot.

use std::pin::Pin;

use tokio::time::Instant;
use tracing::{debug, warn};
use waypost_net::{Flow, Target};

use super::{Lasting, begin, first_flow};
use crate::{
    ClientStream, Conduit, Dialed, Dialer, Ends, Relay, Side, Stream,
    inbound::Inbound,
    shared::Shared,
    tunnel::{self, Carries, Outcome, Tunnel},
    udp::associate_stream,
    wire_io::drain,
};

/// One that is no client, and must not learn why.
#[derive(Debug)]
pub(crate) enum Stranger {
    /// It is read from until then.
    Drained { stream: Stream, until: Instant },
    /// It is taken to a site.
    AtSite(Pin<Box<Relay<Conduit>>>),
}

impl Stranger {
    pub(super) async fn see_off(self) {
        match self {
            Self::Drained { stream, until } => drain(stream, until).await,
            Self::AtSite(relay) => {
                relay.await;
            }
        }
    }
}

/// Lets those in who have a key.
pub(super) async fn enter(
    inbound: &Inbound,
    tunnel: &Tunnel,
    stream: Stream,
    ends: Ends,
    shared: Shared<'_>,
) -> Option<Lasting> {
    let tag = inbound.tag.as_deref();
    match tunnel.enter(stream, Instant::now() + inbound.handshake).await? {
        Outcome::Entered(tunnel::Entered { user, target, carries }) => {
            let flow = Flow { user, ..first_flow(inbound, target.clone(), ends) };
            match carries {
                Carries::Stream(stream, first) => {
                    let client = ClientStream::silent(stream, first);
                    begin(inbound, client, flow, shared).await.map(Lasting::Connection)
                }
                Carries::Datagrams(datagrams) => {
                    let association = associate_stream(shared.core, datagrams, target, flow, inbound);
                    Some(Lasting::Association(Box::new(association)))
                }
            }
        }
        Outcome::Fallback { stream, read, site, refusal } => {
            debug!(inbound = tag, source = ?ends.source, %refusal, "no client, taken to the fallback");
            let deadline = Instant::now() + inbound.handshake;
            let target = Target::new(site.host, site.port);
            let dialed = Dialer::direct().dial(&target, &[], shared.snapshot.resolver(), deadline).await;
            match dialed {
                Ok(Dialed { stream: far, rest, .. }) => {
                    let near = Side { stream, rest: read };
                    let far = Side { stream: far, rest };
                    let relay = Relay::new(near, far, inbound.terms.clone(), Conduit::default());
                    Some(Lasting::Stranger(Stranger::AtSite(Box::pin(relay))))
                }
                Err(error) => {
                    warn!(inbound = tag, site = %target, %error, "the fallback cannot be reached");
                    Some(Lasting::Stranger(Stranger::Drained { stream, until: deadline }))
                }
            }
        }
        Outcome::Refused { stream, refusal, until } => {
            debug!(inbound = tag, source = ?ends.source, user = refusal.user.as_deref(), %refusal, "no client");
            Some(Lasting::Stranger(Stranger::Drained { stream, until }))
        }
    }
}
