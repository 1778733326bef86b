//! `shadowsocks`, and `shadowsocks2022` of V2Ray 5.

use std::sync::Arc;

use waypost_net::{Networks, Secret};

use super::{
    ADDRESS, EMAIL_OF_OUTBOUND, LEVEL, LEVEL_OF_OUTBOUND, Levels, NAME, PORT, Servers, brace,
    require_inbound_settings,
};
use crate::{
    Spanned,
    credentials::{Seen, read_key, read_method, read_name, require},
    json::Value,
    keys::{Form, Key, KeyTable},
    model::{Policy, ProxyServer, ShadowsocksInbound, ShadowsocksKey, ShadowsocksMethod, User},
    object::Object,
    report::Report,
    shadowsocks::KeyOwner,
    transport::warn_without_effect,
    v2ray::{door::read_networks, policy::Policies, upstream::read_server},
};

const METHOD: Key = Key::new(
    "method",
    Form::Word(&[
        "aes-128-gcm",
        "aes-256-gcm",
        "chacha20-ietf-poly1305",
        "xchacha20-ietf-poly1305",
        "2022-blake3-aes-128-gcm",
        "2022-blake3-aes-256-gcm",
        "2022-blake3-chacha20-poly1305",
        "aes_128_gcm",
        "aead_aes_128_gcm",
        "aes_256_gcm",
        "aead_aes_256_gcm",
        "chacha20-poly1305",
        "chacha20_poly1305",
        "aead_chacha20_poly1305",
        "xchacha20-poly1305",
        "xchacha20_poly1305",
        "aead_xchacha20_poly1305",
    ]),
    "How what is sent is encrypted; the first seven, or older names of the same methods.",
)
.alias(&["cipher"]);
const PASSWORD: Key = Key::new(
    "password",
    Form::Text,
    "The password; for methods of 2022 base64 of a key, or of several with `:` between.",
);
const IV_CHECK: Key = Key::new("ivCheck", Form::Flag, "Whether a first message that comes again is refused.")
    .no_effect("an inbound refuses it in any case");
const OTA: Key = Key::new("ota", Form::Flag, "Old proof of what is sent.")
    .only_off("it is the old form; the methods prove it themselves");
const UOT: Key = Key::new("uot", Form::Flag, "Datagrams inside of a TCP connection.")
    .only_off("it is not available in this version");
const UOT_VERSION: Key =
    Key::new("UoTVersion", Form::Number, "Belongs to `uot`.").no_effect("there is no `uot`");

pub(in crate::v2ray) static INBOUND: KeyTable = KeyTable {
    name: "ShadowsocksInboundSettings",
    path: "the settings of a `shadowsocks` inbound",
    doc: "Settings of an inbound with the protocol `shadowsocks`: a password, or `clients`.",
    keys: &[
        METHOD,
        Key::new(
            "password",
            Form::Text,
            "The password of the only user; beside `clients` the key of the server, for methods of 2022.",
        ),
        NAME,
        LEVEL,
        Key::new("network", Form::Strings, "`tcp`, `udp`, or `tcp,udp`; `tcp` without it."),
        Key::new("udp", Form::Flag, "Old form of `\"network\": \"tcp,udp\"`."),
        Key::new("clients", Form::Objects("ShadowsocksClient"), "Several users on one port.")
            .alias(&["users"]),
        IV_CHECK,
        OTA,
        Key::new("packetEncoding", Form::Text, "How datagrams are told apart.")
            .no_effect("each has its own target, as in every Shadowsocks"),
    ],
};

pub(in crate::v2ray) static CLIENT: KeyTable = KeyTable {
    name: "ShadowsocksClient",
    path: "clients[] of a `shadowsocks` inbound",
    doc: "A user who may come in.",
    keys: &[
        Key::new("method", Form::Text, "How what is sent is encrypted; the same for all of one inbound."),
        PASSWORD,
        NAME,
        LEVEL,
        Key::new("address", Form::Text, "Another server that takes over.")
            .only_off("relays are not available in this version"),
        Key::new("port", Form::Port, "Belongs to `address`.")
            .only_off("relays are not available in this version"),
    ],
};

pub(in crate::v2ray) static OUTBOUND: KeyTable = KeyTable {
    name: "ShadowsocksOutboundSettings",
    path: "the settings of a `shadowsocks` outbound",
    doc: "Settings of an outbound with the protocol `shadowsocks`: `servers`, or one server as in an element of it.",
    keys: &[
        Key::new(
            "servers",
            Form::Objects("ShadowsocksServer"),
            "The servers; connections go to them in turn.",
        ),
        ADDRESS,
        PORT,
        METHOD,
        PASSWORD,
        LEVEL_OF_OUTBOUND,
        EMAIL_OF_OUTBOUND,
        OTA,
        UOT,
        UOT_VERSION,
        IV_CHECK,
    ],
};

pub(in crate::v2ray) static SERVER: KeyTable = KeyTable {
    name: "ShadowsocksServer",
    path: "servers[] of a `shadowsocks` outbound",
    doc: "A server of Shadowsocks.",
    keys: &[
        ADDRESS,
        PORT,
        METHOD,
        PASSWORD,
        LEVEL_OF_OUTBOUND,
        EMAIL_OF_OUTBOUND,
        OTA,
        UOT,
        UOT_VERSION,
        IV_CHECK,
    ],
};

pub(in crate::v2ray) static OUTBOUND_2022: KeyTable = KeyTable {
    name: "Shadowsocks2022Settings",
    path: "the settings of a `shadowsocks2022` outbound",
    doc: "Settings of an outbound with the protocol `shadowsocks2022`: one server.",
    keys: &[
        ADDRESS,
        PORT,
        Key::new(
            "method",
            Form::Word(&[
                "2022-blake3-aes-128-gcm",
                "2022-blake3-aes-256-gcm",
                "2022-blake3-chacha20-poly1305",
            ]),
            "How what is sent is encrypted.",
        ),
        Key::new("psk", Form::Text, "Base64 of the key."),
        Key::new(
            "ipsk",
            Form::List(&Form::Text),
            "Base64 of the keys of the servers on the way, the first of them first.",
        ),
    ],
};

const SERVERS: Servers = Servers {
    table: &OUTBOUND,
    list: "servers",
    server: &SERVER,
    example: "\"servers\": [{\"address\": \"…\", \"port\": 8388, \"method\": \"aes-256-gcm\", \"password\": \"…\"}]",
};

/// Reads the servers of an outbound.
pub(in crate::v2ray) fn read_outbound(
    outbound: &Object<'_>,
    report: &mut Report<'_>,
) -> Option<Vec<ProxyServer<ShadowsocksKey>>> {
    SERVERS.read(outbound, read_account, read_account, report)
}

fn read_account(server: &Object<'_>, report: &mut Report<'_>) -> Option<ShadowsocksKey> {
    let complete = require(server, &["method", "password"], "a server of `shadowsocks`", report);
    let method = read_method(server.text("method", report)?, report);
    if !complete {
        return None;
    }
    let method = method?;
    let password = read_key(method, server.text("password", report)?, KeyOwner::Client, report)?;
    Some(ShadowsocksKey { method, password })
}

/// Reads the server of a `shadowsocks2022` outbound.
pub(in crate::v2ray) fn read_outbound_2022(
    outbound: &Object<'_>,
    report: &mut Report<'_>,
) -> Option<Vec<ProxyServer<ShadowsocksKey>>> {
    if !outbound.has("settings") {
        report.error(brace(outbound.span), "a `shadowsocks2022` outbound needs `settings`");
        return None;
    }
    let settings = outbound.object("settings", &OUTBOUND_2022, report)?;
    let key = read_key_2022(&settings, report);
    let server = read_server(&settings, (), report)?;
    Some(vec![ProxyServer { host: server.host, port: server.port, account: key? }])
}

fn read_key_2022(settings: &Object<'_>, report: &mut Report<'_>) -> Option<ShadowsocksKey> {
    if !require(settings, &["method", "psk"], "a `shadowsocks2022` outbound", report) {
        return None;
    }
    let written = settings.text("method", report)?;
    let method = read_method(written, report)?;
    if method.key_bytes().is_none() {
        report.error(written.span, "this is no method of 2022").help("write `\"protocol\": \"shadowsocks\"`");
        return None;
    }
    let psk = settings.text("psk", report)?;
    let mut keys: Vec<Spanned<&str>> = Vec::new();
    if settings.get("ipsk").is_some_and(|field| !field.is_empty_list()) {
        keys.extend(settings.strings("ipsk", report).unwrap_or_default());
    }
    keys.push(psk);
    if let Some(first) = keys.first().filter(|_| keys.len() > 1 && !method.has_users()) {
        report.error(first.span, "this method has no keys of servers on the way").help("remove `ipsk`");
        return None;
    }
    let mut valid = true;
    for key in &keys {
        valid &= read_key(method, *key, KeyOwner::Server, report).is_some();
    }
    let chain: Vec<&str> = keys.iter().map(|key| key.value).collect();
    valid.then(|| ShadowsocksKey { method, password: Secret::new(chain.join(":")) })
}

/// Reads an inbound, and what its connections are carried under.
pub(in crate::v2ray) fn read_inbound(
    inbound: &Object<'_>,
    policies: &Policies,
    report: &mut Report<'_>,
) -> Option<(ShadowsocksInbound, Policy)> {
    let settings = require_inbound_settings(inbound, &INBOUND, report)?;
    let mut networks = read_networks(&settings, report);
    if !settings.has("network") && settings.flag("udp", report).is_some_and(|udp| udp.value) {
        networks = Networks::ALL;
    }
    let items = settings.items("clients", report);
    let written = settings.text("method", report).filter(|method| !method.value.is_empty());
    let of_first_client = || {
        let member = items.first()?.member("method")?;
        member.value.text().map(|text| Spanned::new(text, member.value.span))
    };
    let Some(written) = written.or_else(of_first_client) else {
        if settings.get("method").is_none_or(|field| field.value.text().is_some()) {
            report.error(brace(settings.span), "a `shadowsocks` inbound needs `method`");
        }
        return None;
    };
    let method = read_method(written, report)?;
    let mut levels = Levels::default();
    let users = if items.is_empty() {
        levels.read(&settings, 0, report);
        Vec::new()
    } else {
        warn_without_effect(&settings, &["email", "level"], "each of `clients` has its own", report);
        read_clients(items, method, &mut levels, report)
    };
    let password = read_server_password(&settings, method, items.is_empty(), report);
    let name = read_name(&settings, "email", report).map(|name| name.value);
    let complete = items.is_empty() && password.is_some() || !items.is_empty() && !users.is_empty();
    complete.then(|| {
        let name: Option<Arc<str>> = name.filter(|_| users.is_empty());
        (ShadowsocksInbound { method, password, name, users, networks }, levels.policy(policies))
    })
}

/// Reads the password of the only user, or that of the server beside several.
fn read_server_password(
    settings: &Object<'_>,
    method: ShadowsocksMethod,
    alone: bool,
    report: &mut Report<'_>,
) -> Option<Secret> {
    let field = settings.get("password").filter(|field| !field.value.is_off());
    let needed = alone || method.key_bytes().is_some();
    match field {
        None if needed => {
            let message = if alone {
                "a `shadowsocks` inbound needs `password`, or `clients`"
            } else {
                "with this method the server has a key of its own beside those of `clients`: `password`"
            };
            report.error(brace(settings.span), message);
            None
        }
        None => None,
        Some(field) if !needed => {
            report.warning(field.key_span, "`password` has no effect: each of `clients` has one");
            None
        }
        Some(field) => read_key(method, field.text(report)?, KeyOwner::Server, report),
    }
}

fn read_clients(
    items: &[Value],
    method: ShadowsocksMethod,
    levels: &mut Levels,
    report: &mut Report<'_>,
) -> Vec<User<Secret>> {
    if let Some(first) = items.first().filter(|_| !method.has_users()) {
        report
            .error(first.span, format!("`{}` has one user on a port", method.name()))
            .help("use `2022-blake3-aes-256-gcm`, or an inbound for each");
    }
    let mut seen = Seen::default();
    let mut users = Vec::new();
    for item in items {
        let Some(client) = Object::read(item, "clients[]", &CLIENT, report) else { continue };
        levels.read(&client, 0, report);
        let own = client.text("method", report).filter(|own| !own.value.is_empty());
        if let Some(own) = own
            && read_method(own, report).is_some_and(|own| own != method)
        {
            report
                .error(own.span, "methods that differ within one inbound are not available")
                .help(format!("write `{}`, or make an inbound for each", method.name()));
        }
        let name = read_name(&client, "email", report);
        if !require(&client, &["password"], "a user of `shadowsocks`", report) {
            continue;
        }
        let Some(written) = client.text("password", report) else { continue };
        let Some(credential) = read_key(method, written, KeyOwner::Server, report) else { continue };
        let bytes = Spanned::new(written.value.as_bytes(), written.span);
        if seen.admit(name.as_ref(), "password", bytes, report) {
            users.push(User { name: name.map(|name| name.value), credential });
        }
    }
    users
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_reference_are_methods() {
        let Form::Word(words) = METHOD.form else { panic!("{:?}", METHOD.form) };
        assert!(words.iter().all(|word| crate::shadowsocks::method(word).is_ok()));
        assert!(words.iter().zip(ShadowsocksMethod::WORDS).all(|(word, (name, _))| *word == name));
    }
}
