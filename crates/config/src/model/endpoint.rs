//! Where clients come in, and the sockets that connections leave by.

use std::{net::IpAddr, num::NonZeroU32, time::Duration};

use waypost_net::{Host, Networks, PortRange};

/// Where an inbound listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// On ports of an address.
    Ports {
        /// `listen`, or the default for this inbound (see [`Inbound::accounts`](super::Inbound::accounts)).
        ip: IpAddr,
        /// `port`: every port of the range is listened on; port 0 asks the system for a free one.
        ports: PortRange,
    },
    /// On a Unix socket.
    Unix {
        /// Its path, or its name after `@` if it is an abstract one (unix(7)).
        path: Box<str>,
        /// The permissions of the file; those that the process gives new files if absent.
        mode: Option<u32>,
    },
}

impl Listen {
    /// The address, if it is none of a Unix socket.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ports { ip, .. } => Some(*ip),
            Self::Unix { .. } => None,
        }
    }

    /// The ports, if it is no Unix socket.
    #[must_use]
    pub fn ports(&self) -> Option<PortRange> {
        match self {
            Self::Ports { ports, .. } => Some(*ports),
            Self::Unix { .. } => None,
        }
    }
}

/// `dokodemo-door`: where clients are taken, whatever they say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Door {
    /// `address`; absent only with `follow_redirect`.
    pub host: Option<Host>,
    /// `port`; the port that the client came in on if absent.
    pub port: Option<u16>,
    /// `network`.
    pub networks: Networks,
    /// `followRedirect`: the target is where the client was going before the firewall of this machine
    /// redirected it.
    pub follow_redirect: bool,
}

/// `redirect` of a `freedom` outbound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// Goes here instead; where the client wanted to if absent.
    pub host: Option<Host>,
    /// Goes to this port instead.
    pub port: Option<u16>,
}

/// `sendThrough` and `sockopt`: what is set on the sockets of an outbound, or of an inbound.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SocketOptions {
    /// `sendThrough`: the local address.
    pub send_through: Option<IpAddr>,
    /// `mark` (`SO_MARK`, socket(7)); needs `CAP_NET_ADMIN`.
    pub mark: Option<u32>,
    /// `interface` (`SO_BINDTODEVICE`).
    pub interface: Option<Box<str>>,
    /// `tcpKeepAliveIdle`: how long nothing moves before the system asks whether the other end lives.
    pub keep_alive_idle: Option<Duration>,
    /// `tcpKeepAliveInterval`: how often it asks then.
    pub keep_alive_interval: Option<Duration>,
    /// `tcpUserTimeout` (`TCP_USER_TIMEOUT`): how long data may wait for its acknowledgement.
    pub user_timeout: Option<Duration>,
    /// `tcpFastOpen`: for an outbound whether data may go with the first packet; for an inbound how
    /// many clients that did so may wait (`TCP_FASTOPEN`, RFC 7413).
    pub fast_open: Option<u32>,
    /// `tcpcongestion`: the congestion control algorithm.
    pub congestion: Option<Box<str>>,
}

/// What a connection is carried under: the level of the `policy` that its inbound names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    /// `handshake`: how long a client may take to say where it wants to go.
    pub handshake: Option<Duration>,
    /// `connIdle`: how long nothing may move.
    pub idle: Option<Duration>,
    /// `uplinkOnly`: how long a client may go on sending without a pause after the target has closed.
    pub uplink_only: Option<Duration>,
    /// `downlinkOnly`: how long a target may go on sending without a pause after the client has closed.
    pub downlink_only: Option<Duration>,
    /// `connTotal`: how long a connection may last, whatever moves.
    pub total: Option<Duration>,
    /// `bufferSize`: how much is read at once, in bytes.
    pub buffer: Option<usize>,
}

/// How many connections an inbound takes at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// `maxConnections`: of all clients. Further ones wait.
    pub connections: Option<NonZeroU32>,
    /// `maxConnectionsPerSource`: of one address. Further ones are closed.
    pub per_source: Option<NonZeroU32>,
}

/// What traffic is counted for (`stats` and `policy.system`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// What came in by an inbound, from clients.
    pub inbound_up: bool,
    /// What went out to clients of an inbound.
    pub inbound_down: bool,
    /// What went out by an outbound.
    pub outbound_up: bool,
    /// What came back by an outbound.
    pub outbound_down: bool,
}
