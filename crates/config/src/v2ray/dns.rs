use std::net::IpAddr;

use waypost_net::{DomainName, Host};

use super::{
    dns_server,
    domain::{self, Plain},
    host,
    names::Names,
};
use crate::{
    Spanned,
    json::{Kind, Member, Value},
    keys::{Form, Key, KeyTable},
    model::{AddressFamily, Dns, DnsFallback, HostsAnswer, HostsEntry},
    object::{Object, choose, read_map},
    report::Report,
};

pub(super) static DNS: KeyTable = KeyTable {
    name: "Dns",
    path: "dns",
    doc: "How names are resolved, for routing and for outbounds that ask for it.",
    keys: &[
        Key::new(
            "hosts",
            Form::MapOf(&Form::OneOf(&[Form::Text, Form::List(&Form::Text)])),
            "Answers by name: an address, a list of addresses, or another name; a key without prefix is a full name.",
        ),
        Key::new(
            "servers",
            Form::List(&Form::OneOf(&[Form::Text, Form::Object("DnsServer")])),
            "Servers to ask, one after the other; each is an object or only its address.",
        ),
        Key::new(
            "queryStrategy",
            Form::Word(&["UseIP", "UseIPv4", "UseIPv6"]),
            "Which address families are looked up.",
        ),
        Key::new("tag", Form::Text, "The inbound tag that rules see on the queries to servers."),
        Key::new(
            "clientIp",
            Form::Text,
            "An address that servers are told, cut to its network, so that answers fit to it.",
        ),
        Key::new("disableCache", Form::Flag, "Asks again every time."),
        Key::new(
            "cacheStrategy",
            Form::Word(&["cacheEnabled", "cacheDisabled"]),
            "V2Ray 5's `disableCache`.",
        ),
        Key::new(
            "serveStale",
            Form::Flag,
            "Answers from the cache after the time is up, and asks behind that.",
        ),
        Key::new(
            "serveExpiredTTL",
            Form::up_to(0xffff_ffff),
            "For how many seconds stale answers are used; 0 for as long as they are kept.",
        ),
        Key::new("disableFallback", Form::Flag, "Asks only servers that have the name in their `domains`."),
        Key::new(
            "disableFallbackIfMatch",
            Form::Flag,
            "If a server has the name in its `domains`, asks only such servers.",
        ),
        Key::new(
            "fallbackStrategy",
            Form::Word(&["enabled", "disabled", "disabledIfAnyMatch"]),
            "V2Ray 5's `disableFallback` and `disableFallbackIfMatch`.",
        ),
        Key::new("enableParallelQuery", Form::Flag, "Asks all servers at once.")
            .no_effect("the next server is asked when one has no answer, so that not all see every name"),
        Key::new("useSystemHosts", Form::Flag, "Reads the hosts file of the system.")
            .only_off("only the server `localhost` reads that file; add it to `servers` for the names in it"),
        Key::new("domainMatcher", Form::Text, "The algorithm that finds names.")
            .no_effect("there is one only"),
        Key::new("fakedns", Form::Any, "Made-up addresses that stand for names.")
            .unsupported("made-up addresses do not exist in this version"),
    ],
};

/// `UseIP…`, as `dns` and `freedom` spell it.
pub(super) const FAMILIES: [(&str, AddressFamily); 5] = [
    ("UseIP", AddressFamily::Any),
    ("UseIPv4", AddressFamily::V4),
    ("UseIPv6", AddressFamily::V6),
    ("UseIP4", AddressFamily::V4),
    ("UseIP6", AddressFamily::V6),
];

pub(super) fn read(file: &Object<'_>, names: &mut Names, report: &mut Report<'_>) -> Dns {
    let Some(dns) = file.object("dns", &DNS, report) else { return Dns::default() };
    let defaults = dns_server::read_defaults(&dns, report);
    let servers = dns.items("servers", report).iter();
    let servers: Vec<_> =
        servers.filter_map(|server| dns_server::read(server, &defaults, names, report)).collect();
    if let Some(tag) = &defaults.tag {
        names.inbounds.declare_for_queries(tag);
    }
    let hosts = dns.get("hosts").map(|field| read_map(field, report)).unwrap_or_default();
    let hosts = hosts.into_iter().filter_map(|member| read_hosts_entry(member, report)).collect();
    let strategy = dns.text("queryStrategy", report).filter(|written| !written.value.is_empty());
    let family = strategy.and_then(|written| choose("queryStrategy", written, &FAMILIES, report));
    Dns {
        hosts,
        servers,
        family: family.unwrap_or_default(),
        fallback: read_fallback(&dns, report),
        resolver: None,
        rules: Vec::new(),
        default: 0,
    }
}

fn read_fallback(dns: &Object<'_>, report: &mut Report<'_>) -> DnsFallback {
    let choices = [
        ("enabled", DnsFallback::Always),
        ("disabled", DnsFallback::Never),
        ("disabledIfAnyMatch", DnsFallback::UnlessMatched),
    ];
    let written = dns.text("fallbackStrategy", report).filter(|written| !written.value.is_empty());
    let chosen = written.and_then(|written| choose("fallbackStrategy", written, &choices, report));
    let mut flag = |name| dns.flag(name, report).is_some_and(|flag| flag.value);
    match (flag("disableFallback"), flag("disableFallbackIfMatch")) {
        (true, _) => DnsFallback::Never,
        (false, true) => DnsFallback::UnlessMatched,
        (false, false) => chosen.unwrap_or_default(),
    }
}

fn read_hosts_entry(member: &Member, report: &mut Report<'_>) -> Option<HostsEntry> {
    let pattern = Spanned::new(&*member.key, member.key_span);
    let pattern = domain::read(pattern, Plain::Full, report);
    let answer = read_answer(&member.value, report);
    let (pattern, answer) = (pattern?, answer?);
    Some(HostsEntry { pattern: Spanned::new(pattern, member.key_span), answer })
}

fn read_answer(value: &Value, report: &mut Report<'_>) -> Option<HostsAnswer> {
    let items = match &value.kind {
        Kind::String(_) => std::slice::from_ref(value),
        Kind::Array(items) => items,
        Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Object(_) => &[],
    };
    let mut addresses: Vec<IpAddr> = Vec::with_capacity(items.len());
    let mut alias: Option<DomainName> = None;
    for item in items {
        match read_host(item, report)? {
            Host::Ip(address) => addresses.push(address),
            Host::Domain(name) => alias = Some(name),
        }
    }
    match (alias, addresses.is_empty()) {
        (None, false) => Some(HostsAnswer::Addresses(addresses)),
        (Some(name), true) if items.len() == 1 => Some(HostsAnswer::Alias(name)),
        (Some(_), _) => {
            report.error(value.span, "an answer is either one other name or a list of addresses");
            None
        }
        (None, true) => {
            report.error(
                value.span,
                format!("expected an address, addresses or a name, found {}", value.found()),
            );
            None
        }
    }
}

fn read_host(item: &Value, report: &mut Report<'_>) -> Option<Host> {
    let Some(text) = item.text() else {
        report.error(item.span, format!("expected an address or a name, found {}", item.found()));
        return None;
    };
    host::read(Spanned::new(text, item.span), report)
}
