use std::{
    borrow::Cow,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use crate::{DomainName, Network, Tag, Target};

/// What is known of one connection when its way is decided.
///
/// Whatever is not known is `None`; a condition on it is then false, never a guess.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// TCP or UDP.
    pub network: Network,
    /// The client's address and port.
    pub source: Option<SocketAddr>,
    /// The address and port of this host that the client came in on.
    pub local: Option<SocketAddr>,
    /// Where the client wants to go.
    pub target: Target,
    /// The addresses of the target's name, if a rule had it resolved: IP conditions look at them, and
    /// they are dialled in its place. Empty otherwise.
    pub addresses: Vec<IpAddr>,
    /// The inbound that accepted the connection.
    pub inbound: Option<Tag>,
    /// The user that authenticated, by e-mail or login name.
    pub user: Option<Arc<str>>,
    /// The label of the recognised protocol: `http1`, `http/1.1`, `tls`, `quic`, `bittorrent` and so on.
    pub protocol: Option<Cow<'static, str>>,
    /// The recognised program of the client.
    pub client: Option<Cow<'static, str>>,
    /// The mode that the user has chosen, such as `Rule` or `Global` (Clash).
    pub mode: Option<Arc<str>>,
    /// A recognised name that domain conditions see in place of the target's and that nobody dials.
    pub route_domain: Option<DomainName>,
    /// HTTP attributes: `:method`, `:path` and header names in lower case.
    pub attributes: Attributes,
    /// The rule set that the deciding rule matched by, as the file writes it, such as `geosite:netflix`.
    pub rule_set: Option<Box<str>>,
    /// How long an association without datagrams lives, if a rule says so.
    pub udp_timeout: Option<Duration>,
    /// The outbound that it has to take, whatever the rules say.
    pub detour: Option<Detour>,
    /// Whether this is a query of the proxy's own to a DNS server: finding its way must not need another
    /// one.
    pub is_own_query: bool,
}

impl Flow {
    /// A flow of which only network and target are known.
    #[must_use]
    pub fn new(network: Network, target: Target) -> Self {
        Self {
            network,
            source: None,
            local: None,
            target,
            addresses: Vec::new(),
            inbound: None,
            user: None,
            protocol: None,
            client: None,
            mode: None,
            route_domain: None,
            attributes: Attributes::default(),
            rule_set: None,
            udp_timeout: None,
            detour: None,
            is_own_query: false,
        }
    }

    /// The name that domain conditions look at: the recognised one if there is one, else the target's.
    #[must_use]
    pub fn domain(&self) -> Option<&DomainName> {
        self.route_domain.as_ref().or_else(|| self.target.host.domain())
    }
}

/// An outbound that a flow has to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detour {
    /// The one that takes what no rule matches.
    Default,
    /// The one of this name.
    Outbound(Tag),
}

/// HTTP attributes of a flow, with keys in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attributes(Vec<(Box<str>, Box<str>)>);

impl Attributes {
    /// Sets `key` (folded to lower case); a later value for the same key replaces the earlier one.
    pub fn insert(&mut self, key: &str, value: &str) {
        let key = key.to_ascii_lowercase().into_boxed_str();
        match self.0.iter_mut().find(|(present, _)| *present == key) {
            Some((_, present)) => *present = value.into(),
            None => self.0.push((key, value.into())),
        }
    }

    /// The value of `key`, which must be in lower case.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(present, _)| &**present == key).map(|(_, value)| &**value)
    }

    /// Whether there is no attribute at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
