//! The one typed model that every dialect is parsed into.
//!
//! Values that a later stage may have to complain about (an unknown tag, a geosite code that no
//! file has) carry the place they came from.

mod api;
mod dns;
mod endpoint;
mod experimental;
mod groups;
mod load_balance;
mod observatory;
mod rule;
mod rule_set;
mod sniffing;
mod transport;
mod tunnel;
mod udp;

use std::sync::Arc;

use waypost_net::{Host, Networks, Secret, Tag};

pub use self::api::{Api, ApiService};
pub use self::dns::{
    AddressFilter, Dns, DnsFallback, DnsOutbound, DnsProtocol, DnsRule, DnsServer, DnsServerAddress, DnsWay,
    HostsAnswer, HostsEntry, OtherQuestions,
};
pub use self::endpoint::{Door, Limits, Listen, Policy, Redirect, SocketOptions, Stats};
pub use self::experimental::{ApiListen, CacheFile, ClashApi, Experimental};
pub use self::groups::{Selector, UrlTest};
pub use self::load_balance::{
    DialPace, EmptyPoolAction, Hash, HashAlgorithm, Hysteresis, KeyPart, LoadBalance, LoadBalanceStrategy,
    OnEmptyKey, Probe, ProbeMethod, ProbeUrl, TopN,
};
pub use self::observatory::{Burst, Cost, LeastLoad, Observatory};
pub use self::rule::{
    AttributeEntry, AttributeTest, Conditions, DomainEntry, GeositeRef, IpEntry, IpSet, IpVersion, Logical,
    LogicalMode, Matcher, ProcessEntry, Reject, RejectMethod, ResolveFamily, ResolveOptions, RouteOptions,
    Rule, RuleAction, RuleSetRefs, RuleTarget, SniffOptions, UserEntry,
};
pub use self::rule_set::{RuleSet, RuleSetFormat, RuleSetSource};
pub use self::sniffing::{OverrideProtocol, Sniffing};
pub use self::transport::{
    ClientTls, EarlyData, Grpc, HttpUpgrade, Identity, Layer, Pem, Pin, ServerTls, TlsVersion, TlsVersions,
    Transport, WebSocket,
};
pub use self::tunnel::{
    Fallback, ShadowsocksInbound, ShadowsocksKey, ShadowsocksMethod, TrojanInbound, User, UserId,
    VmessAccount, VmessSecurity,
};
pub use self::udp::UdpInbound;
use crate::{Dialect, Span, Spanned};

/// A whole configuration, valid in itself: every tag that is named exists, no tag is given twice.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// The dialect that it was written in.
    pub dialect: Dialect,
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
    /// What sing-box's experimental settings say.
    pub experimental: Experimental,
    /// What traffic is counted for.
    pub stats: Stats,
    /// `api`: V2Ray's remote control over gRPC.
    pub api: Option<Api>,
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
    /// What is done for SOCKS clients that send datagrams; `None` refuses them.
    pub udp: Option<UdpInbound>,
    /// What carries its protocol.
    pub transport: Transport<ServerTls>,
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
    /// `shadowsocks`.
    Shadowsocks(Box<ShadowsocksInbound>),
    /// `vmess`: never without users.
    Vmess(Vec<User<UserId>>),
    /// `vless`: never without users.
    Vless(Vec<User<UserId>>),
    /// `trojan`.
    Trojan(Box<TrojanInbound>),
}

impl InboundProtocol {
    /// Whether it tells its users apart itself, so that nobody else comes in.
    #[must_use]
    pub fn has_own_users(&self) -> bool {
        match self {
            Self::Shadowsocks(_) | Self::Vmess(_) | Self::Vless(_) | Self::Trojan(_) => true,
            Self::Client(_) | Self::Door(_) => false,
        }
    }
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
    /// `network`: what it may carry; what it can is another matter.
    pub networks: Networks,
    /// `domain_resolver`: who resolves the names that it dials; `None` leaves it to
    /// [`Dns::resolver`], and then to the system.
    pub resolve: Option<ResolveOptions>,
    /// What is set on its sockets.
    pub socket: SocketOptions,
    /// What carries its protocol to the server.
    pub transport: Transport<ClientTls>,
    /// `dialerProxy`, `proxySettings.tag` or `detour`: the outbound that its connections to the server
    /// take, which exists.
    pub detour: Option<Spanned<Tag>>,
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
    /// `shadowsocks`: through Shadowsocks servers; never empty.
    Shadowsocks(Vec<ProxyServer<ShadowsocksKey>>),
    /// `vmess`: through VMess servers; never empty.
    Vmess(Vec<ProxyServer<VmessAccount>>),
    /// `vless`: through VLESS servers; never empty.
    Vless(Vec<ProxyServer<UserId>>),
    /// `trojan`: through Trojan servers; never empty.
    Trojan(Vec<ProxyServer<Secret>>),
    /// `dns`: answer DNS questions from the `dns` section.
    Dns(Box<DnsOutbound>),
    /// `api`: the remote control over gRPC, which serves whoever is sent there.
    Api,
    /// `loopback`: through the rules again, as if it came in by another inbound.
    Loopback {
        /// `inboundTag`: what the rules see then.
        inbound: Tag,
    },
    /// `loadbalance`: through one of other outbounds.
    LoadBalance(Box<LoadBalance>),
    /// `selector`: through the one of other outbounds that somebody chose.
    Selector(Box<Selector>),
    /// `urltest`: through the fastest of other outbounds.
    UrlTest(Box<UrlTest>),
}

impl OutboundProtocol {
    /// Whether it leads to other outbounds, and dials nothing itself.
    #[must_use]
    pub fn is_group(&self) -> bool {
        match self {
            Self::LoadBalance(_) | Self::Selector(_) | Self::UrlTest(_) => true,
            Self::Freedom { .. }
            | Self::Blackhole { .. }
            | Self::Socks(_)
            | Self::Http(_)
            | Self::Shadowsocks(_)
            | Self::Vmess(_)
            | Self::Vless(_)
            | Self::Trojan(_)
            | Self::Dns(_)
            | Self::Api
            | Self::Loopback { .. } => false,
        }
    }

    /// Whether it leads to servers of its own.
    #[must_use]
    pub fn has_server(&self) -> bool {
        self.dials() && !matches!(self, Self::Freedom { .. })
    }

    /// Whether it dials: the target, or a proxy on the way there.
    #[must_use]
    pub fn dials(&self) -> bool {
        match self {
            Self::Freedom { .. }
            | Self::Socks(_)
            | Self::Http(_)
            | Self::Shadowsocks(_)
            | Self::Vmess(_)
            | Self::Vless(_)
            | Self::Trojan(_) => true,
            Self::Blackhole { .. }
            | Self::Dns(_)
            | Self::Api
            | Self::Loopback { .. }
            | Self::Selector(_)
            | Self::UrlTest(_)
            | Self::LoadBalance(_) => false,
        }
    }
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
pub struct ProxyServer<A = Option<Account>> {
    /// `address`.
    pub host: Host,
    /// `port`.
    pub port: u16,
    /// How this end proves itself: the first of `users`.
    pub account: A,
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
    /// `rule_set`: what rules refer to by tag.
    pub rule_sets: Vec<RuleSet>,
    /// `final`: the outbound that takes what no rule matches, which exists; `None` means the first.
    pub default: Option<Spanned<Tag>>,
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
