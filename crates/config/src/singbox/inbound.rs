use std::{collections::BTreeMap, sync::Arc};

use waypost_net::{Networks, Secret, Tag};

use super::{checks, dial, host, list, listen, names::Names, tls, transport, tunnel};
use crate::{
    Span, Spanned,
    json::Value,
    keys::{Form, Key, KeyTable, join},
    model::{
        Account, ClientProtocol, Conditions, Door, Inbound, InboundProtocol, Layer, Limits, Matcher,
        OverrideProtocol, Policy, ResolveOptions, Rule, RuleAction, ServerTls, Sniffing, Transport,
        UdpInbound,
    },
    object::{Object, choose, read_port},
    report::{Report, quote},
};

/// An element of `inbounds`.
pub(super) const FORM: Form = Form::ByType {
    key: "type",
    default: None,
    tables: &[
        ("mixed", "MixedInbound"),
        ("socks", "SocksInbound"),
        ("http", "HttpInbound"),
        ("direct", "DirectInbound"),
        ("redirect", "RedirectInbound"),
        ("shadowsocks", "ShadowsocksInbound"),
        ("vmess", "VmessInbound"),
        ("vless", "VlessInbound"),
        ("trojan", "TrojanInbound"),
    ],
};

const USERS: Key =
    Key::new("users", Form::Objects("InboundUser"), "Who may come in; without it anybody may.");
const SYSTEM_PROXY: Key =
    Key::new("set_system_proxy", Form::Flag, "Whether the desktop is told to use this proxy.")
        .only_off("this program does not change the settings of the system");

pub(super) const fn kind(name: &'static [&'static str]) -> Key {
    Key::new("type", Form::Word(name), "What clients speak.")
}

const CLIENT_KEYS: usize = listen::KEYS.len() + 3;
static MIXED_KEYS: [Key; CLIENT_KEYS + 1] =
    join(&[&[kind(&["mixed"]), USERS, SYSTEM_PROXY, tls::INBOUND_KEY], listen::KEYS]);
static SOCKS_KEYS: [Key; CLIENT_KEYS] = join(&[&[kind(&["socks"]), USERS, tls::INBOUND_KEY], listen::KEYS]);
static HTTP_KEYS: [Key; CLIENT_KEYS + 1] =
    join(&[&[kind(&["http"]), USERS, SYSTEM_PROXY, tls::INBOUND_KEY], listen::KEYS]);
static DIRECT_KEYS: [Key; CLIENT_KEYS + 1] = join(&[
    &[
        kind(&["direct"]),
        Key::new("network", NETWORK, "`tcp`, `udp`, or both without it."),
        Key::new("override_address", Form::Text, "The address or name that clients are taken to."),
        Key::new(
            "override_port",
            Form::up_to(65_535),
            "The port there; without it the port that the client came in on.",
        ),
    ],
    listen::KEYS,
]);
static REDIRECT_KEYS: [Key; CLIENT_KEYS - 2] = join(&[&[kind(&["redirect"])], listen::KEYS]);

pub(super) const NETWORK: Form = Form::OneOrMany(&Form::Word(&["", "tcp", "udp"]));

pub(super) static MIXED: KeyTable = KeyTable {
    name: "MixedInbound",
    path: "inbounds[] with the type `mixed`",
    doc: "SOCKS and HTTP proxy on one port, told apart by the first byte.",
    keys: &MIXED_KEYS,
};
pub(super) static SOCKS: KeyTable = KeyTable {
    name: "SocksInbound",
    path: "inbounds[] with the type `socks`",
    doc: "SOCKS4, SOCKS4a and SOCKS5 proxy.",
    keys: &SOCKS_KEYS,
};
pub(super) static HTTP: KeyTable = KeyTable {
    name: "HttpInbound",
    path: "inbounds[] with the type `http`",
    doc: "HTTP proxy.",
    keys: &HTTP_KEYS,
};
pub(super) static DIRECT: KeyTable = KeyTable {
    name: "DirectInbound",
    path: "inbounds[] with the type `direct`",
    doc: "All clients go to one target.",
    keys: &DIRECT_KEYS,
};
pub(super) static REDIRECT: KeyTable = KeyTable {
    name: "RedirectInbound",
    path: "inbounds[] with the type `redirect`",
    doc: "Clients go where they were going before the firewall redirected them here (TCP).",
    keys: &REDIRECT_KEYS,
};
pub(super) static USER: KeyTable = KeyTable {
    name: "InboundUser",
    path: "users[]",
    doc: "A user who may log in at an inbound.",
    keys: &[
        Key::new("username", Form::Text, "The login name; `auth_user` conditions see it."),
        Key::new("password", Form::Text, "The password."),
    ],
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Client(ClientProtocol),
    Direct,
    Redirect,
    Shadowsocks,
    Vmess,
    Vless,
    Trojan,
}

const TYPES: [(&str, Kind, &KeyTable); 9] = [
    ("mixed", Kind::Client(ClientProtocol::Mixed), &MIXED),
    ("socks", Kind::Client(ClientProtocol::Socks), &SOCKS),
    ("http", Kind::Client(ClientProtocol::Http), &HTTP),
    ("direct", Kind::Direct, &DIRECT),
    ("redirect", Kind::Redirect, &REDIRECT),
    ("shadowsocks", Kind::Shadowsocks, &tunnel::inbound::SHADOWSOCKS),
    ("vmess", Kind::Vmess, &tunnel::inbound::VMESS),
    ("vless", Kind::Vless, &tunnel::inbound::VLESS),
    ("trojan", Kind::Trojan, &tunnel::inbound::TROJAN),
];

/// Types of sing-box that do not exist here.
const FOREIGN: &[(&str, &str)] = &[
    (
        "tun",
        "point programs at an inbound of the type `mixed`, or redirect them to one of the type `redirect`",
    ),
    ("tproxy", "use the type `redirect` and the target `REDIRECT` of the firewall"),
    ("naive", ""),
    ("hysteria", ""),
    ("hysteria2", ""),
    ("tuic", ""),
    ("shadowtls", ""),
    ("anytls", ""),
    ("cloudflared", ""),
];

/// Reads the inbounds, and the rules that the old forms of their fields amount to.
pub(super) fn read_all(
    values: &[Value],
    names: &mut Names,
    report: &mut Report<'_>,
) -> (Vec<Inbound>, Vec<Rule>) {
    let mut rules = Vec::new();
    let inbounds: Vec<Inbound> =
        values.iter().filter_map(|value| read(value, &mut rules, names, report)).collect();
    checks::find_port_conflicts(&inbounds, report);
    checks::find_udp_port_conflicts(&inbounds, report);
    (inbounds, rules)
}

fn read(value: &Value, rules: &mut Vec<Rule>, names: &mut Names, report: &mut Report<'_>) -> Option<Inbound> {
    let choices = TYPES.map(|(name, kind, table)| (name, (kind, table)));
    let (kind, table) = list::read_type(value, "inbound", &choices, FOREIGN, &mut names.inbounds, report)?;
    let object = Object::read(value, "inbounds[]", table, report)?;
    let tag = names.inbounds.declare(&object, "inbound", report);
    let sniffing = read_sniffing(&object, report);
    names.sniffs |= sniffing.is_some();
    rules.extend(read_resolving(&object, tag.as_ref(), report));
    let socket = listen::read_socket(&object, report);
    let before = report.n_errors();
    let (protocol, accounts, udp) = match kind {
        Kind::Client(protocol) => {
            let accounts = read_users(&object, protocol, report);
            let udp = (protocol != ClientProtocol::Http).then(UdpInbound::default);
            (Some(InboundProtocol::Client(protocol)), accounts, udp)
        }
        Kind::Direct => (read_direct(&object, report).map(InboundProtocol::Door), Vec::new(), None),
        Kind::Redirect => {
            let networks = Networks { tcp: true, udp: false };
            let door = Door { host: None, port: None, networks, follow_redirect: true };
            (Some(InboundProtocol::Door(door)), Vec::new(), None)
        }
        Kind::Shadowsocks => {
            let inbound = tunnel::inbound::read_shadowsocks(&object, report);
            (inbound.map(|inbound| InboundProtocol::Shadowsocks(Box::new(inbound))), Vec::new(), None)
        }
        Kind::Vmess => {
            (tunnel::inbound::read_vmess(&object, report).map(InboundProtocol::Vmess), Vec::new(), None)
        }
        Kind::Vless => {
            (tunnel::inbound::read_vless(&object, report).map(InboundProtocol::Vless), Vec::new(), None)
        }
        Kind::Trojan => {
            let inbound = tunnel::inbound::read_trojan(&object, report);
            (inbound.map(|inbound| InboundProtocol::Trojan(Box::new(inbound))), Vec::new(), None)
        }
    };
    let own_users = protocol.as_ref().is_some_and(InboundProtocol::has_own_users);
    // With an error in the users nobody knows who may come in.
    let open = (report.n_errors() == before).then_some(accounts.is_empty() && !own_users);
    let transport = read_transport(kind, &object, report);
    let listen = listen::read(&object, open, report);
    if let (Some(protocol), Some(listen)) = (&protocol, &listen)
        && report.n_errors() == before
    {
        let place = object.get("type").map_or(object.span, |field| field.value.span);
        checks::warn_of_open_inbound(protocol, listen, transport.tls.is_some(), place, report);
    }
    Some(Inbound {
        tag,
        listen: listen?,
        protocol: protocol?,
        accounts,
        udp,
        sniffing,
        policy: Policy::default(),
        limits: Limits::default(),
        socket,
        transport,
        span: object.span,
    })
}

fn read_transport(kind: Kind, object: &Object<'_>, report: &mut Report<'_>) -> Transport<ServerTls> {
    let layer = match kind {
        Kind::Vmess | Kind::Vless | Kind::Trojan => transport::read(object, report),
        Kind::Client(_) => Layer::Raw,
        Kind::Direct | Kind::Redirect | Kind::Shadowsocks => return Transport::default(),
    };
    Transport { tls: tls::read_server(object, &layer, report), layer }
}

fn read_users(object: &Object<'_>, protocol: ClientProtocol, report: &mut Report<'_>) -> Vec<Account> {
    let mut seen: BTreeMap<Arc<str>, Span> = BTreeMap::new();
    let mut accounts = Vec::new();
    for item in object.items("users", report) {
        let Some(user) = Object::read(item, "users[]", &USER, report) else { continue };
        let Some((account, span)) = read_account(&user, protocol, report) else { continue };
        if let Some(&first) = seen.get(&account.user) {
            let line = report.line(first);
            report.error(span, format!("the user {} is already on line {line}", quote(&account.user)));
            continue;
        }
        seen.insert(Arc::clone(&account.user), span);
        accounts.push(account);
    }
    accounts
}

fn read_account(
    user: &Object<'_>,
    protocol: ClientProtocol,
    report: &mut Report<'_>,
) -> Option<(Account, Span)> {
    for name in ["username", "password"] {
        if !user.has(name) {
            let brace = Span { start: user.span.start, end: user.span.start + 1 };
            report.error(brace, format!("a user needs `{name}`"));
        }
    }
    let (name, password) = (user.text("username", report), user.text("password", report));
    let (name, password) = (name?, password?);
    let mut valid = true;
    for (key, text) in [("username", name), ("password", password)] {
        valid &= check_length(key, text, protocol, report);
    }
    if protocol != ClientProtocol::Socks && name.value.contains(':') {
        valid = false;
        report.error(name.span, "a user name in HTTP cannot have a `:` (RFC 7617)");
    }
    let account = Account { user: name.value.into(), password: Secret::new(password.value) };
    valid.then_some((account, name.span))
}

/// User name and password of SOCKS are each one length octet and that many octets (RFC 1929 §2).
fn check_length(key: &str, text: Spanned<&str>, protocol: ClientProtocol, report: &mut Report<'_>) -> bool {
    let fits = protocol == ClientProtocol::Http || (1..=255).contains(&text.value.len());
    if !fits {
        let length = text.value.len();
        let message = format!("`{key}` has {length} bytes, SOCKS allows 1 to 255 (RFC 1929)");
        report.error(text.span, message);
    }
    fits
}

fn read_direct(object: &Object<'_>, report: &mut Report<'_>) -> Option<Door> {
    let host = object.text("override_address", report).filter(|written| !written.value.is_empty());
    let Some(host) = host else {
        let brace = Span { start: object.span.start, end: object.span.start + 1 };
        report
            .error(brace, "nothing says where clients of this inbound go")
            .help("add `override_address`; for DNS questions any DNS server, which a rule with the action `hijack-dns` stands in for");
        return None;
    };
    let host = host::read(host, report);
    let port = object.get("override_port").filter(|field| !field.value.is_off());
    let port = port.and_then(|field| read_port(field, report));
    let networks = read_networks(object, report);
    Some(Door { host: Some(host?), port, networks, follow_redirect: false })
}

/// Reads `network`: one of both, or both.
pub(super) fn read_networks(object: &Object<'_>, report: &mut Report<'_>) -> Networks {
    let mut networks = Networks { tcp: false, udp: false };
    if object.get("network").is_none_or(|field| field.is_empty_list()) {
        return Networks::ALL;
    }
    for word in object.texts("network", report).unwrap_or_default() {
        match choose("network", word, &[("tcp", true), ("udp", false)], report) {
            Some(true) => networks.tcp = true,
            Some(false) => networks.udp = true,
            None => {}
        }
    }
    networks
}

/// The old form of the rule action `sniff`.
fn read_sniffing(object: &Object<'_>, report: &mut Report<'_>) -> Option<Sniffing> {
    let overrides = object.flag("sniff_override_destination", report).is_some_and(|flag| flag.value);
    let sniff = object.flag("sniff", report).filter(|flag| flag.value)?;
    report
        .warning(sniff.span, "`sniff` of an inbound is the old form, which sing-box 1.13 no longer has")
        .help("write a rule `{\"inbound\": […], \"action\": \"sniff\"}` before the others");
    Some(Sniffing {
        dest_override: vec![OverrideProtocol::Http, OverrideProtocol::Tls, OverrideProtocol::Quic],
        route_only: !overrides,
        ..Sniffing::default()
    })
}

/// The old form of the rule action `resolve`.
fn read_resolving(object: &Object<'_>, tag: Option<&Spanned<Tag>>, report: &mut Report<'_>) -> Option<Rule> {
    let family = dial::read_strategy(object, "domain_strategy", report)?;
    let span = object.get("domain_strategy")?.key_span;
    let Some(tag) = tag else {
        report
            .error(span, "`domain_strategy` of an inbound without a `tag` is not available in this version")
            .help("give the inbound a `tag`, or begin the rules with `{\"action\": \"resolve\"}`");
        return None;
    };
    report
        .warning(span, "`domain_strategy` of an inbound is the old form, which sing-box 1.13 no longer has")
        .help(
            "write a rule `{\"inbound\": […], \"action\": \"resolve\", \"strategy\": …}` before the others",
        );
    let conditions =
        Conditions { inbound_tag: Some(vec![tag.clone()]), either: true, ..Conditions::default() };
    let resolve = ResolveOptions { family: Some(family), ..ResolveOptions::default() };
    let (matcher, action) = (Matcher::One(Box::new(conditions)), RuleAction::Resolve(resolve));
    Some(Rule { tag: None, matcher, action, span })
}
