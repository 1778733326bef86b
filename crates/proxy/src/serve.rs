//! A client from its first byte until it is known where it wants to go.

use std::net::SocketAddr;

use tracing::debug;
use waypost_net::{Flow, Network, Tag};

use crate::{
    Accepted, HandshakeSettings, Stream, accept_client,
    chain::Chain,
    dispatch::{Shared, Terms, carry_flow},
};

/// What the connections of one inbound share.
#[derive(Debug)]
pub(crate) struct Inbound {
    pub(crate) tag: Option<Tag>,
    pub(crate) handshake: HandshakeSettings,
}

/// Both ends of a client's connection; none of a Unix socket has an address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) source: Option<SocketAddr>,
    pub(crate) local: Option<SocketAddr>,
}

/// One connection from its first byte to its last.
pub(crate) async fn serve(inbound: &Inbound, stream: Stream, ends: Ends, shared: Shared<'_>) {
    let accepted = match Box::pin(accept_client(stream, &inbound.handshake)).await {
        Ok(accepted) => accepted,
        Err(error) => {
            debug!(inbound = inbound.tag.as_deref(), source = ?ends.source, error = %Chain(&error), "handshake failed");
            return;
        }
    };
    let Accepted { target, user, protocol, attributes, client } = accepted;
    let flow = Flow {
        source: ends.source,
        local: ends.local,
        inbound: inbound.tag.clone(),
        user,
        protocol,
        attributes,
        ..Flow::new(Network::Tcp, target)
    };
    carry_flow(shared, client, flow, Terms::default()).await;
}
