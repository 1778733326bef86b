//! From the `dns` section to a resolver.

use std::{net::IpAddr, sync::Arc};

use waypost_config::{
    Diagnostic, Dialect, Severity, Span, Spanned,
    model::{
        self, Config, DnsFallback, DnsProtocol, DnsServer, DnsServerAddress, DnsWay, DomainEntry,
        HostsAnswer, IpSet,
    },
};
use waypost_dns::{
    AddressFilter, AddressSet, Answer, Chooser, Fallback, Hosts, NamesBuilder, Network, Pattern, Protocol,
    Resolver, ServerAddress, ServerSpec, ServersSpec, Way,
};
use waypost_geoip::{IpIndex, IpIndexBuilder};
use waypost_geosite::go_regexp;
use waypost_net::DomainName;
use waypost_router::{EntryKind, Problem};

mod rules;

pub(crate) use self::rules::DnsRules;
pub(super) use self::rules::compile;
use super::{
    failure, family,
    geo::{GeoFiles, Reported},
    rule_sets::NamedSet,
    rules as routing,
};
use crate::{lookups::Lookups, mode::Modes, queries::QueryNetwork};

/// Upper bound of one compiled expression of the `hosts` section.
const HOSTS_REGEXP_LIMIT_BYTES: usize = 1 << 20;

/// What resolves names.
pub(super) struct Resolving {
    pub(super) resolver: Resolver,
    /// What its queries travel in.
    pub(super) network: Arc<QueryNetwork>,
    pub(super) lookups: Lookups,
    /// The rules that choose a server, if there are any.
    pub(super) rules: Option<Arc<DnsRules>>,
}

/// What resolves names; `None` if something is wrong.
pub(super) fn resolver(
    config: &Config,
    files: &GeoFiles,
    sets: &[NamedSet<'_>],
    modes: Option<&Arc<Modes>>,
    problems: &mut Vec<Diagnostic>,
) -> Option<Resolving> {
    let network = Arc::new(QueryNetwork::default());
    let resolver =
        Resolver::new(hosts(&config.dns.hosts, files, problems)).with_family(family(config.dns.family));
    let servers = &config.dns.servers;
    let is_only_system = matches!(
        &**servers,
        [DnsServer { address: DnsServerAddress::System, expected: None, unexpected: None, .. }]
    );
    if servers.is_empty() || is_only_system && config.dns.rules.is_empty() {
        return Some(Resolving { resolver, network, lookups: Lookups::default(), rules: None });
    }
    let before = count_errors(problems);
    let mut names = NamesBuilder::default();
    let mut specs = Vec::with_capacity(servers.len());
    for (number, server) in servers.iter().enumerate() {
        let Ok(number) = u16::try_from(number) else {
            problems.push(error(server.span, "there are more than 65536 DNS servers".to_owned()));
            break;
        };
        add_names(&mut names, number, server, files, problems);
        specs.push(spec(server, files, problems));
    }
    let lookups = rules::lookups(config, &mut specs);
    let is_chosen = config.dialect == Dialect::SingBox;
    let of_rules = is_chosen.then(|| rules::servers(config, &mut specs));
    let rules = of_rules.and_then(|servers| DnsRules::new(config, files, sets, servers, modes, problems));
    let rules = rules.map(Arc::new);
    let names = names.build().map_err(|error| problems.push(failure(Span::default(), &error))).ok()?;
    let fallback = match config.dns.fallback {
        DnsFallback::Always => Fallback::Always,
        DnsFallback::UnlessMatched => Fallback::UnlessMatched,
        DnsFallback::Never => Fallback::Never,
    };
    if count_errors(problems) > before {
        return None;
    }
    let spec = ServersSpec {
        servers: specs,
        names,
        fallback,
        chooser: rules.clone().map(|rules| rules as Arc<dyn Chooser>),
        network: network.clone() as Arc<dyn Network>,
        roots: None,
    };
    match resolver.with_servers(spec) {
        Ok(resolver) => Some(Resolving { resolver, network, lookups, rules }),
        Err(error) => {
            problems.push(failure(Span::default(), &error));
            None
        }
    }
}

fn count_errors(problems: &[Diagnostic]) -> usize {
    problems.iter().filter(|problem| problem.severity == Severity::Error).count()
}

fn error(span: Span, message: String) -> Diagnostic {
    Diagnostic { severity: Severity::Error, span, message, help: None }
}

fn spec(server: &DnsServer, files: &GeoFiles, problems: &mut Vec<Diagnostic>) -> ServerSpec {
    let address = match &server.address {
        DnsServerAddress::System | DnsServerAddress::Hosts(_) => ServerAddress::System,
        DnsServerAddress::Remote { protocol, target, way } => ServerAddress::Remote {
            protocol: match protocol {
                DnsProtocol::Udp => Protocol::Udp,
                DnsProtocol::Tcp => Protocol::Tcp,
                DnsProtocol::Tls => Protocol::Tls,
                DnsProtocol::Https { path } => Protocol::Https { path: path.clone() },
            },
            target: target.clone(),
            way: match way {
                DnsWay::Direct => Way::Direct,
                DnsWay::Routed => Way::Routed { tag: server.tag.clone() },
                DnsWay::Through(tag) => Way::Through { outbound: Some(tag.value.clone()) },
                DnsWay::ThroughDefault => Way::Through { outbound: None },
            },
        },
    };
    ServerSpec {
        address,
        expected: server.expected.as_ref().map(|filter| address_filter(filter, files, problems)),
        unexpected: server.unexpected.as_ref().map(|filter| address_filter(filter, files, problems)),
        client_subnet: server.client_ip,
        family: family(server.family),
        skip_fallback: server.skip_fallback,
        is_final: server.is_final,
        timeout: server.timeout,
        cache: server.cache,
        stale: server.stale,
        hosts: match &server.address {
            DnsServerAddress::Hosts(entries) => Some(Arc::new(hosts(entries, files, problems))),
            DnsServerAddress::System | DnsServerAddress::Remote { .. } => None,
        },
    }
}

/// Gives a server the names of its `domains`.
fn add_names<'a>(
    names: &mut NamesBuilder<'a>,
    number: u16,
    server: &'a DnsServer,
    files: &'a GeoFiles,
    problems: &mut Vec<Diagnostic>,
) {
    for entry in &server.domains {
        let (list, texts) = texts(entry, files, problems);
        for (kind, text) in texts {
            let added = match kind {
                EntryKind::Full => names.full(text, number).map_err(|error| bad_name(text, error)),
                EntryKind::Suffix | EntryKind::Below => {
                    names.suffix(text, number).map_err(|error| bad_name(text, error))
                }
                EntryKind::Keyword => {
                    names.keyword(text, number);
                    Ok(())
                }
                EntryKind::Regexp => names.regexp(text, number).map_err(|error| bad_regexp(text, error)),
            };
            if let Err(error) = added {
                problems.push(bad_text(entry.span, list.as_deref(), &error));
                break;
            }
        }
    }
}

fn bad_name(text: &str, error: waypost_net::DomainError) -> Problem {
    Problem::Name { name: text.into(), error }
}

fn bad_regexp(text: &str, error: go_regexp::Error) -> Problem {
    Problem::Regexp { expression: text.into(), error }
}

/// What an entry stands for, with the label of its list if it names one.
fn texts<'a>(
    entry: &'a Spanned<DomainEntry>,
    files: &'a GeoFiles,
    problems: &mut Vec<Diagnostic>,
) -> (Option<String>, Vec<(EntryKind, &'a str)>) {
    let one = |kind, text: &'a str| (None, vec![(kind, text)]);
    match &entry.value {
        DomainEntry::Keyword(text) => one(EntryKind::Keyword, text),
        DomainEntry::Regexp(text) => {
            problems.extend(routing::upper_case_warning(text, entry.span));
            one(EntryKind::Regexp, text)
        }
        DomainEntry::Suffix(text) => one(EntryKind::Suffix, text),
        DomainEntry::Below(text) => one(EntryKind::Below, text),
        DomainEntry::Full(text) => one(EntryKind::Full, text),
        DomainEntry::List(list) => {
            let texts = files.site(list, entry.span, problems).unwrap_or_else(|Reported| Vec::new());
            (Some(routing::site_label(list)), texts)
        }
    }
}

fn bad_text(span: Span, list: Option<&str>, error: &Problem) -> Diagnostic {
    match list {
        Some(label) => routing::bad_entry(span, label, error),
        None => failure(span, error),
    }
}

/// Addresses as a rule would take them: one of the positive entries, or none of the inverse ones.
#[derive(Debug)]
struct Addresses {
    index: IpIndex,
    has_inverse: bool,
}

const POSITIVE: u32 = 0;
const INVERSE: u32 = 1;

impl AddressSet for Addresses {
    fn contains(&self, address: IpAddr) -> bool {
        let ids = self.index.ids(address);
        ids.contains(&POSITIVE) || (self.has_inverse && !ids.contains(&INVERSE))
    }
}

fn address_filter(
    filter: &model::AddressFilter,
    files: &GeoFiles,
    problems: &mut Vec<Diagnostic>,
) -> AddressFilter {
    let mut builder = IpIndexBuilder::default();
    for entry in &filter.entries {
        let id = if entry.value.inverse { INVERSE } else { POSITIVE };
        match &entry.value.set {
            IpSet::Net(net) => builder.insert(*net, id),
            IpSet::NotPublic => {
                waypost_geoip::not_public_prefixes().for_each(|net| builder.insert(net, id));
            }
            IpSet::List { file, code } => {
                let prefixes = files.ip(file, code, entry.span, problems);
                for prefix in prefixes.unwrap_or_else(|Reported| Vec::new()) {
                    builder.insert(prefix, id);
                }
            }
        }
    }
    let has_inverse = filter.entries.iter().any(|entry| entry.value.inverse);
    let set = Arc::new(Addresses { index: builder.build(), has_inverse });
    AddressFilter { set, only_prefer: filter.only_prefer }
}

fn hosts(written: &[model::HostsEntry], files: &GeoFiles, problems: &mut Vec<Diagnostic>) -> Hosts {
    let mut entries = Vec::new();
    for entry in written {
        let answer = match &entry.answer {
            HostsAnswer::Addresses(addresses) => Answer::Addresses(addresses.clone()),
            HostsAnswer::Alias(name) => Answer::Alias(name.clone()),
        };
        let (list, texts) = texts(&entry.pattern, files, problems);
        for (kind, text) in texts {
            match pattern(kind, text) {
                Ok(pattern) => entries.push((pattern, answer.clone())),
                Err(error) => {
                    problems.push(bad_text(entry.pattern.span, list.as_deref(), &error));
                    break;
                }
            }
        }
    }
    entries.into_iter().collect()
}

/// An entry of `hosts`. Entries of geo files are in no particular form, so all are normalised.
fn pattern(kind: EntryKind, text: &str) -> Result<Pattern, Problem> {
    let name = |text: &str| match DomainName::new(text) {
        Ok(name) => Ok(name.as_str().into()),
        Err(error) => Err(Problem::Name { name: text.into(), error }),
    };
    let regexp = |error| Problem::Regexp { expression: text.into(), error };
    Ok(match kind {
        EntryKind::Full => Pattern::Full(name(text)?),
        EntryKind::Suffix | EntryKind::Below => Pattern::Suffix(name(text)?),
        EntryKind::Keyword => Pattern::Keyword(text.to_ascii_lowercase().into()),
        EntryKind::Regexp => {
            Pattern::Regexp(go_regexp::compile(text, HOSTS_REGEXP_LIMIT_BYTES).map_err(regexp)?)
        }
    })
}
