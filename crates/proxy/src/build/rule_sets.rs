//! Rule sets → specifications of the router.

use waypost_config::Span;
use waypost_geodata::rule_set::{
    AddressRanges, DefaultRule, DomainMatch, HeadlessRule, LogicalMode as SetMode, LogicalRule, RuleSet,
    parse_port_range,
};
use waypost_net::{DomainName, Network, Networks, PortRange, PortSet, Tag};
use waypost_router::{
    Addresses, Conditions, DomainList, EntryKind, IpList, Logical, LogicalMode, Matcher, ProcessPattern,
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
        // Nothing is known of these here, so that they do not hold.
        operating_system: asks_for_the_unknown(rule).then_some(false),
        either: true,
        invert: rule.invert,
        ..Conditions::default()
    }
}

/// Whether there is a condition on something that no connection here has: a DNS question, an Android
/// application, the network that the machine is in.
fn asks_for_the_unknown(rule: &DefaultRule) -> bool {
    let texts = [&rule.package_names, &rule.package_name_regexps, &rule.wifi_ssids, &rule.wifi_bssids];
    texts.iter().any(|texts| !texts.is_empty())
        || !rule.query_types.is_empty()
        || !rule.network_types.is_empty()
        || rule.network_is_expensive
        || rule.network_is_constrained
        || !rule.network_interface_addresses.is_empty()
        || !rule.default_interface_addresses.is_empty()
        || !rule.adguard.is_empty()
}

/// A name that no connection can have is left out.
fn domain(rule: &DefaultRule) -> Option<Vec<DomainList<'_>>> {
    let possible = rule.domains.iter().filter(|(_, name)| is_possible(name));
    let names = possible.map(|(how, name)| {
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
    let is_asked = !entries.is_empty() || !rule.domains.is_empty();
    is_asked.then(|| vec![DomainList { label: None, entries }])
}

fn is_possible(name: &str) -> bool {
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
    name.len() <= 253 && name.bytes().all(plain) || DomainName::new(name).is_ok()
}

fn addresses(ranges: &AddressRanges) -> Option<Vec<IpList<'_>>> {
    let list = || {
        let addresses = Addresses::Ranges(ranges.iter().collect());
        IpList { label: None, inverse: false, addresses }
    };
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

#[cfg(test)]
mod tests {
    use waypost_geodata::rule_set::NetworkType;
    use waypost_net::{Flow, Network};
    use waypost_router::{Router, RouterSpec, RuleSetSpec, RuleSets, RuleSpec, Step, Way};

    use super::*;

    /// Whether the set of one rule holds for a connection to `a.example`.
    fn holds(rule: DefaultRule) -> bool {
        let set = RuleSet { version: 5, rules: vec![HeadlessRule::Default(Box::new(rule))] };
        let named = RuleSets { sets: vec![0], match_source: false };
        let rule = RuleSpec {
            tag: None,
            line: 1,
            file: None,
            action: Way::Outbound(Tag::from("out")).into(),
            matcher: Conditions { rule_sets: Some(named), either: true, ..Conditions::default() }.into(),
        };
        let rule_sets = vec![RuleSetSpec { tag: Tag::from("set"), rules: matchers(&set) }];
        let spec = RouterSpec { rules: vec![rule], rule_sets, ..RouterSpec::default() };
        let router = Router::new(spec).unwrap();
        let flow = Flow::new(Network::Tcp, "a.example:443".parse().unwrap());
        let Step::Decided(decision) = router.route(&flow) else { panic!("nothing to ask") };
        decision.rule.is_some()
    }

    #[test]
    fn what_cannot_be_known_never_holds() {
        let texts = || vec!["x".into()];
        for rule in [
            DefaultRule { package_names: texts(), ..DefaultRule::default() },
            DefaultRule { package_name_regexps: texts(), ..DefaultRule::default() },
            DefaultRule { query_types: vec![1], ..DefaultRule::default() },
            DefaultRule { network_types: vec![NetworkType::Wifi], ..DefaultRule::default() },
            DefaultRule { network_is_expensive: true, ..DefaultRule::default() },
            DefaultRule { network_is_constrained: true, ..DefaultRule::default() },
            DefaultRule { wifi_ssids: texts(), ..DefaultRule::default() },
            DefaultRule { wifi_bssids: texts(), ..DefaultRule::default() },
            DefaultRule {
                default_interface_addresses: vec!["0.0.0.0/0".parse().unwrap()],
                ..DefaultRule::default()
            },
            DefaultRule {
                network_interface_addresses: vec![(NetworkType::Other, Vec::new())],
                ..DefaultRule::default()
            },
            DefaultRule { adguard: texts(), ..DefaultRule::default() },
            DefaultRule { networks: vec!["icmp".into()], ..DefaultRule::default() },
        ] {
            let inverted = DefaultRule { invert: true, ..rule.clone() };
            assert!(!holds(rule.clone()), "{rule:?}");
            assert!(holds(inverted), "inverted {rule:?}");
        }
    }

    #[test]
    fn names_that_no_connection_has_are_left_out() {
        let mut rule = DefaultRule::default();
        rule.domains.push(DomainMatch::Suffix, "two words").unwrap();
        assert!(!holds(rule.clone()));
        rule.domains.push(DomainMatch::Suffix, "example").unwrap();
        assert!(holds(rule));
    }
}
