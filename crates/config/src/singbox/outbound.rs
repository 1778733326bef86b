use waypost_net::Secret;

use super::{
    checks, dial, groups, host,
    inbound::read_networks,
    list,
    names::{GroupKind, Names},
    tls, transport, tunnel,
};
use crate::{
    Span, Spanned,
    json::Value,
    keys::{Form, Key, KeyTable, join},
    model::{
        Account, AddressFamily, ClientTls, DnsOutbound, FreedomResolve, Layer, Outbound, OutboundProtocol,
        ProxyServer, Redirect, SocketOptions, Transport,
    },
    object::{Object, read_port},
    report::{Report, quote},
};

/// An element of `outbounds`.
pub(super) const FORM: Form = Form::ByType {
    key: "type",
    default: None,
    tables: &[
        ("direct", "DirectOutbound"),
        ("block", "BlockOutbound"),
        ("socks", "SocksOutbound"),
        ("http", "HttpOutbound"),
        ("shadowsocks", "ShadowsocksOutbound"),
        ("vmess", "VmessOutbound"),
        ("vless", "VlessOutbound"),
        ("trojan", "TrojanOutbound"),
        ("dns", "DnsOutbound"),
        ("selector", "Selector"),
        ("urltest", "UrlTest"),
        ("loadbalance", "LoadBalance"),
    ],
};

pub(super) const fn kind(name: &'static [&'static str]) -> Key {
    Key::new("type", Form::Word(name), "How connections leave.")
}

/// What an outbound with a server carries.
pub(super) const NETWORK: Key = Key::new(
    "network",
    Form::OneOrMany(&Form::Word(&["", "tcp", "udp"])),
    "What it carries: `tcp`, `udp`, or both without it.",
);
const TAG: Key = Key::new("tag", Form::Text, "The name for rules and groups.");
const SERVER: [Key; 4] = [
    Key::new("server", Form::Text, "The address or name of the server."),
    Key::new("server_port", Form::Count { least: 1, most: 65_535 }, "Its port."),
    Key::new("username", Form::Text, "The login name there."),
    Key::new("password", Form::Text, "The password there."),
];

static DIRECT_KEYS: [Key; dial::KEYS.len() + 4] = join(&[
    &[
        kind(&["direct"]),
        Key::new(
            "override_address",
            Form::Text,
            "Old form: dials this host instead; use the rule action `route-options`.",
        ),
        Key::new("override_port", Form::up_to(65_535), "Old form: dials this port instead."),
        Key::new("proxy_protocol", Form::up_to(2), "Whether the target is told the client's address first.")
            .only_off("it is not available in this version"),
    ],
    dial::KEYS,
]);
static SOCKS_KEYS: [Key; dial::KEYS.len() + 8] = join(&[
    &[
        kind(&["socks"]),
        Key::new("version", Form::Word(&["", "5"]), "The version of SOCKS; only `5`."),
        NETWORK,
        Key::new("udp_over_tcp", Form::Any, "Datagrams inside of a TCP connection.")
            .only_off("it is not available in this version"),
    ],
    &SERVER,
    dial::KEYS,
]);
static HTTP_KEYS: [Key; dial::KEYS.len() + 8] = join(&[
    &[
        kind(&["http"]),
        Key::new("path", Form::Text, "The path of the CONNECT request.")
            .only_off("it is not available in this version"),
        Key::new("headers", Form::Map, "Further headers of the CONNECT request.")
            .only_off("it is not available in this version"),
        tls::OUTBOUND_KEY,
    ],
    &SERVER,
    dial::KEYS,
]);

pub(super) static DIRECT: KeyTable = KeyTable {
    name: "DirectOutbound",
    path: "outbounds[] with the type `direct`",
    doc: "Dials the target itself.",
    keys: &DIRECT_KEYS,
};
pub(super) static BLOCK: KeyTable = KeyTable {
    name: "BlockOutbound",
    path: "outbounds[] with the type `block`",
    doc: "Closes connections; the rule action `reject` says so more clearly.",
    keys: &[kind(&["block"]), TAG],
};
pub(super) static SOCKS: KeyTable = KeyTable {
    name: "SocksOutbound",
    path: "outbounds[] with the type `socks`",
    doc: "Through a SOCKS5 server.",
    keys: &SOCKS_KEYS,
};
pub(super) static HTTP: KeyTable = KeyTable {
    name: "HttpOutbound",
    path: "outbounds[] with the type `http`",
    doc: "Through an HTTP proxy by CONNECT.",
    keys: &HTTP_KEYS,
};
pub(super) static DNS: KeyTable = KeyTable {
    name: "DnsOutbound",
    path: "outbounds[] with the type `dns`",
    doc: "Answers DNS questions; the old form of the rule action `hijack-dns`.",
    keys: &[kind(&["dns"]), TAG],
};

static SELECTOR_KEYS: [Key; groups::selector::KEYS.len() + 2] =
    join(&[&[kind(&["selector"]), TAG], &groups::selector::KEYS]);
static URLTEST_KEYS: [Key; groups::urltest::KEYS.len() + 2] =
    join(&[&[kind(&["urltest"]), TAG], &groups::urltest::KEYS]);
static LOAD_BALANCE_KEYS: [Key; groups::load_balance::keys::KEYS.len() + 2] =
    join(&[&[kind(&["loadbalance"]), TAG], &groups::load_balance::keys::KEYS]);

pub(super) static SELECTOR: KeyTable = KeyTable {
    name: "Selector",
    path: "outbounds[] with the type `selector`",
    doc: "A group whose member somebody chooses while it runs.",
    keys: &SELECTOR_KEYS,
};
pub(super) static URLTEST: KeyTable = KeyTable {
    name: "UrlTest",
    path: "outbounds[] with the type `urltest`",
    doc: "A group that uses the fastest of its members.",
    keys: &URLTEST_KEYS,
};
pub(super) static LOAD_BALANCE: KeyTable = KeyTable {
    name: "LoadBalance",
    path: "outbounds[] with the type `loadbalance`",
    doc: "A group whose members share the connections.",
    keys: &LOAD_BALANCE_KEYS,
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Direct,
    Block,
    Socks,
    Http,
    Shadowsocks,
    Vmess,
    Vless,
    Trojan,
    Dns,
    Group(GroupKind),
}

const TYPES: [(&str, Kind, &KeyTable); 12] = [
    ("direct", Kind::Direct, &DIRECT),
    ("block", Kind::Block, &BLOCK),
    ("socks", Kind::Socks, &SOCKS),
    ("http", Kind::Http, &HTTP),
    ("shadowsocks", Kind::Shadowsocks, &tunnel::outbound::SHADOWSOCKS),
    ("vmess", Kind::Vmess, &tunnel::outbound::VMESS),
    ("vless", Kind::Vless, &tunnel::outbound::VLESS),
    ("trojan", Kind::Trojan, &tunnel::outbound::TROJAN),
    ("dns", Kind::Dns, &DNS),
    ("selector", Kind::Group(GroupKind::Selector), &SELECTOR),
    ("urltest", Kind::Group(GroupKind::UrlTest), &URLTEST),
    ("loadbalance", Kind::Group(GroupKind::LoadBalance), &LOAD_BALANCE),
];

/// Types of sing-box that do not exist here.
const FOREIGN: &[(&str, &str)] = &[
    ("shadowsocksr", ""),
    ("wireguard", ""),
    ("hysteria", ""),
    ("hysteria2", ""),
    ("tuic", ""),
    ("tor", ""),
    ("ssh", ""),
    ("shadowtls", ""),
    ("anytls", ""),
    ("naive", ""),
];

pub(super) fn read_all(values: &[Value], names: &mut Names, report: &mut Report<'_>) -> Vec<Outbound> {
    values.iter().enumerate().filter_map(|(index, value)| read(index, value, names, report)).collect()
}

fn read(index: usize, value: &Value, names: &mut Names, report: &mut Report<'_>) -> Option<Outbound> {
    let choices = TYPES.map(|(name, kind, table)| (name, (kind, table)));
    let (kind, table) = list::read_type(value, "outbound", &choices, FOREIGN, &mut names.outbounds, report)?;
    let object = Object::read(value, "outbounds[]", table, report)?;
    let tag = names.outbounds.declare(&object, "outbound", report);
    if tag.is_none() && index > 0 {
        names.nameless.push(Span { start: object.span.start, end: object.span.start + 1 });
    }
    let mut networks = waypost_net::Networks::ALL;
    let mut resolve = None;
    let mut socket = SocketOptions::default();
    let mut detour = None;
    let before = report.n_errors();
    if !matches!(kind, Kind::Block | Kind::Dns | Kind::Group(_)) {
        socket = dial::read_socket(&object, report);
        resolve = dial::read_resolver(&object, "domain_resolver", names, report);
        detour = dial::read_detour(&object, report);
    }
    let transport = read_transport(kind, &object, report);
    let protocol = match kind {
        Kind::Direct => read_direct(&object, report),
        Kind::Block => Some(OutboundProtocol::Blackhole { http_response: false }),
        Kind::Socks => {
            networks = read_networks(&object, report);
            check_version(&object, report);
            read_server(kind, &object, report).map(|server| OutboundProtocol::Socks(vec![server]))
        }
        Kind::Http => read_server(kind, &object, report).map(|server| OutboundProtocol::Http(vec![server])),
        Kind::Shadowsocks => {
            networks = read_networks(&object, report);
            let server = tunnel::outbound::read_shadowsocks(&object, report);
            server.map(|server| OutboundProtocol::Shadowsocks(vec![server]))
        }
        Kind::Vmess => {
            networks = read_networks(&object, report);
            tunnel::outbound::read_vmess(&object, report).map(|server| OutboundProtocol::Vmess(vec![server]))
        }
        Kind::Vless => {
            networks = read_networks(&object, report);
            tunnel::outbound::read_vless(&object, report).map(|server| OutboundProtocol::Vless(vec![server]))
        }
        Kind::Trojan => {
            networks = read_networks(&object, report);
            tunnel::outbound::read_trojan(&object, report)
                .map(|server| OutboundProtocol::Trojan(vec![server]))
        }
        Kind::Dns => {
            report
                .warning(object.span, "the type `dns` is the old form, which sing-box 1.13 no longer has")
                .help("write a rule `{\"protocol\": \"dns\", \"action\": \"hijack-dns\"}`");
            Some(OutboundProtocol::Dns(Box::<DnsOutbound>::default()))
        }
        Kind::Group(kind) => groups::read(&object, kind, tag.as_ref(), names, report),
    };
    let protocol = protocol?;
    if report.n_errors() == before {
        let place = object.get("type").map_or(object.span, |field| field.value.span);
        checks::warn_of_open_outbound(&protocol, transport.tls.is_some(), place, report);
    }
    Some(Outbound { tag, protocol, networks, resolve, socket, transport, detour, span: object.span })
}

fn read_transport(kind: Kind, object: &Object<'_>, report: &mut Report<'_>) -> Transport<ClientTls> {
    let layer = match kind {
        Kind::Vmess | Kind::Vless | Kind::Trojan => transport::read(object, report),
        Kind::Http => Layer::Raw,
        Kind::Direct | Kind::Block | Kind::Socks | Kind::Shadowsocks | Kind::Dns | Kind::Group(_) => {
            return Transport::default();
        }
    };
    Transport { tls: tls::read_client(object, &layer, report), layer }
}

fn read_direct(object: &Object<'_>, report: &mut Report<'_>) -> Option<OutboundProtocol> {
    let host = object.text("override_address", report).filter(|written| !written.value.is_empty());
    let port = object.get("override_port").filter(|field| !field.value.is_off());
    if let Some(field) = object.get("override_address").or_else(|| object.get("override_port"))
        && (host.is_some() || port.is_some())
    {
        report
            .warning(field.key_span, "`override_address` and `override_port` of an outbound are the old form")
            .help("write them into a rule with the action `route-options`");
    }
    let host = match host {
        Some(host) => Some(host::read(host, report)?),
        None => None,
    };
    let port = match port {
        Some(field) => Some(read_port(field, report)?),
        None => None,
    };
    let redirect = (host.is_some() || port.is_some()).then_some(Redirect { host, port });
    let strategy = dial::read_strategy(object, "domain_strategy", report);
    let resolve = match strategy {
        None => FreedomResolve::AsIs,
        Some(family) => {
            if let Some(field) = object.get("domain_strategy") {
                report
                    .warning(
                        field.key_span,
                        "`domain_strategy` is the old form, which sing-box 1.14 no longer has",
                    )
                    .help("write `\"domain_resolver\": {\"server\": …, \"strategy\": …}`");
            }
            FreedomResolve::Use(family.into())
        }
    };
    Some(OutboundProtocol::Freedom { resolve, redirect })
}

fn check_version(object: &Object<'_>, report: &mut Report<'_>) {
    if let Some(version) = object.text("version", report)
        && !matches!(version.value, "" | "5")
    {
        let message = format!("SOCKS version {} is not supported", quote(version.value));
        report.error(version.span, message).help("only `5` is available in this version");
    }
}

fn read_server(kind: Kind, object: &Object<'_>, report: &mut Report<'_>) -> Option<ProxyServer> {
    let place = read_place(object, report);
    let account = read_account(kind, object, report);
    let ProxyServer { host, port, account: () } = place?;
    Some(ProxyServer { host, port, account })
}

/// Reads where a server is.
pub(super) fn read_place(object: &Object<'_>, report: &mut Report<'_>) -> Option<ProxyServer<()>> {
    for name in ["server", "server_port"] {
        if !object.has(name) {
            let brace = Span { start: object.span.start, end: object.span.start + 1 };
            report.error(brace, format!("this outbound needs `{name}`"));
        }
    }
    let port = object.get("server_port").and_then(|field| read_port(field, report));
    let address = object.text("server", report);
    let host = host::read(address?, report);
    Some(ProxyServer { host: host?, port: port?, account: () })
}

fn read_account(kind: Kind, object: &Object<'_>, report: &mut Report<'_>) -> Option<Account> {
    let written = |name, report: &mut Report<'_>| -> Option<Spanned<&str>> {
        object.text(name, report).filter(|text| !text.value.is_empty())
    };
    let (user, password) = (written("username", report), written("password", report));
    if user.is_none() && password.is_none() {
        return None;
    }
    let flaw = if kind == Kind::Http {
        let split = user.filter(|user| user.value.contains(':'));
        split.map(|user| (user.span, "a user name in HTTP cannot have a `:` (RFC 7617)"))
    } else {
        let long = [user, password].into_iter().flatten().find(|text| text.value.len() > 255);
        long.map(|text| (text.span, "more than 255 bytes, which a SOCKS server cannot be told (RFC 1929)"))
    };
    if let Some((span, message)) = flaw {
        report.error(span, message);
        return None;
    }
    Some(Account {
        user: user.map_or("", |text| text.value).into(),
        password: Secret::new(password.map_or("", |text| text.value)),
    })
}

impl From<crate::model::ResolveFamily> for AddressFamily {
    /// Which families are asked for at all.
    fn from(family: crate::model::ResolveFamily) -> Self {
        match family {
            crate::model::ResolveFamily::PreferV4 | crate::model::ResolveFamily::PreferV6 => Self::Any,
            crate::model::ResolveFamily::OnlyV4 => Self::V4,
            crate::model::ResolveFamily::OnlyV6 => Self::V6,
        }
    }
}
