//! Inbounds.

use super::{FLOW, METHOD, MULTIPLEX, UUID, check_multiplex};
use crate::{
    Span, Spanned,
    credentials::{
        Seen, check_alter_id, check_flow, read_key, read_method, read_name, read_password, read_user_id,
        require,
    },
    json::Value,
    keys::{Form, Key, KeyTable, join},
    model::{Fallback, ShadowsocksInbound, TrojanInbound, User, UserId},
    object::{Object, read_port},
    report::Report,
    shadowsocks::KeyOwner,
    singbox::{
        host,
        inbound::{NETWORK, kind, read_networks},
        listen, tls, transport,
    },
};

const NAME: Key = Key::new("name", Form::Text, "The name of the user; `auth_user` conditions see it.");

static SHADOWSOCKS_KEYS: [Key; listen::KEYS.len() + 8] = join(&[
    &[
        kind(&["shadowsocks"]),
        METHOD,
        Key::new(
            "password",
            Form::Text,
            "The password of the only user; beside `users` the key of the server.",
        ),
        Key::new("users", Form::Objects("ShadowsocksUser"), "Several users on one port."),
        Key::new("network", NETWORK, "`tcp`, `udp`, or both without it."),
        Key::new("destinations", Form::Any, "Other servers that take over.")
            .only_off("relays are not available in this version"),
        Key::new("managed", Form::Flag, "Whether users come and go while it runs.")
            .only_off("users are those of the file"),
        MULTIPLEX,
    ],
    listen::KEYS,
]);
static VMESS_KEYS: [Key; listen::KEYS.len() + 5] = join(&[
    &[
        kind(&["vmess"]),
        Key::new("users", Form::Objects("VmessUser"), "Who may come in; at least one."),
        tls::INBOUND_KEY,
        transport::KEY,
        MULTIPLEX,
    ],
    listen::KEYS,
]);
static VLESS_KEYS: [Key; listen::KEYS.len() + 5] = join(&[
    &[
        kind(&["vless"]),
        Key::new("users", Form::Objects("VlessUser"), "Who may come in; at least one."),
        tls::INBOUND_KEY,
        transport::KEY,
        MULTIPLEX,
    ],
    listen::KEYS,
]);
static TROJAN_KEYS: [Key; listen::KEYS.len() + 7] = join(&[
    &[
        kind(&["trojan"]),
        Key::new("users", Form::Objects("TrojanUser"), "Who may come in; at least one."),
        tls::INBOUND_KEY,
        Key::new(
            "fallback",
            Form::Object("Fallback"),
            "The web site that those see who have no right password. Their connections end without it.",
        ),
        Key::new("fallback_for_alpn", Form::Map, "Other web sites by the protocol of TLS.")
            .only_off("all who are no clients are taken to one place in this version; use `fallback`"),
        transport::KEY,
        MULTIPLEX,
    ],
    listen::KEYS,
]);

pub(in crate::singbox) static SHADOWSOCKS: KeyTable = KeyTable {
    name: "ShadowsocksInbound",
    path: "inbounds[] with the type `shadowsocks`",
    doc: "A Shadowsocks server.",
    keys: &SHADOWSOCKS_KEYS,
};
pub(in crate::singbox) static VMESS: KeyTable = KeyTable {
    name: "VmessInbound",
    path: "inbounds[] with the type `vmess`",
    doc: "A VMess server.",
    keys: &VMESS_KEYS,
};
pub(in crate::singbox) static VLESS: KeyTable = KeyTable {
    name: "VlessInbound",
    path: "inbounds[] with the type `vless`",
    doc: "A VLESS server.",
    keys: &VLESS_KEYS,
};
pub(in crate::singbox) static TROJAN: KeyTable = KeyTable {
    name: "TrojanInbound",
    path: "inbounds[] with the type `trojan`",
    doc: "A Trojan server.",
    keys: &TROJAN_KEYS,
};
pub(in crate::singbox) static SHADOWSOCKS_USER: KeyTable = KeyTable {
    name: "ShadowsocksUser",
    path: "users[] of a `shadowsocks` inbound",
    doc: "A user who may come in.",
    keys: &[NAME, Key::new("password", Form::Text, "Base64 of the key of the user.")],
};
pub(in crate::singbox) static VMESS_USER: KeyTable = KeyTable {
    name: "VmessUser",
    path: "users[] of a `vmess` inbound",
    doc: "A user who may come in.",
    keys: &[
        NAME,
        UUID,
        Key::new("alterId", Form::up_to(0xffff), "Only 0: legacy VMess is not available.")
            .alias(&["alter_id"]),
    ],
};
pub(in crate::singbox) static VLESS_USER: KeyTable = KeyTable {
    name: "VlessUser",
    path: "users[] of a `vless` inbound",
    doc: "A user who may come in.",
    keys: &[NAME, UUID, FLOW],
};
pub(in crate::singbox) static TROJAN_USER: KeyTable = KeyTable {
    name: "TrojanUser",
    path: "users[] of a `trojan` inbound",
    doc: "A user who may come in.",
    keys: &[NAME, Key::new("password", Form::Text, "The password.")],
};
pub(in crate::singbox) static FALLBACK: KeyTable = KeyTable {
    name: "Fallback",
    path: "fallback",
    doc: "A web site that takes those who are no clients.",
    keys: &[
        Key::new("server", Form::Text, "Its address or name."),
        Key::new("server_port", Form::Count { least: 1, most: 65_535 }, "Its port."),
    ],
};

pub(in crate::singbox) fn read_shadowsocks(
    object: &Object<'_>,
    report: &mut Report<'_>,
) -> Option<ShadowsocksInbound> {
    check_multiplex(object, report);
    let networks = read_networks(object, report);
    if !require(object, &["method"], "this inbound", report) {
        return None;
    }
    let written = object.text("method", report)?;
    let method = read_method(written, report)?;
    let items = object.items("users", report);
    if let Some(first) = items.first().filter(|_| !method.has_users()) {
        report
            .error(first.span, format!("`{}` has one user on a port", method.name()))
            .help("use `2022-blake3-aes-256-gcm`, or an inbound for each");
    }
    let needed = items.is_empty() || method.key_bytes().is_some();
    let field = object.get("password").filter(|field| !field.value.is_off());
    let password = match field {
        None if needed => {
            report.error(
                brace(object.span),
                if items.is_empty() {
                    "this inbound needs `password`"
                } else {
                    "with this method the server has a key of its own beside those of `users`: `password`"
                },
            );
            return None;
        }
        None => None,
        Some(field) if !needed => {
            report.warning(field.key_span, "`password` has no effect: each of `users` has one");
            None
        }
        Some(field) => Some(read_key(method, field.text(report)?, KeyOwner::Server, report)?),
    };
    let mut seen = Seen::default();
    let before = report.n_errors();
    let users = read_users(items, &SHADOWSOCKS_USER, report, |user, report| {
        let name = read_name(user, "name", report);
        if !require(user, &["password"], "a user", report) {
            return None;
        }
        let written = user.text("password", report)?;
        let credential = read_key(method, written, KeyOwner::Server, report)?;
        let bytes = Spanned::new(written.value.as_bytes(), written.span);
        let is_new = seen.admit(name.as_ref(), "password", bytes, report);
        is_new.then(|| User { name: name.map(|name| name.value), credential })
    });
    (report.n_errors() == before).then_some(ShadowsocksInbound {
        method,
        password,
        name: None,
        users,
        networks,
    })
}

pub(in crate::singbox) fn read_vmess(
    object: &Object<'_>,
    report: &mut Report<'_>,
) -> Option<Vec<User<UserId>>> {
    check_multiplex(object, report);
    let mut seen = Seen::default();
    let users = read_users(require_users(object, "uuid", report), &VMESS_USER, report, |user, report| {
        check_alter_id(user, "alterId", report);
        read_id(user, &mut seen, report)
    });
    (!users.is_empty()).then_some(users)
}

pub(in crate::singbox) fn read_vless(
    object: &Object<'_>,
    report: &mut Report<'_>,
) -> Option<Vec<User<UserId>>> {
    check_multiplex(object, report);
    let mut seen = Seen::default();
    let users = read_users(require_users(object, "uuid", report), &VLESS_USER, report, |user, report| {
        check_flow(user, report);
        read_id(user, &mut seen, report)
    });
    (!users.is_empty()).then_some(users)
}

pub(in crate::singbox) fn read_trojan(object: &Object<'_>, report: &mut Report<'_>) -> Option<TrojanInbound> {
    check_multiplex(object, report);
    let fallback = read_fallback(object, report);
    let mut seen = Seen::default();
    let users =
        read_users(require_users(object, "password", report), &TROJAN_USER, report, |user, report| {
            let name = read_name(user, "name", report);
            if !require(user, &["password"], "a user", report) {
                return None;
            }
            let written = user.text("password", report)?;
            let credential = read_password(written, report)?;
            let bytes = Spanned::new(written.value.as_bytes(), written.span);
            let is_new = seen.admit(name.as_ref(), "password", bytes, report);
            is_new.then(|| User { name: name.map(|name| name.value), credential })
        });
    (!users.is_empty()).then_some(TrojanInbound { users, fallback })
}

/// The elements of `users`, of which an inbound needs one.
fn require_users<'a>(object: &Object<'a>, what: &str, report: &mut Report<'_>) -> &'a [Value] {
    let items = object.items("users", report);
    if items.is_empty() && object.get("users").is_none_or(|field| field.value.items().is_some()) {
        let place = object.get("users").map_or_else(|| brace(object.span), |field| field.key_span);
        report
            .error(place, "nobody could come in, because there are no `users`")
            .help(format!("add `\"users\": [{{\"name\": \"…\", \"{what}\": \"…\"}}]`"));
    }
    items
}

fn read_users<C>(
    items: &[Value],
    table: &'static KeyTable,
    report: &mut Report<'_>,
    mut read: impl FnMut(&Object<'_>, &mut Report<'_>) -> Option<User<C>>,
) -> Vec<User<C>> {
    let mut users = Vec::new();
    for item in items {
        let Some(user) = Object::read(item, "users[]", table, report) else { continue };
        users.extend(read(&user, report));
    }
    users
}

fn read_id(user: &Object<'_>, seen: &mut Seen, report: &mut Report<'_>) -> Option<User<UserId>> {
    let name = read_name(user, "name", report);
    if !require(user, &["uuid"], "a user", report) {
        return None;
    }
    let written = user.text("uuid", report)?;
    let id = read_user_id(written, report)?;
    let is_new = seen.admit(name.as_ref(), "id", Spanned::new(&id.expose(), written.span), report);
    is_new.then(|| User { name: name.map(|name| name.value), credential: id })
}

fn read_fallback(object: &Object<'_>, report: &mut Report<'_>) -> Option<Fallback> {
    let fallback = object.object("fallback", &FALLBACK, report)?;
    if !require(&fallback, &["server", "server_port"], "a fallback", report) {
        return None;
    }
    let port = fallback.get("server_port").and_then(|field| read_port(field, report));
    let host = host::read(fallback.text("server", report)?, report);
    Some(Fallback { host: host?, port: port? })
}

fn brace(span: Span) -> Span {
    Span { start: span.start, end: span.start + 1 }
}
