//! `trojan`.

use waypost_net::{Host, Secret};

use super::{
    ADDRESS, EMAIL_OF_OUTBOUND, LEVEL, LEVEL_OF_OUTBOUND, Levels, NAME, PORT, Servers, brace,
    require_clients, require_inbound_settings,
};
use crate::{
    Spanned,
    credentials::{Seen, check_flow, read_name, read_password, require},
    json::{Kind, Value},
    keys::{Form, Key, KeyTable},
    model::{Fallback, Policy, ProxyServer, TrojanInbound, User},
    object::{Object, read_port},
    report::{Report, quote},
    v2ray::{host, policy::Policies},
};

const ONE: &str = "all who are no clients are taken to one place in this version";
const PASSWORD: Key = Key::new("password", Form::Text, "The password.");
const FLOW: Key = Key::new("flow", Form::Word(&[""]), "Only empty: XTLS is not available.");

pub(in crate::v2ray) static INBOUND: KeyTable = KeyTable {
    name: "TrojanInboundSettings",
    path: "the settings of a `trojan` inbound",
    doc: "Settings of an inbound with the protocol `trojan`.",
    keys: &[
        Key::new("clients", Form::Objects("TrojanClient"), "Who may come in; at least one.")
            .alias(&["users"]),
        Key::new(
            "fallbacks",
            Form::Objects("Fallback"),
            "The web site that those see who have no right password; at most one. Their connections end without it.",
        ),
        Key::new("fallback", Form::Any, "Old form of `fallbacks`.")
            .unsupported("it is the old form; write `fallbacks`"),
        Key::new("packetEncoding", Form::Text, "How datagrams are told apart.")
            .no_effect("each has its own target, as in every Trojan"),
    ],
};

pub(in crate::v2ray) static CLIENT: KeyTable = KeyTable {
    name: "TrojanClient",
    path: "clients[] of a `trojan` inbound",
    doc: "A user who may come in.",
    keys: &[PASSWORD, NAME, LEVEL, FLOW],
};

pub(in crate::v2ray) static FALLBACK: KeyTable = KeyTable {
    name: "Fallback",
    path: "fallbacks[]",
    doc: "A web site that takes those who are no clients.",
    keys: &[
        Key::new(
            "dest",
            Form::OneOf(&[Form::Port, Form::Text]),
            "Where it is: a port of this machine, or `HOST:PORT`.",
        ),
        Key::new("type", Form::Word(&["tcp"]), "How it is reached; only `tcp`."),
        Key::new("alpn", Form::Text, "Only for those that agreed on this protocol in TLS.").only_off(ONE),
        Key::new("path", Form::Text, "Only for those that ask for this path.").only_off(ONE),
        Key::new("name", Form::Text, "Only for those that name this server in TLS.").only_off(ONE),
        Key::new("xver", Form::up_to(2), "Whether the site is told who they are.")
            .only_off("the site sees the address of this machine"),
    ],
};

pub(in crate::v2ray) static OUTBOUND: KeyTable = KeyTable {
    name: "TrojanOutboundSettings",
    path: "the settings of a `trojan` outbound",
    doc: "Settings of an outbound with the protocol `trojan`: `servers`, or one server as in an element of it. It encrypts nothing itself, so it goes over TLS.",
    keys: &[
        Key::new("servers", Form::Objects("TrojanServer"), "The servers; connections go to them in turn."),
        ADDRESS,
        PORT,
        PASSWORD,
        FLOW,
        LEVEL_OF_OUTBOUND,
        EMAIL_OF_OUTBOUND,
    ],
};

pub(in crate::v2ray) static SERVER: KeyTable = KeyTable {
    name: "TrojanServer",
    path: "servers[] of a `trojan` outbound",
    doc: "A server of Trojan.",
    keys: &[
        ADDRESS,
        PORT,
        PASSWORD,
        FLOW,
        LEVEL_OF_OUTBOUND,
        EMAIL_OF_OUTBOUND,
        Key::new("method", Form::Text, "A key of `shadowsocks` that front ends write here too; not read."),
        Key::new("ota", Form::Flag, "A key of `shadowsocks` that front ends write here too; not read."),
    ],
};

const SERVERS: Servers = Servers {
    table: &OUTBOUND,
    list: "servers",
    server: &SERVER,
    example: "\"servers\": [{\"address\": \"…\", \"port\": 443, \"password\": \"…\"}]",
};

/// Reads the servers of an outbound.
pub(in crate::v2ray) fn read_outbound(
    outbound: &Object<'_>,
    report: &mut Report<'_>,
) -> Option<Vec<ProxyServer<Secret>>> {
    SERVERS.read(outbound, read_account, read_account, report)
}

fn read_account(server: &Object<'_>, report: &mut Report<'_>) -> Option<Secret> {
    check_flow(server, report);
    if !require(server, &["password"], "a server of `trojan`", report) {
        return None;
    }
    read_password(server.text("password", report)?, report)
}

/// Reads an inbound, and what its connections are carried under.
pub(in crate::v2ray) fn read_inbound(
    inbound: &Object<'_>,
    policies: &Policies,
    report: &mut Report<'_>,
) -> Option<(TrojanInbound, Policy)> {
    let settings = require_inbound_settings(inbound, &INBOUND, report)?;
    let fallback = read_fallback(settings.items("fallbacks", report), report);
    let (mut seen, mut levels) = (Seen::default(), Levels::default());
    let mut users = Vec::new();
    for item in require_clients(&settings, "{\"password\": \"…\"}", report) {
        let Some(user) = Object::read(item, "clients[]", &CLIENT, report) else { continue };
        check_flow(&user, report);
        levels.read(&user, 0, report);
        users.extend(read_user(&user, &mut seen, report));
    }
    (!users.is_empty()).then(|| (TrojanInbound { users, fallback }, levels.policy(policies)))
}

fn read_user(user: &Object<'_>, seen: &mut Seen, report: &mut Report<'_>) -> Option<User<Secret>> {
    let name = read_name(user, "email", report);
    if !require(user, &["password"], "a user of `trojan`", report) {
        return None;
    }
    let written = user.text("password", report)?;
    let credential = read_password(written, report)?;
    let bytes = Spanned::new(written.value.as_bytes(), written.span);
    seen.admit(name.as_ref(), "password", bytes, report)
        .then(|| User { name: name.map(|name| name.value), credential })
}

fn read_fallback(items: &[Value], report: &mut Report<'_>) -> Option<Fallback> {
    if let Some(second) = items.get(1) {
        report.error(second.span, format!("one fallback is available: {ONE}")).help("remove the others");
    }
    let object = Object::read(items.first()?, "fallbacks[]", &FALLBACK, report)?;
    if let Some(kind) = object.text("type", report)
        && !matches!(kind.value, "" | "tcp")
    {
        let message =
            format!("a fallback of the type {} is not available in this version", quote(kind.value));
        report.error(kind.span, message).help("write `tcp`, or remove it");
    }
    let Some(dest) = object.get("dest") else {
        report
            .error(brace(object.span), "a fallback needs `dest`")
            .help("write the port of the web site, such as `80`");
        return None;
    };
    let this_machine = Host::Ip(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));
    let text = match &dest.value.kind {
        Kind::String(text) if !text.bytes().all(|byte| byte.is_ascii_digit()) || text.is_empty() => &**text,
        Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::String(_) | Kind::Array(_) | Kind::Object(_) => {
            return Some(Fallback { host: this_machine, port: read_port(dest, report)? });
        }
    };
    let span = dest.value.span;
    if text.starts_with(['/', '@']) || text.starts_with("unix:") {
        report
            .error(span, "a fallback to a Unix socket is not available in this version")
            .help("write a port, or `HOST:PORT`");
        return None;
    }
    let parts = text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    let Some((name, port)) = parts.filter(|(_, port)| *port > 0) else {
        report
            .error(span, format!("not where a web site is: {}", quote(text)))
            .help("expected a port, or `HOST:PORT`");
        return None;
    };
    let host =
        if name.is_empty() { Some(this_machine) } else { host::read(Spanned::new(name, span), report) };
    Some(Fallback { host: host?, port })
}
