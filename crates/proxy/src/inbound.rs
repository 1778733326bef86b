//! An inbound, as its connections see it.

use std::{net::SocketAddr, sync::Arc};

use waypost_config::model::{self, Door, InboundProtocol};
use waypost_net::Tag;
use waypost_wire::AccountsError;

use crate::{HandshakeSettings, Terms, limits::InboundLimits, sniffing::Sniffing, udp::UdpPort};

/// What the connections of one inbound share.
#[derive(Debug)]
pub(crate) struct Inbound {
    pub(crate) tag: Option<Tag>,
    pub(crate) entry: Entry,
    /// Where clients send datagrams, if they may.
    pub(crate) udp: Option<UdpPort>,
    pub(crate) terms: Arc<Terms>,
    pub(crate) limits: InboundLimits,
    pub(crate) sniffing: Option<Arc<Sniffing>>,
}

/// How it becomes known where a client wants to go.
#[derive(Debug)]
pub(crate) enum Entry {
    /// It says so.
    Handshake(HandshakeSettings),
    /// The inbound says so.
    Door(Door),
}

/// Both ends of a client's connection; none of a Unix socket has an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// The client's.
    pub source: Option<SocketAddr>,
    /// This host's.
    pub local: Option<SocketAddr>,
}

impl Inbound {
    pub(crate) fn try_new(
        inbound: &model::Inbound,
        sniffing: Option<Arc<Sniffing>>,
    ) -> Result<Self, AccountsError> {
        let entry = match &inbound.protocol {
            InboundProtocol::Client(protocol) => {
                Entry::Handshake(HandshakeSettings::try_new(*protocol, inbound)?)
            }
            InboundProtocol::Door(door) => Entry::Door(door.clone()),
        };
        Ok(Self {
            tag: inbound.tag.as_ref().map(|tag| tag.value.clone()),
            entry,
            udp: None,
            terms: Arc::new(Terms::new(&inbound.policy)),
            limits: InboundLimits::new(inbound.limits),
            sniffing,
        })
    }
}
