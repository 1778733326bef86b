//! Rule sets → specifications of the router.

use waypost_config::Span;
use waypost_geodata::rule_set::{
    AddressRanges, DefaultRule, DomainMatch, HeadlessRule, LogicalMode as SetMode, LogicalRule, RuleSet,
    parse_port_range,
};
use waypost_net::{Network, Networks, PortRange, PortSet, Tag};
use waypost_router::{
    Conditions, DomainList, EntryKind, IpList, Logical, LogicalMode, Matcher, ProcessPattern,
};

/// A rule set with its rules.
#[derive(Debug, Clone, Copy)]
pub(super) struct NamedSet<'a> {
    pub(super) tag: &'a Tag,
    /// Where the configuration has it.
    pub(super) span: Span,
    pub(super) set: &'a RuleSet,
}

/// What the rules of a set want.
pub(super) fn matchers(set: &RuleSet) -> Vec<Matcher<'_>> {
    set.rules.iter().map(matcher).collect()
}

fn matcher(rule: &HeadlessRule) -> Matcher<'_> {
    match rule {
        HeadlessRule::Default(rule) => conditions(rule).into(),
        HeadlessRule::Logical(LogicalRule { mode, rules, invert }) => Matcher::Logical(Logical {
            mode: match mode {
                SetMode::And => LogicalMode::And,
                SetMode::Or => LogicalMode::Or,
            },
            matchers: rules.iter().map(matcher).collect(),
            invert: *invert,
        }),
    }
}

fn conditions(rule: &DefaultRule) -> Conditions<'_> {
    let process = [
        rule.process_names.iter().cloned().map(ProcessPattern::Name).collect::<Vec<_>>(),
        rule.process_paths.iter().cloned().map(ProcessPattern::Path).collect(),
        rule.process_path_regexps.iter().cloned().map(ProcessPattern::Regexp).collect(),
    ];
    Conditions {
        domain: domain(rule),
        ip: addresses(&rule.ip),
        source: addresses(&rule.source_ip),
        port: ports(&rule.ports, &rule.port_ranges),
        source_port: ports(&rule.source_ports, &rule.source_port_ranges),
        network: networks(&rule.networks),
        process: process.into_iter().filter(|group| !group.is_empty()).collect(),
        either: true,
        invert: rule.invert,
        ..Conditions::default()
    }
}

fn domain(rule: &DefaultRule) -> Option<Vec<DomainList<'_>>> {
    let names = rule.domains.iter().map(|(how, name)| {
        let kind = match how {
            DomainMatch::Full => EntryKind::Full,
            DomainMatch::Suffix => EntryKind::Suffix,
            DomainMatch::Below => EntryKind::Below,
        };
        (kind, name)
    });
    let keywords = rule.domain_keywords.iter().map(|text| (EntryKind::Keyword, &**text));
    let regexps = rule.domain_regexps.iter().map(|text| (EntryKind::Regexp, &**text));
    let entries: Vec<_> = names.chain(keywords).chain(regexps).collect();
    (!entries.is_empty()).then(|| vec![DomainList { label: None, entries }])
}

fn addresses(ranges: &AddressRanges) -> Option<Vec<IpList<'_>>> {
    let list =
        || IpList { label: None, inverse: false, prefixes: ranges.prefixes().collect::<Vec<_>>().into() };
    (!ranges.is_empty()).then(|| vec![list()])
}

fn ports(ports: &[u16], ranges: &[Box<str>]) -> Option<PortSet> {
    if ports.is_empty() && ranges.is_empty() {
        return None;
    }
    let single = ports.iter().map(|&port| PortRange { first: port, last: port });
    let ranges =
        ranges.iter().filter_map(|text| parse_port_range(text)).filter(|(first, last)| first <= last);
    Some(single.chain(ranges.map(|(first, last)| PortRange { first, last })).collect())
}

fn networks(words: &[Box<str>]) -> Option<Networks> {
    if words.is_empty() {
        return None;
    }
    let mut networks = Networks::default();
    words.iter().filter_map(|word| word.parse::<Network>().ok()).for_each(|network| networks.insert(network));
    Some(networks)
}
