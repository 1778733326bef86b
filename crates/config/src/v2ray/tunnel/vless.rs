//! `vless`.

use super::{
    ADDRESS, EMAIL_OF_OUTBOUND, LEVEL, LEVEL_OF_OUTBOUND, Levels, NAME, PORT, REVERSE, Servers,
    read_first_user, require_clients, require_inbound_settings, vmess::read_user,
};
use crate::{
    credentials::{Seen, check_flow, hide_keys, read_user_id, require},
    keys::{Form, Key, KeyTable},
    model::{Policy, ProxyServer, User, UserId},
    object::Object,
    report::{Report, quote},
    v2ray::policy::Policies,
};

const ID: Key = Key::new("id", Form::Text, "Its id: a UUID, or a text of up to 30 bytes.");
const FLOW: Key = Key::new("flow", Form::Word(&[""]), "Only empty: XTLS Vision is not available.");
const ENCRYPTION: Key = Key::new("encryption", Form::Word(&["none"]), "Only `none`, which has to be there.");
const SEED: Key = Key::new("seed", Form::Text, "Belongs to `flow`.").no_effect("there is no `flow`");
const TEST_SEED: Key = Key::new("testseed", Form::Any, "Belongs to `flow`.").no_effect("there is no `flow`");
const TEST_PRE: Key =
    Key::new("testpre", Form::Number, "Connections that are made beforehand.").no_effect("none are made");

pub(in crate::v2ray) static INBOUND: KeyTable = KeyTable {
    name: "VlessInboundSettings",
    path: "the settings of a `vless` inbound",
    doc: "Settings of an inbound with the protocol `vless`.",
    keys: &[
        Key::new("clients", Form::Objects("VlessClient"), "Who may come in; at least one.").alias(&["users"]),
        Key::new("decryption", Form::Word(&["none"]), "Only `none`, which has to be there."),
        FLOW,
        Key::new("fallbacks", Form::List(&Form::Any), "Where others are taken.")
            .alias(&["fallback"])
            .only_off("a fallback is only there for `trojan`"),
        TEST_SEED,
    ],
};

pub(in crate::v2ray) static CLIENT: KeyTable = KeyTable {
    name: "VlessClient",
    path: "clients[] of a `vless` inbound",
    doc: "A user who may come in.",
    keys: &[
        ID,
        NAME,
        LEVEL,
        FLOW,
        Key::new("encryption", Form::Word(&["none"]), "A key of outbounds; only `none`."),
        REVERSE,
        SEED,
        TEST_SEED,
    ],
};

pub(in crate::v2ray) static OUTBOUND: KeyTable = KeyTable {
    name: "VlessOutboundSettings",
    path: "the settings of a `vless` outbound",
    doc: "Settings of an outbound with the protocol `vless`: `vnext`, or one server with its user. It encrypts nothing itself, so it goes over TLS.",
    keys: &[
        Key::new("vnext", Form::Objects("VlessServer"), "The servers; connections go to them in turn."),
        ADDRESS,
        PORT,
        ID,
        ENCRYPTION,
        FLOW,
        LEVEL_OF_OUTBOUND,
        EMAIL_OF_OUTBOUND,
        REVERSE,
        SEED,
        TEST_SEED,
        TEST_PRE,
    ],
};

pub(in crate::v2ray) static SERVER: KeyTable = KeyTable {
    name: "VlessServer",
    path: "vnext[] of a `vless` outbound",
    doc: "A server of VLESS.",
    keys: &[
        ADDRESS,
        PORT,
        Key::new("users", Form::Objects("VlessUser"), "The user there; of several the first is used."),
    ],
};

pub(in crate::v2ray) static USER: KeyTable = KeyTable {
    name: "VlessUser",
    path: "users[] of a `vless` server",
    doc: "A user at a server of VLESS.",
    keys: &[
        ID,
        ENCRYPTION,
        FLOW,
        LEVEL_OF_OUTBOUND,
        EMAIL_OF_OUTBOUND,
        REVERSE,
        SEED,
        TEST_SEED,
        TEST_PRE,
        Key::new("security", Form::Text, "A key of `vmess` that front ends write here too; not read."),
        Key::new("alterId", Form::Number, "A key of `vmess` that front ends write here too; not read."),
    ],
};

const SERVERS: Servers = Servers {
    table: &OUTBOUND,
    list: "vnext",
    server: &SERVER,
    example: "\"vnext\": [{\"address\": \"…\", \"port\": 443, \"users\": [{\"id\": \"…\", \"encryption\": \"none\"}]}]",
};

/// Reads the servers of an outbound.
pub(in crate::v2ray) fn read_outbound(
    outbound: &Object<'_>,
    report: &mut Report<'_>,
) -> Option<Vec<ProxyServer<UserId>>> {
    SERVERS.read(
        outbound,
        |server, report| read_first_user(server, &USER, read_account, report),
        read_account,
        report,
    )
}

fn read_account(user: &Object<'_>, report: &mut Report<'_>) -> Option<UserId> {
    check_flow(user, report);
    check_none(user, "encryption", report);
    if !require(user, &["encryption"], "a user of `vless`", report) {
        report.help("add `\"encryption\": \"none\"`");
    }
    if !require(user, &["id"], "a user of `vless`", report) {
        return None;
    }
    read_user_id(user.text("id", report)?, report)
}

fn check_none(object: &Object<'_>, name: &str, report: &mut Report<'_>) {
    if let Some(written) = object.text(name, report)
        && written.value != "none"
    {
        let message = match written.value {
            "" => format!("`{name}` has to be `none`"),
            value => format!("{} as `{name}` is not available in this version", quote(&hide_keys(value))),
        };
        report.error(written.span, message).help("write `none` on both ends, and use TLS");
    }
}

/// Reads the users of an inbound, and what its connections are carried under.
pub(in crate::v2ray) fn read_inbound(
    inbound: &Object<'_>,
    policies: &Policies,
    report: &mut Report<'_>,
) -> Option<(Vec<User<UserId>>, Policy)> {
    let settings = require_inbound_settings(inbound, &INBOUND, report)?;
    check_flow(&settings, report);
    check_none(&settings, "decryption", report);
    if !require(&settings, &["decryption"], "a `vless` inbound", report) {
        report.help("add `\"decryption\": \"none\"`");
    }
    let (mut seen, mut levels) = (Seen::default(), Levels::default());
    let mut users = Vec::new();
    for item in require_clients(&settings, "{\"id\": \"…\"}", report) {
        let Some(user) = Object::read(item, "clients[]", &CLIENT, report) else { continue };
        check_flow(&user, report);
        check_none(&user, "encryption", report);
        levels.read(&user, 0, report);
        users.extend(read_user(&user, &mut seen, report));
    }
    (!users.is_empty()).then(|| (users, levels.policy(policies)))
}
