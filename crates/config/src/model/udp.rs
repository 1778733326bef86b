use std::net::IpAddr;

/// What a `socks` or `mixed` inbound with `udp: true` does for clients that send datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UdpInbound {
    /// `ip`: the address that clients are told to send to; `None` for the one that they came in by.
    pub address: Option<IpAddr>,
    /// `udpPort`: the one port that datagrams of all clients come in on; `None` for a port of its own for
    /// each association.
    pub port: Option<u16>,
}
