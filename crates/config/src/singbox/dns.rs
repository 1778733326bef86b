//! `dns`: who resolves names.

use std::time::Duration;

use waypost_net::{Host, Tag, Target};

use super::{dial, dns_rule, dns_special::Specials, dns_tls, host, list, names::Names};
use crate::{
    Span, Spanned,
    json::Value,
    keys::{Form, Key, KeyTable, join},
    model::{
        AddressFamily, Dns, DnsProtocol, DnsServer, DnsServerAddress, DnsWay, DomainEntry, HostsAnswer,
        HostsEntry, Outbound, ResolveOptions,
    },
    object::{Object, read_map, read_port},
    report::{Report, quote},
    v2ray::dns_address,
};

pub(super) static DNS: KeyTable = KeyTable {
    name: "Dns",
    path: "dns",
    doc: "How names are resolved, for rules with the action `resolve`, for outbounds, and for clients whose questions a rule hijacks. Without servers the system is asked.",
    keys: &[
        Key::new("servers", Form::List(&FORM), "Who can be asked."),
        Key::new("rules", Form::Objects("DnsRule"), "Who is asked for which name: the first that matches."),
        Key::new("final", Form::Text, "The server for names that no rule matches; the first without it."),
        Key::new("strategy", dial::STRATEGY, "Which addresses are asked for."),
        Key::new(
            "client_subnet",
            Form::Text,
            "The network that servers are told the client to be in (RFC 7871).",
        ),
        Key::new("disable_cache", Form::Flag, "Whether answers are forgotten at once."),
        Key::new("disable_expire", Form::Flag, "Whether answers count for ever.")
            .only_off("answers count as long as the server says"),
        Key::new("independent_cache", Form::Flag, "Whether each server has its own memory; it always has."),
        Key::new("cache_capacity", Form::up_to(u32::MAX as u64), "How many answers are remembered.")
            .no_effect("8192 answers are remembered"),
        Key::new("reverse_mapping", Form::Flag, "Whether addresses stand for the names they were found by.")
            .only_off("it is not available in this version; remove it, and begin the rules with `{\"action\": \"sniff\"}`, which finds names too"),
        Key::new("optimistic", Form::Any, "Whether old answers are used while new ones are fetched.")
            .no_effect("old answers are not used"),
        Key::new("timeout", Form::Duration, "How long a question may take."),
        Key::new("fakeip", Form::Any, "Old form: made-up addresses that stand for names.")
            .no_effect("there are no fake addresses, names have those that servers say"),
    ],
};

const FORM: Form = Form::ByType {
    key: "type",
    default: Some("legacy"),
    tables: &[
        ("local", "LocalDnsServer"),
        ("hosts", "HostsDnsServer"),
        ("udp", "RemoteDnsServer"),
        ("tcp", "RemoteDnsServer"),
        ("tls", "RemoteDnsServer"),
        ("https", "HttpsDnsServer"),
        ("fakeip", "FakeIpDnsServer"),
        ("legacy", "LegacyDnsServer"),
    ],
};

const TAG: Key = Key::new("tag", Form::Text, "The name for rules and outbounds.");
const PREFER_GO: Key = Key::new("prefer_go", Form::Flag, "Belongs to the programming language of sing-box.")
    .no_effect("the system's resolver is asked");
const DETOUR: Key = Key::new("detour", Form::Text, "The outbound that questions go through.");
/// What is said of dialling, and means nothing for questions here.
const DIALLING: [Key; 6] = [
    Key::new("domain_resolver", dial::RESOLVER, "Who resolves the name of the server.")
        .no_effect("the system resolves the names of servers"),
    Key::new("bind_interface", Form::Text, "The network interface that is used.")
        .only_off("use `detour` with an outbound that has it"),
    Key::new("inet4_bind_address", Form::Text, "The local address.")
        .only_off("use `detour` with an outbound that has it"),
    Key::new("inet6_bind_address", Form::Text, "The local address.")
        .only_off("use `detour` with an outbound that has it"),
    Key::new("routing_mark", dial::MARK, "A mark for the firewall.")
        .only_off("use `detour` with an outbound that has it"),
    Key::new("connect_timeout", Form::Duration, "How long connecting may take.")
        .no_effect("a question has a limit as a whole"),
];
const REMOTE_KEYS: [Key; 4] = [
    TAG,
    Key::new("server", Form::Text, "The address or name of the server."),
    Key::new(
        "server_port",
        Form::Count { least: 1, most: 65_535 },
        "Its port; that of the protocol without it.",
    ),
    DETOUR,
];
static PLAIN_KEYS: [Key; 12] = join(&[
    &[Key::new("type", Form::Word(&["udp", "tcp", "tls"]), "How the server is spoken to."), dns_tls::KEY],
    &REMOTE_KEYS,
    &DIALLING,
]);
static HTTPS_KEYS: [Key; 14] = join(&[
    &[
        Key::new("type", Form::Word(&["https"]), "How the server is spoken to."),
        dns_tls::KEY,
        Key::new("path", Form::Text, "The path of requests; `/dns-query` without it."),
        Key::new("headers", Form::Map, "Further headers of requests.")
            .only_off("it is not available in this version"),
    ],
    &REMOTE_KEYS,
    &DIALLING,
]);

pub(super) static LOCAL: KeyTable = KeyTable {
    name: "LocalDnsServer",
    path: "dns.servers[] with the type `local`",
    doc: "The resolver of the system.",
    keys: &[Key::new("type", Form::Word(&["local"]), "Who is asked."), TAG, PREFER_GO],
};
pub(super) static HOSTS: KeyTable = KeyTable {
    name: "HostsDnsServer",
    path: "dns.servers[] with the type `hosts`",
    doc: "A list of names, which knows no others.",
    keys: &[
        Key::new("type", Form::Word(&["hosts"]), "Who is asked."),
        TAG,
        Key::new(
            "predefined",
            Form::MapOf(&Form::OneOrMany(&Form::Text)),
            "The addresses of each name, one or many.",
        ),
        Key::new("path", Form::OneOrMany(&Form::Text), "Files in the form of `/etc/hosts`.")
            .unsupported("files are not read in this version; write the names into `predefined`"),
    ],
};
pub(super) static REMOTE: KeyTable = KeyTable {
    name: "RemoteDnsServer",
    path: "dns.servers[] with the type `udp`, `tcp` or `tls`",
    doc: "A server that is spoken to in datagrams, in a stream, or in TLS.",
    keys: &PLAIN_KEYS,
};
pub(super) static HTTPS: KeyTable = KeyTable {
    name: "HttpsDnsServer",
    path: "dns.servers[] with the type `https`",
    doc: "A server that is spoken to in HTTPS.",
    keys: &HTTPS_KEYS,
};
pub(super) static LEGACY: KeyTable = KeyTable {
    name: "LegacyDnsServer",
    path: "dns.servers[] with `address`",
    doc: "Old form of a server, which sing-box 1.14 no longer has.",
    keys: &[
        Key::new("type", Form::Word(&["", "legacy"]), "Empty."),
        TAG,
        Key::new("address", Form::Text, "`local`, an address, or a URL such as `https://1.1.1.1/dns-query`."),
        DETOUR,
        Key::new("strategy", dial::STRATEGY, "Which addresses it is asked for."),
        Key::new("client_subnet", Form::Text, "The network that it is told the client to be in."),
        Key::new("address_resolver", Form::Text, "Who resolves the name of the server.")
            .no_effect("the system resolves the names of servers"),
        Key::new("address_strategy", dial::STRATEGY, "Which addresses of the server are used.")
            .no_effect("all are tried"),
        Key::new("address_fallback_delay", Form::Duration, "Belongs to `address_strategy`.")
            .no_effect("all are tried"),
    ],
};

#[derive(Clone, Copy)]
enum Kind {
    Local,
    Hosts,
    Udp,
    Tcp,
    Tls,
    Https,
    Legacy,
}

const TYPES: [(&str, (Kind, &KeyTable)); 6] = [
    ("local", (Kind::Local, &LOCAL)),
    ("hosts", (Kind::Hosts, &HOSTS)),
    ("udp", (Kind::Udp, &REMOTE)),
    ("tcp", (Kind::Tcp, &REMOTE)),
    ("tls", (Kind::Tls, &REMOTE)),
    ("https", (Kind::Https, &HTTPS)),
];
/// Types of sing-box that do not exist here.
const FOREIGN: &[(&str, &str)] = &[
    ("quic", "most of its servers also speak `tls`"),
    ("h3", "its servers also speak `https`"),
    ("dhcp", "`local` asks the resolver of the system, which knows those of DHCP"),
    ("resolved", "`local` asks the resolver of the system, which is systemd-resolved where that runs"),
    ("mdns", ""),
    ("tailscale", ""),
];

/// How long a question may take, as with sing-box.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A section of which the servers are known, but not what needs to know outbounds and rule sets.
#[derive(Default)]
pub(super) struct Draft<'a> {
    object: Option<Object<'a>>,
    dns: Dns,
    specials: Specials,
    defaults: Defaults,
}

/// Reads the servers, so that outbounds can name them.
pub(super) fn read<'a>(file: &Object<'a>, names: &mut Names, report: &mut Report<'_>) -> Draft<'a> {
    let Some(object) = file.object("dns", &DNS, report) else {
        return Draft::default();
    };
    let defaults = Defaults::read(&object, report);
    let mut specials = Specials::default();
    let mut servers = Vec::new();
    for value in object.items("servers", report) {
        if !specials.read(value, &LEGACY, report) {
            servers.extend(read_server(value, &defaults, names, report));
        }
    }
    let family = dial::read_strategy(&object, "strategy", report).map(AddressFamily::from);
    let dns = Dns { servers, family: family.unwrap_or_default(), ..Dns::default() };
    Draft { object: Some(object), dns, specials, defaults }
}

/// Reads what may name outbounds and rule sets. `resolver` is what `route` says of names that outbounds
/// dial.
pub(super) fn finish(
    draft: Draft<'_>,
    resolver: Option<ResolveOptions>,
    outbounds: &mut [Outbound],
    names: &mut Names,
    report: &mut Report<'_>,
) -> Dns {
    let Draft { object, mut dns, specials, defaults } = draft;
    dns.resolver = resolver;
    let Some(object) = object else { return dns };
    for server in &mut dns.servers {
        if let DnsServerAddress::Remote { way: DnsWay::Through(tag), .. } = &server.address {
            let written = Spanned::new(tag.value.as_str(), tag.span);
            names.outbounds.find(written, "outbound", report);
        }
    }
    let mut known = dns_rule::Known { outbounds, specials: &specials };
    for value in object.items("rules", report) {
        dns_rule::read(value, &mut dns, &mut known, names, report);
    }
    if dns.servers.is_empty() && !dns.rules.is_empty() {
        dns.servers.push(defaults.server(None, object.span));
    }
    let written = object.text("final", report).filter(|tag| !tag.value.is_empty());
    if let Some(tag) = written.and_then(|tag| names.dns_servers.find(tag, "DNS server", report)) {
        dns.default = place_of(&dns, &tag.value).unwrap_or_default();
    }
    dns
}

/// The place of a server; none if it has an error.
pub(super) fn place_of(dns: &Dns, tag: &Tag) -> Option<usize> {
    dns.servers.iter().position(|server| server.name.as_ref() == Some(tag))
}

/// What a server does not say itself.
#[derive(Default)]
struct Defaults {
    client_ip: Option<std::net::IpAddr>,
    cache: bool,
    timeout: Duration,
}

impl Defaults {
    fn read(dns: &Object<'_>, report: &mut Report<'_>) -> Self {
        Self {
            client_ip: dial::read_client_subnet(dns, report),
            cache: !dns.flag("disable_cache", report).is_some_and(|flag| flag.value),
            timeout: dns.duration("timeout", report).filter(|timeout| !timeout.is_zero()).unwrap_or(TIMEOUT),
        }
    }

    /// The resolver of the system.
    fn server(&self, name: Option<Tag>, span: Span) -> DnsServer {
        DnsServer {
            address: DnsServerAddress::System,
            name,
            tag: None,
            domains: Vec::new(),
            expected: None,
            unexpected: None,
            client_ip: self.client_ip,
            family: AddressFamily::Any,
            skip_fallback: false,
            is_final: true,
            timeout: self.timeout,
            cache: self.cache,
            stale: None,
            span,
        }
    }
}

fn read_server(
    value: &Value,
    defaults: &Defaults,
    names: &mut Names,
    report: &mut Report<'_>,
) -> Option<DnsServer> {
    let has_type = value.member("type").is_some_and(|kind| kind.value.text() != Some(""));
    let (kind, table) = if has_type || value.members().is_none() {
        list::read_type(value, "DNS server", &TYPES, FOREIGN, &mut names.dns_servers, report)?
    } else {
        (Kind::Legacy, &LEGACY)
    };
    let object = Object::read(value, "dns.servers[]", table, report)?;
    let tag = names.dns_servers.declare(&object, "DNS server", report);
    let mut server = defaults.server(tag.map(|tag| tag.value), object.span);
    server.address = match kind {
        Kind::Local => DnsServerAddress::System,
        Kind::Hosts => DnsServerAddress::Hosts(read_hosts(&object, report)),
        Kind::Udp => read_remote(&object, DnsProtocol::Udp, 53, report)?,
        Kind::Tcp => read_remote(&object, DnsProtocol::Tcp, 53, report)?,
        Kind::Tls => read_remote(&object, DnsProtocol::Tls, 853, report)?,
        Kind::Https => {
            let path = object.text("path", report).filter(|path| !path.value.is_empty());
            let path = path.map_or("/dns-query", |path| path.value).into();
            read_remote(&object, DnsProtocol::Https { path }, 443, report)?
        }
        Kind::Legacy => {
            let family = dial::read_strategy(&object, "strategy", report).map(AddressFamily::from);
            server.family = family.unwrap_or_default();
            server.client_ip = dial::read_client_subnet(&object, report).or(server.client_ip);
            read_legacy(&object, report)?
        }
    };
    Some(server)
}

fn read_remote(
    object: &Object<'_>,
    protocol: DnsProtocol,
    port: u16,
    report: &mut Report<'_>,
) -> Option<DnsServerAddress> {
    dns_tls::check(object, report);
    let written = object.text("server", report).filter(|server| !server.value.is_empty());
    if written.is_none() && object.get("server").is_none_or(|field| field.value.text().is_some()) {
        let brace = Span { start: object.span.start, end: object.span.start + 1 };
        report.error(brace, "this DNS server needs a `server`").help("write its address");
    }
    let host: Host = host::read(written?, report)?;
    let port = match object.get("server_port").filter(|field| !field.value.is_off()) {
        Some(field) => read_port(field, report)?,
        None => port,
    };
    let way = read_detour(object, report).map_or(DnsWay::Direct, DnsWay::Through);
    Some(DnsServerAddress::Remote { protocol, target: Target::new(host, port), way })
}

fn read_detour(object: &Object<'_>, report: &mut Report<'_>) -> Option<Spanned<Tag>> {
    let detour = object.text("detour", report).filter(|detour| !detour.value.is_empty())?;
    Some(Spanned::new(Tag::from(detour.value), detour.span))
}

fn read_legacy(object: &Object<'_>, report: &mut Report<'_>) -> Option<DnsServerAddress> {
    let Some(address) = object.text("address", report).filter(|address| !address.value.is_empty()) else {
        let brace = Span { start: object.span.start, end: object.span.start + 1 };
        report
            .error(brace, "a DNS server needs a `type`")
            .help("there are `local`, `hosts`, `udp`, `tcp`, `tls` and `https`");
        return None;
    };
    report
        .warning(address.span, "`address` is the old form, which sing-box 1.14 no longer has")
        .help("write a `type` and a `server`, as in `{\"type\": \"udp\", \"server\": \"1.1.1.1\"}`");
    let detour = read_detour(object, report);
    if address.value == "local" {
        return Some(DnsServerAddress::System);
    }
    if address.value.starts_with("dhcp://") {
        report
            .error(address.span, "servers are not taken from DHCP in this version")
            .help("write `{\"type\": \"local\"}`, which asks the resolver of the system");
        return None;
    }
    match dns_address::read(address, None, report)? {
        DnsServerAddress::Remote { protocol, target, .. } => {
            let way = detour.map_or(DnsWay::ThroughDefault, DnsWay::Through);
            Some(DnsServerAddress::Remote { protocol, target, way })
        }
        other @ (DnsServerAddress::System | DnsServerAddress::Hosts(_)) => Some(other),
    }
}

fn read_hosts(object: &Object<'_>, report: &mut Report<'_>) -> Vec<HostsEntry> {
    let mut entries = Vec::new();
    for member in object.get("predefined").map(|field| read_map(field, report)).unwrap_or_default() {
        let name = match waypost_net::DomainName::new(&member.key) {
            Ok(name) => name,
            Err(error) => {
                report.error(member.key_span, format!("not a name: {error}"));
                continue;
            }
        };
        let values = member.value.items().unwrap_or_else(|| std::slice::from_ref(&member.value));
        let mut addresses = Vec::new();
        for value in values {
            match value.text().and_then(|text| text.parse().ok()) {
                Some(address) => addresses.push(address),
                None => {
                    report.error(value.span, format!("not an address for {}", quote(&member.key)));
                }
            }
        }
        let pattern = Spanned::new(DomainEntry::Full(name.as_str().into()), member.key_span);
        entries.push(HostsEntry { pattern, answer: HostsAnswer::Addresses(addresses) });
    }
    entries
}
