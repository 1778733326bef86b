//! Protocols with keys of their own: `shadowsocks`, `vmess`, `vless` and `trojan`.

pub(super) mod shadowsocks;
pub(super) mod trojan;
pub(super) mod vless;
pub(super) mod vmess;

use super::{
    accounts::LEVELS,
    policy::Policies,
    upstream::{read_server, report_no_server, require_settings, warn_of_other_users},
};
use crate::{
    Span,
    json::Value,
    keys::{Form, Key, KeyTable, Status},
    model::{Policy, ProxyServer},
    object::Object,
    report::Report,
    transport::warn_without_effect,
};

/// The keys that every server of an outbound has.
const ADDRESS: Key = Key::new("address", Form::Text, "Its address or name.");
const PORT: Key = Key::new("port", Form::Port, "Its port.");
const LEVEL_OF_OUTBOUND: Key =
    Key::new("level", Form::Number, "The policy level of the user.").no_effect(LEVELS);
const EMAIL_OF_OUTBOUND: Key = Key::new("email", Form::Text, "A name for the user; not read.");
/// The keys that every user of an inbound has.
const LEVEL: Key = Key::new(
    "level",
    Form::up_to(0xffff_ffff),
    "The policy level of the user; the same for all of one inbound.",
);
const NAME: Key = Key::new("email", Form::Text, "The name of the user; `user` conditions see it.");
const REVERSE: Key = Key::new("reverse", Form::Any, "Reverse proxies.")
    .only_off("reverse proxies are not available in this version");

/// Where an outbound keeps its servers.
struct Servers {
    /// The settings.
    table: &'static KeyTable,
    /// The key with the list of servers.
    list: &'static str,
    /// An element of it.
    server: &'static KeyTable,
    /// What to write if there is none.
    example: &'static str,
}

impl Servers {
    /// Reads the servers of the list, or the one that stands in the settings directly. `account` reads
    /// how this end proves itself from an element of the list, `flat` from the settings.
    fn read<A>(
        &self,
        outbound: &Object<'_>,
        account: impl Fn(&Object<'_>, &mut Report<'_>) -> Option<A>,
        flat: impl Fn(&Object<'_>, &mut Report<'_>) -> Option<A>,
        report: &mut Report<'_>,
    ) -> Option<Vec<ProxyServer<A>>> {
        if !outbound.has("settings") {
            report_no_server(outbound.span, self.example, report);
            return None;
        }
        let settings = require_settings(outbound, self.table, report)?;
        if let (Some(_), Some(address)) = (settings.get(self.list), settings.get("address")) {
            let message = format!("`{}` and a single `address` exclude each other", self.list);
            report.error(address.key_span, message);
            return None;
        }
        if settings.has("address") {
            let account = flat(&settings, report);
            return Some(vec![with_account(read_server(&settings, account, report)?)?]);
        }
        let of_one = self.table.keys.iter().filter(|key| key.status == Status::Supported);
        let of_one: Vec<&str> = of_one.map(|key| key.name).filter(|name| *name != self.list).collect();
        warn_without_effect(
            &settings,
            &of_one,
            &format!("each server of `{}` has its own", self.list),
            report,
        );
        let items = settings.items(self.list, report);
        if items.is_empty() {
            if settings.get(self.list).is_none_or(|field| field.value.items().is_some()) {
                report_no_server(settings.span, self.example, report);
            }
            return None;
        }
        let servers: Vec<_> = items
            .iter()
            .filter_map(|item| {
                let server = Object::read(item, self.list, self.server, report)?;
                let account = account(&server, report);
                with_account(read_server(&server, account, report)?)
            })
            .collect();
        (!servers.is_empty()).then_some(servers)
    }
}

fn with_account<A>(server: ProxyServer<Option<A>>) -> Option<ProxyServer<A>> {
    let ProxyServer { host, port, account } = server;
    Some(ProxyServer { host, port, account: account? })
}

/// Reads the first of `users` of a server.
fn read_first_user<A>(
    server: &Object<'_>,
    table: &'static KeyTable,
    read: impl Fn(&Object<'_>, &mut Report<'_>) -> Option<A>,
    report: &mut Report<'_>,
) -> Option<A> {
    let items = server.items("users", report);
    if items.is_empty() && server.get("users").is_none_or(|field| field.value.items().is_some()) {
        report.error(brace(server.span), "a server needs `users`, of which the first is used");
    }
    warn_of_other_users(items, report);
    let users: Vec<Option<A>> = items
        .iter()
        .map(|item| {
            let user = Object::read(item, "users[]", table, report)?;
            read(&user, report)
        })
        .collect();
    users.into_iter().next().flatten()
}

/// The elements of `clients` of an inbound, which needs one.
fn require_clients<'a>(settings: &Object<'a>, example: &str, report: &mut Report<'_>) -> &'a [Value] {
    let items = settings.items("clients", report);
    if items.is_empty() && settings.get("clients").is_none_or(|field| field.value.items().is_some()) {
        let place = settings.get("clients").map_or_else(|| brace(settings.span), |field| field.key_span);
        report
            .error(place, "nobody could come in, because there are no `clients`")
            .help(format!("add `\"clients\": [{example}]` to the settings"));
    }
    items
}

/// The settings of an inbound, which needs them.
fn require_inbound_settings<'a>(
    inbound: &Object<'a>,
    table: &'static KeyTable,
    report: &mut Report<'_>,
) -> Option<Object<'a>> {
    if !inbound.has("settings") {
        report.error(brace(inbound.span), "this inbound needs `settings`").help("they say who may come in");
        return None;
    }
    inbound.object("settings", table, report)
}

fn brace(span: Span) -> Span {
    Span { start: span.start, end: span.start + 1 }
}

/// The levels of the users of one inbound, which have to be the same.
#[derive(Default)]
struct Levels {
    first: Option<(u32, Span)>,
}

impl Levels {
    /// Reads `level` of a user, or `default` if it has none.
    fn read(&mut self, user: &Object<'_>, default: u32, report: &mut Report<'_>) {
        let level = user.count("level", 0..=u32::MAX, report).unwrap_or(default);
        let place = user.get("level").map_or_else(|| brace(user.span), |field| field.value.span);
        match self.first {
            None => self.first = Some((level, place)),
            Some((first, at)) if first != level => {
                let line = report.line(at);
                report
                    .error(
                        place,
                        format!("this user has the level {level}, and that on line {line} has {first}: levels that differ within one inbound are not available"),
                    )
                    .help("give all of them the same `level`, or make an inbound for each");
            }
            Some(_) => {}
        }
    }

    fn policy(&self, policies: &Policies) -> Policy {
        policies.at(self.first.map_or(0, |(level, _)| level))
    }
}
