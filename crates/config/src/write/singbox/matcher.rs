//! What has to hold, as objects of sing-box.

use waypost_net::{PortRange, PortSet};

use super::super::{
    json::{Fields, Json},
    load_balance,
    losses::Losses,
};
use crate::{
    Span, Spanned,
    model::{
        Conditions, DomainEntry, IpEntry, IpSet, IpVersion, Logical, LogicalMode, Matcher, ProcessEntry,
        UserEntry,
    },
};

/// The protocols that sing-box recognises under the same name.
const PROTOCOLS: [&str; 10] =
    ["http", "tls", "quic", "bittorrent", "dns", "stun", "dtls", "ssh", "rdp", "ntp"];

/// The fields of a matcher; `None` if a part of it cannot be said.
pub(in super::super) fn fields(matcher: &Matcher, span: Span, losses: &mut Losses) -> Option<Fields> {
    match matcher {
        Matcher::One(conditions) => one(conditions, span, losses),
        Matcher::Logical(Logical { mode, matchers, invert }) => {
            let rules: Vec<Option<Fields>> =
                matchers.iter().map(|matcher| fields(matcher, span, losses)).collect();
            let rules: Option<Vec<Fields>> = rules.into_iter().collect();
            let mut fields = logical(*mode, rules?);
            fields.put_if("invert", *invert);
            Some(fields)
        }
    }
}

fn logical(mode: LogicalMode, rules: Vec<Fields>) -> Fields {
    let mut fields = Fields::default();
    fields.put("type", "logical");
    fields.put(
        "mode",
        match mode {
            LogicalMode::And => "and",
            LogicalMode::Or => "or",
        },
    );
    fields.put("rules", rules.into_iter().map(Json::from).collect::<Vec<_>>());
    fields
}

fn one(conditions: &Conditions, span: Span, losses: &mut Losses) -> Option<Fields> {
    if let Some((what, help)) = unsayable(conditions) {
        losses.lose(place(conditions).unwrap_or(span), what, help);
        return None;
    }
    // Each of these has to hold besides the fields of the first object.
    let mut others: Vec<Fields> = Vec::new();
    let mut base = Fields::default();
    let domain = conditions.domain.as_deref().map(domains);
    let ip = conditions.ip.as_deref().map(|entries| addresses(entries, &TARGET));
    let source = conditions.source.as_deref().map(|entries| addresses(entries, &SOURCE));
    match (domain, ip) {
        (Some(domain), Some(Ok(ip))) if conditions.either => {
            base.append(domain);
            base.append(ip);
        }
        (Some(domain), Some(Err(ip))) if conditions.either => {
            others.push(logical(LogicalMode::Or, vec![domain, ip]));
        }
        (domain, ip) => {
            let has_domain = domain.is_some();
            base.append(domain.unwrap_or_default());
            match ip {
                Some(Ok(ip)) if !has_domain => base.append(ip),
                Some(Ok(ip) | Err(ip)) => others.push(ip),
                None => {}
            }
        }
    }
    match source {
        Some(Ok(source)) => base.append(source),
        Some(Err(source)) => others.push(source),
        None => {}
    }
    put_rest(conditions, &mut base);
    if is_for_android(conditions) {
        base.put("package_name_regex", vec![".*".to_owned()]);
    }
    for list in &conditions.process {
        put_processes(list, &mut base, &mut others);
    }
    let mut fields = if others.is_empty() {
        base
    } else {
        let first = (!base.is_empty()).then_some(base);
        let mut rules: Vec<Fields> = first.into_iter().chain(others).collect();
        match (rules.pop(), rules.is_empty()) {
            (Some(only), true) if !conditions.invert => return Some(only),
            (last, _) => logical(LogicalMode::And, rules.into_iter().chain(last).collect()),
        }
    };
    fields.put_if("invert", conditions.invert);
    Some(fields)
}

/// What runs under Android has an application.
fn is_for_android(conditions: &Conditions) -> bool {
    matches!(conditions.local_os.as_deref(), Some([name]) if **name == *"android")
}

/// A condition that sing-box does not have, with a way out.
fn unsayable(conditions: &Conditions) -> Option<(&'static str, Option<&'static str>)> {
    let foreign_file = |set: &IpSet| match set {
        IpSet::List { file, .. } => &**file != "geoip.dat",
        IpSet::Net(_) | IpSet::NotPublic => false,
    };
    let entries = [&conditions.ip, &conditions.source].into_iter().flatten().flatten();
    let from_other_file = |entry: &Spanned<DomainEntry>| match &entry.value {
        DomainEntry::List(list) => &*list.file != "geosite.dat",
        DomainEntry::Keyword(_)
        | DomainEntry::Regexp(_)
        | DomainEntry::Suffix(_)
        | DomainEntry::Full(_)
        | DomainEntry::Below(_) => false,
    };
    let is_regexp = |user: &Spanned<UserEntry>| matches!(user.value, UserEntry::Regexp(_));
    let is_known = |label: &str| PROTOCOLS.contains(&label);
    if conditions.attributes.is_some() {
        return Some(("`attrs`", None));
    }
    if conditions.local_ip.is_some() || conditions.local_port.is_some() {
        return Some(("`localIP` and `localPort`", Some("name the inbound by `inboundTag`")));
    }
    if conditions.local_os.is_some() && !is_for_android(conditions) {
        return Some(("`localOS`", None));
    }
    if conditions.user.iter().flatten().any(is_regexp) {
        return Some(("`regexp:` of a user", Some("name the users")));
    }
    if conditions.protocol.iter().flatten().any(|label| !is_known(label)) {
        return Some(("this `protocol`", Some("write `http`, `tls`, `quic` or `bittorrent`")));
    }
    let has_file = entries.into_iter().any(|entry| foreign_file(&entry.value.set))
        || conditions.domain.iter().flatten().any(from_other_file);
    has_file.then_some(("`ext:`, a list of another file", Some("make a rule set of it")))
}

fn place(conditions: &Conditions) -> Option<Span> {
    let attributes = conditions.attributes.iter().flatten().map(|entry| entry.span);
    let users = conditions.user.iter().flatten().map(|entry| entry.span);
    attributes.chain(users).next()
}

fn put_rest(conditions: &Conditions, fields: &mut Fields) {
    put_ports("port", "port_range", conditions.port.as_ref(), fields);
    put_ports("source_port", "source_port_range", conditions.source_port.as_ref(), fields);
    if let Some(networks) = conditions.network {
        let words = [("tcp", networks.tcp), ("udp", networks.udp)];
        fields.put(
            "network",
            words.into_iter().filter(|(_, on)| *on).map(|(word, _)| word).collect::<Vec<_>>(),
        );
    }
    let user = |user: &Spanned<UserEntry>| match &user.value {
        UserEntry::Exact(name) | UserEntry::Regexp(name) => name.to_string(),
    };
    let users = conditions.user.as_ref().map(|users| users.iter().map(user).collect::<Vec<_>>());
    fields.put_some("auth_user", users);
    fields.put_some("inbound", conditions.inbound_tag.as_deref().map(load_balance::tags));
    fields.put_some("protocol", conditions.protocol.as_deref().map(texts));
    fields.put_some("client", conditions.client.as_deref().map(texts));
    fields.put_some(
        "ip_version",
        conditions.ip_version.map(|version| match version {
            IpVersion::V4 => 4_u8,
            IpVersion::V6 => 6,
        }),
    );
    fields.put_some("clash_mode", conditions.clash_mode.as_deref());
    if let Some(sets) = &conditions.rule_sets {
        fields.put("rule_set", load_balance::tags(&sets.tags));
        fields.put_if("rule_set_ip_cidr_match_source", sets.match_source);
    }
}

fn texts(texts: &[Box<str>]) -> Vec<&str> {
    texts.iter().map(|text| &**text).collect()
}

fn put_ports(key: &str, range_key: &str, ports: Option<&PortSet>, fields: &mut Fields) {
    let Some(ports) = ports else { return };
    let (single, ranges): (Vec<_>, Vec<_>) =
        ports.ranges().iter().copied().partition(|range| range.first == range.last);
    fields.put_filled(key, single.iter().map(|range| range.first).collect::<Vec<_>>());
    let range = |range: &PortRange| format!("{}:{}", range.first, range.last);
    fields.put_filled(range_key, ranges.iter().map(range).collect::<Vec<_>>());
}

fn domains(entries: &[Spanned<DomainEntry>]) -> Fields {
    let [mut full, mut suffix, mut keyword, mut regex, mut geosite]: [Vec<String>; 5] = Default::default();
    for entry in entries {
        match &entry.value {
            // An empty text is an error there.
            DomainEntry::Keyword(text) if text.is_empty() => regex.push(".*".to_owned()),
            DomainEntry::Keyword(text) => keyword.push(text.to_string()),
            DomainEntry::Regexp(text) => regex.push(text.to_string()),
            // With a dot in front it holds for nothing, which `domain_suffix` would take for names below.
            DomainEntry::Suffix(name) if name.starts_with('.') => full.push(name.to_string()),
            DomainEntry::Suffix(name) => suffix.push(name.to_string()),
            DomainEntry::Below(name) => suffix.push(format!(".{name}")),
            DomainEntry::Full(name) => full.push(name.to_string()),
            DomainEntry::List(list) => {
                let attributes: String = list.attributes.iter().map(|one| format!("@{one}")).collect();
                geosite.push(format!("{}{attributes}", list.code));
            }
        }
    }
    let mut fields = Fields::default();
    fields.put_filled("domain", full);
    fields.put_filled("domain_suffix", suffix);
    fields.put_filled("domain_keyword", keyword);
    fields.put_filled("domain_regex", regex);
    fields.put_filled("geosite", geosite);
    fields
}

/// The keys for addresses of one end.
struct Keys {
    cidr: &'static str,
    private: &'static str,
    geoip: &'static str,
}

const TARGET: Keys = Keys { cidr: "ip_cidr", private: "ip_is_private", geoip: "geoip" };
const SOURCE: Keys = Keys { cidr: "source_ip_cidr", private: "source_ip_is_private", geoip: "source_geoip" };

/// Fields for a list of addresses, or an object of its own if some of it is inverse: that holds for
/// addresses which are in none of the inverse entries.
fn addresses(entries: &[Spanned<IpEntry>], keys: &Keys) -> Result<Fields, Fields> {
    let (inverse, positive): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| entry.value.inverse);
    if inverse.is_empty() {
        return Ok(any_of(&positive, keys));
    }
    let mut none = any_of(&inverse, keys);
    none.put("invert", true);
    let mut any_address = Fields::default();
    any_address.put(keys.cidr, vec!["0.0.0.0/0", "::/0"]);
    let outside = logical(LogicalMode::And, vec![any_address, none]);
    if positive.is_empty() {
        return Err(outside);
    }
    Err(logical(LogicalMode::Or, vec![any_of(&positive, keys), outside]))
}

fn any_of(entries: &[&Spanned<IpEntry>], keys: &Keys) -> Fields {
    let (mut nets, mut lists, mut private) = (Vec::new(), Vec::new(), false);
    for entry in entries {
        match &entry.value.set {
            IpSet::Net(net) => nets.push(net.to_string()),
            IpSet::List { code, .. } => lists.push(code.to_string()),
            IpSet::NotPublic => private = true,
        }
    }
    let mut fields = Fields::default();
    fields.put_filled(keys.cidr, nets);
    fields.put_if(keys.private, private);
    fields.put_filled(keys.geoip, lists);
    fields
}

/// Each kind of entry has a key of its own, all of which would have to hold in one object.
fn put_processes(list: &[Spanned<ProcessEntry>], base: &mut Fields, others: &mut Vec<Fields>) {
    let mut kinds: Vec<(&'static str, Vec<Json>)> = Vec::new();
    for entry in list {
        let (key, value) = match &entry.value {
            ProcessEntry::Name(name) => ("process_name", Json::from(&**name)),
            ProcessEntry::Path(path) => ("process_path", Json::from(&**path)),
            ProcessEntry::Folder(path) => ("process_path_regex", Json::from(format!("^{}", literal(path)))),
            ProcessEntry::Regexp(text) => ("process_path_regex", Json::from(&**text)),
            ProcessEntry::User(name) => ("user", Json::from(&**name)),
            ProcessEntry::UserId(id) => ("user_id", Json::from(*id)),
        };
        match kinds.iter_mut().find(|(known, _)| *known == key) {
            Some((_, values)) => values.push(value),
            None => kinds.push((key, vec![value])),
        }
    }
    let mut alternatives: Vec<Fields> = kinds
        .into_iter()
        .map(|(key, values)| {
            let mut fields = Fields::default();
            fields.put(key, values);
            fields
        })
        .collect();
    match (alternatives.pop(), alternatives.is_empty()) {
        (Some(only), true) if !base.shares_key(&only) => base.append(only),
        (Some(only), true) => others.push(only),
        (last, _) => others.push(logical(LogicalMode::Or, alternatives.into_iter().chain(last).collect())),
    }
}

/// A text as an expression that stands for itself.
fn literal(text: &str) -> String {
    let special = |c: char| "\\.+*?()|[]{}^$".contains(c);
    text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}
