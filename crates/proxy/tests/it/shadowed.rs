//! A rule that is called never reached never decides: generated rules of both dialects, generated flows.

use std::collections::BTreeSet;

use rand::{Rng, RngExt as _, seq::IndexedRandom as _};
use serde_json::{Map, Value, json};
use waypost_config::{Options, Source, Style, render};
use waypost_net::{Flow, Host, Network, Target};
use waypost_proxy::build::{Assets, load};
use waypost_router::{Answer, Effect, Process, Question};
use waypost_testkit::seeded_rng;

const NAMES: [&str; 8] =
    ["a.test", "b.a.test", "c.b.a.test", "b.test", "ba.test", "test", "a.b.test", "x.c.b.a.test"];
const PARTS: [&str; 5] = ["a", "b.", ".a", "a.test", ".b.a"];
const REGEXPS: [&str; 2] = ["^a", "test$"];
const PREFIXES: [&str; 7] =
    ["10.0.0.0/8", "10.1.0.0/16", "10.1.1.0/24", "10.1.1.1", "11.0.0.0/8", "2001:db8::/32", "::/0"];
const ADDRESSES: [&str; 6] = ["10.0.0.1", "10.1.0.1", "10.1.1.1", "11.0.0.1", "2001:db8::1", "2002::1"];
const PORTS: [u16; 4] = [79, 80, 81, 443];
const USERS: [&str; 2] = ["alice", "bob"];
const INBOUNDS: [&str; 2] = ["in", "other"];
const PROTOCOLS: [&str; 2] = ["http", "tls"];

const N_ROUNDS: u64 = 400;
const N_RULES: usize = 14;
const N_FLOWS: usize = 60;

/// Makes rules and flows of few words, so that one rule often takes what another one could.
struct Generator<'r, R> {
    rng: &'r mut R,
}

impl<R: Rng> Generator<'_, R> {
    fn one<'t>(&mut self, words: &[&'t str]) -> &'t str {
        words.choose(self.rng).unwrap()
    }

    fn some(&mut self, words: &[&str]) -> Value {
        let count = self.rng.random_range(1..4);
        (0..count).map(|_| json!(self.one(words))).collect()
    }

    fn add(&mut self, rule: &mut Map<String, Value>, key: &str, chance: f64, words: &[&str]) {
        if self.rng.random_bool(chance) {
            let words = self.some(words);
            rule.insert(key.to_owned(), words);
        }
    }

    fn v2ray_rule(&mut self) -> Value {
        let mut rule = Map::new();
        let of = |kind: &str, words: &[&str]| words.iter().map(|word| format!("{kind}:{word}")).collect();
        let names: [Vec<String>; 4] =
            [of("domain", &NAMES), of("full", &NAMES), of("keyword", &PARTS), of("regexp", &REGEXPS)];
        let names: Vec<&str> = names.iter().flatten().map(String::as_str).collect();
        let inverse: Vec<String> = PREFIXES.iter().map(|net| format!("!{net}")).collect();
        let nets: Vec<&str> =
            PREFIXES.iter().copied().chain(PREFIXES).chain(inverse.iter().map(String::as_str)).collect();
        self.add(&mut rule, "domain", 0.5, &names);
        self.add(&mut rule, "ip", 0.3, &nets);
        self.add(&mut rule, "source", 0.15, &nets);
        self.add(&mut rule, "user", 0.15, &USERS);
        self.add(&mut rule, "inboundTag", 0.15, &INBOUNDS);
        self.add(&mut rule, "protocol", 0.1, &PROTOCOLS);
        if self.rng.random_bool(0.3) || rule.is_empty() {
            rule.insert("port".to_owned(), json!(self.one(&["80", "79-80,443", "80-81", "0-65535"])));
        }
        if self.rng.random_bool(0.1) {
            rule.insert("sourcePort".to_owned(), json!(self.one(&["80", "79-80", "0-65535"])));
        }
        if self.rng.random_bool(0.2) {
            rule.insert("network".to_owned(), json!(self.one(&["tcp", "udp", "tcp,udp"])));
        }
        if self.rng.random_bool(0.1) {
            rule.insert(
                "attrs".to_owned(),
                json!(self.one(&["attrs[':method'] == 'GET'", "attrs['x'] == 'y'"])),
            );
        }
        rule.insert("outboundTag".to_owned(), json!("out"));
        Value::Object(rule)
    }

    fn v2ray_file(&mut self) -> Value {
        let rules: Vec<Value> = (0..N_RULES).map(|_| self.v2ray_rule()).collect();
        let inbounds: Vec<Value> = INBOUNDS
            .iter()
            .map(|tag| json!({"protocol": "socks", "tag": tag, "listen": "127.0.0.1", "port": 0}))
            .collect();
        let strategy = self.one(&["AsIs", "IPIfNonMatch", "IPOnDemand"]);
        json!({
            "inbounds": inbounds,
            "outbounds": [{"protocol": "freedom", "tag": "out"}],
            "routing": {"domainStrategy": strategy, "rules": rules},
        })
    }

    fn conditions(&mut self) -> Map<String, Value> {
        let mut rule = Map::new();
        let suffixes: Vec<String> = NAMES.iter().map(|name| format!(".{name}")).collect();
        let suffixes: Vec<&str> = suffixes.iter().map(String::as_str).chain(NAMES).collect();
        self.add(&mut rule, "domain", 0.2, &NAMES);
        self.add(&mut rule, "domain_suffix", 0.3, &suffixes);
        self.add(&mut rule, "domain_keyword", 0.15, &PARTS);
        self.add(&mut rule, "domain_regex", 0.05, &REGEXPS);
        self.add(&mut rule, "ip_cidr", 0.25, &PREFIXES);
        self.add(&mut rule, "source_ip_cidr", 0.15, &PREFIXES);
        self.add(&mut rule, "port_range", 0.15, &["79:80", "80:443", ":65535", "80:80"]);
        self.add(&mut rule, "source_port_range", 0.05, &["79:80", "80:443"]);
        self.add(&mut rule, "network", 0.1, &["tcp", "udp"]);
        self.add(&mut rule, "process_name", 0.1, &["curl", "wget"]);
        if self.rng.random_bool(0.2) || rule.is_empty() {
            rule.insert("port".to_owned(), json!([PORTS.choose(self.rng).unwrap()]));
        }
        rule
    }

    fn logical(&mut self, rules: &[Value]) -> Map<String, Value> {
        let mode = self.one(&["and", "or"]);
        let Value::Object(mut rule) = json!({"type": "logical", "mode": mode, "rules": rules}) else {
            unreachable!("an object")
        };
        self.maybe_invert(&mut rule);
        rule
    }

    fn maybe_invert(&mut self, rule: &mut Map<String, Value>) {
        if self.rng.random_bool(0.15) {
            rule.insert("invert".to_owned(), json!(true));
        }
    }

    fn sing_box_rule(&mut self, depth: usize) -> Map<String, Value> {
        if depth < 2 && self.rng.random_bool(0.25) {
            let count = self.rng.random_range(1..4);
            let rules: Vec<Value> =
                (0..count).map(|_| Value::Object(self.sing_box_rule(depth + 1))).collect();
            return self.logical(&rules);
        }
        let mut rule = self.conditions();
        if self.rng.random_bool(0.5) {
            // Little of its own, so that rules with the same sets are alike.
            let kept = self.one(&["", "domain", "domain_suffix", "port", "ip_cidr"]);
            rule.retain(|key, _| key == kept);
            rule.insert("rule_set".to_owned(), self.some(&["set-0", "set-1", "set-2"]));
            if self.rng.random_bool(0.1) {
                rule.insert("rule_set_ip_cidr_match_source".to_owned(), json!(true));
            }
        }
        self.add(&mut rule, "inbound", 0.1, &INBOUNDS);
        self.add(&mut rule, "auth_user", 0.1, &USERS);
        self.add(&mut rule, "protocol", 0.05, &PROTOCOLS);
        self.maybe_invert(&mut rule);
        rule
    }

    fn sing_box_file(&mut self) -> Value {
        let sets: Vec<Value> = (0..3)
            .map(|index| {
                let count = self.rng.random_range(1..3);
                let rules: Vec<Value> = (0..count)
                    .map(|_| {
                        let mut rule = self.conditions();
                        self.maybe_invert(&mut rule);
                        Value::Object(rule)
                    })
                    .collect();
                json!({"type": "inline", "tag": format!("set-{index}"), "rules": rules})
            })
            .collect();
        let actions = [
            json!({"action": "sniff"}),
            json!({"action": "resolve"}),
            json!({"action": "route-options", "override_port": 80}),
            json!({"action": "route-options", "override_address": "b.a.test"}),
            json!({"action": "route-options", "udp_timeout": "5m"}),
        ];
        let rules: Vec<Value> = (0..N_RULES)
            .map(|_| {
                let mut rule = self.sing_box_rule(0);
                let action = if self.rng.random_bool(0.15) {
                    actions.choose(self.rng).unwrap().clone()
                } else {
                    json!({"outbound": "out"})
                };
                rule.extend(action.as_object().unwrap().clone());
                Value::Object(rule)
            })
            .collect();
        let inbounds: Vec<Value> = INBOUNDS
            .iter()
            .map(|tag| json!({"type": "mixed", "tag": tag, "listen": "127.0.0.1", "listen_port": 0}))
            .collect();
        json!({
            "inbounds": inbounds,
            "outbounds": [{"type": "direct", "tag": "out"}],
            "route": {"rules": rules, "rule_set": sets},
        })
    }

    fn flow(&mut self) -> Flow {
        let host = if self.rng.random_bool(0.6) { self.one(&NAMES) } else { self.one(&ADDRESSES) };
        let network = if self.rng.random_bool(0.7) { Network::Tcp } else { Network::Udp };
        let target = Target::new(Host::parse(host).unwrap(), *PORTS.choose(self.rng).unwrap());
        let mut flow = Flow::new(network, target);
        let source = Host::parse(self.one(&ADDRESSES)).unwrap().ip().unwrap();
        let port = *PORTS.choose(self.rng).unwrap();
        flow.source = self.rng.random_bool(0.9).then(|| (source, port).into());
        flow.inbound = Some(self.one(&INBOUNDS).into());
        flow.user = self.rng.random_bool(0.6).then(|| self.one(&USERS).into());
        if self.rng.random_bool(0.3) {
            flow.protocol = Some("http1".into());
            flow.attributes.insert(":method", "GET");
        }
        flow
    }

    /// What a rule may do with a flow before the next rule is tried.
    fn perform(&mut self, effect: &Effect, flow: &mut Flow) {
        match effect {
            Effect::Sniff(_) => {
                flow.protocol = Some("tls".into());
                flow.route_domain = Some(self.one(&NAMES).parse().unwrap());
            }
            Effect::Resolve(_) => {
                if flow.target.host.domain().is_some() {
                    flow.addresses = vec![self.one(&ADDRESSES).parse().unwrap()];
                }
            }
            Effect::Options(options) => {
                flow.target.port = options.port.unwrap_or(flow.target.port);
                if let Some(host) = &options.host {
                    flow.target.host = host.clone();
                    flow.addresses.clear();
                }
            }
        }
    }
}

/// Decides about generated flows: how many rules are called never reached, and how many decided.
fn check(round: u64, file: impl Fn(&mut Generator<'_, rand::rngs::StdRng>) -> Value) -> (usize, usize) {
    let mut rng = seeded_rng(round);
    let mut generator = Generator { rng: &mut rng };
    let source = Source::new("config.json", format!("{:#}", file(&mut generator))).unwrap();
    let loaded = load(&source, &Options::default(), &Assets::new(None, &|_| None));
    let diagnostics = render(&source, &loaded.diagnostics, Style::Plain);
    let ready = loaded.ready.unwrap_or_else(|| panic!("{diagnostics}"));
    let shadowed =
        loaded.diagnostics.iter().filter(|found| found.message.contains("takes all it could take"));
    let shadowed: BTreeSet<usize> = shadowed.map(|found| source.position(found.span.start).line).collect();
    let mut reached = BTreeSet::new();
    for _ in 0..N_FLOWS {
        let flow = generator.flow();
        let addresses =
            vec![generator.one(&ADDRESSES).parse().unwrap(), generator.one(&ADDRESSES).parse().unwrap()];
        let program = generator.one(&["/bin/curl", "/bin/wget", "/bin/other"]);
        let answer = |question: &Question| match question {
            Question::Addresses(_) => Answer::Addresses(addresses.clone()),
            Question::Process => {
                Answer::Process(Some(Process { path: Some(program.into()), ..Process::default() }))
            }
        };
        let perform = |effect: &Effect, flow: &mut Flow| generator.perform(effect, flow);
        let (_, explanation) = ready.snapshot.router().explain(&flow, answer, perform);
        let rules = ready.snapshot.router().rules();
        let held = explanation.rules.iter().filter(|rule| rule.holds).map(|rule| rules[rule.index].line());
        for line in held {
            assert!(
                !shadowed.contains(&line),
                "line {line} holds for {flow:?}\n{}\n{diagnostics}",
                source.text()
            );
            reached.insert(line);
        }
    }
    (shadowed.len(), reached.len())
}

fn check_all(file: impl Fn(&mut Generator<'_, rand::rngs::StdRng>) -> Value) {
    let found = (0..N_ROUNDS).map(|round| check(round, &file));
    let (n_shadowed, n_reached) =
        found.fold((0, 0), |(a, b), (shadowed, reached)| (a + shadowed, b + reached));
    assert!(
        n_shadowed > 100 && n_reached > 100,
        "{n_shadowed} are called never reached, {n_reached} are reached"
    );
}

#[test]
fn a_rule_of_v2ray_that_is_called_never_reached_never_holds() {
    check_all(|generator| generator.v2ray_file());
}

#[test]
fn a_rule_of_sing_box_that_is_called_never_reached_never_holds() {
    check_all(|generator| generator.sing_box_file());
}
