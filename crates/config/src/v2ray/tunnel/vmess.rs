//! `vmess`.

use super::{
    ADDRESS, EMAIL_OF_OUTBOUND, LEVEL, LEVEL_OF_OUTBOUND, Levels, NAME, PORT, Servers, read_first_user,
    require_clients, require_inbound_settings,
};
use crate::{
    Spanned,
    credentials::{Seen, check_alter_id, read_name, read_security, read_user_id, require},
    keys::{Form, Key, KeyTable},
    model::{Policy, ProxyServer, User, UserId, VmessAccount},
    object::Object,
    report::Report,
    v2ray::policy::Policies,
};

const ID: Key = Key::new("id", Form::Text, "Its id: a UUID, or a text of up to 30 bytes.");
const ALTER_ID: Key = Key::new("alterId", Form::up_to(0xffff), "Only 0: legacy VMess is not available.");
const SECURITY: Key = Key::new(
    "security",
    Form::Word(&["auto", "aes-128-gcm", "chacha20-poly1305", "none", "zero"]),
    "How what is sent is encrypted; `auto` without it.",
);
const EXPERIMENTS: Key = Key::new("experiments", Form::Text, "Experiments of V2Ray.")
    .alias(&["testsEnabled"])
    .only_off("it is not available in this version");

pub(in crate::v2ray) static INBOUND: KeyTable = KeyTable {
    name: "VmessInboundSettings",
    path: "the settings of a `vmess` inbound",
    doc: "Settings of an inbound with the protocol `vmess`.",
    keys: &[
        Key::new("clients", Form::Objects("VmessClient"), "Who may come in; at least one.").alias(&["users"]),
        Key::new("default", Form::Object("VmessDefault"), "What holds for users that do not say it."),
        Key::new("detour", Form::Any, "Another inbound that takes over.")
            .only_off("it is not available in this version"),
        Key::new("features", Form::Any, "Old form of `detour`.")
            .only_off("it is not available in this version"),
        Key::new("disableInsecureEncryption", Form::Flag, "Whether old ways to encrypt are refused.")
            .no_effect("legacy VMess does not exist here, and of the other ways clients choose one"),
    ],
};

pub(in crate::v2ray) static DEFAULT: KeyTable = KeyTable {
    name: "VmessDefault",
    path: "default",
    doc: "What holds for users of a `vmess` inbound that do not say it.",
    keys: &[LEVEL, ALTER_ID],
};

pub(in crate::v2ray) static CLIENT: KeyTable = KeyTable {
    name: "VmessClient",
    path: "clients[] of a `vmess` inbound",
    doc: "A user who may come in.",
    keys: &[
        ID,
        ALTER_ID,
        NAME,
        LEVEL,
        Key::new(
            "security",
            Form::Text,
            "A key of outbounds that front ends write here too; not read, because clients choose how they encrypt.",
        ),
        EXPERIMENTS,
    ],
};

pub(in crate::v2ray) static OUTBOUND: KeyTable = KeyTable {
    name: "VmessOutboundSettings",
    path: "the settings of a `vmess` outbound",
    doc: "Settings of an outbound with the protocol `vmess`: `vnext`, or one server with its user.",
    keys: &[
        Key::new("vnext", Form::Objects("VmessServer"), "The servers; connections go to them in turn."),
        ADDRESS,
        PORT,
        ID,
        ALTER_ID,
        SECURITY,
        LEVEL_OF_OUTBOUND,
        EMAIL_OF_OUTBOUND,
        EXPERIMENTS,
    ],
};

pub(in crate::v2ray) static SERVER: KeyTable = KeyTable {
    name: "VmessServer",
    path: "vnext[] of a `vmess` outbound",
    doc: "A server of VMess.",
    keys: &[
        ADDRESS,
        PORT,
        Key::new("users", Form::Objects("VmessUser"), "The user there; of several the first is used."),
    ],
};

pub(in crate::v2ray) static USER: KeyTable = KeyTable {
    name: "VmessUser",
    path: "users[] of a `vmess` server",
    doc: "A user at a server of VMess.",
    keys: &[ID, ALTER_ID, SECURITY, LEVEL_OF_OUTBOUND, EMAIL_OF_OUTBOUND, EXPERIMENTS],
};

const SERVERS: Servers = Servers {
    table: &OUTBOUND,
    list: "vnext",
    server: &SERVER,
    example: "\"vnext\": [{\"address\": \"…\", \"port\": 443, \"users\": [{\"id\": \"…\"}]}]",
};

/// Reads the servers of an outbound.
pub(in crate::v2ray) fn read_outbound(
    outbound: &Object<'_>,
    report: &mut Report<'_>,
) -> Option<Vec<ProxyServer<VmessAccount>>> {
    SERVERS.read(
        outbound,
        |server, report| read_first_user(server, &USER, read_account, report),
        read_account,
        report,
    )
}

fn read_account(user: &Object<'_>, report: &mut Report<'_>) -> Option<VmessAccount> {
    check_alter_id(user, "alterId", report);
    let security = read_security(user, report);
    if !require(user, &["id"], "a user of `vmess`", report) {
        return None;
    }
    let id = read_user_id(user.text("id", report)?, report);
    Some(VmessAccount { id: id?, security: security? })
}

/// Reads the users of an inbound, and what its connections are carried under.
pub(in crate::v2ray) fn read_inbound(
    inbound: &Object<'_>,
    policies: &Policies,
    report: &mut Report<'_>,
) -> Option<(Vec<User<UserId>>, Policy)> {
    let settings = require_inbound_settings(inbound, &INBOUND, report)?;
    let default = settings.object("default", &DEFAULT, report);
    let default_level = default.map_or(0, |default| {
        check_alter_id(&default, "alterId", report);
        default.count("level", 0..=u32::MAX, report).unwrap_or(0)
    });
    let (mut seen, mut levels) = (Seen::default(), Levels::default());
    let mut users = Vec::new();
    for item in require_clients(&settings, "{\"id\": \"…\"}", report) {
        let Some(user) = Object::read(item, "clients[]", &CLIENT, report) else { continue };
        check_alter_id(&user, "alterId", report);
        levels.read(&user, default_level, report);
        users.extend(read_user(&user, &mut seen, report));
    }
    (!users.is_empty()).then(|| (users, levels.policy(policies)))
}

/// Reads a user by `id` and `email`.
pub(super) fn read_user(user: &Object<'_>, seen: &mut Seen, report: &mut Report<'_>) -> Option<User<UserId>> {
    let name = read_name(user, "email", report);
    if !require(user, &["id"], "a user", report) {
        return None;
    }
    let written = user.text("id", report)?;
    let id = read_user_id(written, report)?;
    let is_new = seen.admit(name.as_ref(), "id", Spanned::new(&id.expose(), written.span), report);
    is_new.then(|| User { name: name.map(|name| name.value), credential: id })
}
