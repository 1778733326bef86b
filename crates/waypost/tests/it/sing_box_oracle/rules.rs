//! Rules and rule sets that are generated.

use rand::{Rng, RngExt as _, seq::IndexedRandom as _};
use serde_json::{Map, Value, json};

use super::node_name;

pub(super) const N_RULES: usize = 24;
const N_SETS: usize = 8;
/// The first rules take little, so that something is left for those behind them.
const N_NARROW: usize = 18;

/// Tag, and whether clients have to log in.
pub(super) const INBOUNDS: [(&str, bool); 2] = [("open", false), ("closed", true)];
pub(super) const USERS: [&str; 3] = ["alice", "bob", "carol"];
pub(super) const NAMES: [&str; 14] = [
    "example.com",
    "www.example.com",
    "a.b.example.com",
    "notexample.com",
    "example.org",
    "cdn.example.org",
    "x.cn",
    "www.x.cn",
    "cn",
    "ads.tracker.net",
    "tracker.net",
    "video.example.net",
    "localhost.example",
    "very.long.name.of.a.host.example.com",
];
const SUFFIXES: [&str; 12] = [
    "example.com",
    ".example.com",
    "example.org",
    ".org",
    "cn",
    ".cn",
    "tracker.net",
    ".tracker.net",
    "b.example.com",
    "net",
    "host.example.com",
    ".example",
];
const KEYWORDS: [&str; 6] = ["example", "ads", "track", "www", ".b.", "video"];
const REGEXPS: [&str; 5] = [r"^www\.", r"\.cn$", r"^[a-z]\.", r"example\.(com|org)$", r"^(ads|cdn)\."];
pub(super) const ADDRESSES: [&str; 19] = [
    "10.0.0.1",
    "10.1.2.3",
    "192.168.1.1",
    "8.8.8.8",
    "1.1.1.1",
    "172.16.0.9",
    "203.0.113.7",
    "224.0.0.5",
    "169.254.1.1",
    "2001:db8::1",
    "2606:4700::1111",
    "fe80::1",
    "fc00::2",
    "100.64.0.1",
    "0.0.0.0",
    "255.255.255.255",
    "127.0.0.1",
    "::1",
    "::",
];
const PREFIXES: [&str; 11] = [
    "10.0.0.0/8",
    "10.0.0.1",
    "192.168.0.0/16",
    "8.8.0.0/16",
    "0.0.0.0/1",
    "128.0.0.0/2",
    "203.0.113.0/24",
    "2001:db8::/32",
    "2606::/16",
    "fc00::/7",
    "1.1.1.1/32",
];
pub(super) const PORTS: [u16; 8] = [80, 443, 53, 22, 1000, 2000, 8080, 65535];
const PORT_RANGES: [&str; 5] = ["1000:2000", ":100", "8000:", "443:443", "20000:50000"];
pub(super) const SOURCES: [&str; 4] = ["127.0.0.1", "127.0.0.2", "127.1.2.3", "127.200.0.1"];
const SOURCE_PREFIXES: [&str; 4] = ["127.0.0.0/24", "127.0.0.2", "127.1.0.0/16", "127.128.0.0/9"];

/// Makes configurations.
pub(super) struct Generator<'r, R> {
    rng: &'r mut R,
}

impl<'r, R: Rng> Generator<'r, R> {
    pub(super) fn new(rng: &'r mut R) -> Self {
        Self { rng }
    }

    /// A whole configuration whose nodes listen at `ports`, one behind each rule and one behind none.
    pub(super) fn config(&mut self, ports: &[u16]) -> Value {
        let users: Vec<Value> =
            USERS.iter().map(|user| json!({"username": user, "password": "secret"})).collect();
        let inbounds: Vec<Value> = INBOUNDS
            .iter()
            .map(|(tag, asks)| {
                let users = if *asks { json!(users) } else { json!([]) };
                json!({"type": "mixed", "tag": tag, "listen": "127.0.0.1", "listen_port": 0, "users": users})
            })
            .collect();
        let outbounds: Vec<Value> = ports
            .iter()
            .enumerate()
            .map(|(index, port)| {
                json!({"type": "socks", "tag": node_name(index), "server": "127.0.0.1", "server_port": port})
            })
            .collect();
        let sets: Vec<Value> = (0..N_SETS)
            .map(|index| {
                let n_rules = self.rng.random_range(1..4);
                let rules: Vec<Value> = (0..n_rules).map(|_| Value::Object(self.headless(0))).collect();
                json!({"type": "inline", "tag": set_name(index), "rules": rules})
            })
            .collect();
        let rules: Vec<Value> = (0..N_RULES)
            .map(|index| {
                let mut rule = self.rule(0);
                if index < N_NARROW {
                    rule.remove("invert");
                    if !rule.contains_key("type") && !rule.contains_key("port") {
                        rule.insert("port".to_owned(), json!(PORTS.choose(self.rng).unwrap()));
                    }
                }
                rule.insert("outbound".to_owned(), json!(node_name(index)));
                Value::Object(rule)
            })
            .collect();
        json!({
            "log": {"level": "error"},
            "inbounds": inbounds,
            "outbounds": outbounds,
            "route": {"rules": rules, "rule_set": sets, "final": node_name(ports.len() - 1)},
        })
    }

    fn rule(&mut self, depth: usize) -> Map<String, Value> {
        if depth < 2 && self.rng.random_bool(0.2) {
            let rules: Vec<Value> =
                (0..self.rng.random_range(1..4)).map(|_| Value::Object(self.rule(depth + 1))).collect();
            return self.logical(&rules);
        }
        let mut rule = self.conditions();
        let narrow: &[(&str, Value)] = &[
            ("inbound", json!(INBOUNDS[self.rng.random_range(0..2)].0)),
            ("auth_user", json!([USERS.choose(self.rng).unwrap()])),
            ("ip_version", json!(if self.rng.random_bool(0.5) { 4 } else { 6 })),
            ("ip_is_private", json!(true)),
            ("source_ip_is_private", json!(true)),
        ];
        for (name, value) in narrow {
            if self.rng.random_bool(0.08) {
                rule.insert((*name).to_owned(), value.clone());
            }
        }
        if rule.is_empty() || self.rng.random_bool(0.4) {
            let n_sets = self.rng.random_range(1..4);
            let sets: Vec<String> = (0..n_sets).map(|_| set_name(self.rng.random_range(0..N_SETS))).collect();
            rule.insert("rule_set".to_owned(), json!(sets));
            if self.rng.random_bool(0.2) {
                rule.insert("rule_set_ip_cidr_match_source".to_owned(), json!(true));
            }
        }
        self.maybe_invert(&mut rule);
        rule
    }

    fn headless(&mut self, depth: usize) -> Map<String, Value> {
        if depth < 2 && self.rng.random_bool(0.2) {
            let rules: Vec<Value> =
                (0..self.rng.random_range(1..4)).map(|_| Value::Object(self.headless(depth + 1))).collect();
            return self.logical(&rules);
        }
        let mut rule = self.conditions();
        if rule.is_empty() {
            rule.insert("domain_suffix".to_owned(), self.some(&SUFFIXES, 3));
        }
        self.maybe_invert(&mut rule);
        rule
    }

    fn logical(&mut self, rules: &[Value]) -> Map<String, Value> {
        let mut rule = Map::new();
        rule.insert("type".to_owned(), json!("logical"));
        rule.insert("mode".to_owned(), json!(if self.rng.random_bool(0.5) { "and" } else { "or" }));
        rule.insert("rules".to_owned(), json!(rules));
        self.maybe_invert(&mut rule);
        rule
    }

    fn maybe_invert(&mut self, rule: &mut Map<String, Value>) {
        if self.rng.random_bool(0.08) {
            rule.insert("invert".to_owned(), json!(true));
        }
    }

    /// Conditions that rules and rules of sets have.
    fn conditions(&mut self) -> Map<String, Value> {
        let mut rule = Map::new();
        let ports: Vec<String> = PORTS.iter().map(ToString::to_string).collect();
        let ports: Vec<&str> = ports.iter().map(String::as_str).collect();
        let kinds: [(&str, f64, &[&str]); 11] = [
            ("domain", 0.15, &NAMES),
            ("domain_suffix", 0.3, &SUFFIXES),
            ("domain_keyword", 0.12, &KEYWORDS),
            ("domain_regex", 0.1, &REGEXPS),
            ("ip_cidr", 0.25, &PREFIXES),
            ("source_ip_cidr", 0.12, &SOURCE_PREFIXES),
            ("port", 0.15, &ports),
            ("port_range", 0.1, &PORT_RANGES),
            ("source_port_range", 0.07, &["1024:40000", "40000:", ":50000"]),
            ("source_port", 0.03, &ports),
            ("network", 0.07, &["tcp", "udp"]),
        ];
        for (name, chance, vocabulary) in kinds {
            if self.rng.random_bool(chance) {
                let mut values = self.some(vocabulary, 3);
                if name == "port" || name == "source_port" {
                    let numbers = values.as_array().unwrap().iter();
                    values =
                        numbers.map(|text| json!(text.as_str().unwrap().parse::<u16>().unwrap())).collect();
                }
                rule.insert(name.to_owned(), values);
            }
        }
        rule
    }

    fn some(&mut self, vocabulary: &[&str], most: usize) -> Value {
        let n_values = self.rng.random_range(1..=most);
        (0..n_values).map(|_| json!(vocabulary.choose(self.rng).unwrap())).collect()
    }
}

fn set_name(index: usize) -> String {
    format!("set-{index}")
}
