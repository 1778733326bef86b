//! Which rules of a set hold for a name or an address of which nothing else is known.

use std::{fmt::Write as _, net::IpAddr, path::Path};

use waypost_geodata::rule_set::{DefaultRule, DomainMatch, HeadlessRule, LogicalMode, RuleSet};
use waypost_geosite::{DomainIndex, DomainIndexBuilder, EntryKind, Hit, go_regexp};
use waypost_net::Host;

use crate::{InspectError, Outcome};

/// A set without AdGuard rules whose names can be looked up.
#[derive(Debug)]
pub(crate) struct SetIndex<'a> {
    set: &'a RuleSet,
    /// All names of all rules; the id is the number of the rule with conditions.
    names: DomainIndex,
}

/// An entry that cannot be used.
#[derive(Debug)]
pub(crate) struct Flaw {
    rule: usize,
    reason: String,
}

impl Flaw {
    pub(crate) fn in_file(self, path: &Path) -> InspectError {
        InspectError::Rule { path: path.to_owned(), rule: self.rule, reason: self.reason }
    }
}

/// What holds, and by which entries.
struct Verdict {
    holds: bool,
    evidence: Vec<String>,
}

impl<'a> SetIndex<'a> {
    /// Compiles the names and expressions of a set.
    pub(crate) fn new(set: &'a RuleSet) -> Result<Self, Flaw> {
        let mut rules = Vec::new();
        set.for_each_rule(|rule| rules.push(rule));
        let mut builder = DomainIndexBuilder::default();
        for (number, rule) in rules.into_iter().enumerate() {
            let id = u32::try_from(number).unwrap_or(u32::MAX);
            add(rule, id, &mut builder).map_err(|reason| Flaw { rule: number, reason })?;
        }
        let names = builder.build().map_err(|error| Flaw { rule: 0, reason: error.to_string() })?;
        Ok(Self { set, names })
    }

    /// Adds a line about one name or address.
    pub(crate) fn say(&self, written: &str, outcome: &mut Outcome) {
        let host = match Host::parse(written) {
            Ok(host) => host,
            Err(error) => {
                let _infallible = writeln!(outcome.notes, "{written}: {error}");
                return;
            }
        };
        let hits = self.hits(&host);
        let mut number = 0;
        let mut found = Vec::new();
        for (index, rule) in self.set.rules.iter().enumerate() {
            let verdict = verdict(rule, &host, &hits, &mut number);
            if verdict.holds {
                let evidence = match verdict.evidence.as_slice() {
                    [] => "its conditions do not hold, and it is inverted".to_owned(),
                    evidence => evidence.join(", "),
                };
                found.push(format!("rules[{index}]: {evidence}"));
            }
        }
        outcome.failed &= found.is_empty();
        let said = if found.is_empty() { "no rule".to_owned() } else { found.join("; ") };
        let _infallible = writeln!(outcome.text, "{written}: {said}");
    }

    /// The entries that a name matches, with the number of the rule that has them.
    fn hits(&self, host: &Host) -> Vec<(u32, String)> {
        let Host::Domain(name) = host else { return Vec::new() };
        let hits = self.names.explain(name).into_iter();
        let rules_of = |hit: Hit<'_>| {
            let text = format!("{}:{}", word_of(hit.kind), hit.text);
            self.names.sets().get(hit.set).iter().map(move |&rule| (rule, text.clone()))
        };
        hits.flat_map(rules_of).collect()
    }
}

fn verdict(rule: &HeadlessRule, host: &Host, hits: &[(u32, String)], number: &mut u32) -> Verdict {
    let (mut verdict, invert) = match rule {
        HeadlessRule::Default(rule) => {
            let id = *number;
            *number += 1;
            (default_verdict(rule, host, hits, id), rule.invert)
        }
        HeadlessRule::Logical(logical) => {
            let parts: Vec<Verdict> =
                logical.rules.iter().map(|rule| verdict(rule, host, hits, number)).collect();
            let holds = match logical.mode {
                LogicalMode::And => parts.iter().all(|part| part.holds),
                LogicalMode::Or => parts.iter().any(|part| part.holds),
            };
            let evidence = parts.into_iter().filter(|part| part.holds).flat_map(|part| part.evidence);
            (Verdict { holds, evidence: evidence.collect() }, logical.invert)
        }
    };
    if invert {
        verdict = Verdict { holds: !verdict.holds, evidence: Vec::new() };
    }
    verdict
}

fn default_verdict(rule: &DefaultRule, host: &Host, hits: &[(u32, String)], id: u32) -> Verdict {
    let evidence: Vec<String> = match host {
        Host::Domain(_) => hits.iter().filter(|hit| hit.0 == id).map(|hit| hit.1.clone()).collect(),
        Host::Ip(address) => range_of(rule, *address).into_iter().collect(),
    };
    let has_target = !rule.domains.is_empty()
        || !rule.domain_keywords.is_empty()
        || !rule.domain_regexps.is_empty()
        || !rule.ip.is_empty();
    let holds = !asks_for_more(rule) && (!has_target || !evidence.is_empty());
    Verdict { holds, evidence }
}

/// Whether there is a condition about something else than the target's name and address.
fn asks_for_more(rule: &DefaultRule) -> bool {
    let DefaultRule {
        query_types,
        networks,
        domains: _,
        domain_keywords: _,
        domain_regexps: _,
        source_ip,
        ip: _,
        source_ports,
        source_port_ranges,
        ports,
        port_ranges,
        process_names,
        process_paths,
        process_path_regexps,
        package_names,
        package_name_regexps,
        network_types,
        network_is_expensive,
        network_is_constrained,
        network_interface_addresses,
        default_interface_addresses,
        wifi_ssids,
        wifi_bssids,
        adguard: _,
        invert: _,
    } = rule;
    let texts = [
        networks,
        source_port_ranges,
        port_ranges,
        process_names,
        process_paths,
        process_path_regexps,
        package_names,
        package_name_regexps,
        wifi_ssids,
        wifi_bssids,
    ];
    let numbers = [query_types, source_ports, ports];
    texts.iter().any(|texts| !texts.is_empty())
        || numbers.iter().any(|numbers| !numbers.is_empty())
        || !source_ip.is_empty()
        || !network_types.is_empty()
        || *network_is_expensive
        || *network_is_constrained
        || !network_interface_addresses.is_empty()
        || !default_interface_addresses.is_empty()
}

fn range_of(rule: &DefaultRule, address: IpAddr) -> Option<String> {
    let (first, last) = rule.ip.iter().find(|(first, last)| (*first..=*last).contains(&address))?;
    Some(if first == last { format!("ip_cidr:{first}") } else { format!("ip_cidr:{first}-{last}") })
}

fn word_of(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Full => "domain",
        EntryKind::Suffix | EntryKind::Below => "domain_suffix",
        EntryKind::Keyword => "domain_keyword",
        EntryKind::Regexp => "domain_regex",
    }
}

/// Adds the names of one rule. A name that no connection can have is left out.
fn add<'a>(rule: &'a DefaultRule, id: u32, builder: &mut DomainIndexBuilder<'a>) -> Result<(), String> {
    let name = |how, name: &'a str, builder: &mut DomainIndexBuilder<'a>| {
        let _no_name = match how {
            DomainMatch::Full => builder.full(name, id),
            DomainMatch::Suffix => builder.suffix(name, id),
            DomainMatch::Below => builder.below(name, id),
        };
    };
    let wrong = |expression: &str, error: go_regexp::Error| format!("`{expression}`: {error}");
    rule.domains.iter().for_each(|(how, text)| name(how, text, builder));
    rule.domain_keywords.iter().for_each(|keyword| builder.keyword(keyword, id));
    for expression in &rule.domain_regexps {
        builder.regexp(expression, id).map_err(|error| wrong(expression, error))?;
    }
    for expression in rule.process_path_regexps.iter().chain(&rule.package_name_regexps) {
        go_regexp::check(expression).map_err(|error| wrong(expression, error))?;
    }
    Ok(())
}
