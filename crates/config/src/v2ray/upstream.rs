use super::{
    accounts::{LEVELS, Login, build_account},
    host,
};
use crate::{
    Span,
    json::Value,
    keys::{Form, Key, KeyTable},
    model::{Account, ProxyServer},
    object::{Object, read_port},
    report::{Report, quote},
    transport::warn_without_effect,
};

const EXAMPLE: &str = "\"servers\": [{\"address\": \"…\", \"port\": 1080}]";
const EMAIL: &str = "it only names the user in statistics, which do not exist";

pub(super) static SOCKS_OUTBOUND: KeyTable = KeyTable {
    name: "SocksOutboundSettings",
    path: "the settings of a `socks` outbound",
    doc: "Settings of an outbound with the protocol `socks`: `servers`, or one server as in an element of it.",
    keys: &[
        Key::new("servers", Form::Objects("Server"), "The servers; connections go to them in turn."),
        Key::new("address", Form::Text, "The address or name of the only server."),
        Key::new("port", Form::Port, "The port of the only server."),
        Key::new("user", Form::Text, "The login name at the only server.").alias(&["username"]),
        Key::new("pass", Form::Text, "The password at the only server.").alias(&["password"]),
        Key::new("version", Form::Word(&["5"]), "The version of SOCKS; only `5`."),
        Key::new("level", Form::Number, "The policy level of the user.").no_effect(LEVELS),
        Key::new("email", Form::Text, "The name of the user in statistics.").no_effect(EMAIL),
    ],
};

pub(super) static HTTP_OUTBOUND: KeyTable = KeyTable {
    name: "HttpOutboundSettings",
    path: "the settings of an `http` outbound",
    doc: "Settings of an outbound with the protocol `http`: `servers`, or one server as in an element of it.",
    keys: &[
        Key::new("servers", Form::Objects("Server"), "The servers; connections go to them in turn."),
        Key::new("address", Form::Text, "The address or name of the only server."),
        Key::new("port", Form::Port, "The port of the only server."),
        Key::new("user", Form::Text, "The login name at the only server.").alias(&["username"]),
        Key::new("pass", Form::Text, "The password at the only server.").alias(&["password"]),
        Key::new("headers", Form::Map, "Further headers of the CONNECT request.")
            .only_off("further headers are not available in this version"),
        Key::new("level", Form::Number, "The policy level of the user.").no_effect(LEVELS),
        Key::new("email", Form::Text, "The name of the user in statistics.").no_effect(EMAIL),
    ],
};

pub(super) static SERVER: KeyTable = KeyTable {
    name: "Server",
    path: "servers[]",
    doc: "A proxy server that connections are passed on to.",
    keys: &[
        Key::new("address", Form::Text, "Its address or name."),
        Key::new("port", Form::Port, "Its port."),
        Key::new("users", Form::Objects("User"), "The account at the server; of several the first is used."),
        Key::new("level", Form::Number, "The policy level of the user.").no_effect(LEVELS),
        Key::new("email", Form::Text, "The name of the user in statistics.").no_effect(EMAIL),
    ],
};

pub(super) static USER: KeyTable = KeyTable {
    name: "User",
    path: "users[]",
    doc: "An account at a proxy server.",
    keys: &[
        Key::new("user", Form::Text, "The login name.").alias(&["username"]),
        Key::new("pass", Form::Text, "The password.").alias(&["password"]),
        Key::new("level", Form::Number, "The policy level of the user.").no_effect(LEVELS),
        Key::new("email", Form::Text, "The name of the user in statistics.").no_effect(EMAIL),
    ],
};

pub(super) fn read_socks(outbound: &Object<'_>, report: &mut Report<'_>) -> Option<Vec<ProxyServer>> {
    let settings = require_settings(outbound, &SOCKS_OUTBOUND, report)?;
    if let Some(version) = settings.text("version", report)
        && version.value != "5"
    {
        let message = format!("SOCKS version {} is not supported", quote(version.value));
        report.error(version.span, message).help("only `5` is available in this version");
    }
    read_servers(&settings, Login::Socks, report)
}

pub(super) fn read_http(outbound: &Object<'_>, report: &mut Report<'_>) -> Option<Vec<ProxyServer>> {
    let settings = require_settings(outbound, &HTTP_OUTBOUND, report)?;
    read_servers(&settings, Login::Http, report)
}

pub(super) fn require_settings<'a>(
    outbound: &Object<'a>,
    table: &'static KeyTable,
    report: &mut Report<'_>,
) -> Option<Object<'a>> {
    if !outbound.has("settings") {
        report_no_server(outbound.span, EXAMPLE, report);
        return None;
    }
    outbound.object("settings", table, report)
}

pub(super) fn report_no_server(span: Span, example: &str, report: &mut Report<'_>) {
    report
        .error(
            Span { start: span.start, end: span.start + 1 },
            "there is no server to pass connections on to",
        )
        .help(format!("add `{example}` to the settings"));
}

fn read_servers(settings: &Object<'_>, login: Login, report: &mut Report<'_>) -> Option<Vec<ProxyServer>> {
    if let (Some(_), Some(flat)) = (settings.get("servers"), settings.get("address")) {
        report.error(flat.key_span, "`servers` and a single `address` exclude each other");
        return None;
    }
    if settings.has("address") {
        let account = if settings.has("user") || settings.has("pass") {
            build_account(settings, login, report).map(|(account, _)| account)
        } else {
            None
        };
        return Some(vec![read_server(settings, account, report)?]);
    }
    let reason = "each server of `servers` has its own";
    warn_without_effect(settings, &["port", "user", "pass"], reason, report);
    let items = settings.items("servers", report);
    if items.is_empty() {
        if settings.get("servers").is_none_or(|field| field.value.items().is_some()) {
            report_no_server(settings.span, EXAMPLE, report);
        }
        return None;
    }
    let servers: Vec<ProxyServer> = items
        .iter()
        .filter_map(|item| {
            let server = Object::read(item, "servers[]", &SERVER, report)?;
            let account = read_users(server.items("users", report), login, report);
            read_server(&server, account, report)
        })
        .collect();
    (!servers.is_empty()).then_some(servers)
}

/// Reads where a server is; `server` has the keys `address` and `port`.
pub(super) fn read_server<A>(
    server: &Object<'_>,
    account: A,
    report: &mut Report<'_>,
) -> Option<ProxyServer<A>> {
    for name in ["address", "port"] {
        if !server.has(name) {
            let brace = Span { start: server.span.start, end: server.span.start + 1 };
            report.error(brace, format!("a server needs `{name}`"));
        }
    }
    let port = server.get("port").and_then(|field| read_port(field, report));
    let address = server.text("address", report)?;
    let host = host::read(address, report);
    Some(ProxyServer { host: host?, port: port?, account })
}

/// Warns that only the first of several users counts.
pub(super) fn warn_of_other_users(items: &[Value], report: &mut Report<'_>) {
    if let Some(second) = items.get(1) {
        let message = format!("the first of {} users is used, the others are not", items.len());
        report.warning(second.span, message).help("remove the others, or add the server once for each");
    }
}

fn read_users(items: &[Value], login: Login, report: &mut Report<'_>) -> Option<Account> {
    warn_of_other_users(items, report);
    let accounts: Vec<Account> = items
        .iter()
        .filter_map(|item| {
            let user = Object::read(item, "users[]", &USER, report)?;
            build_account(&user, login, report).map(|(account, _)| account)
        })
        .collect();
    accounts.into_iter().next()
}
