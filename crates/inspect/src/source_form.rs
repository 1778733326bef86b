//! The source form of a rule set, written as sing-box writes it.

use ipnet::IpNet;
use serde_json::Value;
use waypost_geodata::rule_set::{
    AddressRanges, DefaultRule, DomainMatch, HeadlessRule, LogicalMode, QUERY_TYPES, RuleSet,
};

/// Writes a set; `None` if it has AdGuard rules, for which there is no key.
pub(crate) fn write(set: &RuleSet) -> Option<String> {
    let mut has_adguard = false;
    set.for_each_rule(|rule| has_adguard |= !rule.adguard.is_empty());
    if has_adguard {
        return None;
    }
    let rules = set.rules.iter().map(rule).collect();
    let root =
        Node::Object(vec![("version", Node::Value(set.version.into())), ("rules", Node::Array(rules))]);
    let mut text = String::new();
    root.write(0, &mut text);
    text.push('\n');
    Some(text)
}

/// A value whose keys keep their order.
enum Node {
    Value(Value),
    Array(Vec<Node>),
    Object(Vec<(&'static str, Node)>),
}

impl Node {
    fn write(&self, depth: usize, out: &mut String) {
        let line = |depth: usize, out: &mut String| {
            out.push('\n');
            out.extend(std::iter::repeat_n("  ", depth));
        };
        match self {
            Self::Value(value) => out.push_str(&value.to_string()),
            Self::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    line(depth + 1, out);
                    item.write(depth + 1, out);
                }
                line(depth, out);
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (index, (key, value)) in members.iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    line(depth + 1, out);
                    out.push_str(&format!("\"{key}\": "));
                    value.write(depth + 1, out);
                }
                line(depth, out);
                out.push('}');
            }
        }
    }
}

/// The members of an object; a list of one entry is written as that entry.
#[derive(Default)]
struct Members(Vec<(&'static str, Node)>);

impl Members {
    fn list<T: Into<Value>>(&mut self, key: &'static str, values: impl IntoIterator<Item = T>) {
        let mut nodes: Vec<Node> = values.into_iter().map(|value| Node::Value(value.into())).collect();
        match nodes.len() {
            0 => {}
            1 => self.0.extend(nodes.pop().map(|node| (key, node))),
            _ => self.0.push((key, Node::Array(nodes))),
        }
    }

    fn texts(&mut self, key: &'static str, texts: &[Box<str>]) {
        self.list(key, texts.iter().map(|text| &**text));
    }

    fn ranges(&mut self, key: &'static str, ranges: &AddressRanges) {
        self.list(key, ranges.prefixes().map(|prefix| prefix.to_string()));
    }

    fn flag(&mut self, key: &'static str, flag: bool) {
        self.0.extend(flag.then_some((key, Node::Value(true.into()))));
    }
}

fn rule(rule: &HeadlessRule) -> Node {
    let logical = match rule {
        HeadlessRule::Default(rule) => return default_rule(rule),
        HeadlessRule::Logical(logical) => logical,
    };
    let mode = match logical.mode {
        LogicalMode::And => "and",
        LogicalMode::Or => "or",
    };
    let mut members = Members(vec![
        ("type", Node::Value("logical".into())),
        ("mode", Node::Value(mode.into())),
        ("rules", Node::Array(logical.rules.iter().map(self::rule).collect())),
    ]);
    members.flag("invert", logical.invert);
    Node::Object(members.0)
}

fn default_rule(rule: &DefaultRule) -> Node {
    let mut members = Members::default();
    members.list("query_type", rule.query_types.iter().map(|&number| query_type(number)));
    members.texts("network", &rule.networks);
    let (mut full, mut suffixes) = (Vec::new(), Vec::new());
    for (how, name) in rule.domains.iter() {
        match how {
            DomainMatch::Full => full.push(name.to_owned()),
            DomainMatch::Suffix => suffixes.push(name.to_owned()),
            DomainMatch::Below => suffixes.push(format!(".{name}")),
        }
    }
    full.sort_unstable();
    suffixes.sort_unstable();
    members.list("domain", full);
    members.list("domain_suffix", suffixes);
    members.texts("domain_keyword", &rule.domain_keywords);
    members.texts("domain_regex", &rule.domain_regexps);
    members.ranges("source_ip_cidr", &rule.source_ip);
    members.ranges("ip_cidr", &rule.ip);
    members.list("source_port", rule.source_ports.iter().copied());
    members.texts("source_port_range", &rule.source_port_ranges);
    members.list("port", rule.ports.iter().copied());
    members.texts("port_range", &rule.port_ranges);
    members.texts("process_name", &rule.process_names);
    members.texts("process_path", &rule.process_paths);
    members.texts("process_path_regex", &rule.process_path_regexps);
    members.texts("package_name", &rule.package_names);
    members.texts("package_name_regex", &rule.package_name_regexps);
    members.list("network_type", rule.network_types.iter().map(|kind| kind.as_str()));
    members.flag("network_is_expensive", rule.network_is_expensive);
    members.flag("network_is_constrained", rule.network_is_constrained);
    members.texts("wifi_ssid", &rule.wifi_ssids);
    members.texts("wifi_bssid", &rule.wifi_bssids);
    let mut interfaces = Members::default();
    for (kind, prefixes) in &rule.network_interface_addresses {
        interfaces.list(kind.as_str(), prefixes.iter().map(prefix));
    }
    if !interfaces.0.is_empty() {
        members.0.push(("network_interface_address", Node::Object(interfaces.0)));
    }
    let local = rule.default_interface_addresses.iter().map(prefix);
    members.list("default_interface_address", local);
    members.flag("invert", rule.invert);
    Node::Object(members.0)
}

/// A prefix, or the address if it is that of one address.
fn prefix(net: &IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
}

fn query_type(number: u16) -> Value {
    let known = QUERY_TYPES.iter().find(|(_, known)| *known == number);
    known.map_or_else(|| number.into(), |(name, _)| (*name).into())
}
