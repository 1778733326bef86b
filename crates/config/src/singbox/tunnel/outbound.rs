//! Outbounds.

use waypost_net::Secret;

use super::{FLOW, METHOD, MULTIPLEX, UUID, check_multiplex};
use crate::{
    credentials::{
        check_alter_id, check_flow, read_key, read_method, read_password, read_security, read_user_id,
        require,
    },
    keys::{Form, Key, KeyTable, join},
    model::{ProxyServer, ShadowsocksKey, UserId, VmessAccount},
    object::Object,
    report::Report,
    shadowsocks::KeyOwner,
    singbox::{
        dial,
        outbound::{NETWORK, kind, read_place},
        tls, transport,
    },
};

const LATER: &str = "it is not available in this version";
const SERVER: Key = Key::new("server", Form::Text, "The address or name of the server.");
const SERVER_PORT: Key = Key::new("server_port", Form::Count { least: 1, most: 65_535 }, "Its port.");
const PACKET_ENCODING: Key =
    Key::new("packet_encoding", Form::Word(&["", "packetaddr", "xudp"]), "How datagrams are told apart.")
        .no_effect("each target has a stream of its own, which every server understands");

static SHADOWSOCKS_KEYS: [Key; dial::KEYS.len() + 10] = join(&[
    &[
        kind(&["shadowsocks"]),
        SERVER,
        SERVER_PORT,
        METHOD,
        Key::new(
            "password",
            Form::Text,
            "The password; for methods of 2022 base64 of a key, or of several with `:` between.",
        ),
        NETWORK,
        Key::new("plugin", Form::Text, "Another program that connections go through.").only_off(LATER),
        Key::new("plugin_opts", Form::Text, "Belongs to `plugin`.").no_effect("there are no plugins"),
        Key::new("udp_over_tcp", Form::Any, "Datagrams inside of a TCP connection; only switched off."),
        MULTIPLEX,
    ],
    dial::KEYS,
]);
static VMESS_KEYS: [Key; dial::KEYS.len() + 13] = join(&[
    &[
        kind(&["vmess"]),
        SERVER,
        SERVER_PORT,
        UUID,
        Key::new(
            "security",
            Form::Word(&["auto", "aes-128-gcm", "chacha20-poly1305", "none", "zero"]),
            "How what is sent is encrypted; `auto` without it.",
        ),
        Key::new("alter_id", Form::up_to(0xffff), "Only 0: legacy VMess is not available."),
        Key::new("global_padding", Form::Flag, "Whether pieces are padded.")
            .no_effect("they always are where the server knows it"),
        Key::new("authenticated_length", Form::Flag, "Whether the lengths of pieces are authenticated.")
            .only_off(LATER),
        NETWORK,
        PACKET_ENCODING,
        tls::OUTBOUND_KEY,
        transport::KEY,
        MULTIPLEX,
    ],
    dial::KEYS,
]);
static VLESS_KEYS: [Key; dial::KEYS.len() + 10] = join(&[
    &[
        kind(&["vless"]),
        SERVER,
        SERVER_PORT,
        UUID,
        FLOW,
        NETWORK,
        PACKET_ENCODING,
        tls::OUTBOUND_KEY,
        transport::KEY,
        MULTIPLEX,
    ],
    dial::KEYS,
]);
static TROJAN_KEYS: [Key; dial::KEYS.len() + 8] = join(&[
    &[
        kind(&["trojan"]),
        SERVER,
        SERVER_PORT,
        Key::new("password", Form::Text, "The password."),
        NETWORK,
        tls::OUTBOUND_KEY,
        transport::KEY,
        MULTIPLEX,
    ],
    dial::KEYS,
]);

pub(in crate::singbox) static SHADOWSOCKS: KeyTable = KeyTable {
    name: "ShadowsocksOutbound",
    path: "outbounds[] with the type `shadowsocks`",
    doc: "Through a Shadowsocks server.",
    keys: &SHADOWSOCKS_KEYS,
};
pub(in crate::singbox) static VMESS: KeyTable = KeyTable {
    name: "VmessOutbound",
    path: "outbounds[] with the type `vmess`",
    doc: "Through a VMess server.",
    keys: &VMESS_KEYS,
};
pub(in crate::singbox) static VLESS: KeyTable = KeyTable {
    name: "VlessOutbound",
    path: "outbounds[] with the type `vless`",
    doc: "Through a VLESS server. It encrypts nothing itself, so it goes over TLS.",
    keys: &VLESS_KEYS,
};
pub(in crate::singbox) static TROJAN: KeyTable = KeyTable {
    name: "TrojanOutbound",
    path: "outbounds[] with the type `trojan`",
    doc: "Through a Trojan server. It encrypts nothing itself, so it goes over TLS.",
    keys: &TROJAN_KEYS,
};

pub(in crate::singbox) fn read_shadowsocks(
    object: &Object<'_>,
    report: &mut Report<'_>,
) -> Option<ProxyServer<ShadowsocksKey>> {
    check_multiplex(object, report);
    check_udp_over_tcp(object, report);
    let place = read_place(object, report);
    let complete = require(object, &["method", "password"], "this outbound", report);
    let method = read_method(object.text("method", report)?, report);
    if !complete {
        return None;
    }
    let method = method?;
    let password = read_key(method, object.text("password", report)?, KeyOwner::Client, report);
    Some(with(place?, ShadowsocksKey { method, password: password? }))
}

/// `true`, or an object that is switched on.
fn check_udp_over_tcp(object: &Object<'_>, report: &mut Report<'_>) {
    let Some(field) = object.get("udp_over_tcp") else { return };
    let enabled = match field.value.members() {
        Some(_) => field.value.member("enabled").is_some_and(|enabled| !enabled.value.is_off()),
        None => !field.value.is_off(),
    };
    if enabled {
        report
            .error(field.key_span, "`udp_over_tcp` is not available in this version")
            .help("datagrams go to the server as datagrams; switch it off on both ends");
    }
}

pub(in crate::singbox) fn read_vmess(
    object: &Object<'_>,
    report: &mut Report<'_>,
) -> Option<ProxyServer<VmessAccount>> {
    check_multiplex(object, report);
    check_alter_id(object, "alter_id", report);
    let security = read_security(object, report);
    let place = read_place(object, report);
    let id = read_uuid(object, report);
    Some(with(place?, VmessAccount { id: id?, security: security? }))
}

pub(in crate::singbox) fn read_vless(
    object: &Object<'_>,
    report: &mut Report<'_>,
) -> Option<ProxyServer<UserId>> {
    check_multiplex(object, report);
    check_flow(object, report);
    let place = read_place(object, report);
    let id = read_uuid(object, report);
    Some(with(place?, id?))
}

pub(in crate::singbox) fn read_trojan(
    object: &Object<'_>,
    report: &mut Report<'_>,
) -> Option<ProxyServer<Secret>> {
    check_multiplex(object, report);
    let place = read_place(object, report);
    if !require(object, &["password"], "this outbound", report) {
        return None;
    }
    let password = read_password(object.text("password", report)?, report);
    Some(with(place?, password?))
}

fn read_uuid(object: &Object<'_>, report: &mut Report<'_>) -> Option<UserId> {
    if !require(object, &["uuid"], "this outbound", report) {
        return None;
    }
    read_user_id(object.text("uuid", report)?, report)
}

fn with<A>(place: ProxyServer<()>, account: A) -> ProxyServer<A> {
    ProxyServer { host: place.host, port: place.port, account }
}
