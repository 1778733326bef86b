//! `dns.rules`: who is asked for which name.

use super::{conditions, dns, names::Names, rule};
use crate::{
    json::{Kind as Json, Number, Value},
    keys::{Form, Key, KeyTable, join},
    model::{Dns, DnsRule, ResolveOptions},
    object::{Object, choose},
    report::Report,
};

const ACTION: [Key; 9] = [
    Key::new(
        "action",
        Form::Word(&["", "route", "reject", "route-options", "predefined"]),
        "What is done: `route`, which asks a server, or `reject`.",
    ),
    Key::new("server", Form::Text, "The server that is asked, by its tag."),
    Key::new("query_type", Form::Any, "What is asked for, such as `A` or `AAAA`; one or many."),
    Key::new(
        "outbound",
        Form::Any,
        "Old form: `any`, for the names that outbounds dial; use `route.default_domain_resolver`.",
    ),
    Key::new("method", Form::Word(&["", "default", "drop"]), "`reject`: what the client gets to know.")
        .no_effect("the client is told that its question is refused"),
    Key::new("no_drop", Form::Flag, "`reject`: whether many rejections are still answered.")
        .no_effect("all rejections are answered"),
    Key::new("disable_cache", Form::Flag, "Whether the answer is forgotten at once.")
        .only_off("set it for all servers with `dns.disable_cache`"),
    Key::new("rewrite_ttl", Form::up_to(u32::MAX as u64), "How long the answer counts.")
        .no_effect("answers count as long as the server says"),
    Key::new("client_subnet", Form::Text, "The network that the server is told the client to be in.")
        .only_off("set it for all servers with `dns.client_subnet`"),
];

static KEYS: [Key; rule::LOGIC.len() + conditions::KEYS.len() + ACTION.len()] =
    join(&[&rule::LOGIC, conditions::KEYS, &ACTION]);

pub(super) static RULE: KeyTable = KeyTable {
    name: "DnsRule",
    path: "dns.rules[]",
    doc: "Says who is asked for the names that it matches. Conditions are about names: `domain` and its relatives, `rule_set`, and logical rules of those.",
    keys: &KEYS,
};

/// What conditions of a DNS rule may be about: the name, and nothing that a look-up does not know.
const ABOUT_NAMES: [&str; 8] = [
    "domain",
    "domain_suffix",
    "domain_keyword",
    "domain_regex",
    "geosite",
    "rule_set",
    "clash_mode",
    "invert",
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    Route,
    Reject,
    Other,
}

const ACTIONS: [(&str, Action); 5] = [
    ("route", Action::Route),
    ("reject", Action::Reject),
    ("route-options", Action::Other),
    ("predefined", Action::Other),
    ("evaluate", Action::Other),
];

/// Reads a rule into `dns`.
pub(super) fn read(value: &Value, dns: &mut Dns, names: &mut Names, report: &mut Report<'_>) {
    let Some(object) = Object::read(value, "dns.rules[]", &RULE, report) else { return };
    let n_errors = report.n_errors();
    for key in conditions::KEYS.iter().filter(|key| !ABOUT_NAMES.contains(&key.name)) {
        if let Some(field) = object.get(key.name) {
            report
                .error(
                    field.key_span,
                    format!("`{}` in a DNS rule is not available in this version", key.name),
                )
                .help("a look-up knows the name only; remove the condition, or the rule");
        }
    }
    let action = match object.text("action", report).filter(|action| !action.value.is_empty()) {
        Some(action) => choose("action", action, &ACTIONS, report),
        None => Some(Action::Route),
    };
    if action == Some(Action::Other) {
        let span = object.get("action").map_or(object.span, |field| field.value.span);
        report
            .error(span, "this action of DNS rules is not available in this version")
            .help("there are `route` and `reject`");
    }
    let server = object.text("server", report).filter(|server| !server.value.is_empty());
    let server = server.and_then(|server| names.dns_servers.find(server, "DNS server", report));
    if action == Some(Action::Route) && !object.has("server") {
        report.error(object.span, "this DNS rule names no `server`").help("write the tag of one");
    }
    if report.n_errors() > n_errors || is_about_other_questions(&object, report) {
        return;
    }
    if let Some(field) = object.get("outbound") {
        report
            .warning(field.key_span, "`outbound` is the old form, which sing-box 1.14 no longer has")
            .help("write `\"default_domain_resolver\"` into `route`");
        if field.value.text() == Some("any") || field.value.items().is_some_and(|items| items.len() == 1) {
            let resolver = ResolveOptions { server, ..ResolveOptions::default() };
            dns.resolver = dns.resolver.take().or(Some(resolver));
        } else {
            report.error(field.value.span, "only `any` is available in this version");
        }
        return;
    }
    let Some(matcher) = rule::read_matcher(&object, (0, n_errors), names, report) else { return };
    let place = server.map(|server| dns::place_of(dns, &server.value));
    // A server with an error has been reported.
    if let (Some(None), Some(Action::Route)) = (place, action) {
        return;
    }
    dns.rules.push(DnsRule { matcher, server: place.flatten(), span: object.span });
}

/// Whether a rule is only about questions that are not for addresses, which pass no rule here.
fn is_about_other_questions(object: &Object<'_>, report: &mut Report<'_>) -> bool {
    let Some((field, values)) = object.one_or_many("query_type") else { return false };
    let is_for_addresses = |value: &Value| match &value.kind {
        Json::String(text) => matches!(text.to_ascii_uppercase().as_str(), "A" | "AAAA"),
        Json::Number(Number::Unsigned(number)) => matches!(number, 1 | 28),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => false,
    };
    let n_for_addresses = values.iter().filter(|value| is_for_addresses(value)).count();
    match n_for_addresses {
        0 => {
            report
                .warning(
                    field.key_span,
                    "this rule has no effect: questions that are not for addresses pass no rule",
                )
                .help("remove the rule");
            true
        }
        1 => {
            report
                .error(field.key_span, "rules for addresses of one family are not available in this version")
                .help("use `strategy`, or remove the condition");
            true
        }
        _ => false,
    }
}
