use std::sync::Arc;

use serde_json::{Value, json};
use waypost_config::{Options, Source};
use waypost_net::{Host, Network};

use super::*;
use crate::build::{Assets, load};

/// What an inbound with these settings and one rule with these conditions sniffs by.
fn lower(sniffing: &Value, rule: &Value) -> Option<Arc<Sniffing>> {
    let mut rule = rule.clone();
    rule["outboundTag"] = json!("out");
    let file = json!({
        "inbounds": [{"protocol": "socks", "listen": "127.0.0.1", "port": 0, "sniffing": sniffing}],
        "outbounds": [{"protocol": "freedom", "tag": "out"}],
        "routing": {"rules": [rule]},
    });
    let source = Source::new("config.json", file.to_string()).unwrap();
    let loaded = load(&source, &Options::default(), &Assets::new(None, &|_| None));
    let ready = loaded.ready.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    ready.snapshot.sniffing(0)
}

fn sniffing(settings: &Value) -> Arc<Sniffing> {
    let mut settings = settings.clone();
    settings["enabled"] = json!(true);
    lower(&settings, &json!({"protocol": "tls"})).expect("a rule depends on it")
}

fn sniffed(protocol: &'static str, host: &str) -> Sniffed {
    let host = (!host.is_empty()).then(|| Host::parse(host).unwrap());
    Sniffed { protocol, host, attributes: waypost_net::Attributes::default() }
}

fn flow(target: &str) -> Flow {
    Flow::new(Network::Tcp, target.parse().unwrap())
}

/// Checks the target that is dialled and the name that only rules see.
#[track_caller]
fn check(settings: &Value, protocol: &'static str, host: &str, dialled: &str, for_rules: Option<&str>) {
    let mut flow = flow("1.2.3.4:8443");
    sniffing(settings).enter(sniffed(protocol, host), &mut flow);
    assert_eq!(flow.protocol.as_deref(), Some(protocol));
    assert_eq!(flow.target.to_string(), dialled);
    assert_eq!(flow.route_domain.as_ref().map(waypost_net::DomainName::as_str), for_rules);
}

/// The vectors of the kind `should_override`.
#[test]
fn a_name_takes_the_place_of_a_target_as_in_v2ray_and_xray() {
    let file: Value =
        serde_json::from_str(include_str!("../../../../testdata/vectors/routing.json")).unwrap();
    let vectors = file["vectors"].as_array().unwrap().iter();
    let mut n_vectors = 0;
    for vector in vectors.filter(|vector| vector["kind"] == "should_override") {
        n_vectors += 1;
        let label = vector["sniffed"]["protocol"].as_str().unwrap();
        let label = ["http1", "tls", "quic", "bittorrent"].into_iter().find(|known| *known == label).unwrap();
        let mut settings = json!({"destOverride": vector["destOverride"]});
        for key in ["domainsExcluded", "ipsExcluded"] {
            if let Some(list) = vector.get(key) {
                settings[key] = list.clone();
            }
        }
        let target = format!("{}:443", vector["destination"].as_str().unwrap());
        let mut flow = flow(&target);
        let name = vector["sniffed"]["domain"].as_str().unwrap();
        sniffing(&settings).enter(sniffed(label, name), &mut flow);
        let overridden = flow.target.to_string() != target;
        assert_eq!(Some(overridden), vector["expect"].as_bool(), "{vector}");
        assert_eq!(flow.target.port, 443);
    }
    assert_eq!(n_vectors, 6);
}

#[test]
fn names_are_dialled_or_shown_to_rules_only() {
    let both = json!(["http", "tls"]);
    check(&json!({"destOverride": both}), "tls", "a.example", "a.example:8443", None);
    check(&json!({"destOverride": both}), "tls", "5.6.7.8", "5.6.7.8:8443", None);
    check(&json!({"destOverride": []}), "tls", "a.example", "1.2.3.4:8443", None);
    let route_only = json!({"destOverride": both, "routeOnly": true});
    check(&route_only, "http1", "a.example", "1.2.3.4:8443", Some("a.example"));
    check(&route_only, "http1", "5.6.7.8", "1.2.3.4:8443", None);
    let excluded = json!({
        "destOverride": both, "routeOnly": true, "domainsExcluded": ["domain:example", "regexp:^x[0-9]"]
    });
    check(&excluded, "tls", "a.example", "1.2.3.4:8443", None);
    check(&excluded, "tls", "x1.test", "1.2.3.4:8443", None);
    check(&excluded, "tls", "x.test", "1.2.3.4:8443", Some("x.test"));
    let elsewhere = json!({"destOverride": both, "ipsExcluded": ["10.0.0.0/8", "geoip:private"]});
    check(&elsewhere, "tls", "a.example", "a.example:8443", None);
}

#[test]
fn nobody_waits_for_what_nothing_depends_on() {
    let no_label = json!({"port": 1});
    for (settings, rule, sniffs) in [
        (json!({"enabled": true}), &no_label, false),
        (json!({"enabled": true}), &json!({"protocol": "http"}), true),
        (json!({"enabled": true}), &json!({"attrs": {":method": "GET"}}), true),
        (json!({"enabled": true, "destOverride": ["tls"]}), &no_label, true),
        (json!({"enabled": true, "destOverride": ["tls"], "metadataOnly": true}), &no_label, false),
        (json!({"enabled": false, "destOverride": ["tls"]}), &json!({"protocol": "http"}), false),
    ] {
        assert_eq!(lower(&settings, rule).is_some(), sniffs, "{settings} {rule}");
    }
}
