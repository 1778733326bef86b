//! Configurations that chance makes, in both dialects: what they come to in the other one decides
//! about connections as they do.

use std::net::{IpAddr, SocketAddr};

use rand::{Rng, RngExt as _, seq::IndexedRandom as _};
use serde_json::{Map, Value, json};
use waypost_config::{Dialect, Options, Source, Style, model::Config, render, write};
use waypost_net::{DomainName, Flow, Network, Tag};
use waypost_proxy::{
    Snapshot,
    build::{Assets, Ready, load},
    explain::explain,
};
use waypost_testkit::seeded_rng;

const NAMES: [&str; 6] = ["a.test", "www.a.test", "b.test", "tracker.test", "x1.b.test", "plain"];
const ADDRESSES: [&str; 6] =
    ["10.0.0.1", "192.0.2.7", "203.0.113.9", "2001:db8::1", "2001:db8:1::5", "8.8.8.8"];
const PREFIXES: [&str; 5] = ["10.0.0.0/8", "192.0.2.0/24", "2001:db8::/48", "203.0.113.9", "::/0"];

/// Some of a pool, at least one.
fn some<'a>(pool: &[&'a str], rng: &mut impl Rng) -> Vec<&'a str> {
    let n = rng.random_range(1..=pool.len().min(3));
    pool.sample(rng, n).copied().collect()
}

fn pick<T: Copy>(pool: &[T], rng: &mut impl Rng) -> T {
    *pool.choose(rng).unwrap()
}

fn maybe(rule: &mut Map<String, Value>, key: &str, wanted: bool, value: impl FnOnce() -> Value) {
    if wanted {
        rule.insert(key.to_owned(), value());
    }
}

fn v2ray(rng: &mut impl Rng) -> Value {
    let rules: Vec<Value> = (0..rng.random_range(1..8)).map(|_| v2ray_rule(rng)).collect();
    let strategy = *["AsIs", "AsIs", "IPOnDemand"].choose(rng).unwrap();
    json!({
        "inbounds": [
            {"tag": "in", "protocol": "socks", "listen": "127.0.0.1", "port": 1080, "settings": {"udp": true}},
            {"tag": "web", "protocol": "http", "listen": "127.0.0.1", "port": 8080},
        ],
        "outbounds": [
            {"tag": "direct", "protocol": "freedom"},
            {"tag": "a", "protocol": "socks", "settings": {"servers": [{"address": "192.0.2.1", "port": 1}]}},
            {"tag": "b", "protocol": "http", "settings": {"servers": [{"address": "192.0.2.2", "port": 2}]}},
            {"tag": "none", "protocol": "blackhole"},
        ],
        "routing": {
            "domainStrategy": strategy, "rules": rules,
            "balancers": [{"tag": "only-b", "selector": ["b"]}],
        },
    })
}

fn v2ray_rule(rng: &mut impl Rng) -> Value {
    let mut rule = Map::new();
    while rule.is_empty() {
        let wanted: [bool; 9] = std::array::from_fn(|_| rng.random_bool(0.25));
        let domains =
            ["full:a.test", "domain:b.test", "tracker", "regexp:^x[0-9]", "geosite:test", "keyword:ww"];
        let ips =
            ["10.0.0.0/8", "192.0.2.0/24", "!192.0.2.0/24", "!2001:db8::/48", "203.0.113.9", "geoip:test"];
        maybe(&mut rule, "domain", wanted[0], || json!(some(&domains, rng)));
        maybe(&mut rule, "ip", wanted[1], || json!(some(&ips, rng)));
        maybe(&mut rule, "port", wanted[2], || json!(some(&["53", "80", "443", "1000-2000"], rng).join(",")));
        maybe(&mut rule, "source", wanted[3], || {
            json!(some(&["127.0.0.1", "10.0.0.0/8", "!10.0.0.0/8"], rng))
        });
        maybe(&mut rule, "sourcePort", wanted[4], || json!("1-4000"));
        maybe(&mut rule, "network", wanted[5], || json!(some(&["tcp", "udp"], rng)));
        maybe(&mut rule, "user", wanted[6], || json!(some(&["me", "you"], rng)));
        maybe(&mut rule, "inboundTag", wanted[7], || json!(some(&["in", "web"], rng)));
        maybe(&mut rule, "protocol", wanted[8], || json!(some(&["http", "tls", "bittorrent"], rng)));
    }
    if rng.random_bool(0.2) {
        rule.insert("balancerTag".to_owned(), json!("only-b"));
    } else {
        rule.insert("outboundTag".to_owned(), json!(pick(&["a", "b", "none", "direct"], rng)));
    }
    rule.into()
}

fn sing_box(rng: &mut impl Rng) -> Value {
    let rules: Vec<Value> = (0..rng.random_range(1..8))
        .map(|_| {
            let mut rule = sing_box_matcher(rng, 2);
            match rng.random_range(0..8) {
                0 => drop(rule.insert("action".to_owned(), json!("reject"))),
                _ => drop(rule.insert("outbound".to_owned(), json!(pick(&["a", "b", "direct"], rng)))),
            }
            rule.into()
        })
        .collect();
    let mut route = json!({"rules": rules, "final": pick(&["a", "b", "direct"], rng)});
    if rng.random_bool(0.3) {
        route["rules"].as_array_mut().unwrap().insert(0, json!({"action": "resolve"}));
    }
    json!({
        "inbounds": [
            {"type": "socks", "tag": "in", "listen": "127.0.0.1", "listen_port": 1080},
            {"type": "http", "tag": "web", "listen": "127.0.0.1", "listen_port": 8080},
        ],
        "outbounds": [
            {"type": "direct", "tag": "direct"},
            {"type": "socks", "tag": "a", "server": "192.0.2.1", "server_port": 1},
            {"type": "http", "tag": "b", "server": "192.0.2.2", "server_port": 2},
        ],
        "route": route,
    })
}

fn sing_box_matcher(rng: &mut impl Rng, depth: usize) -> Map<String, Value> {
    let mut rule = Map::new();
    if depth > 0 && rng.random_bool(0.3) {
        let rules: Vec<Value> =
            (0..rng.random_range(1..4)).map(|_| sing_box_matcher(rng, depth - 1).into()).collect();
        rule.insert("type".to_owned(), json!("logical"));
        rule.insert("mode".to_owned(), json!(pick(&["and", "or"], rng)));
        rule.insert("rules".to_owned(), json!(rules));
    }
    while rule.is_empty() {
        let wanted: [bool; 11] = std::array::from_fn(|_| rng.random_bool(0.2));
        maybe(&mut rule, "domain", wanted[0], || json!(some(&["a.test", "plain"], rng)));
        maybe(&mut rule, "domain_suffix", wanted[1], || json!(some(&["b.test", ".a.test"], rng)));
        maybe(&mut rule, "domain_keyword", wanted[2], || json!("track"));
        maybe(&mut rule, "ip_cidr", wanted[3], || json!(some(&PREFIXES, rng)));
        maybe(&mut rule, "port", wanted[4], || json!(pick(&[[53, 80], [443, 1]], rng)));
        maybe(&mut rule, "port_range", wanted[5], || json!(some(&[":80", "1000:2000", "400:"], rng)));
        maybe(&mut rule, "source_ip_cidr", wanted[6], || json!(some(&["127.0.0.1", "10.0.0.0/8"], rng)));
        maybe(&mut rule, "network", wanted[7], || json!(pick(&["tcp", "udp"], rng)));
        maybe(&mut rule, "auth_user", wanted[8], || json!(some(&["me", "you"], rng)));
        maybe(&mut rule, "inbound", wanted[9], || json!(some(&["in", "web"], rng)));
        maybe(&mut rule, "ip_version", wanted[10], || json!(pick(&[4, 6], rng)));
    }
    if rng.random_bool(0.1) {
        rule.insert("invert".to_owned(), json!(true));
    }
    rule
}

fn flow(rng: &mut impl Rng) -> Flow {
    let host = if rng.random_bool(0.5) { NAMES.choose(rng) } else { ADDRESSES.choose(rng) };
    let port = [53, 80, 443, 1500, 1].choose(rng).unwrap();
    let host = host.unwrap();
    let target = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let source: IpAddr = ["127.0.0.1", "10.0.0.9"].choose(rng).unwrap().parse().unwrap();
    let inbound = ["in", "web"].choose(rng).unwrap();
    let network = if *inbound == "in" && rng.random_bool(0.4) { Network::Udp } else { Network::Tcp };
    let user = ["me", "you", ""].choose(rng).filter(|user| !user.is_empty());
    let label = ["http/1.1", "tls", "bittorrent", ""].choose(rng).filter(|label| !label.is_empty());
    Flow {
        source: Some(SocketAddr::new(source, rng.random_range(3000..5000))),
        inbound: Some(Tag::from(*inbound)),
        user: user.map(|user| (*user).into()),
        protocol: label.map(|label| (*label).into()),
        ..Flow::new(network, target.parse().unwrap())
    }
}

fn ready(name: &str, text: &str) -> Result<Ready, String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/geo");
    let source = Source::new(name, text).unwrap();
    let assets = Assets::new(None, &|name| (name == "WAYPOST_ASSETS").then(|| folder.into()));
    let loaded = load(&source, &Options::default(), &assets);
    let said = render(&source, &loaded.diagnostics, Style::Plain);
    loaded.ready.ok_or_else(|| format!("{said}\n{text}"))
}

/// A model without the places of its values.
fn without_places(config: &Config) -> String {
    let text = format!("{config:#?}");
    let mut in_span = false;
    let mut kept = String::new();
    for line in text.lines() {
        in_span |= line.ends_with("Span {");
        if !in_span {
            kept.push_str(line);
        }
        in_span &= !line.trim_start().starts_with('}');
    }
    kept
}

/// The outbound that a connection is tried through first, or that it is refused.
fn way(snapshot: &Snapshot, flow: &Flow) -> String {
    // Every name has addresses, the last one two of them.
    let answer = |name: &DomainName| {
        let place = NAMES.iter().position(|known| *known == name.as_str()).unwrap_or_default();
        let addresses = [ADDRESSES[place], ADDRESSES[(place + 3) % 6]];
        Ok(addresses
            .iter()
            .take(1 + usize::from(place == 5))
            .map(|address| address.parse().unwrap())
            .collect())
    };
    let explained = explain(snapshot, flow, answer, &mut seeded_rng(1)).to_json(flow);
    match explained["outbounds"][0]["outbound"].as_str() {
        Some("none" | "block") | None => "refused".to_owned(),
        Some(tag) => tag.to_owned(),
    }
}

fn check(make: impl Fn(&mut rand::rngs::StdRng) -> Value, other: Dialect, seeds: u64) -> (usize, usize) {
    let (mut n_exact, mut n_flows) = (0, 0);
    for seed in 0..seeds {
        let mut rng = seeded_rng(seed);
        let text = format!("{:#}", make(&mut rng));
        let original = ready("original.json", &text).unwrap_or_else(|said| panic!("seed {seed}\n{said}"));
        let same = write(&original.config, original.config.dialect);
        let again = ready("same.json", &same.text).unwrap_or_else(|said| panic!("seed {seed}\n{said}"));
        assert!(
            without_places(&again.config) == without_places(&original.config),
            "seed {seed}: {text}\n--- became\n{}",
            same.text
        );
        let mut files = vec![same];
        let converted = write(&original.config, other);
        if !converted.is_lossy() {
            n_exact += 1;
            let there =
                ready("there.json", &converted.text).unwrap_or_else(|said| panic!("seed {seed}\n{said}"));
            let back = write(&there.config, original.config.dialect);
            files.push(converted);
            files.extend((!back.is_lossy()).then_some(back));
        }
        let flows: Vec<Flow> = (0..60).map(|_| flow(&mut rng)).collect();
        let expected: Vec<String> = flows.iter().map(|flow| way(&original.snapshot, flow)).collect();
        for written in files {
            assert!(!written.is_lossy(), "seed {seed}: {:?}\n{text}", written.losses);
            let again =
                ready("written.json", &written.text).unwrap_or_else(|said| panic!("seed {seed}\n{said}"));
            for (flow, expected) in flows.iter().zip(&expected) {
                let found = way(&again.snapshot, flow);
                assert_eq!(found, *expected, "seed {seed}: {flow:?}\n{text}\n--- became\n{}", written.text);
                n_flows += 1;
            }
        }
    }
    (n_exact, n_flows)
}

#[test]
fn files_of_v2ray_decide_the_same_in_either_dialect() {
    let (n_exact, n_flows) = check(v2ray, Dialect::SingBox, 200);
    assert!(n_exact > 100 && n_flows > 20_000, "{n_exact} exact, {n_flows} connections");
}

#[test]
fn files_of_sing_box_decide_the_same_in_either_dialect() {
    let (n_exact, n_flows) = check(sing_box, Dialect::V2ray, 200);
    assert!(n_exact > 50 && n_flows > 15_000, "{n_exact} exact, {n_flows} connections");
}
