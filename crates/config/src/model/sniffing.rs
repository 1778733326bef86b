use super::{DomainEntry, IpEntry};
use crate::Spanned;

/// `inbounds[].sniffing`, switched on: the first bytes of a connection are looked at, and what is
/// recognised has a label for `protocol` conditions.
#[derive(Debug, Clone, Default)]
pub struct Sniffing {
    /// `destOverride`: the protocols whose name takes the place of the target.
    pub dest_override: Vec<OverrideProtocol>,
    /// `metadataOnly`: the first bytes are neither waited for nor looked at.
    pub metadata_only: bool,
    /// `routeOnly`: rules see the name, and the target that the client asked for is dialled.
    pub route_only: bool,
    /// `domainsExcluded`: names that do not take the place of a target. An entry without prefix is a
    /// whole name here.
    pub domains_excluded: Vec<Spanned<DomainEntry>>,
    /// `ipsExcluded`: targets whose place no name takes.
    pub ips_excluded: Vec<Spanned<IpEntry>>,
}

/// A word of `destOverride`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverrideProtocol {
    /// `http`.
    Http,
    /// `tls`, also `https` and `ssl`.
    Tls,
    /// `quic`.
    Quic,
    /// `fakedns`, also `fakedns+others`.
    FakeDns,
}

impl OverrideProtocol {
    /// What the labels of the protocol begin with.
    #[must_use]
    pub fn label_prefix(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tls => "tls",
            Self::Quic => "quic",
            Self::FakeDns => "fakedns",
        }
    }
}
