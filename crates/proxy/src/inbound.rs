//! An inbound, as its connections see it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;
use waypost_config::model::{self, Door, InboundProtocol};
use waypost_net::Tag;
use waypost_transport::ServerTransport;

use crate::{
    HandshakeSettings, StartError, Terms,
    handshake::DEFAULT_HANDSHAKE_TIMEOUT,
    limits::InboundLimits,
    sniffing::Sniffing,
    tunnel::{Replays, Tunnel},
    udp::UdpPort,
};

/// What the connections of one inbound share.
#[derive(Debug)]
pub(crate) struct Inbound {
    pub(crate) tag: Option<Tag>,
    /// What carries its protocol.
    pub(crate) transport: Option<Arc<ServerTransport>>,
    /// How long a client may take until it has said what it wants.
    pub(crate) handshake: Duration,
    pub(crate) entry: Entry,
    /// Where clients send datagrams, if they may.
    pub(crate) udp: Option<UdpPort>,
    pub(crate) terms: Arc<Terms>,
    pub(crate) limits: InboundLimits,
    pub(crate) sniffing: Option<Arc<Sniffing>>,
}

/// What admits the clients of one listening socket.
#[derive(Debug)]
pub(crate) struct Admission {
    /// The inbound, which may be another one for those who come later.
    pub(crate) inbound: Arc<ArcSwap<Inbound>>,
    /// Nobody is admitted any more.
    pub(crate) stop: CancellationToken,
}

/// How it becomes known where a client wants to go.
#[derive(Debug, Clone)]
pub(crate) enum Entry {
    /// It says so.
    Handshake(HandshakeSettings),
    /// The inbound says so.
    Door(Door),
    /// It says so to those who have a key.
    Tunnel(Tunnel),
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
        transport: Option<Arc<ServerTransport>>,
        replays: &Replays,
    ) -> Result<Self, StartError> {
        let handshake = inbound.policy.handshake.unwrap_or(DEFAULT_HANDSHAKE_TIMEOUT);
        let entry = match &inbound.protocol {
            InboundProtocol::Client(protocol) => {
                Entry::Handshake(HandshakeSettings::try_new(*protocol, inbound)?)
            }
            InboundProtocol::Door(door) => Entry::Door(door.clone()),
            InboundProtocol::Shadowsocks(settings) => Entry::Tunnel(Tunnel::shadowsocks(settings, replays)?),
            InboundProtocol::Vmess(users) => Entry::Tunnel(Tunnel::vmess(users, replays)),
            InboundProtocol::Vless(users) => Entry::Tunnel(Tunnel::vless(users)),
            InboundProtocol::Trojan(settings) => Entry::Tunnel(Tunnel::trojan(settings)),
        };
        Ok(Self {
            tag: inbound.tag.as_ref().map(|tag| tag.value.clone()),
            transport,
            handshake,
            entry,
            udp: None,
            terms: Arc::new(Terms::new(&inbound.policy)),
            limits: InboundLimits::new(inbound.limits),
            sniffing,
        })
    }
}
