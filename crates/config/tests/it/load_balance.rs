//! What the settings of a `loadbalance` outbound become.

use std::time::Duration;

use serde_json::{Value, json};
use waypost_config::{
    Outcome, Severity,
    model::{
        Config, DialPace, EmptyPoolAction, Hash, HashAlgorithm, Hysteresis, KeyPart, LoadBalance,
        LoadBalanceStrategy, OnEmptyKey, OutboundProtocol, ProbeMethod, TopN,
    },
};

use crate::read;

const FULL: &str = include_str!("../../../../testdata/config/good/11-load-balance.json");

fn group<'a>(config: &'a Config, tag: &str) -> &'a LoadBalance {
    let tagged = |tagged: &&waypost_config::model::Outbound| {
        tagged.tag.as_ref().is_some_and(|found| found.value.as_str() == tag)
    };
    let found = config.outbounds.iter().find(tagged).expect("an outbound with this tag");
    let OutboundProtocol::LoadBalance(group) = &found.protocol else { panic!("not a group: {found:?}") };
    group
}

fn full() -> Config {
    let (outcome, rendered) = read("11-load-balance.json", FULL);
    outcome.config.unwrap_or_else(|| panic!("{rendered}"))
}

/// Reads a file whose first outbound is a group with these settings.
fn read_settings(settings: &Value) -> Outcome {
    let file = json!({
        "inbounds": [{"protocol": "socks", "listen": "127.0.0.1", "port": 1080}],
        "outbounds": [
            {"protocol": "loadbalance", "tag": "lb", "settings": settings},
            {"protocol": "freedom", "tag": "a"},
            {"protocol": "freedom", "tag": "b"},
        ],
        "routing": {"rules": [{"port": 1, "outboundTag": "a"}, {"port": 2, "outboundTag": "b"}]},
    });
    read("settings.json", &file.to_string()).0
}

fn tags(members: &[waypost_config::Spanned<waypost_net::Tag>]) -> Vec<&str> {
    members.iter().map(|member| member.value.as_str()).collect()
}

#[test]
fn every_field_is_read() {
    let config = full();
    let group = group(&config, "everything");
    assert_eq!(tags(&group.primary), ["proxy-a", "proxy-b", "proxy-c"]);
    assert_eq!(tags(&group.backup), ["nested", "direct"]);
    let weights: Vec<_> = group.weights.iter().map(|(tag, weight)| (tag.as_str(), weight.get())).collect();
    assert_eq!(weights, [("proxy-a", 3), ("direct", 2)]);
    assert_eq!(group.strategy, LoadBalanceStrategy::ConsistentHash);
    assert_eq!(group.empty_pool_action, EmptyPoolAction::FallbackAll);
    assert!(group.interrupt_exist_connections);
    assert_eq!((group.top_n.primary, group.top_n.backup), (2, 1));
    assert_eq!(group.top_n.tolerance, Duration::from_millis(25));
    assert_eq!(group.hysteresis.primary_failures.get(), 5);
    assert_eq!(group.hysteresis.backup_hold_time, Duration::from_secs(300));
    let expected = DialPace {
        attempt_timeout: Duration::from_secs(2),
        total_timeout: Duration::from_secs(8),
        hedge_delay: Duration::from_millis(100),
        max_in_flight: 2.try_into().expect("not zero"),
        first_flight_replay: false,
        replay_delay: Duration::from_millis(500),
    };
    assert_eq!(group.dial, expected);
}

#[test]
fn the_probe_and_the_hash_are_read() {
    let config = full();
    let group = group(&config, "everything");
    let probe = &group.probe;
    assert!(!probe.url.https);
    assert_eq!(probe.url.target.to_string(), "[2001:db8::1]:8080");
    assert_eq!(&*probe.url.path, "/health?full=1");
    assert_eq!(&*probe.url.text, "http://[2001:db8::1]:8080/health?full=1#top");
    assert_eq!(probe.interval, Duration::from_secs(90));
    assert_eq!(probe.timeout, Duration::from_millis(1500));
    assert_eq!(probe.idle_timeout, Duration::from_secs(86_400));
    assert_eq!(probe.method, ProbeMethod::Get);
    assert_eq!(probe.expected_status, [(200, 299), (304, 304), (404, 404)]);
    assert_eq!((probe.rise.get(), probe.fall.get()), (2, 3));
    let hash = Hash {
        key_parts: vec![
            KeyPart::SrcIp,
            KeyPart::SrcPort,
            KeyPart::DstIp,
            KeyPart::DstPort,
            KeyPart::Network,
            KeyPart::Domain,
            KeyPart::InboundTag,
            KeyPart::User,
            KeyPart::MatchedRuleset,
            KeyPart::EtldPlusOne,
            KeyPart::MatchedRulesetOrEtld,
            KeyPart::Salt,
        ],
        virtual_nodes: 100.try_into().expect("not zero"),
        on_empty_key: OnEmptyKey::HashEmpty,
        salt: "my pool".into(),
        probes: 7.try_into().expect("not zero"),
        algorithm: HashAlgorithm::Ring,
        balance_factor: Some(125),
    };
    assert_eq!(group.hash, hash);
}

/// The values are those of the document, so they are written out here.
#[test]
fn defaults_are_those_of_the_document() {
    let config = full();
    let shortest = read_settings(&json!({"primary_outbounds": ["a"], "backup_outbounds": ["b"]}));
    let shortest = shortest.config.expect("a good file");
    for group in [group(&config, "defaults"), group(&shortest, "lb")] {
        assert!(group.weights.is_empty());
        assert_eq!(group.strategy, LoadBalanceStrategy::Random);
        assert_eq!(&*group.probe.url.text, "https://www.gstatic.com/generate_204");
        assert_eq!(group.probe.url.target.to_string(), "www.gstatic.com:443");
        assert!(group.probe.url.https);
        assert_eq!(group.probe.interval.as_secs(), 180);
        assert_eq!(group.probe.timeout.as_secs(), 5);
        assert_eq!(group.probe.idle_timeout.as_secs(), 1800);
        assert_eq!(group.probe.method, ProbeMethod::Head);
        assert_eq!(group.probe.expected_status, []);
        assert_eq!((group.probe.rise.get(), group.probe.fall.get()), (1, 2));
        assert_eq!((group.top_n.primary, group.top_n.backup), (0, 0));
        assert_eq!(group.top_n.tolerance.as_millis(), 10);
        assert_eq!(group.hash.key_parts, []);
        assert_eq!((group.hash.virtual_nodes.get(), group.hash.probes.get()), (10, 21));
        assert_eq!((group.hash.on_empty_key, &*group.hash.salt), (OnEmptyKey::Random, ""));
        assert_eq!((group.hash.algorithm, group.hash.balance_factor), (HashAlgorithm::Ring, None));
        assert_eq!(group.hysteresis.primary_failures.get(), 3);
        assert_eq!(group.hysteresis.backup_hold_time.as_secs(), 30);
        assert_eq!(group.empty_pool_action, EmptyPoolAction::Error);
        assert!(!group.interrupt_exist_connections);
        assert_eq!(group.dial.attempt_timeout.as_secs(), 3);
        assert_eq!(group.dial.total_timeout.as_secs(), 10);
        assert_eq!(group.dial.hedge_delay.as_millis(), 200);
        assert_eq!(group.dial.max_in_flight.get(), 3);
        assert!(group.dial.first_flight_replay);
        assert_eq!(group.dial.replay_delay.as_secs(), 1);
    }
}

#[test]
fn zero_and_empty_mean_the_default_where_the_document_says_so() {
    let config = full();
    let nested = group(&config, "nested");
    assert_eq!(tags(&nested.primary), ["proxy-a", "proxy-b"]);
    assert_eq!(tags(&nested.backup), Vec::<&str>::new());
    assert_eq!(nested.strategy, LoadBalanceStrategy::LeastConn);
    assert_eq!(nested.hash, Hash::default());
    assert_eq!(nested.top_n, TopN::default());
    assert_eq!(nested.hysteresis, Hysteresis::default());
    assert_eq!(nested.dial, DialPace::default());
    assert_eq!(nested.empty_pool_action, EmptyPoolAction::FallbackAll);
    let strict = group(&config, "strict");
    assert_eq!(strict.probe.expected_status, [(204, 204)]);
    assert_eq!(strict.top_n.tolerance, Duration::ZERO);
    assert_eq!(strict.hash.key_parts, [KeyPart::SrcIp]);
    assert_eq!(strict.hash.on_empty_key, OnEmptyKey::Error);
    assert_eq!(strict.hash.algorithm, HashAlgorithm::Maglev);
    assert_eq!(strict.hysteresis.primary_failures.get(), 3);
    assert_eq!(strict.hysteresis.backup_hold_time, Duration::ZERO);
    for (tag, strategy) in [
        ("strict", LoadBalanceStrategy::ConsistentHash),
        ("robin", LoadBalanceStrategy::RoundRobin),
        ("ping", LoadBalanceStrategy::LeastPing),
        ("order", LoadBalanceStrategy::Failover),
    ] {
        assert_eq!(group(&config, tag).strategy, strategy, "{tag}");
    }
}

/// A member names its place, so that later stages can complain about it.
#[test]
fn members_have_their_places() {
    let config = full();
    let group = group(&config, "everything");
    let place = |member: &waypost_config::Spanned<waypost_net::Tag>| {
        FULL.get(member.span.start..member.span.end).map(str::to_owned)
    };
    assert_eq!(
        group.backup.iter().map(place).collect::<Vec<_>>(),
        [Some("\"nested\"".to_owned()), Some("\"direct\"".to_owned())]
    );
}

/// A path of groups as long as a file can hold does not end the program.
#[test]
fn a_long_chain_of_groups_is_followed_to_its_end() {
    let n_groups = 20_000;
    let mut outbounds: Vec<Value> = (0..n_groups)
        .map(|number| {
            let member = format!("g{}", (number + 1) % n_groups);
            json!({"protocol": "loadbalance", "tag": format!("g{number}"), "settings": {"primary_outbounds": [member]}})
        })
        .collect();
    let inbounds = json!([{"protocol": "socks", "listen": "127.0.0.1", "port": 1080}]);
    let circle = json!({"inbounds": inbounds, "outbounds": outbounds});
    let (outcome, _) = read("circle.json", &circle.to_string());
    let messages: Vec<&str> = outcome.diagnostics.iter().map(|found| found.message.as_str()).collect();
    let expected = "these groups go round in a circle: \
        `g0` -> `g1` -> `g2` -> `g3` -> `g4` -> `g5` -> `g6` -> `g7` -> … -> `g0`";
    assert_eq!(messages, [expected]);

    outbounds.pop();
    outbounds.push(json!({"protocol": "freedom", "tag": format!("g{}", n_groups - 1)}));
    let chain = json!({"inbounds": inbounds, "outbounds": outbounds});
    let (outcome, rendered) = read("chain.json", &chain.to_string());
    assert!(outcome.config.is_some(), "{rendered}");
}

/// The rows of `config_validation` in `testdata/vectors/loadbalance.json`, as settings of a group
/// with the tag `lb` beside the outbounds `a` and `b`.
fn settings_of_row(row: &str) -> Vec<Value> {
    let with = |settings: Value| {
        let mut all = json!({"primary_outbounds": ["a", "b"]});
        for (key, value) in settings.as_object().expect("an object") {
            all.as_object_mut().expect("an object").insert(key.clone(), value.clone());
        }
        all
    };
    let hashed = |hash: Value| with(json!({"strategy": "consistent_hash", "hash": hash}));
    match row {
        "no primary_outbounds" => vec![json!({})],
        "strategy: foo" => vec![with(json!({"strategy": "foo"}))],
        "strategy omitted" => vec![with(json!({}))],
        "top_n.primary 0/omitted" => vec![with(json!({"top_n": {"primary": 0}})), with(json!({"top_n": {}}))],
        "top_n.backup 2" => {
            let settings =
                json!({"primary_outbounds": ["a"], "backup_outbounds": ["b"], "top_n": {"backup": 2}});
            vec![settings]
        }
        "empty_pool_action: foo" => vec![with(json!({"empty_pool_action": "foo"}))],
        "empty_pool_action: fallback_all" => {
            ["fallback_all", "random"].map(|word| with(json!({"empty_pool_action": word}))).to_vec()
        }
        "hash.on_empty_key: foo" => vec![hashed(json!({"key_parts": ["src_ip"], "on_empty_key": "foo"}))],
        "hash.on_empty_key: hash_empty" => ["hash_empty", "error"]
            .map(|word| hashed(json!({"key_parts": ["src_ip"], "on_empty_key": word})))
            .to_vec(),
        "consistent_hash without hash" => vec![with(json!({"strategy": "consistent_hash"}))],
        "unknown key part" => vec![hashed(json!({"key_parts": ["x"]}))],
        "own tag as member" => {
            vec![json!({"primary_outbounds": ["lb"]}), with(json!({"backup_outbounds": ["lb"]}))]
        }
        "unknown member tag" => vec![json!({"primary_outbounds": ["x"]})],
        "interval > idle_timeout" => vec![with(json!({"interval": "31m"}))],
        "virtual_nodes <= 0" => [json!(0), json!(null), json!(-1), json!(65_537)]
            .map(|number| hashed(json!({"key_parts": ["src_ip"], "virtual_nodes": number})))
            .to_vec(),
        other => panic!("a row that this test does not know: {other}"),
    }
}

/// What is to become of the settings of a row: for each either the number of warnings, or an error.
fn verdict(ours: &str) -> Vec<Result<usize, ()>> {
    match ours {
        "error" => vec![Err(()); 2],
        "error at load" => vec![Err(())],
        "random (seed)" => vec![Ok(0)],
        "all" | "ok; accept alias random" | "ok; accept error too" => vec![Ok(0); 2],
        // Two of one backup are asked for, which is worth a warning.
        "2" | "ok + warning" => vec![Ok(1)],
        "0/omitted -> default 10; negative -> error; > 65536/node -> error" => {
            vec![Ok(0), Ok(0), Err(()), Err(())]
        }
        other => panic!("a verdict that this test does not know: {other}"),
    }
}

#[test]
fn validation_is_that_of_the_vectors() {
    let text = include_str!("../../../../testdata/vectors/loadbalance.json");
    let vectors: Value = serde_json::from_str(text).expect("the vectors are JSON");
    let rows = vectors.get("config_validation").and_then(Value::as_array).expect("a list");
    assert_eq!(rows.len(), 15);
    for row in rows {
        let text = |key: &str| row.get(key).and_then(Value::as_str).expect("a text");
        let (name, verdicts) = (text("config"), verdict(text("ours")));
        let settings = settings_of_row(name);
        assert!(verdicts.len() >= settings.len(), "{name}");
        for (settings, verdict) in settings.iter().zip(verdicts) {
            let outcome = read_settings(settings);
            let count =
                |severity| outcome.diagnostics.iter().filter(|found| found.severity == severity).count();
            let found = if count(Severity::Error) > 0 { Err(()) } else { Ok(count(Severity::Warning)) };
            assert_eq!(found, verdict, "{name}: {settings} {:?}", outcome.diagnostics);
            let values = outcome.config.as_ref().map(|config| group(config, "lb"));
            match (name, values) {
                ("top_n.backup 2", Some(group)) => assert_eq!(group.top_n.backup, 2),
                ("virtual_nodes <= 0", Some(group)) => assert_eq!(group.hash.virtual_nodes.get(), 10),
                ("strategy omitted", Some(group)) => assert_eq!(group.strategy, LoadBalanceStrategy::Random),
                ("empty_pool_action: fallback_all", Some(group)) => {
                    assert_eq!(group.empty_pool_action, EmptyPoolAction::FallbackAll);
                }
                (_, Some(group)) => assert!(!group.primary.is_empty()),
                (_, None) => assert!(verdict.is_err()),
            }
        }
    }
}
