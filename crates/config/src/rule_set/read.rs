use waypost_geodata::rule_set::{
    AddressRanges, DefaultRule, DomainMatch, Domains, HeadlessRule, LogicalMode, LogicalRule, MAX_NESTING,
    RangesBuilder,
};

use super::{
    keys::HEADLESS_RULE,
    values::{self, list},
};
use crate::{
    json::Value,
    object::{Object, choose},
    report::{Report, quote},
};

/// The keys that a logical rule has.
const LOGICAL_KEYS: [&str; 4] = ["type", "mode", "rules", "invert"];

/// Reads the rules of a set; those with an error are left out.
pub(crate) fn read_rules(rules: &[Value], report: &mut Report<'_>) -> Vec<HeadlessRule> {
    read_list(rules, 0, report)
}

fn read_list(rules: &[Value], depth: usize, report: &mut Report<'_>) -> Vec<HeadlessRule> {
    rules.iter().filter_map(|rule| read_rule(rule, depth, report)).collect()
}

fn read_rule(value: &Value, depth: usize, report: &mut Report<'_>) -> Option<HeadlessRule> {
    let n_errors = report.n_errors();
    let rule = Object::read(value, "rules[]", &HEADLESS_RULE, report)?;
    let is_logical = match rule.text("type", report) {
        Some(written) if !written.value.is_empty() => {
            choose("type", written, &[("default", false), ("logical", true)], report)?
        }
        Some(_) | None => false,
    };
    if is_logical {
        return read_logical(&rule, depth, report).map(HeadlessRule::Logical);
    }
    for name in ["mode", "rules"] {
        if let Some(field) = rule.get(name) {
            report
                .error(field.key_span, format!("`{name}` belongs to a logical rule"))
                .help("add `\"type\": \"logical\"`, or remove it");
        }
    }
    let read = read_default(&rule, report);
    if report.n_errors() > n_errors {
        return None;
    }
    if read.is_empty() {
        report
            .error(rule.span, "this rule has no condition, so that it would hold for everything")
            .help("add a condition, or remove the rule");
        return None;
    }
    Some(HeadlessRule::Default(Box::new(read)))
}

fn read_logical(rule: &Object<'_>, depth: usize, report: &mut Report<'_>) -> Option<LogicalRule> {
    if depth >= MAX_NESTING {
        report.error(rule.span, format!("logical rules are nested more than {MAX_NESTING} times"));
        return None;
    }
    for key in HEADLESS_RULE.keys.iter().filter(|key| !LOGICAL_KEYS.contains(&key.name)) {
        if let Some(field) = rule.get(key.name) {
            report
                .error(field.key_span, format!("a logical rule has no `{}`", key.name))
                .help("write it into a rule in `rules`");
        }
    }
    let mode = match rule.text("mode", report) {
        Some(written) => {
            choose("mode", written, &[("and", LogicalMode::And), ("or", LogicalMode::Or)], report)
        }
        None => {
            report.error(rule.span, "a logical rule has no `mode`").help("expected `and` or `or`");
            None
        }
    };
    let n_errors = report.n_errors();
    let rules = read_list(rule.items("rules", report), depth + 1, report);
    if rules.is_empty() && report.n_errors() == n_errors {
        report.error(rule.span, "a logical rule without `rules`").help("add rules, or remove it");
    }
    let invert = rule.flag("invert", report).is_some_and(|invert| invert.value);
    Some(LogicalRule { mode: mode?, rules, invert })
}

fn read_default(rule: &Object<'_>, report: &mut Report<'_>) -> DefaultRule {
    let flag = |name, report: &mut Report<'_>| rule.flag(name, report).is_some_and(|flag| flag.value);
    let mut texts = |name| list(rule, name, report, values::text);
    DefaultRule {
        domain_keywords: texts("domain_keyword"),
        domain_regexps: texts("domain_regex"),
        process_names: texts("process_name"),
        process_paths: texts("process_path"),
        process_path_regexps: texts("process_path_regex"),
        package_names: texts("package_name"),
        package_name_regexps: texts("package_name_regex"),
        wifi_ssids: texts("wifi_ssid"),
        wifi_bssids: texts("wifi_bssid"),
        adguard: Vec::new(),
        query_types: list(rule, "query_type", report, values::query_type),
        networks: list(rule, "network", report, values::network),
        domains: read_domains(rule, report),
        source_ip: read_ranges(rule, "source_ip_cidr", report),
        ip: read_ranges(rule, "ip_cidr", report),
        source_ports: list(rule, "source_port", report, values::port),
        source_port_ranges: list(rule, "source_port_range", report, values::port_range),
        ports: list(rule, "port", report, values::port),
        port_ranges: list(rule, "port_range", report, values::port_range),
        network_types: list(rule, "network_type", report, values::network_type),
        network_is_expensive: flag("network_is_expensive", report),
        network_is_constrained: flag("network_is_constrained", report),
        network_interface_addresses: values::interface_addresses(rule, report),
        default_interface_addresses: list(rule, "default_interface_address", report, values::prefix),
        invert: flag("invert", report),
    }
}

fn read_domains(rule: &Object<'_>, report: &mut Report<'_>) -> Domains {
    let mut domains = Domains::default();
    for (key, is_suffix) in [("domain", false), ("domain_suffix", true)] {
        list(rule, key, report, |name, value, report| {
            let text = values::text(name, value, report)?;
            let (how, bare) = match text.strip_prefix('.') {
                Some(bare) if is_suffix => (DomainMatch::Below, bare),
                Some(_) | None if is_suffix => (DomainMatch::Suffix, &*text),
                Some(_) | None => (DomainMatch::Full, &*text),
            };
            if domains.push(how, bare).is_err() {
                report.error(
                    value.span,
                    format!("not a domain name: {}", quote(&text.escape_debug().to_string())),
                );
                return None;
            }
            Some(())
        });
    }
    domains
}

fn read_ranges(rule: &Object<'_>, name: &'static str, report: &mut Report<'_>) -> AddressRanges {
    let mut builder = RangesBuilder::default();
    for net in list(rule, name, report, values::prefix) {
        builder.push(net);
    }
    builder.build()
}
