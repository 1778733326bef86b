use waypost_geodata::rule_set::{DefaultRule, DomainMatch, HeadlessRule, LogicalMode};

use super::super::{
    json::{Fields, Json},
    losses::Losses,
    text,
};
use crate::model::{RuleSet, RuleSetFormat, RuleSetSource};

/// `route.rule_set`.
pub(super) fn rule_sets(sets: &[RuleSet], losses: &mut Losses) -> Vec<Json> {
    sets.iter().map(|set| rule_set(set, losses).into()).collect()
}

fn rule_set(set: &RuleSet, losses: &mut Losses) -> Fields {
    let mut fields = Fields::default();
    fields.put("tag", set.tag.value.as_str());
    match &set.source {
        RuleSetSource::Inline(inline) => {
            inline.for_each_rule(|rule| {
                if has_foreign(rule) {
                    losses.lose(set.span, "some conditions of this set in this version", None);
                }
            });
            fields.put("type", "inline");
            fields
                .put("rules", inline.rules.iter().map(|rule| Json::from(headless(rule))).collect::<Vec<_>>());
        }
        RuleSetSource::Local { path, format } => {
            fields.put("type", "local");
            fields.put("format", word(*format));
            fields.put("path", &*path.value);
        }
        RuleSetSource::Remote { url, format, detour, update_interval, critical } => {
            fields.put("type", "remote");
            fields.put("format", word(*format));
            fields.put("url", &*url.value.text);
            fields.put_some("download_detour", detour.as_ref().map(|tag| tag.value.as_str()));
            fields.put("update_interval", text::duration(*update_interval));
            fields.put_if("critical", *critical);
        }
    }
    fields
}

fn word(format: RuleSetFormat) -> &'static str {
    match format {
        RuleSetFormat::Source => "source",
        RuleSetFormat::Binary => "binary",
    }
}

/// Conditions that say nothing about connections on a computer.
fn has_foreign(rule: &DefaultRule) -> bool {
    !rule.query_types.is_empty()
        || !rule.package_names.is_empty()
        || !rule.package_name_regexps.is_empty()
        || !rule.network_types.is_empty()
        || !rule.network_interface_addresses.is_empty()
        || !rule.default_interface_addresses.is_empty()
        || !rule.wifi_ssids.is_empty()
        || !rule.wifi_bssids.is_empty()
        || !rule.adguard.is_empty()
        || rule.network_is_expensive
        || rule.network_is_constrained
}

fn headless(rule: &HeadlessRule) -> Fields {
    let mut fields = Fields::default();
    match rule {
        HeadlessRule::Logical(logical) => {
            fields.put("type", "logical");
            fields.put(
                "mode",
                match logical.mode {
                    LogicalMode::And => "and",
                    LogicalMode::Or => "or",
                },
            );
            fields.put(
                "rules",
                logical.rules.iter().map(|rule| Json::from(headless(rule))).collect::<Vec<_>>(),
            );
            fields.put_if("invert", logical.invert);
        }
        HeadlessRule::Default(rule) => put_conditions(rule, &mut fields),
    }
    fields
}

fn put_conditions(rule: &DefaultRule, fields: &mut Fields) {
    let texts = |texts: &[Box<str>]| texts.iter().map(|text| text.to_string()).collect::<Vec<_>>();
    let (mut full, mut suffix) = (Vec::new(), Vec::new());
    for (how, name) in rule.domains.iter() {
        match how {
            DomainMatch::Full => full.push(name.to_owned()),
            DomainMatch::Suffix => suffix.push(name.to_owned()),
            DomainMatch::Below => suffix.push(format!(".{name}")),
        }
    }
    fields.put_filled("network", texts(&rule.networks));
    fields.put_filled("domain", full);
    fields.put_filled("domain_suffix", suffix);
    fields.put_filled("domain_keyword", texts(&rule.domain_keywords));
    fields.put_filled("domain_regex", texts(&rule.domain_regexps));
    let prefixes = |prefixes: &mut dyn Iterator<Item = ipnet::IpNet>| {
        prefixes.map(|prefix| prefix.to_string()).collect::<Vec<_>>()
    };
    fields.put_filled("source_ip_cidr", prefixes(&mut rule.source_ip.prefixes()));
    fields.put_filled("ip_cidr", prefixes(&mut rule.ip.prefixes()));
    fields.put_filled("source_port", rule.source_ports.clone());
    fields.put_filled("source_port_range", texts(&rule.source_port_ranges));
    fields.put_filled("port", rule.ports.clone());
    fields.put_filled("port_range", texts(&rule.port_ranges));
    fields.put_filled("process_name", texts(&rule.process_names));
    fields.put_filled("process_path", texts(&rule.process_paths));
    fields.put_filled("process_path_regex", texts(&rule.process_path_regexps));
    fields.put_if("invert", rule.invert);
}
