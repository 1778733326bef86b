//! Balancers of either program, as they are in a file.

use serde_json::{Map, Value, json};
use tonic::Status;

use super::entries;
use crate::{
    messages::rules::{Balancer, LeastLoad, Weight},
    typed::Typed,
};

pub(super) fn read(balancer: &Balancer) -> Result<Value, Status> {
    let mut object = Map::new();
    object.insert("tag".to_owned(), json!(balancer.tag));
    object.insert("selector".to_owned(), json!(balancer.outbound_selector));
    if !balancer.strategy.is_empty() {
        let mut strategy = Map::new();
        strategy.insert("type".to_owned(), json!(balancer.strategy));
        if let Some(settings) = settings(balancer)? {
            strategy.insert("settings".to_owned(), settings);
        }
        object.insert("strategy".to_owned(), Value::Object(strategy));
    }
    if let Some(fallback) = entries::text(&*balancer.fallback_tag) {
        object.insert("fallbackTag".to_owned(), fallback);
    }
    Ok(Value::Object(object))
}

fn settings(balancer: &Balancer) -> Result<Option<Value>, Status> {
    let Some(message) = balancer.strategy_settings.as_ref().filter(|settings| !settings.r#type.is_empty())
    else {
        return Ok(None);
    };
    let typed = Typed::of(Some(message), "settings of a balancer")?;
    if typed.name == "app.router.StrategyLeastLoadConfig" {
        return typed.read(&[2, 3, 4, 5, 6]).map(|settings| Some(least_load(settings)));
    }
    // Those of the other strategies are fine as long as nothing is set in them.
    if message.value.is_empty() { Ok(None) } else { Err(typed.refuse("settings")) }
}

fn least_load(settings: LeastLoad) -> Value {
    let duration = |nanos: i64| json!(format!("{}ns", nanos.max(0)));
    let cost = |cost: Weight| {
        let Weight { regexp, r#match, value } = cost;
        let mut object = Map::new();
        object.insert("regexp".to_owned(), json!(regexp));
        object.insert("match".to_owned(), json!(r#match));
        if value > 0.0 {
            object.insert("value".to_owned(), json!(f64::from(value)));
        }
        Value::Object(object)
    };
    let LeastLoad { costs, baselines, expected, max_rtt, tolerance } = settings;
    let mut object = Map::new();
    if !costs.is_empty() {
        object.insert("costs".to_owned(), costs.into_iter().map(cost).collect());
    }
    let baselines: Vec<Value> = baselines.into_iter().filter(|&nanos| nanos > 0).map(duration).collect();
    if !baselines.is_empty() {
        object.insert("baselines".to_owned(), baselines.into());
    }
    if expected != 0 {
        object.insert("expected".to_owned(), json!(expected));
    }
    if max_rtt > 0 {
        object.insert("maxRTT".to_owned(), duration(max_rtt));
    }
    if tolerance != 0.0 {
        object.insert("tolerance".to_owned(), json!(f64::from(tolerance)));
    }
    Value::Object(object)
}
