use std::time::Duration;

use waypost_net::Tag;

use super::names::Names;
use crate::{
    Span, Spanned,
    json::{Kind, Number, Value},
    keys::{Form, Key, KeyTable},
    model::{BalancerStrategy, Cost, LeastLoad},
    nearest,
    object::{Field, Object},
    report::{Report, all_of, quote},
};

pub(super) static STRATEGY: KeyTable = KeyTable {
    name: "Strategy",
    path: "strategy",
    doc: "How a balancer picks an outbound.",
    keys: &[
        Key::new(
            "type",
            Form::Word(&["random", "roundRobin", "leastPing", "leastLoad"]),
            "At random, one after the other, the fastest, or at random among those whose probes vary least; the last two ask an observatory.",
        ),
        Key::new("settings", Form::Object("StrategySettings"), "More about it."),
    ],
};

pub(super) static SETTINGS: KeyTable = KeyTable {
    name: "StrategySettings",
    path: "strategy.settings",
    doc: "Which observatory a balancer asks, and what it makes of the answers.",
    keys: &[
        Key::new(
            "aliveOnly",
            Form::Flag,
            "For `random` and `roundRobin`: outbounds whose probes fail are not picked. A `fallbackTag` has the same effect where an observatory probes them.",
        ),
        Key::new("observerTag", Form::Text, "The observatory to ask, if there are several."),
        Key::new(
            "expected",
            Form::up_to(65_535),
            "For `leastLoad`: how many of the best share the connections; 1 without it, or as many as the `baselines` find.",
        ),
        Key::new(
            "maxRTT",
            Form::Duration,
            "For `leastLoad`: outbounds whose probes take this long or longer are not picked, a duration; no limit without it.",
        ),
        Key::new(
            "tolerance",
            Form::Number,
            "For `leastLoad` with a `burstObservatory`: outbounds of whose probes a larger share than this fails are not picked, from 0 to 1; no limit without it.",
        ),
        Key::new(
            "baselines",
            Form::Strings,
            "For `leastLoad`: limits of the deviation of probe times, durations. The first under which `expected` outbounds are found counts; if `expected` is 0 and none is under any, the `fallbackTag` serves.",
        ),
        Key::new(
            "costs",
            Form::Objects("Cost"),
            "For `leastLoad`: what outbounds cost; the first that matches counts, and an outbound of cost 4 has twice its deviation.",
        ),
        Key::new("healthCheck", Form::Any, "Old form of an observatory.")
            .no_effect("V2Ray ignores it as well"),
    ],
};

pub(super) static COST: KeyTable = KeyTable {
    name: "Cost",
    path: "strategy.settings.costs[]",
    doc: "What outbounds cost for `leastLoad`.",
    keys: &[
        Key::new("match", Form::Text, "What is looked for in their tags."),
        Key::new(
            "regexp",
            Form::Flag,
            "Whether `match` is a regular expression and not just a part of the tag.",
        ),
        Key::new(
            "value",
            Form::Number,
            "What they cost, such as `1.5`; without it, the number in what matched, or 1.",
        ),
    ],
};

const NAMES: [&str; 4] = ["random", "roundRobin", "leastPing", "leastLoad"];
const FOR_LEAST_LOAD: [&str; 5] = ["expected", "maxRTT", "tolerance", "baselines", "costs"];
/// Each is tried for each outbound.
const MAX_COSTS: usize = 1000;

/// A strategy, and which observatory it asks.
pub(super) struct Choice {
    pub(super) strategy: BalancerStrategy,
    pub(super) observer: Option<usize>,
}

/// Whether a strategy asks an observatory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asks {
    Never,
    /// If there is one.
    IfThereIs,
    Always,
}

/// Reads the strategy of a balancer over `members`; `None` if there is one that does not exist.
pub(super) fn read(
    balancer: &Object<'_>,
    members: &[Tag],
    names: &mut Names,
    report: &mut Report<'_>,
) -> Option<Choice> {
    let strategy = match balancer.get("strategy") {
        Some(_) => Some(balancer.object("strategy", &STRATEGY, report)?),
        None => None,
    };
    let settings = strategy.as_ref().and_then(|strategy| strategy.object("settings", &SETTINGS, report));
    let kind = match &strategy {
        Some(strategy) if strategy.has("type") => read_kind(strategy, settings.as_ref(), report)?,
        Some(_) | None => BalancerStrategy::Random,
    };
    if !matches!(kind, BalancerStrategy::LeastLoad(_))
        && let Some(settings) = &settings
    {
        for name in FOR_LEAST_LOAD {
            if let Some(field) = settings.get(name).filter(|field| !field.value.is_off()) {
                let message = format!("`{name}` has no effect: it is a setting of `leastLoad`");
                report.warning(field.key_span, message);
            }
        }
    }
    let alive_only = settings.as_ref().and_then(|settings| settings.flag("aliveOnly", report));
    let alive_only = alive_only.filter(|flag| flag.value);
    let has_fallback = balancer.get("fallbackTag").is_some_and(|field| !field.value.is_off());
    let asks = match kind {
        BalancerStrategy::LeastPing | BalancerStrategy::LeastLoad(_) => Asks::Always,
        BalancerStrategy::Random | BalancerStrategy::RoundRobin if alive_only.is_some() => Asks::Always,
        BalancerStrategy::Random | BalancerStrategy::RoundRobin if has_fallback => Asks::IfThereIs,
        BalancerStrategy::Random | BalancerStrategy::RoundRobin => Asks::Never,
    };
    let kind_span = strategy.as_ref().and_then(|strategy| strategy.get("type"));
    let place = match (&kind, alive_only, kind_span) {
        (BalancerStrategy::Random | BalancerStrategy::RoundRobin, Some(flag), _) => flag.span,
        (_, _, Some(field)) => field.value.span,
        (_, _, None) => balancer.span,
    };
    let observer = find_observer(asks, settings.as_ref(), place, members, names, report);
    Some(Choice { strategy: kind, observer })
}

fn read_kind(
    strategy: &Object<'_>,
    settings: Option<&Object<'_>>,
    report: &mut Report<'_>,
) -> Option<BalancerStrategy> {
    let written = strategy.text("type", report)?;
    match NAMES.iter().find(|name| written.value.eq_ignore_ascii_case(name)) {
        Some(&"random") => Some(BalancerStrategy::Random),
        Some(&"roundRobin") => Some(BalancerStrategy::RoundRobin),
        Some(&"leastPing") => Some(BalancerStrategy::LeastPing),
        Some(_) => Some(BalancerStrategy::LeastLoad(read_least_load(settings, report))),
        None => {
            report.error(written.span, format!("unknown strategy: {}", quote(written.value)));
            report.help(match nearest(written.value, NAMES) {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!("there are {}", all_of(NAMES)),
            });
            None
        }
    }
}

fn read_least_load(settings: Option<&Object<'_>>, report: &mut Report<'_>) -> LeastLoad {
    let Some(settings) = settings else { return LeastLoad::default() };
    let expected = settings.count("expected", 0..=u16::MAX, report).unwrap_or_default();
    let costs = settings.items("costs", report);
    if let (Some(field), true) = (settings.get("costs"), costs.len() > MAX_COSTS) {
        let message = format!("{} costs, at most {MAX_COSTS} are read", costs.len());
        report.error(field.value.span, message).help("write some of them as one `regexp`");
    }
    LeastLoad {
        expected: expected.into(),
        max_rtt: settings.duration("maxRTT", report).filter(|limit| !limit.is_zero()),
        tolerance: settings.get("tolerance").map_or(0.0, |field| read_tolerance(field, report)),
        baselines: read_baselines(settings, report),
        costs: costs.iter().take(MAX_COSTS).filter_map(|value| read_cost(value, report)).collect(),
    }
}

fn read_tolerance(field: Field<'_>, report: &mut Report<'_>) -> f64 {
    let Some(written) = field.number(report) else { return 0.0 };
    let tolerance = written.clamp(0.0, 1.0);
    if !(0.0..=1.0).contains(&written) {
        let message = format!("a `tolerance` of {written} is taken for {tolerance}, as in Xray");
        report
            .warning(field.value.span, message)
            .help("write the share of probes that may fail, such as `0.2`");
    }
    tolerance
}

fn read_baselines(settings: &Object<'_>, report: &mut Report<'_>) -> Vec<Duration> {
    let Some(field) = settings.get("baselines") else { return Vec::new() };
    let mut baselines = Vec::new();
    for value in field.list() {
        if let Some(baseline) = (Field { value, ..field }).duration(report) {
            if baseline.is_zero() {
                report.warning(value.span, "a baseline of zero has no effect, no outbound is under it");
            } else {
                baselines.push(baseline);
            }
        }
    }
    baselines
}

fn read_cost(value: &Value, report: &mut Report<'_>) -> Option<Spanned<Cost>> {
    let cost = Object::read(value, "costs[]", &COST, report)?;
    let regexp = cost.flag("regexp", report).is_some_and(|flag| flag.value);
    let number = cost.get("value").and_then(|field| field.number(report));
    let Some(pattern) = cost.text("match", report).filter(|text| !text.value.is_empty()) else {
        if cost.get("match").is_none_or(|field| field.value.is_off()) {
            let message = "a cost needs a `match`";
            report.error(first(cost.span), message).help("write a part of the tags that it is for");
        }
        return None;
    };
    let value = number.filter(|&value| value > 0.0);
    Some(Spanned::new(Cost { regexp, pattern: pattern.value.into(), value }, pattern.span))
}

/// Finds the observatory that a balancer asks.
fn find_observer(
    asks: Asks,
    settings: Option<&Object<'_>>,
    place: Span,
    members: &[Tag],
    names: &mut Names,
    report: &mut Report<'_>,
) -> Option<usize> {
    let tag = settings.and_then(|settings| settings.text("observerTag", report));
    let tag = tag.filter(|tag| !tag.value.is_empty());
    if asks == Asks::Never {
        if let Some(tag) = tag {
            report
                .warning(tag.span, "`observerTag` has no effect without `aliveOnly`")
                .help("this strategy picks outbounds whatever probes say");
        }
        return None;
    }
    let found = match tag {
        Some(tag) => named_observer(tag, names, report)?,
        None => only_observer(asks, place, names, report)?,
    };
    names.asked.insert(found);
    let observatory = names.observatories.get(found)?;
    let line = report.line(observatory.span);
    // Groups have probes of their own.
    let is_group = |member: &Tag| names.groups.iter().any(|group| group.tag.as_ref() == Some(member));
    let probed = |member: &&Tag| observatory.watches(member) || is_group(member);
    let (probed, others): (Vec<&Tag>, Vec<&Tag>) = members.iter().partition(probed);
    // What is wrong with these was said already.
    if observatory.subjects.is_empty() || members.is_empty() {
        return Some(found);
    }
    if probed.is_empty() {
        if asks == Asks::IfThereIs {
            return None;
        }
        let message = format!("the observatory on line {line} probes none of the outbounds of this balancer");
        report.error(place, message).help(format!(
            "add {} to its `subjectSelector`",
            all_of(others.into_iter().take(3).map(Tag::as_str))
        ));
        return None;
    }
    if let Some(left_out) = others.first() {
        let message = match others.len() {
            1 => format!("the observatory on line {line} does not probe {}", quote(left_out)),
            n => format!(
                "the observatory on line {line} does not probe {} and {} more",
                quote(left_out),
                n - 1
            ),
        };
        report
            .warning(place, message)
            .help("add it to its `subjectSelector`; the others are preferred as it is");
    }
    Some(found)
}

fn named_observer(tag: Spanned<&str>, names: &Names, report: &mut Report<'_>) -> Option<usize> {
    let tags = || names.observatories.iter().filter_map(|observatory| observatory.tag.as_ref());
    let has_tag =
        |known: &Option<Spanned<Tag>>| known.as_ref().is_some_and(|known| known.value.as_str() == tag.value);
    let found = names.observatories.iter().position(|observatory| has_tag(&observatory.tag));
    if found.is_none() {
        report.error(tag.span, format!("there is no observatory with the tag {}", quote(tag.value)));
        let known = || tags().map(|tag| tag.value.as_str());
        report.help(match nearest(tag.value, known()) {
            Some(name) => format!("did you mean `{name}`?"),
            None if tags().next().is_none() => {
                "only `observers` of `multiObservatory` have tags; without `observerTag` the only one is asked"
                    .to_owned()
            }
            None => format!("there are {}", all_of(known())),
        });
    }
    found
}

/// The observatory that is asked where none is named: the only one, or the only one without a tag.
fn only_observer(asks: Asks, place: Span, names: &Names, report: &mut Report<'_>) -> Option<usize> {
    let observatories = &names.observatories;
    let found = match observatories.len() {
        1 => Some(0),
        _ => observatories.iter().position(|observatory| observatory.tag.is_none()),
    };
    if found.is_none() && asks == Asks::Always {
        let (message, help) = match observatories.len() {
            0 => (
                "there is no observatory, so nothing is known of the outbounds",
                "add `\"observatory\": {\"subjectSelector\": […]}` beside `routing`, with the selector of this balancer",
            ),
            _ => (
                "there are several observatories",
                "name one by `observerTag` in the `settings` of the strategy",
            ),
        };
        report.error(place, message).help(help);
    }
    found
}

/// Warns of observatories that no balancer asks.
pub(super) fn find_unasked(names: &Names, report: &mut Report<'_>) {
    for (index, observatory) in names.observatories.iter().enumerate() {
        if !names.asked.contains(&index) {
            report
                .warning(first(observatory.span), "no balancer asks this observatory, so it probes nothing")
                .help("it is asked by the strategies `leastPing` and `leastLoad`, and by balancers with `aliveOnly` or `fallbackTag`");
        }
    }
}

fn first(span: Span) -> Span {
    Span { start: span.start, end: span.start + 1 }
}

impl<'a> Field<'a> {
    /// A number, whole or not.
    #[expect(clippy::cast_precision_loss, reason = "shares and costs are small")]
    fn number(&self, report: &mut Report<'_>) -> Option<f64> {
        match self.value.kind {
            Kind::Number(Number::Unsigned(number)) => Some(number as f64),
            Kind::Number(Number::Signed(number)) => Some(number as f64),
            Kind::Number(Number::Float(number)) => Some(number),
            Kind::Null | Kind::Bool(_) | Kind::String(_) | Kind::Array(_) | Kind::Object(_) => {
                self.expected("a number", report);
                None
            }
        }
    }

    /// The elements of an array, or the value itself.
    fn list(&self) -> &'a [Value] {
        self.value.items().unwrap_or_else(|| std::slice::from_ref(self.value))
    }
}
