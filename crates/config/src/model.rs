//! The one typed model that every dialect is parsed into.
//!
//! Values that a later stage may have to complain about (an unknown tag, a geosite code that no
//! file has) carry the place they came from.

mod dns;
mod endpoint;
mod load_balance;
mod observatory;
mod sniffing;
mod udp;

use std::sync::Arc;

use ipnet::IpNet;
use waypost_net::{Host, Networks, PortSet, Secret, Tag};

pub use self::dns::{
    AddressFilter, Dns, DnsFallback, DnsOutbound, DnsProtocol, DnsServer, DnsServerAddress, HostsAnswer,
    HostsEntry, OtherQuestions,
};
pub use self::endpoint::{Door, Limits, Listen, Policy, Redirect, SocketOptions, Stats};
pub use self::load_balance::{
    DialPace, EmptyPoolAction, Hash, HashAlgorithm, Hysteresis, KeyPart, LoadBalance, LoadBalanceStrategy,
    OnEmptyKey, Probe, ProbeMethod, ProbeUrl, TopN,
};
pub use self::observatory::{Burst, Cost, LeastLoad, Observatory};
pub use self::sniffing::{OverrideProtocol, Sniffing};
pub use self::udp::UdpInbound;
use crate::{Span, Spanned};

/// A whole configuration, valid in itself: every tag that is named exists, no tag is given twice.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Log settings.
    pub log: Log,
    /// Name resolution.
    pub dns: Dns,
    /// Where clients come in.
    pub inbounds: Vec<Inbound>,
    /// Where connections go out; the first one takes what no rule matches.
    pub outbounds: Vec<Outbound>,
    /// What probes outbounds for balancers.
    pub observatories: Vec<Observatory>,
    /// Rules and balancers.
    pub routing: Routing,
    /// What traffic is counted for.
    pub stats: Stats,
}

/// `log`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Log {
    /// `loglevel`; `None` where the file is silent.
    pub level: Option<LogLevel>,
}

/// `log.loglevel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// One line per connection and more.
    Debug,
    /// State changes.
    Info,
    /// What somebody should look at.
    Warning,
    /// What is broken.
    Error,
    /// Nothing.
    None,
}

impl LogLevel {
    /// The levels by name, the most talkative first.
    pub const WORDS: [(&str, Self); 5] = [
        ("debug", Self::Debug),
        ("info", Self::Info),
        ("warning", Self::Warning),
        ("error", Self::Error),
        ("none", Self::None),
    ];
}

/// Which address families a look-up may return.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AddressFamily {
    /// IPv4 and IPv6.
    #[default]
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

/// One entry of `inbounds`.
#[derive(Debug, Clone)]
pub struct Inbound {
    /// `tag`.
    pub tag: Option<Spanned<Tag>>,
    /// `listen` and `port`.
    pub listen: Listen,
    /// `protocol`.
    pub protocol: InboundProtocol,
    /// Users who may come in; empty means that anybody may. Without users, `listen` is a loopback
    /// address unless the file says `allow_open: true`.
    pub accounts: Vec<Account>,
    /// What is done for clients that send datagrams; `None` refuses them. Only SOCKS has them.
    pub udp: Option<UdpInbound>,
    /// `sniffing`, if it is switched on.
    pub sniffing: Option<Sniffing>,
    /// The level of `policy` that its settings name.
    pub policy: Policy,
    /// How many connections it takes at a time.
    pub limits: Limits,
    /// What is set on its sockets.
    pub socket: SocketOptions,
    /// The whole object.
    pub span: Span,
}

/// `inbounds[].protocol`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InboundProtocol {
    /// Clients say where they want to go.
    Client(ClientProtocol),
    /// `dokodemo-door`, or `tunnel`: all go to one target.
    Door(Door),
}

/// How clients say where they want to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientProtocol {
    /// SOCKS4, SOCKS4a and SOCKS5.
    Socks,
    /// HTTP proxy.
    Http,
    /// SOCKS and HTTP on one port, told apart by the first byte.
    Mixed,
}

/// A user name with its password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The login name.
    pub user: Arc<str>,
    /// The password.
    pub password: Secret,
}

/// One entry of `outbounds`.
#[derive(Debug, Clone)]
pub struct Outbound {
    /// `tag`; an outbound without one can only be the default.
    pub tag: Option<Spanned<Tag>>,
    /// `protocol` with its settings.
    pub protocol: OutboundProtocol,
    /// What is set on its sockets.
    pub socket: SocketOptions,
    /// The whole object.
    pub span: Span,
}

/// `outbounds[].protocol` with its settings.
#[derive(Debug, Clone)]
pub enum OutboundProtocol {
    /// `freedom` or `direct`: dial the target itself.
    Freedom {
        /// `domainStrategy`.
        resolve: FreedomResolve,
        /// `redirect`.
        redirect: Option<Redirect>,
    },
    /// `blackhole` or `block`: close the connection.
    Blackhole {
        /// `response.type`: answer `HTTP/1.1 403 Forbidden` first.
        http_response: bool,
    },
    /// `socks`: through SOCKS5 servers; never empty.
    Socks(Vec<ProxyServer>),
    /// `http`: through HTTP proxies by CONNECT; never empty.
    Http(Vec<ProxyServer>),
    /// `dns`: answer DNS questions from the `dns` section.
    Dns(Box<DnsOutbound>),
    /// `loopback`: through the rules again, as if it came in by another inbound.
    Loopback {
        /// `inboundTag`: what the rules see then.
        inbound: Tag,
    },
    /// `loadbalance`: through one of other outbounds.
    LoadBalance(Box<LoadBalance>),
}

/// `freedom.domainStrategy`: who resolves the name that is dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FreedomResolve {
    /// The system.
    #[default]
    AsIs,
    /// The `dns` section, with these families.
    Use(AddressFamily),
}

/// An upstream proxy server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyServer {
    /// `address`.
    pub host: Host,
    /// `port`.
    pub port: u16,
    /// The first of `users`.
    pub account: Option<Account>,
}

/// `routing`.
#[derive(Debug, Clone, Default)]
pub struct Routing {
    /// `domainStrategy`.
    pub domain_strategy: DomainStrategy,
    /// `rules` that are switched on, in order (those of the old `settings` wrapper last).
    pub rules: Vec<Rule>,
    /// `balancers`.
    pub balancers: Vec<Balancer>,
}

/// `routing.domainStrategy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DomainStrategy {
    /// Names are never resolved for routing.
    #[default]
    AsIs,
    /// If no rule matches, all rules are tried again with look-ups.
    IpIfNonMatch,
    /// A name is looked up when the first IP condition is reached.
    IpOnDemand,
}

/// One rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// `ruleTag`.
    pub tag: Option<Tag>,
    /// Where the connection goes if every condition holds.
    pub target: RuleTarget,
    /// What has to hold; at least one condition is present.
    pub conditions: Conditions,
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
    /// `process`.
    pub process: Option<Vec<Spanned<ProcessEntry>>>,
    /// `localOS`: operating system names in lower case.
    pub local_os: Option<Vec<Box<str>>>,
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
}

/// One entry of `balancers`.
#[derive(Debug, Clone)]
pub struct Balancer {
    /// `tag`.
    pub tag: Spanned<Tag>,
    /// `selector`: prefixes of outbound tags.
    pub selector: Vec<Spanned<Box<str>>>,
    /// `strategy.type`.
    pub strategy: BalancerStrategy,
    /// The observatory that it asks, by its place in [`Config::observatories`]; `None` if it wants to
    /// know nothing of its outbounds.
    pub observer: Option<usize>,
    /// `fallbackTag`, which names an outbound that exists.
    pub fallback: Option<Spanned<Tag>>,
    /// The whole object.
    pub span: Span,
}

/// `balancers[].strategy.type`.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum BalancerStrategy {
    /// Uniformly random.
    #[default]
    Random,
    /// One after the other, by tag.
    RoundRobin,
    /// The one whose probes are fastest.
    LeastPing,
    /// One of those whose probes vary least.
    LeastLoad(LeastLoad),
}
