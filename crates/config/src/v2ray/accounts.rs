use std::{collections::BTreeMap, sync::Arc};

use waypost_net::Secret;

use super::{policy::Policies, udp};
use crate::{
    Span,
    json::Value,
    keys::{Form, Key, KeyTable},
    model::{Account, ClientProtocol, Policy, UdpInbound},
    object::{Object, choose},
    report::{Report, quote},
};

/// User name and password are each one length octet and that many octets (RFC 1929 §2).
const MAX_SOCKS_BYTES: usize = 255;

pub(super) static SOCKS_INBOUND: KeyTable = KeyTable {
    name: "SocksInboundSettings",
    path: "the settings of a `socks` or `mixed` inbound",
    doc: "Settings of an inbound with the protocol `socks` or `mixed`.",
    keys: &[
        Key::new(
            "auth",
            Form::Word(&["noauth", "password"]),
            "Whether clients have to log in; without `password`, `accounts` are not asked for.",
        ),
        Key::new("accounts", Form::Objects("Account"), "Who may log in."),
        Key::new("udp", Form::Flag, "Whether clients may send datagrams (`UDP ASSOCIATE`); not by default."),
        Key::new(
            "ip",
            Form::Text,
            "The address that clients are told to send datagrams to; without it the one that they came in by.",
        ),
        Key::new(
            "udpPort",
            Form::Port,
            "One port for the datagrams of all clients, who are told apart by their addresses; \
             without it each association has a port of its own.",
        ),
        Key::new("userLevel", Form::up_to(0xffff_ffff), "The policy level of clients."),
        Key::new("timeout", Form::Number, "How long an idle connection lives.")
            .no_effect("old and ignored by V2Ray too"),
        Key::new("allowTransparent", Form::Flag, "A key of `http` inbounds that front ends write here too.")
            .only_off("requests that were not meant for a proxy are refused"),
        Key::new("packetEncoding", Form::Text, "The encoding of datagrams.")
            .no_effect("datagrams have the form of SOCKS5"),
        Key::new("deferLastReply", Form::Flag, "Whether success is told late.")
            .no_effect("it is never told early"),
    ],
};

pub(super) static HTTP_INBOUND: KeyTable = KeyTable {
    name: "HttpInboundSettings",
    path: "the settings of an `http` inbound",
    doc: "Settings of an inbound with the protocol `http`.",
    keys: &[
        Key::new("accounts", Form::Objects("Account"), "Who may log in; if empty, anybody may come in."),
        Key::new(
            "allowTransparent",
            Form::Flag,
            "Whether requests without a host in the first line are forwarded.",
        )
        .only_off("requests that were not meant for a proxy are refused"),
        Key::new("timeout", Form::Number, "How long an idle connection lives.")
            .no_effect("old and ignored by V2Ray too"),
        Key::new("userLevel", Form::up_to(0xffff_ffff), "The policy level of clients."),
    ],
};

pub(super) static ACCOUNT: KeyTable = KeyTable {
    name: "Account",
    path: "accounts[]",
    doc: "A user who may log in at an inbound.",
    keys: &[
        Key::new("user", Form::Text, "The login name; `user` conditions see it.").alias(&["username"]),
        Key::new("pass", Form::Text, "The password.").alias(&["password"]),
    ],
};

pub(super) const LEVELS: &str = "only the level of an inbound counts";

/// Reads `settings` of an inbound; what comes out are the accounts that are in force, what its
/// connections are carried under, and what is done for datagrams.
pub(super) fn read_settings(
    inbound: &Object<'_>,
    protocol: ClientProtocol,
    policies: &Policies,
    report: &mut Report<'_>,
) -> (Vec<Account>, Policy, Option<UdpInbound>) {
    let table = match protocol {
        ClientProtocol::Socks | ClientProtocol::Mixed => &SOCKS_INBOUND,
        ClientProtocol::Http => &HTTP_INBOUND,
    };
    let settings = inbound.object("settings", table, report);
    let policy = policies.of(settings.as_ref(), report);
    let (accounts, udp) = match (settings, protocol) {
        (None, _) => (Vec::new(), None),
        (Some(settings), ClientProtocol::Socks | ClientProtocol::Mixed) => {
            (read_socks(&settings, protocol, report), udp::read(&settings, report))
        }
        (Some(settings), ClientProtocol::Http) => (read_accounts(&settings, Login::Http, report), None),
    };
    (accounts, policy, udp)
}

fn read_socks(settings: &Object<'_>, protocol: ClientProtocol, report: &mut Report<'_>) -> Vec<Account> {
    let login = if protocol == ClientProtocol::Mixed { Login::Both } else { Login::Socks };
    let accounts = read_accounts(settings, login, report);
    let auth = settings.text("auth", report);
    let choices = [("noauth", false), ("password", true)];
    let asks = auth.and_then(|auth| choose("auth", auth, &choices, report));
    let given = settings.get("accounts").filter(|field| !field.value.is_off());
    match (asks, given) {
        (Some(true), None) => {
            let span = auth.map_or(settings.span, |auth| auth.span);
            report
                .error(span, "`auth` is `password`, but there are no `accounts`")
                .help("add `\"accounts\": [{\"user\": \"…\", \"pass\": \"…\"}]`");
            Vec::new()
        }
        (Some(true), Some(_)) => accounts,
        // Whatever the misspelled word is, it is not `noauth`.
        (None, Some(_)) if auth.is_some() => accounts,
        (Some(false) | None, Some(field)) => {
            report
                .warning(field.key_span, "`accounts` are not asked for, so anybody may come in")
                .help("add `\"auth\": \"password\"`");
            Vec::new()
        }
        (Some(false) | None, None) => Vec::new(),
    }
}

/// The ways to log in, which bound what a user name may be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Login {
    Socks,
    Http,
    Both,
}

fn read_accounts(settings: &Object<'_>, login: Login, report: &mut Report<'_>) -> Vec<Account> {
    let mut seen: BTreeMap<Arc<str>, Span> = BTreeMap::new();
    let mut accounts = Vec::new();
    for item in settings.items("accounts", report) {
        let Some((account, span)) = read_account(item, login, report) else { continue };
        match seen.get(&account.user) {
            Some(&first) => {
                let line = report.line(first);
                report.error(span, format!("the user {} is already on line {line}", quote(&account.user)));
            }
            None => {
                seen.insert(Arc::clone(&account.user), span);
                accounts.push(account);
            }
        }
    }
    accounts
}

fn read_account(item: &Value, login: Login, report: &mut Report<'_>) -> Option<(Account, Span)> {
    let object = Object::read(item, "accounts[]", &ACCOUNT, report)?;
    build_account(&object, login, report)
}

/// Builds an account from `user` and `pass` of any object that has both.
pub(super) fn build_account(
    object: &Object<'_>,
    login: Login,
    report: &mut Report<'_>,
) -> Option<(Account, Span)> {
    for name in ["user", "pass"] {
        if !object.has(name) {
            let brace = Span { start: object.span.start, end: object.span.start + 1 };
            report.error(brace, format!("an account needs `{name}`"));
        }
    }
    let user = object.text("user", report);
    let pass = object.text("pass", report);
    let (user, pass) = (user?, pass?);
    let mut valid = true;
    for (name, text) in [("user", user), ("pass", pass)] {
        if login != Login::Http && !(1..=MAX_SOCKS_BYTES).contains(&text.value.len()) {
            valid = false;
            let length = text.value.len();
            let message =
                format!("`{name}` has {length} bytes, SOCKS allows 1 to {MAX_SOCKS_BYTES} (RFC 1929)");
            report.error(text.span, message);
        }
    }
    if login != Login::Socks && user.value.contains(':') {
        valid = false;
        report.error(user.span, "a user name in HTTP cannot have a `:` (RFC 7617)");
    }
    let account = Account { user: user.value.into(), password: Secret::new(pass.value) };
    valid.then_some((account, user.span))
}
