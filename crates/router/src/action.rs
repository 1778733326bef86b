//! What is done with a connection that a rule matches.

use std::{net::IpAddr, time::Duration};

use waypost_net::{Host, Tag};

/// What is done with a connection that a rule matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// It goes this way.
    Go {
        /// Where.
        way: Way,
        /// What is changed before.
        options: RouteOptions,
    },
    /// Something is done, and the next rule is tried.
    Perform(Effect),
}

/// Where a rule sends a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// Through this outbound.
    Outbound(Tag),
    /// Through a member of this balancer.
    Balancer(Tag),
    /// Nowhere.
    Reject(Reject),
    /// It is a question to a DNS server, which is answered here.
    HijackDns,
}

/// How a connection is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reject {
    /// What the client gets to know.
    pub method: RejectMethod,
    /// Whether many rejections in a short time are still answered.
    pub no_drop: bool,
}

/// What a client gets to know that is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RejectMethod {
    /// That there is no connection.
    #[default]
    Default,
    /// Nothing.
    Drop,
}

/// What is done before the next rule is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The first bytes of the client are looked at.
    Sniff(Sniff),
    /// The target's name is resolved.
    Resolve(Resolve),
    /// The target, or how it is treated, is changed.
    Options(RouteOptions),
}

/// How the first bytes of a client are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sniff {
    /// The protocols that are recognised; empty means all.
    pub protocols: Vec<Box<str>>,
    /// How long the bytes are waited for.
    pub timeout: Duration,
}

/// How the target's name is resolved.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resolve {
    /// Who is asked; `None` leaves it to the DNS rules.
    pub server: Option<Tag>,
    /// Which addresses are wanted; `None` leaves it to the DNS settings.
    pub family: Option<ResolveFamily>,
    /// Whether what is known already does not count.
    pub disable_cache: bool,
    /// The network that the server is told the client to be in.
    pub client_ip: Option<IpAddr>,
}

/// Which addresses of a name are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResolveFamily {
    /// IPv4 and IPv6, IPv4 first.
    PreferV4,
    /// IPv4 and IPv6, IPv6 first.
    PreferV6,
    /// IPv4 only.
    OnlyV4,
    /// IPv6 only.
    OnlyV6,
}

/// What is changed of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RouteOptions {
    /// The host that takes the place of the target's.
    pub host: Option<Host>,
    /// The port that takes the place of the target's.
    pub port: Option<u16>,
    /// How long an association lives without datagrams.
    pub udp_timeout: Option<Duration>,
}

impl Way {
    /// The tag of the outbound or balancer, if it leads to one.
    #[must_use]
    pub fn tag(&self) -> Option<&Tag> {
        match self {
            Self::Outbound(tag) | Self::Balancer(tag) => Some(tag),
            Self::Reject(_) | Self::HijackDns => None,
        }
    }
}

impl Action {
    /// Where it sends a connection; `None` if the next rule is tried.
    #[must_use]
    pub fn way(&self) -> Option<&Way> {
        match self {
            Self::Go { way, .. } => Some(way),
            Self::Perform(_) => None,
        }
    }
}

impl From<Way> for Action {
    fn from(way: Way) -> Self {
        Self::Go { way, options: RouteOptions::default() }
    }
}
