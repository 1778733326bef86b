use std::net::IpAddr;

use waypost_net::{DomainName, Host};

use super::{
    domain::{self, Plain},
    host,
};
use crate::{
    Spanned,
    json::{Kind, Member, Value},
    keys::{Form, Key, KeyTable},
    model::{AddressFamily, Dns, HostsAnswer, HostsEntry},
    object::{Object, choose, read_map},
    report::{Report, quote},
};

const SYSTEM: &str = "names are looked up by the resolver of the system";

pub(super) static DNS: KeyTable = KeyTable {
    name: "Dns",
    path: "dns",
    doc: "How names are resolved, for routing and for outbounds that ask for it.",
    keys: &[
        Key::new(
            "hosts",
            Form::Map,
            "Answers by name: an address, a list of addresses, or another name; a key without prefix is a full name.",
        ),
        Key::new(
            "servers",
            Form::Any,
            "Servers to ask; `localhost`, the resolver of the system, is the only one.",
        ),
        Key::new(
            "queryStrategy",
            Form::Word(&["UseIP", "UseIPv4", "UseIPv6"]),
            "Which address families are looked up.",
        ),
        Key::new("disableCache", Form::Flag, "Asks again every time.").no_effect(SYSTEM),
        Key::new("disableFallback", Form::Flag, "Asks no second server.")
            .no_effect("there is one resolver only"),
        Key::new("disableFallbackIfMatch", Form::Flag, "Asks no second server for names with an own one.")
            .no_effect("there is one resolver only"),
        Key::new("enableParallelQuery", Form::Flag, "Asks all servers at once.")
            .no_effect("there is one resolver only"),
        Key::new("useSystemHosts", Form::Flag, "Reads the hosts file of the system.")
            .no_effect("the resolver of the system reads it anyway"),
        Key::new("serveStale", Form::Flag, "Answers from the cache after the time is up.").no_effect(SYSTEM),
        Key::new("serveExpiredTTL", Form::Number, "How long stale answers are used.").no_effect(SYSTEM),
        Key::new("cacheStrategy", Form::Text, "How answers are cached.").no_effect(SYSTEM),
        Key::new("fallbackStrategy", Form::Text, "When the next server is asked.")
            .no_effect("there is one resolver only"),
        Key::new("domainMatcher", Form::Text, "The algorithm that finds names.")
            .no_effect("there is one only"),
        Key::new("tag", Form::Text, "The inbound tag of the queries.")
            .no_effect("queries of the system's resolver do not pass the rules"),
        Key::new("clientIp", Form::Text, "The address told to servers, so that answers fit to it.")
            .unsupported("the resolver of the system cannot send it"),
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

pub(super) fn read(file: &Object<'_>, report: &mut Report<'_>) -> Dns {
    let Some(dns) = file.object("dns", &DNS, report) else { return Dns::default() };
    for server in dns.items("servers", report) {
        check_server(server, report);
    }
    let hosts = dns.get("hosts").map(|field| read_map(field, report)).unwrap_or_default();
    let hosts = hosts.into_iter().filter_map(|member| read_hosts_entry(member, report)).collect();
    let strategy = dns.text("queryStrategy", report);
    let family = strategy.and_then(|written| choose("queryStrategy", written, &FAMILIES, report));
    Dns { hosts, family: family.unwrap_or_default() }
}

fn check_server(server: &Value, report: &mut Report<'_>) {
    let written = match &server.kind {
        Kind::String(text) if &**text == "localhost" => return,
        Kind::String(text) => quote(text),
        Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Array(_) | Kind::Object(_) => {
            server.found().to_owned()
        }
    };
    report
        .error(server.span, format!("the only DNS server in this version is `localhost`, found {written}"))
        .help(format!("{SYSTEM}; write `\"servers\": [\"localhost\"]`, or leave `servers` out"));
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
