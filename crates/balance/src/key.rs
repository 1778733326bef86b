use std::fmt::{Display, Write};

use waypost_net::{DomainName, Flow, canonical_ip};

use crate::etld::{etld_plus_one, is_address};

/// What an absent part is written as, so that the others keep their place.
const ABSENT: &str = "-";

/// One part of a hash key: a property of the flow, or the salt of the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyPart {
    /// The client's address.
    SrcIp,
    /// The client's port; 0 is absent.
    SrcPort,
    /// The target's address; absent if the target is a name.
    DstIp,
    /// The target's port; 0 is absent.
    DstPort,
    /// `tcp` or `udp`.
    Network,
    /// The recognised name, else the target's. An address in the place of a name is none.
    Domain,
    /// The inbound that accepted the connection.
    InboundTag,
    /// The user that authenticated.
    User,
    /// The rule set that the deciding rule matched by.
    MatchedRuleset,
    /// The registrable domain of what `domain` is; see [`etld_plus_one`].
    EtldPlusOne,
    /// The matched rule set, else the registrable domain.
    MatchedRulesetOrEtld,
    /// The salt of the [`KeySpec`]; left out altogether if that is empty.
    Salt,
}

impl KeyPart {
    /// Every part there is.
    pub const ALL: [Self; 12] = [
        Self::SrcIp,
        Self::SrcPort,
        Self::DstIp,
        Self::DstPort,
        Self::Network,
        Self::Domain,
        Self::InboundTag,
        Self::User,
        Self::MatchedRuleset,
        Self::EtldPlusOne,
        Self::MatchedRulesetOrEtld,
        Self::Salt,
    ];

    /// The name as configuration files write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SrcIp => "src_ip",
            Self::SrcPort => "src_port",
            Self::DstIp => "dst_ip",
            Self::DstPort => "dst_port",
            Self::Network => "network",
            Self::Domain => "domain",
            Self::InboundTag => "inbound_tag",
            Self::User => "user",
            Self::MatchedRuleset => "matched_ruleset",
            Self::EtldPlusOne => "etld_plus_one",
            Self::MatchedRulesetOrEtld => "matched_ruleset_or_etld",
            Self::Salt => "salt",
        }
    }
}

/// Whether a key tells flows apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// At least one part besides the salt is known.
    Filled,
    /// Nothing of the flow is in the key: it has no parts, or all of them are absent.
    Empty,
}

/// How the hash key of a flow is put together.
///
/// The parts are joined by `|` in the given order; an absent one is `-`. A `|` within a part is not
/// escaped, as documented for `loadbalance` groups.
///
/// ```
/// use waypost_balance::{KeyPart, KeySpec, KeyState};
/// use waypost_net::{Flow, Network};
///
/// let spec = KeySpec::new([KeyPart::EtldPlusOne, KeyPart::User, KeyPart::DstPort], "");
/// let flow = Flow::new(Network::Tcp, "www.example.com:443".parse()?);
/// let mut key = String::new();
/// assert_eq!(spec.write(&flow, &mut key), KeyState::Filled);
/// assert_eq!(key, "example.com|-|443");
/// # Ok::<(), waypost_net::AddressError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeySpec {
    parts: Box<[KeyPart]>,
    salt: Box<str>,
}

impl KeySpec {
    /// A key of `parts`, in this order. Without [`KeyPart::Salt`] among them the salt is no part of
    /// the key but a [`seed`](Self::seed).
    #[must_use]
    pub fn new(parts: impl Into<Box<[KeyPart]>>, salt: impl Into<Box<str>>) -> Self {
        Self { parts: parts.into(), salt: salt.into() }
    }

    /// The parts, in order.
    #[must_use]
    pub fn parts(&self) -> &[KeyPart] {
        &self.parts
    }

    /// What the placement of members and keys is salted with: the salt, unless it is a part of the
    /// key itself.
    #[must_use]
    pub fn seed(&self) -> &[u8] {
        if self.parts.contains(&KeyPart::Salt) { &[] } else { self.salt.as_bytes() }
    }

    /// Writes the key of `flow` in place of what `out` holds, and says whether anything of the flow
    /// is in it. The text is written even if not. Takes no memory besides that of `out`.
    pub fn write(&self, flow: &Flow, out: &mut String) -> KeyState {
        out.clear();
        let mut state = KeyState::Empty;
        let mut is_first = true;
        for &part in &self.parts {
            if part == KeyPart::Salt && self.salt.is_empty() {
                continue;
            }
            if !is_first {
                out.push('|');
            }
            is_first = false;
            if part == KeyPart::Salt {
                out.push_str(&self.salt);
            } else if write_part(part, flow, out) {
                state = KeyState::Filled;
            } else {
                out.push_str(ABSENT);
            }
        }
        state
    }
}

/// Appends a part of the flow; false if it is absent.
fn write_part(part: KeyPart, flow: &Flow, out: &mut String) -> bool {
    let text = match part {
        KeyPart::SrcIp => return append(flow.source.map(|source| canonical_ip(source.ip())), out),
        KeyPart::SrcPort => return append(flow.source.and_then(|source| port(source.port())), out),
        KeyPart::DstIp => return append(flow.target.host.ip().map(canonical_ip), out),
        KeyPart::DstPort => return append(port(flow.target.port), out),
        KeyPart::Network => Some(flow.network.as_str()),
        KeyPart::Domain => domain(flow).map(DomainName::as_str),
        KeyPart::InboundTag => flow.inbound.as_deref(),
        KeyPart::User => flow.user.as_deref(),
        KeyPart::MatchedRuleset => rule_set(flow),
        KeyPart::EtldPlusOne => domain(flow).map(etld_plus_one),
        KeyPart::MatchedRulesetOrEtld => rule_set(flow).or_else(|| domain(flow).map(etld_plus_one)),
        KeyPart::Salt => None,
    };
    let text = text.filter(|text| !text.is_empty());
    out.push_str(text.unwrap_or_default());
    text.is_some()
}

/// Appends a number or an address (RFC 5952); false if there is none. Writing to a string cannot fail.
fn append(value: Option<impl Display>, out: &mut String) -> bool {
    value.is_some_and(|value| write!(out, "{value}").is_ok())
}

fn port(port: u16) -> Option<u16> {
    (port != 0).then_some(port)
}

fn rule_set(flow: &Flow) -> Option<&str> {
    flow.rule_set.as_deref().filter(|rule_set| !rule_set.is_empty())
}

/// The recognised name, else the requested one.
fn domain(flow: &Flow) -> Option<&DomainName> {
    let names = [flow.route_domain.as_ref(), flow.target.host.domain()];
    names.into_iter().flatten().find(|name| !is_address(name))
}
