//! `dns.rules`: who is asked for which name.

use waypost_net::Tag;

use super::{
    conditions, dial, dns,
    dns_special::{Special, Specials},
    names::Names,
    rule,
};
use crate::{
    Span, Spanned,
    json::{Kind as Json, Number, Value},
    keys::{Form, Key, KeyTable, Status, join},
    model::{AddressFamily, Dns, DnsRule, Matcher, Outbound, ResolveOptions},
    object::{Object, choose},
    report::{Report, quote},
};

const ANSWERS: &str = "answers are not looked at; remove the condition, or the rule";
const FIXED: &str = "fixed answers are not available in this version; use a server of the type `hosts`";

const ACTION: [Key; 19] = [
    Key::new(
        "action",
        Form::Word(&["", "route", "reject", "predefined"]),
        "What is done: `route`, which asks a server, or `reject`; `predefined` is `reject`.",
    ),
    Key::new("server", Form::Text, "The server that is asked, by its tag."),
    Key::new(
        "query_type",
        Form::Any,
        "What is asked for: `A` and `AAAA` together; rules about other questions have no effect.",
    ),
    Key::new(
        "outbound",
        Form::OneOrMany(&Form::Text),
        "Old form: the outbounds whose names it is about, or `any`; use `domain_resolver`.",
    ),
    Key::new("strategy", dial::STRATEGY, "`route`: which addresses are asked for."),
    Key::new("disable_cache", Form::Flag, "`route`: whether what is known already does not count."),
    Key::new(
        "client_subnet",
        Form::Text,
        "`route`: the network that the server is told the client to be in (RFC 7871).",
    ),
    Key::new("rewrite_ttl", Form::up_to(u32::MAX as u64), "How long the answer counts.")
        .no_effect("answers count as long as the server says"),
    Key::new("disable_optimistic_cache", Form::Flag, "Whether old answers do not count.")
        .no_effect("old answers are not used"),
    Key::new("method", Form::Word(&["", "default", "drop"]), "`reject`: what the client gets to know.")
        .no_effect("the client is told that its question is refused"),
    Key::new("no_drop", Form::Flag, "`reject`: whether many rejections are still answered.")
        .no_effect("all rejections are answered"),
    Key::new("rcode", Form::Text, "`predefined`: the code of the answer; the client is told `REFUSED`."),
    Key::new("answer", Form::Any, "`predefined`: what is answered.").only_off(FIXED),
    Key::new("ns", Form::Any, "`predefined`: what is answered.").only_off(FIXED),
    Key::new("extra", Form::Any, "`predefined`: what is answered.").only_off(FIXED),
    Key::new("ip_accept_any", Form::Flag, "Whether an answer has addresses.").only_off(ANSWERS),
    Key::new("rule_set_ip_cidr_accept_empty", Form::Flag, "Whether answers without addresses count.")
        .only_off(ANSWERS),
    Key::new("match_response", Form::Flag, "Whether the rule is about an answer.").only_off(ANSWERS),
    Key::new("network_type", Form::OneOrMany(&Form::Text), "The type of the network.")
        .unsupported("the network is not looked at; remove the condition"),
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

const ACTIONS: [(&str, Action); 6] = [
    ("route", Action::Route),
    ("reject", Action::Reject),
    ("predefined", Action::Reject),
    ("route-options", Action::Other),
    ("evaluate", Action::Other),
    ("respond", Action::Other),
];

/// What rules may name.
pub(super) struct Known<'k> {
    pub(super) outbounds: &'k mut [Outbound],
    pub(super) specials: &'k Specials,
}

/// Reads a rule into `dns`.
pub(super) fn read(
    value: &Value,
    dns: &mut Dns,
    known: &mut Known<'_>,
    names: &mut Names,
    report: &mut Report<'_>,
) {
    let n_errors = report.n_errors();
    let Some(object) = Object::read(value, "dns.rules[]", &RULE, report) else { return };
    refuse_conditions(&object, report);
    let mut action = read_action(&object, report);
    let written = object.text("server", report).filter(|server| !server.value.is_empty());
    let special = written.and_then(|server| known.specials.find(server.value));
    let server = match special {
        None => written.and_then(|server| names.dns_servers.find(server, "DNS server", report)),
        Some(_) => None,
    };
    if special == Some(Special::Refuses) && action == Some(Action::Route) {
        action = Some(Action::Reject);
    }
    if action == Some(Action::Route) && !object.has("server") {
        report.error(object.span, "this DNS rule names no `server`").help("write the tag of one");
    }
    let draft = read_options(&object, action == Some(Action::Route), report);
    if report.n_errors() > n_errors || is_about_other_questions(&object, report) {
        return;
    }
    if let Some((field, tags)) = object.one_or_many("outbound") {
        report
            .warning(field.key_span, "`outbound` is the old form, which sing-box 1.14 no longer has")
            .help("write `default_domain_resolver` into `route`, or `domain_resolver` into the outbound");
        match server {
            Some(server) => resolve_for(tags, &server, dns, known.outbounds, names, report),
            None if special == Some(Special::MakesUp) => {}
            None => {
                report
                    .error(field.value.span, "names that an outbound dials cannot be refused")
                    .help("refuse its connections with a rule in `route.rules`");
            }
        }
        return;
    }
    let Some(matcher) = rule::read_matcher(&object, (0, n_errors), names, report) else { return };
    // Of questions for addresses, which all rules here are about, the rule inverts "every one".
    if let Matcher::One(conditions) = &matcher
        && conditions.invert
        && conditions::is_empty(conditions)
    {
        warn_of_other_questions(object.span, report);
        return;
    }
    let place = server.map(|server| dns::place_of(dns, &server.value));
    // A server with an error has been reported.
    let is_unread = matches!((place, action), (Some(None), Some(Action::Route)));
    if !is_unread && special != Some(Special::MakesUp) {
        let server = place.flatten().filter(|_| action == Some(Action::Route));
        dns.rules.push(DnsRule { matcher, server, ..draft });
    }
}

/// A rule with what says how its server is asked, if it `asks` one.
fn read_options(object: &Object<'_>, asks: bool, report: &mut Report<'_>) -> DnsRule {
    let family = dial::read_strategy(object, "strategy", report).filter(|_| asks);
    DnsRule {
        matcher: Matcher::One(Box::default()),
        server: None,
        family: family.map(AddressFamily::from).unwrap_or_default(),
        disable_cache: asks && object.flag("disable_cache", report).is_some_and(|flag| flag.value),
        client_ip: dial::read_client_subnet(object, report).filter(|_| asks),
        span: object.span,
    }
}

fn refuse_conditions(object: &Object<'_>, report: &mut Report<'_>) {
    for key in conditions::KEYS.iter().filter(|key| !ABOUT_NAMES.contains(&key.name)) {
        let is_refused_already = matches!(key.status, Status::Unsupported(_));
        if let Some(field) = object.get(key.name).filter(|_| !is_refused_already) {
            report
                .error(
                    field.key_span,
                    format!("`{}` in a DNS rule is not available in this version", key.name),
                )
                .help("a look-up knows the name only; remove the condition, or the rule");
        }
    }
}

fn read_action(object: &Object<'_>, report: &mut Report<'_>) -> Option<Action> {
    let Some(written) = object.text("action", report).filter(|action| !action.value.is_empty()) else {
        return Some(Action::Route);
    };
    let action = choose("action", written, &ACTIONS, report);
    if action == Some(Action::Other) {
        let message =
            format!("the action {} of DNS rules is not available in this version", quote(written.value));
        report.error(written.span, message).help("there are `route` and `reject`");
    }
    action
}

/// The old form of `domain_resolver` and `default_domain_resolver`, which win.
fn resolve_for(
    tags: &[Value],
    server: &Spanned<Tag>,
    dns: &mut Dns,
    outbounds: &mut [Outbound],
    names: &Names,
    report: &mut Report<'_>,
) {
    // Rules after one for `any` are not reached.
    if dns.resolver.is_some() {
        return;
    }
    let resolver = ResolveOptions { server: Some(server.clone()), ..ResolveOptions::default() };
    for value in tags {
        let Some(tag) = value.text() else {
            report.error(value.span, format!("expected a string in `outbound`, found {}", value.found()));
            continue;
        };
        if tag == "any" {
            dns.resolver = Some(resolver.clone());
        } else if names.outbounds.contains(tag) {
            let named = outbounds
                .iter_mut()
                .find(|outbound| outbound.tag.as_ref().is_some_and(|known| known.value.as_str() == tag));
            if let Some(outbound) = named.filter(|outbound| outbound.protocol.dials()) {
                outbound.resolve.get_or_insert_with(|| resolver.clone());
            }
        } else {
            report.warning(value.span, format!("there is no outbound with the tag {}", quote(tag)));
            names.outbounds.suggest(tag, "outbound", report);
        }
    }
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
    let is_inverted = object.flag("invert", report).is_some_and(|invert| invert.value);
    match n_for_addresses {
        0 if is_inverted => {
            report
                .error(field.key_span, "`query_type` together with `invert` is not available in this version")
                .help("remove one of the two");
            true
        }
        0 => {
            warn_of_other_questions(field.key_span, report);
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

fn warn_of_other_questions(span: Span, report: &mut Report<'_>) {
    report
        .warning(span, "this rule has no effect: questions that are not for addresses pass no rule")
        .help("remove the rule");
}
