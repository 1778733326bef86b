//! `dns`, and the outbound that answers from it.

use std::{net::IpAddr, time::Duration};

use waypost_net::{DomainName, Host, Network, Tag, Target};

use super::{AddressFamily, DomainEntry, IpEntry, Matcher, ResolveOptions};
use crate::{Span, Spanned};

/// `dns`.
#[derive(Debug, Clone, Default)]
pub struct Dns {
    /// `hosts` in the order of the file.
    pub hosts: Vec<HostsEntry>,
    /// `servers` in the order of the file; without any, the resolver of the system is asked.
    pub servers: Vec<DnsServer>,
    /// `queryStrategy`.
    pub family: AddressFamily,
    /// `route.default_domain_resolver`: who resolves the names that outbounds dial.
    pub resolver: Option<ResolveOptions>,
    /// Which servers are asked besides those that a name was given to.
    pub fallback: DnsFallback,
    /// `rules` of sing-box: each name goes to the one server that the first rule which matches says.
    pub rules: Vec<DnsRule>,
    /// `final` of sing-box: the server for names that no rule matches, by its place.
    pub default: usize,
}

/// One entry of `dns.hosts`.
#[derive(Debug, Clone)]
pub struct HostsEntry {
    /// The names it answers for; an entry without prefix is a full name here.
    pub pattern: Spanned<DomainEntry>,
    /// What it answers.
    pub answer: HostsAnswer,
}

/// What an entry of `dns.hosts` answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostsAnswer {
    /// These addresses.
    Addresses(Vec<IpAddr>),
    /// Whatever this other name resolves to.
    Alias(DomainName),
}

/// `disableFallback` and `disableFallbackIfMatch`: when the servers are asked whose `domains` do not
/// have the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DnsFallback {
    /// After those whose `domains` have it.
    #[default]
    Always,
    /// Only if it is in the `domains` of no server.
    UnlessMatched,
    /// Never.
    Never,
}

/// One entry of `dns.servers`. What it does not say itself is what `dns` says.
#[derive(Debug, Clone)]
pub struct DnsServer {
    /// `address` with `port`.
    pub address: DnsServerAddress,
    /// `tag` of a server of sing-box: its name for rules and outbounds.
    pub name: Option<Tag>,
    /// `tag`, or that of `dns`: the inbound tag that rules see on its queries.
    pub tag: Option<Tag>,
    /// `domains`: the names for which it comes before others.
    pub domains: Vec<Spanned<DomainEntry>>,
    /// `expectedIPs`: addresses that an answer may have.
    pub expected: Option<AddressFilter>,
    /// `unexpectedIPs`: addresses that an answer may not have.
    pub unexpected: Option<AddressFilter>,
    /// `clientIp`, or that of `dns`: told to the server, cut to its network (RFC 7871).
    pub client_ip: Option<IpAddr>,
    /// `queryStrategy`.
    pub family: AddressFamily,
    /// `skipFallback`: asked for its `domains` only.
    pub skip_fallback: bool,
    /// `finalQuery`: nobody is asked after it.
    pub is_final: bool,
    /// `timeoutMs`: how long an answer may take.
    pub timeout: Duration,
    /// Whether answers are kept for their time to live.
    pub cache: bool,
    /// `serveStale`: for how long an answer is still given after its time, while a new one is fetched.
    pub stale: Option<Duration>,
    /// The whole entry.
    pub span: Span,
}

/// One of sing-box's `dns.rules`.
#[derive(Debug, Clone)]
pub struct DnsRule {
    /// What has to hold of the name.
    pub matcher: Matcher,
    /// The server that is asked, by its place; `None` where nobody is.
    pub server: Option<usize>,
    /// `strategy`: which addresses are asked for, of those that are wanted.
    pub family: AddressFamily,
    /// `disable_cache`: whether what is known already does not count.
    pub disable_cache: bool,
    /// `client_subnet`, instead of that of the server.
    pub client_ip: Option<IpAddr>,
    /// The whole object.
    pub span: Span,
}

/// `expectedIPs` or `unexpectedIPs`.
#[derive(Debug, Clone, Default)]
pub struct AddressFilter {
    /// The addresses.
    pub entries: Vec<Spanned<IpEntry>>,
    /// Whether `*` is among them: if nothing would be left of an answer, all of it is used.
    pub only_prefer: bool,
}

/// Who is asked.
#[derive(Debug, Clone)]
pub enum DnsServerAddress {
    /// `localhost`: the resolver of the system.
    System,
    /// A list that answers itself.
    Hosts(Vec<HostsEntry>),
    /// A server.
    Remote {
        /// How it is spoken to.
        protocol: DnsProtocol,
        /// Where it is.
        target: Target,
        /// How queries get there.
        way: DnsWay,
    },
}

/// How queries get to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnsWay {
    /// As the rules say.
    Routed,
    /// `+local`, and sing-box without `detour`: they pass no rule and go out directly.
    Direct,
    /// `detour`: through this outbound.
    Through(Spanned<Tag>),
    /// Through what takes connections that no rule matches: the old form of sing-box.
    ThroughDefault,
}

/// How a DNS server is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnsProtocol {
    /// RFC 1035, with TCP for answers that are too long.
    Udp,
    /// RFC 7766.
    Tcp,
    /// RFC 7858.
    Tls,
    /// RFC 8484.
    Https {
        /// The path and query, from the slash on.
        path: Box<str>,
    },
}

/// An outbound of the protocol `dns`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DnsOutbound {
    /// `address`: who gets the questions that are passed on, in place of who the client asked.
    pub host: Option<Host>,
    /// `port`, for the same.
    pub port: Option<u16>,
    /// `network`, for the same.
    pub network: Option<Network>,
    /// `nonIPQuery`.
    pub other_questions: OtherQuestions,
}

impl DnsOutbound {
    /// Whether its settings say nothing.
    pub(crate) fn is_plain(&self) -> bool {
        *self == Self { host: None, port: None, network: None, other_questions: OtherQuestions::default() }
    }
}

/// What becomes of questions that are not for addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OtherQuestions {
    /// They are passed on.
    #[default]
    PassOn,
    /// They are refused.
    Refuse,
    /// They get no answer.
    Drop,
}
