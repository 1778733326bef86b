//! Rules: what has to hold, and what is done then.

use std::{net::IpAddr, time::Duration};

use ipnet::IpNet;
use waypost_net::{Host, Networks, PortSet, Tag};

use crate::{Span, Spanned};

/// One rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// `ruleTag`.
    pub tag: Option<Tag>,
    /// What is done with a connection that it matches.
    pub action: RuleAction,
    /// What has to hold.
    pub matcher: Matcher,
    /// The whole object.
    pub span: Span,
}

/// Where a rule sends a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleTarget {
    /// `outboundTag`, which exists.
    Outbound(Spanned<Tag>),
    /// `balancerTag`, which exists.
    Balancer(Spanned<Tag>),
}

/// What is done with a connection that a rule matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleAction {
    /// `route`, or a rule of V2Ray: it goes out this way.
    Route {
        /// Where.
        target: RuleTarget,
        /// What is changed before.
        options: RouteOptions,
    },
    /// `reject`: it goes nowhere.
    Reject(Reject),
    /// `hijack-dns`: it is a question to a DNS server, which is answered here.
    HijackDns,
    /// `route-options`: it is changed, and the next rule is tried.
    RouteOptions(RouteOptions),
    /// `sniff`: its first bytes are looked at, and the next rule is tried.
    Sniff(SniffOptions),
    /// `resolve`: the target's name is resolved, and the next rule is tried.
    Resolve(ResolveOptions),
}

/// `reject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reject {
    /// `method`.
    pub method: RejectMethod,
    /// `no_drop`: whether many rejections in a short time are still answered.
    pub no_drop: bool,
}

/// `reject.method`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RejectMethod {
    /// `default`: the client is told that there is no connection.
    #[default]
    Default,
    /// `drop`: the client is told nothing.
    Drop,
}

/// `route-options`, and the same keys of `route`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RouteOptions {
    /// `override_address`: the host that takes the place of the target's.
    pub host: Option<Host>,
    /// `override_port`: the port that takes the place of the target's.
    pub port: Option<u16>,
    /// `udp_timeout`: how long an association lives without datagrams.
    pub udp_timeout: Option<Duration>,
}

/// `sniff`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SniffOptions {
    /// `sniffer`: the protocols that are recognised; empty means all.
    pub protocols: Vec<Box<str>>,
    /// `timeout`: how long the first bytes are waited for.
    pub timeout: Duration,
}

impl Default for SniffOptions {
    /// All protocols, 300 ms.
    fn default() -> Self {
        Self { protocols: Vec::new(), timeout: Duration::from_millis(300) }
    }
}

/// `resolve`, `default_domain_resolver` and `domain_resolver`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResolveOptions {
    /// `server`, which exists; `None` leaves it to the DNS rules.
    pub server: Option<Spanned<Tag>>,
    /// `strategy`; `None` leaves it to `dns`.
    pub family: Option<ResolveFamily>,
    /// `disable_cache`.
    pub disable_cache: bool,
    /// `client_subnet`: told to the server, cut to its network (RFC 7871).
    pub client_ip: Option<IpAddr>,
}

/// `strategy` of sing-box: which addresses of a name are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResolveFamily {
    /// `prefer_ipv4`.
    PreferV4,
    /// `prefer_ipv6`.
    PreferV6,
    /// `ipv4_only`.
    OnlyV4,
    /// `ipv6_only`.
    OnlyV6,
}

/// What has to hold.
#[derive(Debug, Clone)]
pub enum Matcher {
    /// These conditions.
    One(Box<Conditions>),
    /// `"type": "logical"`.
    Logical(Logical),
}

impl From<Conditions> for Matcher {
    fn from(conditions: Conditions) -> Self {
        Self::One(Box::new(conditions))
    }
}

/// Several matchers, joined.
#[derive(Debug, Clone)]
pub struct Logical {
    /// `mode`.
    pub mode: LogicalMode,
    /// `rules`; never empty.
    pub matchers: Vec<Matcher>,
    /// `invert`.
    pub invert: bool,
}

/// `mode` of a logical rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogicalMode {
    /// All of them have to hold.
    And,
    /// One of them has to hold.
    Or,
}

impl Matcher {
    /// The conditions, if they are not joined.
    #[must_use]
    pub fn one(&self) -> Option<&Conditions> {
        match self {
            Self::One(conditions) => Some(conditions),
            Self::Logical(_) => None,
        }
    }

    /// All conditions in it, in the order of the file.
    pub fn for_each<'m>(&'m self, see: &mut dyn FnMut(&'m Conditions)) {
        match self {
            Self::One(conditions) => see(conditions),
            Self::Logical(logical) => logical.matchers.iter().for_each(|matcher| matcher.for_each(see)),
        }
    }
}

/// Rule sets that conditions name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleSetRefs {
    /// `rule_set`: one of these matches; all exist.
    pub tags: Vec<Spanned<Tag>>,
    /// `rule_set_ip_cidr_match_source`: their `ip_cidr` look at the client's address.
    pub match_source: bool,
}

/// The conditions of a rule: all that are present must hold. `None` is an absent condition; an
/// empty set or list is a condition that never holds.
#[derive(Debug, Clone, Default)]
pub struct Conditions {
    /// `domain` and `domains` together.
    pub domain: Option<Vec<Spanned<DomainEntry>>>,
    /// `ip`.
    pub ip: Option<Vec<Spanned<IpEntry>>>,
    /// `sourceIP`, or `source`.
    pub source: Option<Vec<Spanned<IpEntry>>>,
    /// `localIP`.
    pub local_ip: Option<Vec<Spanned<IpEntry>>>,
    /// `port`.
    pub port: Option<PortSet>,
    /// `sourcePort`.
    pub source_port: Option<PortSet>,
    /// `localPort`.
    pub local_port: Option<PortSet>,
    /// `network`.
    pub network: Option<Networks>,
    /// `user`.
    pub user: Option<Vec<Spanned<UserEntry>>>,
    /// `inboundTag`.
    pub inbound_tag: Option<Vec<Spanned<Tag>>>,
    /// `protocol`: prefixes of the label.
    pub protocol: Option<Vec<Box<str>>>,
    /// `attrs`: every entry must hold.
    pub attributes: Option<Vec<Spanned<AttributeEntry>>>,
    /// `process`; of sing-box `process_name`, `process_path`, `process_path_regex`, `user` and `user_id`,
    /// each a list of its own. One entry of each list has to hold.
    pub process: Vec<Vec<Spanned<ProcessEntry>>>,
    /// `localOS`: operating system names in lower case.
    pub local_os: Option<Vec<Box<str>>>,
    /// `ip_version`: of the target's address.
    pub ip_version: Option<IpVersion>,
    /// `clash_mode`.
    pub clash_mode: Option<Box<str>>,
    /// `client`: the recognised program of the client.
    pub client: Option<Vec<Box<str>>>,
    /// `rule_set`.
    pub rule_sets: Option<RuleSetRefs>,
    /// Whether `domain` and `ip` are one condition of which one half is enough, and what a rule has counts
    /// for the rules of its sets, as in sing-box.
    pub either: bool,
    /// `invert`.
    pub invert: bool,
}

/// A version of the Internet Protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpVersion {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// One entry of a domain list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DomainEntry {
    /// A substring of the name, in lower case; the empty one is in every name.
    Keyword(Box<str>),
    /// A regular expression in Go's syntax, searched for anywhere in the name.
    Regexp(Box<str>),
    /// The name itself or any name below it; normalised.
    Suffix(Box<str>),
    /// The name itself; normalised.
    Full(Box<str>),
    /// Any name below this one, but not the name itself; normalised.
    Below(Box<str>),
    /// A list of a geosite file.
    List(GeositeRef),
}

/// `geosite:CODE@attr…` or `ext:FILE:CODE@attr…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeositeRef {
    /// The file, `geosite.dat` unless named.
    pub file: Box<str>,
    /// The list, as written.
    pub code: Box<str>,
    /// Attributes that an entry of the list must have, all of them; in lower case.
    pub attributes: Vec<Box<str>>,
}

/// One entry of an IP list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpEntry {
    /// Whether the entry holds for addresses that are *not* in the set.
    pub inverse: bool,
    /// The addresses.
    pub set: IpSet,
}

/// The addresses that an IP entry names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IpSet {
    /// One prefix, host bits cleared.
    Net(IpNet),
    /// `ip_is_private`: what is not reachable over the public Internet, as sing-box has it.
    NotPublic,
    /// A list of a geoip file: `geoip:CODE` or `ext:FILE:CODE`.
    List {
        /// The file, `geoip.dat` unless named.
        file: Box<str>,
        /// The list, as written.
        code: Box<str>,
    },
}

/// One entry of `user`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserEntry {
    /// Exactly this user.
    Exact(Box<str>),
    /// A regular expression in Go's syntax, searched for anywhere in the user.
    Regexp(Box<str>),
}

/// One entry of `attrs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeEntry {
    /// The key, in lower case.
    pub key: Box<str>,
    /// What its value has to be. A key that the flow does not have fails every test.
    pub test: AttributeTest,
}

/// What the value of an attribute has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttributeTest {
    /// `attrs[k] == v`.
    Equals(Box<str>),
    /// `attrs[k].startswith(v)`.
    StartsWith(Box<str>),
    /// `attrs[k].index(v) >= 0`, or `v in attrs[k]`.
    Contains(Box<str>),
    /// The object form: a regular expression in Go's syntax, searched for anywhere.
    Regexp(Box<str>),
}

/// One entry of `process`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessEntry {
    /// The file name of the executable.
    Name(Box<str>),
    /// The absolute path of the executable.
    Path(Box<str>),
    /// A folder, ending with `/`, that the executable is in or below.
    Folder(Box<str>),
    /// A regular expression in Go's syntax, searched for in the absolute path of the executable.
    Regexp(Box<str>),
    /// The name of the user that it runs as.
    User(Box<str>),
    /// The number of the user that it runs as.
    UserId(u32),
}
