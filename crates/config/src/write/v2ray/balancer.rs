use super::super::{
    json::{Fields, Json},
    text,
};
use crate::{
    Spanned,
    model::{Balancer, BalancerStrategy, Config, Cost, LeastLoad, Observatory},
};

/// `balancers`.
pub(super) fn balancers(config: &Config) -> Vec<Json> {
    config.routing.balancers.iter().map(|balancer| self::balancer(balancer, config).into()).collect()
}

fn balancer(balancer: &Balancer, config: &Config) -> Fields {
    let mut fields = Fields::default();
    fields.put("tag", balancer.tag.value.as_str());
    fields.put("selector", prefixes(&balancer.selector));
    let observer = balancer.observer.and_then(|index| config.observatories.get(index));
    let mut settings = Fields::default();
    let kind = match &balancer.strategy {
        BalancerStrategy::Random => "random",
        BalancerStrategy::RoundRobin => "roundRobin",
        BalancerStrategy::LeastPing => "leastPing",
        BalancerStrategy::LeastLoad(least_load) => {
            put_least_load(least_load, &mut settings);
            "leastLoad"
        }
    };
    let asks_always =
        matches!(balancer.strategy, BalancerStrategy::LeastPing | BalancerStrategy::LeastLoad(_));
    settings.put_if("aliveOnly", observer.is_some() && !asks_always);
    let tag = observer.and_then(|observatory| observatory.tag.as_ref());
    settings.put_some("observerTag", tag.map(|tag| tag.value.as_str()));
    let mut strategy = Fields::default();
    strategy.put("type", kind);
    strategy.put_filled("settings", settings);
    fields.put("strategy", strategy);
    fields.put_some("fallbackTag", balancer.fallback.as_ref().map(|tag| tag.value.as_str()));
    fields
}

fn prefixes(prefixes: &[Spanned<Box<str>>]) -> Vec<&str> {
    prefixes.iter().map(|prefix| &*prefix.value).collect()
}

fn put_least_load(least_load: &LeastLoad, settings: &mut Fields) {
    let LeastLoad { expected, max_rtt, tolerance, baselines, costs } = least_load;
    settings.put("expected", *expected);
    settings.put_some("maxRTT", max_rtt.map(text::duration));
    if *tolerance > 0.0 {
        settings.put("tolerance", Json::Float(*tolerance));
    }
    settings.put_filled("baselines", baselines.iter().copied().map(text::duration).collect::<Vec<_>>());
    let cost = |cost: &Spanned<Cost>| {
        let mut fields = Fields::default();
        fields.put_if("regexp", cost.value.regexp);
        fields.put("match", &*cost.value.pattern);
        fields.put_some("value", cost.value.value.map(Json::Float));
        Json::from(fields)
    };
    settings.put_filled("costs", costs.iter().map(cost).collect::<Vec<_>>());
}

/// `observatory`, `burstObservatory` and `multiObservatory`.
pub(super) fn put_observatories(observatories: &[Observatory], file: &mut Fields) {
    let mut observers: Vec<Json> = Vec::new();
    for observatory in observatories {
        let (kind, settings) = match &observatory.burst {
            None => ("default", plain(observatory)),
            Some(_) => ("burst", burst(observatory)),
        };
        match &observatory.tag {
            None if kind == "burst" => file.put("burstObservatory", settings),
            None => file.put("observatory", settings),
            Some(tag) => {
                let mut observer = Fields::default();
                observer.put("type", kind);
                observer.put("tag", tag.value.as_str());
                observer.put("settings", settings);
                observers.push(observer.into());
            }
        }
    }
    let mut multi = Fields::default();
    multi.put_filled("observers", observers);
    file.put_filled("multiObservatory", multi);
}

fn plain(observatory: &Observatory) -> Fields {
    let mut fields = Fields::default();
    fields.put("subjectSelector", prefixes(&observatory.subjects));
    fields.put("probeURL", &*observatory.url.text);
    fields.put("probeInterval", text::duration(observatory.interval));
    fields
}

fn burst(observatory: &Observatory) -> Fields {
    let (mut fields, mut ping) = (Fields::default(), Fields::default());
    fields.put("subjectSelector", prefixes(&observatory.subjects));
    ping.put("destination", &*observatory.url.text);
    if let Some(burst) = &observatory.burst {
        ping.put_some("connectivity", burst.connectivity.as_ref().map(|url| &*url.text));
        ping.put("sampling", burst.sampling.get());
    }
    ping.put("interval", text::duration(observatory.interval));
    ping.put("timeout", text::duration(observatory.timeout));
    ping.put("httpMethod", text::method(observatory.method).to_uppercase());
    fields.put("pingConfig", ping);
    fields
}
