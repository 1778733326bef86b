use waypost_net::Tag;

use super::{
    conditions,
    names::{Names, Tags},
    port::RangeForm,
    routing::ONE_MATCHER,
};
use crate::{
    Span, Spanned,
    json::Value,
    keys::{Form, Key, KeyTable},
    model::{Matcher, RouteOptions, Rule, RuleAction, RuleTarget},
    object::Object,
    report::{Report, quote},
};

pub(super) static RULE: KeyTable = KeyTable {
    name: "Rule",
    path: "rules[]",
    doc: "Sends connections for which every condition holds to an outbound or balancer.",
    keys: &[
        Key::new("type", Form::Word(&["field"]), "Only `field`; may be left out."),
        Key::new(
            "domain",
            Form::Strings,
            "The name of the target: a substring, `domain:`, `full:`, `keyword:`, `regexp:`, `dotless:`, `geosite:` or `ext:`.",
        ),
        Key::new("domains", Form::Strings, "More of `domain`."),
        Key::new(
            "ip",
            Form::Strings,
            "The address of the target: an address, a prefix, `geoip:` or `ext:`; `!` inverts.",
        ),
        Key::new("port", Form::Ports, "The port of the target."),
        Key::new("network", Form::Strings, "`tcp`, `udp`, or both."),
        Key::new("source", Form::Strings, "The address of the client, written as in `ip`."),
        Key::new("sourceIP", Form::Strings, "The same as `source`, and used instead of it."),
        Key::new("sourcePort", Form::Ports, "The port of the client."),
        Key::new("localIP", Form::Strings, "The address that the client connected to, written as in `ip`."),
        Key::new("localPort", Form::Ports, "The port that the client connected to."),
        Key::new("user", Form::Strings, "The login name of the client, or `regexp:` for a part of it."),
        Key::new("inboundTag", Form::Strings, "The inbound that the client came in by."),
        Key::new("protocol", Form::Strings, "What the client speaks to the target: how its label begins."),
        Key::new(
            "attrs",
            Form::OneOf(&[Form::Text, Form::MapOf(&Form::Text)]),
            "Headers, `:method` and `:path` of an HTTP request: V2Ray's expression, or an object of regular expressions.",
        ),
        Key::new(
            "process",
            Form::Strings,
            "The program of the client: its name, its path, or a folder that ends with `/`.",
        ),
        Key::new("localOS", Form::Strings, "The operating system that this program runs on."),
        Key::new("outboundTag", Form::Text, "The outbound that takes the connection."),
        Key::new("balancerTag", Form::Text, "The balancer that picks an outbound."),
        Key::new("ruleTag", Form::Text, "The name of the rule, for logs and explanations."),
        Key::new("enabled", Form::Flag, "`false` switches the rule off."),
        Key::new("domainMatcher", Form::Text, "The algorithm for names.").no_effect(ONE_MATCHER),
        Key::new("webhook", Form::Any, "Tells a server about every match.")
            .no_effect("no server is told about matches"),
        Key::new("vlessRoute", Form::Ports, "A number inside the identifier of a VLESS user.")
            .unsupported("there are no VLESS inbounds"),
        Key::new("setAttribute", Form::Any, "Sets attributes of the connection.")
            .only_off("rules only decide where a connection goes"),
        Key::new("remarks", Form::Text, "A note; not read."),
        Key::new("ps", Form::Text, "A note; not read."),
        Key::new("id", Form::Any, "The number that a graphical front end gave; not read."),
    ],
};

/// Reads a rule; `None` if it has an error or is switched off.
pub(super) fn read(
    value: &Value,
    form: RangeForm,
    names: &mut Names,
    report: &mut Report<'_>,
) -> Option<Rule> {
    let n_errors = report.n_errors();
    let rule = Object::read(value, "rules[]", &RULE, report)?;
    let enabled = rule.flag("enabled", report).is_none_or(|enabled| enabled.value);
    check_type(&rule, report);
    let conditions = conditions::read(&rule, form, enabled.then_some(&*names), report);
    let brace = Span { start: rule.span.start, end: rule.span.start + 1 };
    if conditions.is_none() && enabled && report.n_errors() == n_errors {
        report
            .error(brace, "this rule has no condition; that is an error and not a rule for everything")
            .help("write `\"network\": \"tcp,udp\"` to match every connection");
    }
    let target = read_target(&rule, enabled, names, report);
    if target.is_none() && enabled && !rule.has("outboundTag") && !rule.has("balancerTag") {
        report.error(brace, "this rule goes nowhere").help("add `outboundTag` or `balancerTag`");
    }
    let tag = rule.text("ruleTag", report).filter(|tag| !tag.value.is_empty());
    let rule = Rule {
        tag: tag.map(|tag| Tag::from(tag.value)),
        action: RuleAction::Route { target: target?, options: RouteOptions::default() },
        matcher: Matcher::One(Box::new(conditions?)),
        span: rule.span,
    };
    enabled.then_some(rule)
}

fn check_type(rule: &Object<'_>, report: &mut Report<'_>) {
    let Some(written) = rule.text("type", report) else { return };
    let word = written.value.to_ascii_lowercase();
    let help = match word.as_str() {
        "field" => return,
        "chinaip" => "write `\"type\": \"field\", \"ip\": [\"geoip:cn\"]`",
        "chinasites" => "write `\"type\": \"field\", \"domain\": [\"geosite:cn\"]`",
        _ => "expected `field`",
    };
    report.error(written.span, format!("rules of the type {} do not exist", quote(written.value))).help(help);
}

/// Reads `outboundTag`, or else `balancerTag`. A rule that is switched off may name what is gone.
fn read_target(
    rule: &Object<'_>,
    enabled: bool,
    names: &mut Names,
    report: &mut Report<'_>,
) -> Option<RuleTarget> {
    let outbound = rule.text("outboundTag", report).filter(|tag| !tag.value.is_empty());
    let balancer = rule.text("balancerTag", report).filter(|tag| !tag.value.is_empty());
    if let Some(balancer) = balancer
        && outbound.is_some()
    {
        report
            .warning(balancer.span, "`balancerTag` has no effect, because `outboundTag` is given as well")
            .help("remove one of the two");
    }
    match (outbound, balancer) {
        (Some(tag), _) => {
            Some(RuleTarget::Outbound(find(tag, &mut names.outbounds, "outbound", enabled, report)))
        }
        (None, Some(tag)) => {
            Some(RuleTarget::Balancer(find(tag, &mut names.balancers, "balancer", enabled, report)))
        }
        (None, None) => {
            for name in ["outboundTag", "balancerTag"] {
                if let Some(empty) = rule.text(name, report)
                    && enabled
                {
                    report.error(empty.span, format!("`{name}` is empty, so this rule goes nowhere"));
                }
            }
            None
        }
    }
}

/// The tag, which is reported if it names nothing; the rest of the rule is still worth a look.
fn find(
    tag: Spanned<&str>,
    tags: &mut Tags,
    what: &str,
    enabled: bool,
    report: &mut Report<'_>,
) -> Spanned<Tag> {
    let found = Spanned::new(Tag::from(tag.value), tag.span);
    if !enabled || tags.contains(tag.value) {
        tags.mark_used(&found.value);
    } else {
        report.error(tag.span, format!("there is no {what} with the tag {}", quote(tag.value)));
        tags.suggest(tag.value, what, report);
    }
    found
}
