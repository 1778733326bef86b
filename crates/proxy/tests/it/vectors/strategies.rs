//! What observatories find, and what strategies make of it.

use std::{num::NonZeroU16, time::Duration};

use rand::{SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use waypost_balance::LeastLoadSpec;
use waypost_health::Samples;
use waypost_net::{Flow, Network};
use waypost_proxy::build::Loaded;

use super::{Vector, Verdict, exactly, routes::decide, rules::strings};

/// The unit of the numbers makes no difference to how many are selected.
pub(super) fn leastload_select(vector: &Vector) -> Verdict {
    let numbers = |key| vector.get(key).as_array().unwrap().iter().map(|number| number.as_u64().unwrap());
    let spec = LeastLoadSpec {
        expected: usize::try_from(vector.get("expected").as_u64().unwrap()).unwrap(),
        baselines: numbers("baselines").map(Duration::from_nanos).collect(),
        ..LeastLoadSpec::default()
    };
    #[expect(clippy::cast_precision_loss, reason = "numbers below a thousand")]
    let loads: Vec<f64> = numbers("sorted_deviation_costs").map(|load| load as f64).collect();
    exactly(&json!(spec.count(&loads)), vector.get("expect_count"))
}

/// The cost of an outbound with the tag of the vector, in a configuration with its costs.
pub(super) fn weight(vector: &Vector) -> Verdict {
    let tag = vector.get("tag").as_str().unwrap();
    let settings = json!({"costs": vector.get("costs")});
    let balancer =
        json!({"tag": "b", "selector": [tag], "strategy": {"type": "leastLoad", "settings": settings}});
    let file = json!({
        "outbounds": [{"protocol": "freedom", "tag": tag}],
        "observatory": {"subjectSelector": [tag]},
        "routing": {"balancers": [balancer], "rules": [{"network": "tcp", "balancerTag": "b"}]},
    });
    let loaded = match vector.load_file(&file) {
        Ok(loaded) => loaded,
        Err(refused) => return refused,
    };
    let snapshot = loaded.ready.unwrap().snapshot;
    let flow = Flow::new(Network::Tcp, "example.com:443".parse().unwrap());
    let (decision, _) = decide(snapshot.router(), &flow, |_| Vec::new());
    let route = snapshot.route(&decision, &flow, &mut StdRng::seed_from_u64(1)).unwrap();
    let cost = route.group.unwrap().group.spec().least_load.cost(0);
    let expected = vector.expected().as_f64().unwrap();
    if (cost - expected).abs() < 1e-9 { Verdict::AsExpected } else { Verdict::Wrong(cost.to_string()) }
}

pub(super) fn health_stats(vector: &Vector) -> Verdict {
    let capacity = u16::try_from(vector.get("capacity").as_u64().unwrap()).unwrap();
    let mut samples = Samples::new(NonZeroU16::new(capacity).unwrap(), Duration::from_secs(60));
    let now = tokio::time::Instant::now().into_std();
    for rtt in vector.get("rtts").as_array().unwrap() {
        samples.record(now, rtt.as_u64().map(Duration::from_millis));
    }
    let stats = samples.stats(now);
    let found = json!({
        "all": stats.all,
        "fail": stats.fail,
        "deviation": millis(stats.deviation),
        "average": millis(stats.average),
        "max": millis(stats.max),
        "min": millis(stats.min),
    });
    exactly(&found, vector.expected())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap()
}

/// Outbounds that an observatory does not select have no state that could be left over.
pub(super) fn observer_prune(vector: &Vector) -> Verdict {
    let status = strings(vector.get("status"));
    let outbounds: Vec<Value> = status.iter().map(|tag| json!({"protocol": "freedom", "tag": tag})).collect();
    let file = json!({
        "outbounds": outbounds,
        "observatory": {"subjectSelector": vector.get("selected")},
        "routing": {},
    });
    let watched = |loaded: Loaded| {
        let observatories = loaded.ready.unwrap().config.observatories;
        let mut status = status.clone();
        status.retain(|tag| observatories[0].watches(tag));
        status
    };
    match vector.load_file(&file) {
        Ok(loaded) => exactly(&json!(watched(loaded)), vector.expected()),
        Err(refused) => refused,
    }
}
