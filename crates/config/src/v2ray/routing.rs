use super::{balancer, checks, names::Names, port::RangeForm, rule};
use crate::{
    Spanned,
    keys::{Form, Key, KeyTable},
    model::{DomainStrategy, Routing},
    object::{Object, choose},
    report::{Report, quote},
};

const STRATEGIES: Form = Form::Word(&["AsIs", "IPIfNonMatch", "IPOnDemand"]);

pub(super) const ONE_MATCHER: &str = "there is one algorithm only, whose answers are the same";

pub(super) static ROUTING: KeyTable = KeyTable {
    name: "Routing",
    path: "routing",
    doc: "Which connection goes where.",
    keys: &[
        Key::new(
            "domainStrategy",
            STRATEGIES,
            "Whether names are looked up for `ip` conditions: never, when no rule matches, or when one is reached.",
        ),
        Key::new(
            "rules",
            Form::Objects("Rule"),
            "Tried in order; the first whose conditions all hold decides, and without one the first outbound is used.",
        ),
        Key::new("balancers", Form::Objects("Balancer"), "Groups of outbounds for `balancerTag`."),
        Key::new(
            "portRange",
            Form::Word(&["closed", "half-open"]),
            "Whether `b` belongs to a port range `a-b` in rules; `closed`, the default, is what V2Ray does.",
        ),
        Key::new("domainMatcher", Form::Text, "The algorithm for names.").no_effect(ONE_MATCHER),
        Key::new("settings", Form::Object("RoutingSettings"), "Old form; its rules come after `rules`."),
        Key::new("strategy", Form::Any, "A key of V2Ray 3.").no_effect("V2Ray ignores it as well"),
    ],
};

pub(super) static ROUTING_SETTINGS: KeyTable = KeyTable {
    name: "RoutingSettings",
    path: "routing.settings",
    doc: "The old form of `routing`.",
    keys: &[
        Key::new("rules", Form::Objects("Rule"), "Rules that come after those of `routing`."),
        Key::new("domainStrategy", STRATEGIES, "Used if `routing` has none."),
    ],
};

const DOMAIN_STRATEGIES: [(&str, Option<DomainStrategy>); 4] = [
    ("AsIs", Some(DomainStrategy::AsIs)),
    ("IPIfNonMatch", Some(DomainStrategy::IpIfNonMatch)),
    ("IPOnDemand", Some(DomainStrategy::IpOnDemand)),
    ("AlwaysIP", None),
];

pub(super) fn read(file: &Object<'_>, names: &mut Names, report: &mut Report<'_>) -> Routing {
    let Some(routing) = file.object("routing", &ROUTING, report) else { return Routing::default() };
    let settings = routing.object("settings", &ROUTING_SETTINGS, report);
    let strategy = read_strategy(&routing, settings.as_ref(), report);
    let balancers = balancer::read_all(routing.items("balancers", report), names, report);
    let form = read_range_form(&routing, report);
    let mut values: Vec<_> = routing.items("rules", report).iter().collect();
    if let Some(settings) = &settings {
        values.extend(settings.items("rules", report));
    }
    let rules: Vec<_> =
        values.into_iter().filter_map(|value| rule::read(value, form, names, report)).collect();
    checks::find_unreachable(&rules, strategy, report);
    let domain_strategy = strategy.map(|strategy| strategy.value).unwrap_or_default();
    Routing { domain_strategy, rules, balancers, ..Routing::default() }
}

fn read_strategy(
    routing: &Object<'_>,
    settings: Option<&Object<'_>>,
    report: &mut Report<'_>,
) -> Option<Spanned<DomainStrategy>> {
    let old = settings.and_then(|settings| settings.text("domainStrategy", report));
    let written = routing.text("domainStrategy", report).or(old).filter(|text| !text.value.is_empty())?;
    let strategy = choose("domainStrategy", written, &DOMAIN_STRATEGIES, report)?;
    if strategy.is_none() {
        report
            .warning(
                written.span,
                format!("{} is `AsIs` in V2Ray, so names are never looked up", quote(written.value)),
            )
            .help("write `IPOnDemand` if `ip` conditions are meant to see the addresses of names");
    }
    Some(Spanned::new(strategy.unwrap_or_default(), written.span))
}

fn read_range_form(routing: &Object<'_>, report: &mut Report<'_>) -> RangeForm {
    let choices = [("closed", RangeForm::Closed), ("half-open", RangeForm::HalfOpen)];
    let written = routing.text("portRange", report);
    written.and_then(|written| choose("portRange", written, &choices, report)).unwrap_or_default()
}
