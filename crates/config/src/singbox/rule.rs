use super::{action, conditions, dial, dns_rule, names::Names};
use crate::{
    Span,
    json::{Kind, Value},
    keys::{Form, Key, KeyTable, join},
    model::{Logical, LogicalMode, Matcher, Rule},
    object::{Object, choose},
    report::Report,
};

/// Logical rules may stand in each other so deep.
const MAX_NESTING: usize = 32;

pub(super) const LOGIC: [Key; 4] = [
    Key::new(
        "type",
        Form::Word(&["", "default", "logical"]),
        "`logical` joins other rules; `default` without it.",
    ),
    Key::new("mode", Form::Word(&["and", "or"]), "How a logical rule joins: all have to match, or one."),
    Key::new("rules", Form::Objects("Rule"), "What a logical rule joins; these have no action of their own."),
    Key::new("invert", Form::Flag, "Whether the rule matches where it would not."),
];

const ACTION: [Key; 27] = [
    Key::new(
        "action",
        Form::Word(&[
            "",
            "route",
            "reject",
            "hijack-dns",
            "route-options",
            "sniff",
            "resolve",
            "direct",
            "bypass",
        ]),
        "What is done; `route` without it. After `route-options`, `sniff` and `resolve` the next rule is tried.",
    ),
    Key::new("outbound", Form::Text, "`route`: the outbound that takes the connection."),
    Key::new(
        "override_address",
        Form::Text,
        "`route`, `route-options`: the host that takes the place of the target's.",
    ),
    Key::new(
        "override_port",
        Form::up_to(65_535),
        "`route`, `route-options`: the port that takes the place of the target's.",
    ),
    Key::new(
        "udp_timeout",
        Form::Duration,
        "`route`, `route-options`: how long an association lives without datagrams.",
    ),
    Key::new(
        "udp_disable_domain_unmapping",
        Form::Flag,
        "`route`, `route-options`: belongs to fake addresses.",
    )
    .no_effect("there are no fake addresses"),
    Key::new(
        "udp_connect",
        Form::Flag,
        "`route`, `route-options`: whether sockets for datagrams are connected.",
    )
    .no_effect("answers are taken from the target only in any case"),
    Key::new("network_strategy", Form::Text, "`route`, `route-options`: which networks are used.")
        .only_off("connections use the network that the system's routing tables say"),
    Key::new("network_type", Form::OneOrMany(&Form::Text), "As a condition: the type of the network.")
        .unsupported("the network is not looked at; remove the condition"),
    Key::new(
        "fallback_network_type",
        Form::OneOrMany(&Form::Text),
        "`route-options`: which networks are used otherwise.",
    )
    .only_off("connections use the network that the system's routing tables say"),
    Key::new(
        "fallback_delay",
        Form::Any,
        "`route`, `route-options`: the pause before the other address family is tried.",
    )
    .no_effect("addresses of both families are raced as RFC 8305 says"),
    Key::new("tls_fragment", Form::Flag, "`route`, `route-options`: cuts the first packet of TLS.")
        .only_off("it is not available in this version"),
    Key::new("tls_fragment_fallback_delay", Form::Duration, "Belongs to `tls_fragment`.")
        .no_effect("first packets are not cut"),
    Key::new("tls_record_fragment", Form::Flag, "`route`, `route-options`: cuts the first record of TLS.")
        .only_off("it is not available in this version"),
    Key::new("tls_spoof", Form::Text, "`route`, `route-options`: sends a false name first.")
        .only_off("it is not available in this version"),
    Key::new("tls_spoof_method", Form::Text, "Belongs to `tls_spoof`.")
        .only_off("it is not available in this version"),
    Key::new(
        "method",
        Form::Word(&["", "default", "drop", "reply"]),
        "`reject`: what the client gets to know.",
    ),
    Key::new("no_drop", Form::Flag, "`reject`: whether many rejections in a short time are still answered."),
    Key::new(
        "sniffer",
        Form::OneOrMany(&Form::Text),
        "`sniff`: the protocols that are recognised; all without it.",
    ),
    Key::new(
        "timeout",
        Form::Duration,
        "`sniff`: how long the first bytes are waited for; `300ms` without it.",
    ),
    Key::new("server", Form::Text, "`resolve`: the DNS server, by its tag; the DNS rules decide without it."),
    Key::new("strategy", dial::STRATEGY, "`resolve`: which addresses are wanted."),
    Key::new("disable_cache", Form::Flag, "`resolve`: whether what is known already does not count."),
    Key::new(
        "client_subnet",
        Form::Text,
        "`resolve`: the network that the server is told the client to be in (RFC 7871).",
    ),
    Key::new("rewrite_ttl", Form::up_to(u32::MAX as u64), "`resolve`: how long answers count.")
        .no_effect("answers count as long as the server says"),
    Key::new("disable_optimistic_cache", Form::Flag, "`resolve`: whether old answers do not count.")
        .no_effect("old answers are not used here"),
    Key::new("remarks", Form::Text, "A note; not read."),
];

static KEYS: [Key; LOGIC.len() + conditions::KEYS.len() + ACTION.len()] =
    join(&[&LOGIC, conditions::KEYS, &ACTION]);

pub(super) static RULE: KeyTable = KeyTable {
    name: "Rule",
    path: "rules[]",
    doc: "Does something with connections that it matches.",
    keys: &KEYS,
};

/// Reads a rule; `None` if it has an error.
pub(super) fn read(value: &Value, names: &mut Names, report: &mut Report<'_>) -> Option<Rule> {
    let before = report.n_errors();
    let rule = Object::read(value, "rules[]", &RULE, report)?;
    let matcher = read_matcher(&rule, (0, before), names, report);
    let action = action::read(&rule, names, report);
    Some(Rule { tag: None, action: action?, matcher: matcher?, span: rule.span })
}

/// `n_errors` is how many errors there were before the rule.
pub(super) fn read_matcher(
    rule: &Object<'_>,
    (depth, n_errors): (usize, usize),
    names: &mut Names,
    report: &mut Report<'_>,
) -> Option<Matcher> {
    let kind = rule.text("type", report).filter(|kind| !kind.value.is_empty());
    let is_logical = match kind {
        Some(kind) => choose("type", kind, &[("default", false), ("logical", true)], report)?,
        None => false,
    };
    if is_logical {
        return read_logical(rule, depth, names, report).map(Matcher::Logical);
    }
    for name in ["mode", "rules"] {
        if let Some(field) = rule.get(name) {
            report
                .error(field.key_span, format!("`{name}` belongs to a logical rule"))
                .help("add `\"type\": \"logical\"`, or remove it");
        }
    }
    let conditions = conditions::read(rule, names, report);
    let is_about_dns = rule.is_of(&dns_rule::RULE);
    // A rule that only says where everything goes is meant so; one whose conditions came out empty is not.
    let is_for_all = if is_about_dns {
        rule.has("action") || rule.has("query_type")
    } else {
        let has_key =
            |name: &str| rule.get(name).is_some_and(|field| !matches!(field.value.kind, Kind::Bool(false)));
        let narrowed = has_key("invert") || conditions::KEYS.iter().any(|key| has_key(key.name));
        !narrowed && (rule.has("action") || rule.has("outbound"))
    };
    if report.n_errors() > n_errors {
        return None;
    }
    if conditions::is_empty(&conditions) && !(depth == 0 && is_for_all) {
        let brace = Span { start: rule.span.start, end: rule.span.start + 1 };
        report
            .error(brace, "this rule has no condition; that is an error and not a rule for everything")
            .help(if is_about_dns {
                "use `dns.final` for what no rule matches, or write `\"query_type\": [\"A\", \"AAAA\"]`"
            } else {
                "use `route.final` for what no rule matches, or write `\"network\": [\"tcp\", \"udp\"]`"
            });
        return None;
    }
    Some(Matcher::One(Box::new(conditions)))
}

fn read_logical(
    rule: &Object<'_>,
    depth: usize,
    names: &mut Names,
    report: &mut Report<'_>,
) -> Option<Logical> {
    if depth >= MAX_NESTING {
        report.error(rule.span, format!("logical rules are nested more than {MAX_NESTING} times"));
        return None;
    }
    for key in conditions::KEYS {
        if let Some(field) = rule.get(key.name) {
            report
                .error(field.key_span, format!("a logical rule has no `{}`", key.name))
                .help("write it into a rule in `rules`");
        }
    }
    let mode = match rule.text("mode", report) {
        Some(mode) => choose("mode", mode, &[("and", LogicalMode::And), ("or", LogicalMode::Or)], report),
        None => {
            let brace = Span { start: rule.span.start, end: rule.span.start + 1 };
            report.error(brace, "a logical rule needs a `mode`").help("expected `and` or `or`");
            None
        }
    };
    let n_errors = report.n_errors();
    let mut matchers = Vec::new();
    for value in rule.items("rules", report) {
        let before = report.n_errors();
        let Some(inner) = Object::read(value, "rules[]", &RULE, report) else { continue };
        action::refuse(&inner, report);
        matchers.extend(read_matcher(&inner, (depth + 1, before), names, report));
    }
    if matchers.is_empty() && report.n_errors() == n_errors {
        let brace = Span { start: rule.span.start, end: rule.span.start + 1 };
        report.error(brace, "a logical rule needs `rules` to join");
    }
    let invert = rule.flag("invert", report).is_some_and(|invert| invert.value);
    let failed = report.n_errors() > n_errors;
    Some(Logical { mode: mode?, matchers, invert }).filter(|_| !failed)
}
