use waypost_net::Tag;

use super::names::Names;
use crate::{
    Span, Spanned,
    json::Value,
    keys::{Form, Key, KeyTable},
    model::{Balancer, BalancerStrategy},
    nearest,
    object::Object,
    report::{Report, all_of, quote},
};

const NO_OBSERVATORY: &str = "outbounds are not probed in this version";
const LEAST_LOAD: &str = "it is a setting of `leastLoad`";

pub(super) static BALANCER: KeyTable = KeyTable {
    name: "Balancer",
    path: "balancers[]",
    doc: "A group of outbounds of which one is picked for each connection.",
    keys: &[
        Key::new("tag", Form::Text, "The name for `balancerTag`."),
        Key::new("selector", Form::Strings, "How the tags of its outbounds begin."),
        Key::new("strategy", Form::Object("Strategy"), "How an outbound is picked; random without it."),
        Key::new("fallbackTag", Form::Text, "The outbound that is used if the selector finds none."),
        Key::new("remarks", Form::Text, "A note; not read."),
        Key::new("ps", Form::Text, "A note; not read."),
        Key::new("id", Form::Any, "The number that a graphical front end gave; not read."),
    ],
};

pub(super) static STRATEGY: KeyTable = KeyTable {
    name: "Strategy",
    path: "strategy",
    doc: "How a balancer picks an outbound.",
    keys: &[
        Key::new("type", Form::Word(&["random", "roundRobin"]), "At random, or one after the other."),
        Key::new(
            "settings",
            Form::Object("StrategySettings"),
            "Settings of strategies that measure outbounds.",
        ),
    ],
};

pub(super) static STRATEGY_SETTINGS: KeyTable = KeyTable {
    name: "StrategySettings",
    path: "strategy.settings",
    doc: "Settings of strategies that measure outbounds; none of them is available in this version.",
    keys: &[
        Key::new("aliveOnly", Form::Flag, "Picks only what a probe reached.").only_off(NO_OBSERVATORY),
        Key::new("observerTag", Form::Text, "The observatory to ask.").only_off(NO_OBSERVATORY),
        Key::new("expected", Form::Number, "How many of the best are used.").no_effect(LEAST_LOAD),
        Key::new("maxRTT", Form::Text, "The slowest answer that is good enough.").no_effect(LEAST_LOAD),
        Key::new("tolerance", Form::Number, "How many failures are good enough.").no_effect(LEAST_LOAD),
        Key::new("baselines", Form::Strings, "Steps of quality.").no_effect(LEAST_LOAD),
        Key::new("costs", Form::Any, "Weights by tag.").no_effect(LEAST_LOAD),
        Key::new("healthCheck", Form::Any, "Old form of an observatory.").no_effect(LEAST_LOAD),
    ],
};

const STRATEGIES: [(&str, BalancerStrategy); 2] =
    [("random", BalancerStrategy::Random), ("roundRobin", BalancerStrategy::RoundRobin)];

const FOREIGN: [&str; 2] = ["leastPing", "leastLoad"];

pub(super) fn read_all(values: &[Value], names: &mut Names, report: &mut Report<'_>) -> Vec<Balancer> {
    values.iter().filter_map(|value| read(value, names, report)).collect()
}

fn read(value: &Value, names: &mut Names, report: &mut Report<'_>) -> Option<Balancer> {
    let balancer = Object::read(value, "balancers[]", &BALANCER, report)?;
    let brace = Span { start: balancer.span.start, end: balancer.span.start + 1 };
    let tag = names.balancers.declare(&balancer, "balancer", report);
    if tag.is_none() && balancer.get("tag").is_none_or(|field| field.value.is_off()) {
        report.error(brace, "a balancer needs a `tag`");
    }
    let strategy = read_strategy(&balancer, report);
    let fallback = read_fallback(&balancer, names, report);
    let selector = balancer.strings("selector", report);
    if selector.is_none() && balancer.get("selector").is_none_or(|field| field.value.is_off()) {
        report
            .error(brace, "a balancer needs a `selector`")
            .help("write how the tags of its outbounds begin");
    }
    let selector = selector?;
    select(&selector, balancer.has("fallbackTag"), names, report);
    Some(Balancer {
        tag: tag?,
        selector: selector.into_iter().map(|prefix| Spanned::new(prefix.value.into(), prefix.span)).collect(),
        strategy: strategy?,
        fallback,
        span: balancer.span,
    })
}

/// Reads the strategy; `None` if there is one that does not exist here.
fn read_strategy(balancer: &Object<'_>, report: &mut Report<'_>) -> Option<BalancerStrategy> {
    let Some(field) = balancer.get("strategy") else { return Some(BalancerStrategy::default()) };
    // The settings of a strategy that does not exist are no business of this version.
    let foreign = field
        .value
        .member("type")
        .and_then(|kind| kind.value.text())
        .and_then(|name| FOREIGN.iter().find(|foreign| name.eq_ignore_ascii_case(foreign)));
    let choices = || STRATEGIES.iter().map(|(name, _)| *name);
    if let (Some(name), Some(kind)) = (foreign, field.value.member("type")) {
        let message = format!("the strategy `{name}` is not available in this version");
        report.error(kind.value.span, message).help(format!("there are {}", all_of(choices())));
        return None;
    }
    let strategy = balancer.object("strategy", &STRATEGY, report)?;
    strategy.object("settings", &STRATEGY_SETTINGS, report);
    if !strategy.has("type") {
        return Some(BalancerStrategy::default());
    }
    let written = strategy.text("type", report)?;
    let found = STRATEGIES.iter().find(|(name, _)| written.value.eq_ignore_ascii_case(name));
    if found.is_none() {
        report.error(written.span, format!("unknown strategy: {}", quote(written.value)));
        report.help(match nearest(written.value, choices()) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("there are {}", all_of(choices())),
        });
    }
    found.map(|(_, strategy)| *strategy)
}

fn read_fallback(balancer: &Object<'_>, names: &mut Names, report: &mut Report<'_>) -> Option<Spanned<Tag>> {
    let written = balancer.text("fallbackTag", report).filter(|tag| !tag.value.is_empty())?;
    let tag = Spanned::new(Tag::from(written.value), written.span);
    if !names.outbounds.contains(written.value) {
        report.error(written.span, format!("there is no outbound with the tag {}", quote(written.value)));
        names.outbounds.suggest(written.value, "outbound", report);
        return None;
    }
    names.outbounds.mark_used(&tag.value);
    Some(tag)
}

/// Notes which outbounds the balancer may pick, and warns of prefixes that find nothing.
fn select(selector: &[Spanned<&str>], has_fallback: bool, names: &mut Names, report: &mut Report<'_>) {
    let mut finds_nothing = Vec::new();
    for prefix in selector {
        let selected: Vec<Tag> = names.outbounds.with_prefix(prefix.value).cloned().collect();
        if selected.is_empty() {
            finds_nothing.push(*prefix);
        }
        selected.iter().for_each(|tag| names.outbounds.mark_used(tag));
    }
    let all = finds_nothing.len() == selector.len();
    for prefix in finds_nothing {
        let message = format!("no outbound has a tag that begins with {}", quote(prefix.value));
        if all && !has_fallback {
            report.error(prefix.span, format!("{message}, so this balancer is empty"));
        } else {
            report.warning(prefix.span, message);
        }
        names.outbounds.suggest(prefix.value, "outbound", report);
    }
}
