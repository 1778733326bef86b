//! What a rule wants of a connection.

use ipnet::IpNet;
use waypost_net::{DomainName, Network, Networks, PortRange, PortSet, Tag};

use super::{list::port_range, names::Names};
use crate::{
    Spanned,
    keys::{Form, Key},
    model::{
        Conditions, DomainEntry, GeositeRef, IpEntry, IpSet, IpVersion, ProcessEntry, RuleSetRefs, UserEntry,
    },
    nearest,
    object::{Object, choose},
    report::{Report, all_of, quote},
};

const TEXTS: Form = Form::OneOrMany(&Form::Text);
const PORTS: Form = Form::OneOrMany(&Form::up_to(65_535));
const PHONE: &str = "it is for phones; remove the condition, or the rule";

/// The conditions of a rule.
pub(super) const KEYS: &[Key] = &[
    Key::new("inbound", TEXTS, "The inbound that the client came in by."),
    Key::new("ip_version", Form::Count { least: 4, most: 6 }, "The version of the target's address: 4 or 6."),
    Key::new("network", Form::OneOrMany(&Form::Word(&["tcp", "udp", "icmp"])), "`tcp`, `udp`, or both."),
    Key::new("auth_user", TEXTS, "The login name of the client."),
    Key::new("protocol", TEXTS, "What the client speaks to the target, after `sniff`."),
    Key::new("client", TEXTS, "The program of the client, after `sniff`."),
    Key::new("domain", TEXTS, "The name of the target."),
    Key::new(
        "domain_suffix",
        TEXTS,
        "The end of it: `x.y` is also the name itself, `.x.y` only names below it.",
    ),
    Key::new("domain_keyword", TEXTS, "A part of it."),
    Key::new("domain_regex", TEXTS, "An expression in Go's syntax that is found in it."),
    Key::new(
        "ip_cidr",
        TEXTS,
        "The address of the target: an address or a prefix. Of a name after `resolve` only.",
    ),
    Key::new("ip_is_private", Form::Flag, "Whether the address of the target is not public."),
    Key::new("source_ip_cidr", TEXTS, "The address of the client."),
    Key::new("source_ip_is_private", Form::Flag, "Whether the address of the client is not public."),
    Key::new("port", PORTS, "The port of the target."),
    Key::new("port_range", TEXTS, "A range of them: `1000:2000`, `:3000` or `4000:`."),
    Key::new("source_port", PORTS, "The port of the client."),
    Key::new("source_port_range", TEXTS, "A range of them."),
    Key::new("process_name", TEXTS, "The file name of the client's program."),
    Key::new("process_path", TEXTS, "The path of the client's program."),
    Key::new("process_path_regex", TEXTS, "An expression in Go's syntax that is found in that path."),
    Key::new("user", TEXTS, "The user that the client's program runs as."),
    Key::new("user_id", Form::OneOrMany(&Form::up_to(u32::MAX as u64)), "The number of that user."),
    Key::new("clash_mode", Form::Text, "The mode that is chosen, such as `Rule` or `Global`."),
    Key::new("rule_set", TEXTS, "Rule sets, of which one has to match."),
    Key::new(
        "rule_set_ip_cidr_match_source",
        Form::Flag,
        "Whether `ip_cidr` in rule sets is about the client's address.",
    )
    .alias(&["rule_set_ipcidr_match_source"]),
    Key::new("geosite", TEXTS, GEO_SITE),
    Key::new(
        "geoip",
        TEXTS,
        "Old form: lists of `geoip.dat` that the target's address is in; use `rule_set`.",
    ),
    Key::new(
        "source_geoip",
        TEXTS,
        "Old form: lists of `geoip.dat` that the client's address is in; use `rule_set`.",
    ),
    Key::new("package_name", TEXTS, "The Android application; it never matches here."),
    Key::new("package_name_regex", TEXTS, "The Android application; it never matches here."),
    Key::new("wifi_ssid", TEXTS, "The name of the wireless network.").unsupported(PHONE),
    Key::new("wifi_bssid", TEXTS, "The access point of the wireless network.").unsupported(PHONE),
    Key::new("network_is_expensive", Form::Flag, "Whether the network costs.").only_off(PHONE),
    Key::new("network_is_constrained", Form::Flag, "Whether data is to be saved.").only_off(PHONE),
    Key::new("interface_address", Form::Map, "The addresses of network interfaces.")
        .unsupported("network interfaces are not looked at; remove the condition"),
    Key::new("network_interface_address", Form::Map, "The addresses of network interfaces by type.")
        .unsupported("network interfaces are not looked at; remove the condition"),
    Key::new("default_interface_address", TEXTS, "The addresses of the default network interface.")
        .unsupported("network interfaces are not looked at; remove the condition"),
    Key::new("source_mac_address", TEXTS, "The hardware address of the client.")
        .unsupported("hardware addresses are not looked up; use `source_ip_cidr`"),
    Key::new("source_hostname", TEXTS, "The name of the client in the local network.")
        .unsupported("names of clients are not looked up; use `source_ip_cidr`"),
    Key::new("preferred_by", TEXTS, "The outbound that claims the target.")
        .unsupported("no outbound here claims targets; remove the condition"),
];

const GEO_SITE: &str = "Old form: lists of `geosite.dat` that the name is in; use `rule_set`.";

/// Protocols that sing-box recognises.
const PROTOCOLS: [&str; 10] =
    ["http", "tls", "quic", "stun", "dns", "bittorrent", "dtls", "ssh", "rdp", "ntp"];

/// Reads the conditions of a rule.
pub(super) fn read(rule: &Object<'_>, names: &mut Names, report: &mut Report<'_>) -> Conditions {
    warn_of_old_forms(rule, report);
    Conditions {
        domain: read_domains(rule, report),
        ip: read_addresses(rule, ["ip_cidr", "ip_is_private", "geoip"], report),
        source: read_addresses(rule, ["source_ip_cidr", "source_ip_is_private", "source_geoip"], report),
        port: read_ports(rule, ["port", "port_range"], report),
        source_port: read_ports(rule, ["source_port", "source_port_range"], report),
        network: read_network(rule, report),
        user: read_users(rule, report),
        inbound_tag: read_inbounds(rule, names, report),
        protocol: read_protocols(rule, names, report),
        process: read_processes(rule, report),
        ip_version: read_ip_version(rule, report),
        clash_mode: rule
            .text("clash_mode", report)
            .filter(|mode| !mode.value.is_empty())
            .map(|mode| mode.value.into()),
        client: read_clients(rule, report),
        local_os: read_applications(rule, report),
        rule_sets: read_rule_sets(rule, names, report),
        either: true,
        invert: rule.flag("invert", report).is_some_and(|invert| invert.value),
        ..Conditions::default()
    }
}

/// Whether there is no condition at all.
pub(super) fn is_empty(conditions: &Conditions) -> bool {
    crate::checks::has_no_condition(conditions)
}

fn warn_of_old_forms(rule: &Object<'_>, report: &mut Report<'_>) {
    for name in ["geosite", "geoip", "source_geoip"] {
        if let Some(field) = rule.get(name) {
            report
                .warning(
                    field.key_span,
                    format!("`{name}` is the old form, which sing-box 1.12 no longer has"),
                )
                .help("make a rule set of the list with `waypost geo export`, and name it in `rule_set`");
        }
    }
}

fn read_domains(rule: &Object<'_>, report: &mut Report<'_>) -> Option<Vec<Spanned<DomainEntry>>> {
    let mut entries = Vec::new();
    let mut given = false;
    for text in noted(rule.texts("domain", report), &mut given) {
        let entry = read_name(text, text.value, report).map(DomainEntry::Full);
        entries.extend(entry.map(|entry| Spanned::new(entry, text.span)));
    }
    for text in noted(rule.texts("domain_suffix", report), &mut given) {
        let entry = match text.value.strip_prefix('.') {
            Some(below) => read_name(text, below, report).map(DomainEntry::Below),
            None => read_name(text, text.value, report).map(DomainEntry::Suffix),
        };
        entries.extend(entry.map(|entry| Spanned::new(entry, text.span)));
    }
    for text in noted(rule.texts("domain_keyword", report), &mut given) {
        entries.push(Spanned::new(DomainEntry::Keyword(text.value.to_lowercase().into()), text.span));
    }
    for text in noted(rule.texts("domain_regex", report), &mut given) {
        entries.push(Spanned::new(DomainEntry::Regexp(text.value.into()), text.span));
    }
    for text in noted(rule.texts("geosite", report), &mut given) {
        let (code, attributes) = text.value.split_once('@').unwrap_or((text.value, ""));
        let attributes = attributes.split('@').filter(|part| !part.is_empty());
        let list = GeositeRef {
            file: "geosite.dat".into(),
            code: code.into(),
            attributes: attributes.map(|part| part.to_ascii_lowercase().into()).collect(),
        };
        entries.push(Spanned::new(DomainEntry::List(list), text.span));
    }
    given.then_some(entries)
}

fn noted<T>(found: Option<Vec<T>>, given: &mut bool) -> Vec<T> {
    *given |= found.is_some();
    found.unwrap_or_default()
}

fn read_name(text: Spanned<&str>, name: &str, report: &mut Report<'_>) -> Option<Box<str>> {
    match DomainName::new(name) {
        Ok(_) if name.starts_with('.') => {
            report
                .warning(text.span, format!("{} never matches, no name begins with a dot", quote(text.value)))
                .help("in `domain_suffix` one dot stands for any name below");
            Some(name.to_ascii_lowercase().into())
        }
        Ok(name) => Some(name.as_str().into()),
        Err(error) => {
            report.error(text.span, format!("not a domain name: {}", quote(text.value)));
            report.help(match name.strip_prefix("*.") {
                Some(below) => format!("write `.{below}` into `domain_suffix` for every name below it"),
                None if name.contains('/') => crate::host::NO_URL.to_owned(),
                None => error.to_string(),
            });
            None
        }
    }
}

fn read_addresses(
    rule: &Object<'_>,
    [prefixes, private, lists]: [&str; 3],
    report: &mut Report<'_>,
) -> Option<Vec<Spanned<IpEntry>>> {
    let mut entries = Vec::new();
    let mut given = false;
    for text in noted(rule.texts(prefixes, report), &mut given) {
        let net = read_prefix(text, report);
        entries
            .extend(net.map(|net| Spanned::new(IpEntry { inverse: false, set: IpSet::Net(net) }, text.span)));
    }
    if let Some(flag) = rule.flag(private, report).filter(|flag| flag.value) {
        given = true;
        entries.push(Spanned::new(IpEntry { inverse: false, set: IpSet::NotPublic }, flag.span));
    }
    for text in noted(rule.texts(lists, report), &mut given) {
        let set = IpSet::List { file: "geoip.dat".into(), code: text.value.into() };
        entries.push(Spanned::new(IpEntry { inverse: false, set }, text.span));
    }
    given.then_some(entries)
}

fn read_prefix(text: Spanned<&str>, report: &mut Report<'_>) -> Option<IpNet> {
    let (address, length) = match text.value.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text.value, None),
    };
    let net = address.parse::<std::net::IpAddr>().ok().and_then(|address| {
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let digits = |length: &str| length.bytes().all(|byte| byte.is_ascii_digit());
        let length = match length {
            None => longest,
            Some(length) => length.parse().ok().filter(|_| digits(length))?,
        };
        IpNet::new(address, length).ok()
    });
    let Some(net) = net else {
        report.error(text.span, format!("not an address and not a prefix: {}", quote(text.value)));
        report.help(if address.parse::<std::net::IpAddr>().is_ok() {
            "the number behind `/` is that of leading one bits: up to 32, or up to 128".to_owned()
        } else if DomainName::new(text.value).is_ok()
            && text.value.contains(|c: char| c.is_ascii_alphabetic())
        {
            "names are in `domain` and `domain_suffix`".to_owned()
        } else {
            "expected an address, or a prefix such as `10.0.0.0/8`".to_owned()
        });
        return None;
    };
    Some(unmapped(net.trunc()))
}

/// IPv4 addresses written as IPv6 are IPv4 addresses, as those of connections are.
fn unmapped(net: IpNet) -> IpNet {
    match net {
        IpNet::V6(v6) if v6.prefix_len() >= 96 => match v6.addr().to_ipv4_mapped() {
            Some(address) => IpNet::new(address.into(), v6.prefix_len() - 96).unwrap_or(net),
            None => net,
        },
        IpNet::V4(_) | IpNet::V6(_) => net,
    }
}

fn read_ports(rule: &Object<'_>, [ports, ranges]: [&str; 2], report: &mut Report<'_>) -> Option<PortSet> {
    let single = rule.numbers(ports, u32::from(u16::MAX), report);
    let ranges = rule.texts(ranges, report);
    if single.is_none() && ranges.is_none() {
        return None;
    }
    let single = single.unwrap_or_default().into_iter().filter_map(|port| u16::try_from(port).ok());
    let mut all: Vec<PortRange> = single.map(|port| PortRange { first: port, last: port }).collect();
    for text in ranges.unwrap_or_default() {
        let range = port_range(text, report).filter(|(first, last)| first <= last);
        all.extend(range.map(|(first, last)| PortRange { first, last }));
    }
    Some(all.into_iter().collect())
}

fn read_network(rule: &Object<'_>, report: &mut Report<'_>) -> Option<Networks> {
    let mut networks = Networks::default();
    for word in rule.texts("network", report)? {
        let choices = [("tcp", Some(Network::Tcp)), ("udp", Some(Network::Udp)), ("icmp", None)];
        match choose("network", word, &choices, report) {
            Some(Some(network)) => networks.insert(network),
            Some(None) => {
                report
                    .warning(word.span, "`icmp` never matches in this version")
                    .help("pings belong to a TUN inbound");
            }
            None => {}
        }
    }
    Some(networks)
}

fn read_users(rule: &Object<'_>, report: &mut Report<'_>) -> Option<Vec<Spanned<UserEntry>>> {
    let users = rule.texts("auth_user", report)?;
    Some(users.into_iter().map(|user| Spanned::new(UserEntry::Exact(user.value.into()), user.span)).collect())
}

fn read_inbounds(rule: &Object<'_>, names: &Names, report: &mut Report<'_>) -> Option<Vec<Spanned<Tag>>> {
    let mut tags = Vec::new();
    for text in rule.texts("inbound", report)? {
        if !names.inbounds.contains(text.value) {
            report.warning(text.span, format!("there is no inbound with the tag {}", quote(text.value)));
            names.inbounds.suggest(text.value, "inbound", report);
        }
        tags.push(Spanned::new(Tag::from(text.value), text.span));
    }
    Some(tags)
}

fn read_protocols(rule: &Object<'_>, names: &Names, report: &mut Report<'_>) -> Option<Vec<Box<str>>> {
    let mut labels = Vec::new();
    for text in rule.texts("protocol", report)? {
        if !PROTOCOLS.contains(&text.value) {
            report.error(text.span, format!("unknown protocol: {}", quote(text.value)));
            report.help(match nearest(text.value, PROTOCOLS) {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!("there are {}", all_of(PROTOCOLS)),
            });
        } else if !names.sniffs && text.value != "http" {
            report
                .warning(
                    text.span,
                    format!("{} never matches, because nothing is sniffed before", quote(text.value)),
                )
                .help("put a rule `{\"action\": \"sniff\"}` before this one");
        }
        labels.push(text.value.into());
    }
    Some(labels)
}

fn read_processes(rule: &Object<'_>, report: &mut Report<'_>) -> Vec<Vec<Spanned<ProcessEntry>>> {
    let mut lists = Vec::new();
    type Make = fn(Box<str>) -> ProcessEntry;
    let kinds: [(&str, Make); 4] = [
        ("process_name", ProcessEntry::Name),
        ("process_path", ProcessEntry::Path),
        ("process_path_regex", ProcessEntry::Regexp),
        ("user", ProcessEntry::User),
    ];
    for (name, entry) in kinds {
        if let Some(texts) = rule.texts(name, report) {
            lists.push(
                texts.into_iter().map(|text| Spanned::new(entry(text.value.into()), text.span)).collect(),
            );
        }
    }
    if let (Some(ids), Some(field)) = (rule.numbers("user_id", u32::MAX, report), rule.get("user_id")) {
        let span = field.value.span;
        lists.push(ids.into_iter().map(|id| Spanned::new(ProcessEntry::UserId(id), span)).collect());
    }
    lists
}

fn read_ip_version(rule: &Object<'_>, report: &mut Report<'_>) -> Option<IpVersion> {
    let field = rule.get("ip_version").filter(|field| !field.value.is_off())?;
    match field.count(4..=6, report)? {
        4_u8 => Some(IpVersion::V4),
        6 => Some(IpVersion::V6),
        _ => {
            field.expected("`4` or `6`", report);
            None
        }
    }
}

fn read_clients(rule: &Object<'_>, report: &mut Report<'_>) -> Option<Vec<Box<str>>> {
    let clients = rule.texts("client", report)?;
    if let Some(field) = rule.get("client") {
        report
            .warning(field.key_span, "`client` never matches in this version")
            .help("remove it; what a client speaks is recognised, and not which program it is");
    }
    Some(clients.into_iter().map(|client| client.value.into()).collect())
}

/// Applications have names of this kind under Android only.
fn read_applications(rule: &Object<'_>, report: &mut Report<'_>) -> Option<Vec<Box<str>>> {
    let mut given = false;
    for name in ["package_name", "package_name_regex"] {
        if let Some(field) = rule.get(name).filter(|_| rule.texts(name, report).is_some()) {
            given = true;
            report
                .warning(field.key_span, format!("`{name}` never matches, it is for Android"))
                .help("use `process_name`, or remove the rule");
        }
    }
    given.then(|| vec!["android".into()])
}

fn read_rule_sets(rule: &Object<'_>, names: &mut Names, report: &mut Report<'_>) -> Option<RuleSetRefs> {
    let match_source = rule.flag("rule_set_ip_cidr_match_source", report).is_some_and(|flag| flag.value);
    let written = rule.texts("rule_set", report)?;
    let tags = written.into_iter().filter_map(|tag| names.rule_sets.find(tag, "rule set", report));
    Some(RuleSetRefs { tags: tags.collect(), match_source })
}
