//! Vectors about conditions of sing-box (`testdata/vectors/loadbalance.json`), from the text of a
//! configuration to the decision.

use serde_json::{Value, json};
use waypost_config::{Options, Source, Style, render};
use waypost_net::{Flow, Host, Network, Target};
use waypost_proxy::{
    Snapshot,
    build::{Assets, load},
};
use waypost_router::Step;

fn vectors(kind: &str) -> Vec<Value> {
    let text = include_str!("../../../../testdata/vectors/loadbalance.json");
    let all: Value = serde_json::from_str(text).expect("the vectors are JSON");
    all[kind].as_array().expect("a list").clone()
}

/// A configuration with one rule, or what is wrong with it.
fn load_rule(mut rule: Value, rule_sets: &Value) -> Result<Snapshot, String> {
    rule["outbound"] = json!("matched");
    let config = json!({
        "inbounds": [{"type": "mixed", "listen": "127.0.0.1", "listen_port": 1080}],
        "outbounds": [{"type": "direct", "tag": "default"}, {"type": "direct", "tag": "matched"}],
        "route": {"rules": [rule], "rule_set": rule_sets, "final": "default"},
    });
    let source = Source::new("config.json", format!("{config:#}")).unwrap();
    let loaded = load(&source, &Options::default(), &Assets::new(None, &|_| None));
    let diagnostics = render(&source, &loaded.diagnostics, Style::Plain);
    loaded.ready.map(|ready| ready.snapshot).ok_or(diagnostics)
}

/// Whether the rule matches, and the rule set by which it does.
fn decide(snapshot: &Snapshot, host: &str, port: u16) -> (bool, Option<String>) {
    let flow = Flow::new(Network::Tcp, Target::new(Host::parse(host).unwrap(), port));
    let Step::Decided(decision) = snapshot.router().route(&flow) else { panic!("nothing to ask") };
    let rule_set = snapshot.router().rule_set(&decision, &flow).map(str::to_owned);
    (decision.rule.is_some(), rule_set)
}

#[test]
fn names_match_as_the_vectors_say() {
    let vectors = vectors("domain_matcher");
    assert_eq!(vectors.len(), 6);
    for vector in vectors {
        let (key, value) = vector["rule"].as_str().unwrap().split_once('=').unwrap();
        let snapshot = load_rule(json!({key: [value]}), &json!([])).unwrap();
        let matches = decide(&snapshot, vector["host"].as_str().unwrap(), 443).0;
        assert_eq!(json!(matches), vector["match"], "{vector}");
    }
}

#[test]
fn ranges_of_ports_are_those_of_the_vectors() {
    let vectors = vectors("port_range");
    assert_eq!(vectors.len(), 3);
    for vector in vectors {
        let spec = vector["spec"].as_str().unwrap();
        let loaded = load_rule(json!({"port_range": [spec]}), &json!([]));
        if vector.get("error").is_some() {
            let Err(diagnostics) = loaded else { panic!("{spec} is accepted") };
            assert!(diagnostics.contains(&format!("`{spec}`")), "{diagnostics}");
            continue;
        }
        let snapshot = loaded.unwrap();
        let [min, max] = ["min", "max"].map(|key| u16::try_from(vector[key].as_u64().unwrap()).unwrap());
        for port in 0..=u16::MAX {
            let matches = decide(&snapshot, "a.example", port).0;
            assert_eq!(matches, (min..=max).contains(&port), "{spec}: {port}");
        }
    }
}

#[test]
fn the_rule_set_of_a_logical_rule_is_that_of_the_vector() {
    let vectors = vectors("matched_ruleset");
    let [vector] = vectors.as_slice() else { panic!("one vector: {vectors:?}") };
    assert_eq!(
        vector["rule"], "logical and/or [rule_set nested(example.com), domain www.example.com]",
        "what is written out below"
    );
    let nested = json!([{"type": "inline", "tag": "nested", "rules": [{"domain_suffix": "example.com"}]}]);
    for mode in ["and", "or"] {
        let parts = json!([{"rule_set": "nested"}, {"domain": "www.example.com"}]);
        let rule = json!({"type": "logical", "mode": mode, "rules": parts});
        let snapshot = load_rule(rule, &nested).unwrap();
        let (matches, rule_set) = decide(&snapshot, vector["domain"].as_str().unwrap(), 443);
        assert_eq!((matches, rule_set.as_deref()), (true, vector["expected"].as_str()), "{mode}");
        assert_eq!(decide(&snapshot, "example.com", 443).0, mode == "or");
    }
}
