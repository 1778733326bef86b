//! What a rule does.

use super::{dial, host, names::Names};
use crate::{
    Span,
    model::{Reject, RejectMethod, RouteOptions, RuleAction, RuleTarget, SniffOptions},
    nearest,
    object::{Object, choose, read_port},
    report::{Report, all_of, quote},
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Route,
    Reject,
    HijackDns,
    RouteOptions,
    Sniff,
    Resolve,
}

const KINDS: [(&str, Kind); 6] = [
    ("route", Kind::Route),
    ("reject", Kind::Reject),
    ("hijack-dns", Kind::HijackDns),
    ("route-options", Kind::RouteOptions),
    ("sniff", Kind::Sniff),
    ("resolve", Kind::Resolve),
];

/// The keys of actions, with the actions that have them.
const OPTIONS: [(&str, &[Kind]); 13] = [
    ("outbound", &[Kind::Route]),
    ("override_address", &[Kind::Route, Kind::RouteOptions]),
    ("override_port", &[Kind::Route, Kind::RouteOptions]),
    ("udp_timeout", &[Kind::Route, Kind::RouteOptions]),
    ("udp_connect", &[Kind::Route, Kind::RouteOptions]),
    ("method", &[Kind::Reject]),
    ("no_drop", &[Kind::Reject]),
    ("sniffer", &[Kind::Sniff]),
    ("timeout", &[Kind::Sniff]),
    ("server", &[Kind::Resolve]),
    ("strategy", &[Kind::Resolve]),
    ("disable_cache", &[Kind::Resolve]),
    ("client_subnet", &[Kind::Resolve]),
];

/// What can be recognised.
const SNIFFERS: [&str; 10] =
    ["http", "tls", "bittorrent", "dns", "ssh", "rdp", "quic", "stun", "dtls", "ntp"];

/// Reads the action of a rule; `None` if it has an error.
pub(super) fn read(rule: &Object<'_>, names: &mut Names, report: &mut Report<'_>) -> Option<RuleAction> {
    let kind = read_kind(rule, report)?;
    let name = KINDS.iter().find(|(_, known)| *known == kind).map_or("", |(name, _)| name);
    for (key, kinds) in OPTIONS {
        if let Some(field) = rule.get(key).filter(|_| !kinds.contains(&kind)) {
            report.error(field.key_span, format!("the action `{name}` has no `{key}`"));
            let owner = KINDS.iter().find(|(_, known)| kinds.contains(known)).map_or("", |(name, _)| name);
            report.help(format!("remove it, or write `\"action\": \"{owner}\"`"));
        }
    }
    match kind {
        Kind::Route => read_route(rule, names, report),
        Kind::Reject => read_reject(rule, report).map(RuleAction::Reject),
        Kind::HijackDns => Some(RuleAction::HijackDns),
        Kind::RouteOptions => {
            let given =
                ["override_address", "override_port", "udp_timeout"].iter().any(|name| rule.has(name));
            if !given {
                report
                    .warning(action_span(rule), "this action changes nothing")
                    .help("add `override_address`, `override_port` or `udp_timeout`, or remove the rule");
            }
            read_options(rule, report).map(RuleAction::RouteOptions)
        }
        Kind::Sniff => read_sniff(rule, names, report).map(RuleAction::Sniff),
        Kind::Resolve => Some(RuleAction::Resolve(dial::read_resolve_options(rule, names, report))),
    }
}

/// Reports an action of a rule that another one joins.
pub(super) fn refuse(rule: &Object<'_>, report: &mut Report<'_>) {
    let keys = std::iter::once("action").chain(OPTIONS.iter().map(|(key, _)| *key));
    for key in keys {
        if let Some(field) = rule.get(key) {
            report
                .warning(field.key_span, format!("`{key}` has no effect in a rule that a logical one joins"))
                .help("write it beside `\"type\": \"logical\"`");
        }
    }
}

fn read_kind(rule: &Object<'_>, report: &mut Report<'_>) -> Option<Kind> {
    let Some(field) = rule.get("action") else { return Some(Kind::Route) };
    let written = field.text(report)?;
    if written.value.is_empty() {
        return Some(Kind::Route);
    }
    if let Some((_, kind)) = KINDS.iter().find(|(name, _)| written.value.eq_ignore_ascii_case(name)) {
        return Some(*kind);
    }
    let names = || KINDS.iter().map(|(name, _)| *name);
    match written.value {
        "direct" => report
            .error(written.span, "the action `direct` is not available in this version")
            .help("write `\"outbound\"` with the tag of an outbound of the type `direct`"),
        "bypass" => report
            .error(written.span, "the action `bypass` is not available in this version")
            .help("it belongs to a TUN inbound"),
        other => {
            let help = match nearest(other, names()) {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!("there are {}", all_of(names())),
            };
            report.error(written.span, format!("unknown action: {}", quote(other))).help(help);
            return None;
        }
    };
    None
}

fn read_route(rule: &Object<'_>, names: &mut Names, report: &mut Report<'_>) -> Option<RuleAction> {
    let options = read_options(rule, report);
    let Some(outbound) = rule.text("outbound", report).filter(|tag| !tag.value.is_empty()) else {
        if rule.get("outbound").is_none_or(|field| field.value.text().is_some()) {
            let brace = Span { start: rule.span.start, end: rule.span.start + 1 };
            report
                .error(brace, "this rule goes nowhere")
                .help("add `outbound`, or another `action` such as `reject`");
        }
        return None;
    };
    let outbound = names.outbounds.find(outbound, "outbound", report)?;
    Some(RuleAction::Route { target: RuleTarget::Outbound(outbound), options: options? })
}

fn read_options(rule: &Object<'_>, report: &mut Report<'_>) -> Option<RouteOptions> {
    let n_errors = report.n_errors();
    let host = rule.text("override_address", report).filter(|written| !written.value.is_empty());
    let host = host.and_then(|written| host::read(written, report));
    let port = rule.get("override_port").filter(|field| !field.value.is_off());
    let port = port.and_then(|field| read_port(field, report));
    let udp_timeout = rule.duration("udp_timeout", report).filter(|timeout| !timeout.is_zero());
    (report.n_errors() == n_errors).then_some(RouteOptions { host, port, udp_timeout })
}

fn read_reject(rule: &Object<'_>, report: &mut Report<'_>) -> Option<Reject> {
    let no_drop = rule.flag("no_drop", report).is_some_and(|flag| flag.value);
    let method = match rule.text("method", report).filter(|method| !method.value.is_empty()) {
        None => RejectMethod::Default,
        Some(method) if method.value == "reply" => {
            report
                .error(method.span, "the method `reply` is not available in this version")
                .help("it answers pings, which belong to a TUN inbound");
            return None;
        }
        Some(method) => {
            let choices = [("default", RejectMethod::Default), ("drop", RejectMethod::Drop)];
            choose("method", method, &choices, report)?
        }
    };
    if let Some(field) = rule.get("no_drop").filter(|_| no_drop && method == RejectMethod::Drop) {
        report.error(field.key_span, "`no_drop` contradicts the method `drop`").help("remove one of the two");
        return None;
    }
    Some(Reject { method, no_drop })
}

fn read_sniff(rule: &Object<'_>, names: &mut Names, report: &mut Report<'_>) -> Option<SniffOptions> {
    let mut options = SniffOptions::default();
    for word in rule.texts("sniffer", report).unwrap_or_default() {
        let known = SNIFFERS.iter().find(|name| word.value.eq_ignore_ascii_case(name));
        match known {
            None => {
                report.error(word.span, format!("unknown sniffer: {}", quote(word.value)));
                report.help(match nearest(word.value, SNIFFERS) {
                    Some(name) => format!("did you mean `{name}`?"),
                    None => format!("there are {}", all_of(SNIFFERS)),
                });
                return None;
            }
            Some(name) => options.protocols.push((*name).into()),
        }
    }
    if let Some(timeout) = rule.duration("timeout", report).filter(|timeout| !timeout.is_zero()) {
        options.timeout = timeout;
    }
    names.sniffs = true;
    Some(options)
}

fn action_span(rule: &Object<'_>) -> Span {
    rule.get("action").map_or(rule.span, |field| field.value.span)
}
