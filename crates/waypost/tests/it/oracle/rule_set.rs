//! A generated configuration and connections that go through all of it.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use rand::{
    RngExt,
    rngs::StdRng,
    seq::{IndexedRandom, IteratorRandom},
};
use serde_json::{Map, Value, json};
use waypost_net::{Host, Network, Target};

use super::{
    case::{ACCOUNTS, Case, INBOUNDS},
    conditions::{Condition, Fact, KINDS, Kind, Vocabulary},
};

/// Rules with several conditions; they come first, because they take less.
const N_JOINED: usize = 40;

/// The outbound that takes what no rule matches.
pub(crate) const DEFAULT: &str = "default";

/// A configuration without ports, and what its conditions hold for.
pub(crate) struct RuleSet {
    pub(crate) strategy: &'static str,
    rules: Vec<Rule>,
    /// Targets that lists hold.
    listed: Vec<Fact>,
    /// `dns.hosts`.
    hosts: Map<String, Value>,
    /// Names that have these addresses by `dns.hosts`.
    hosts_names: BTreeMap<String, IpAddr>,
    /// Names that a name server has to know.
    pub(crate) names: BTreeMap<String, Vec<IpAddr>>,
}

struct Rule {
    target: RuleTarget,
    conditions: Vec<Condition>,
}

#[derive(Clone, Copy)]
enum RuleTarget {
    /// The outbound that belongs to this rule.
    Own,
    /// A balancer with one member.
    One,
    /// A balancer with two.
    Pair,
}

impl RuleSet {
    pub(crate) fn generate(strategy: &'static str, vocabulary: &Vocabulary, rng: &mut StdRng) -> Self {
        let mut rules = Vec::new();
        for index in 0..N_JOINED {
            let conditions = joined(vocabulary, rng);
            let target = match index % 10 {
                4 => RuleTarget::One,
                7 => RuleTarget::Pair,
                _ => RuleTarget::Own,
            };
            rules.push(Rule { target, conditions });
        }
        let own = |conditions| Rule { target: RuleTarget::Own, conditions };
        rules.extend(vocabulary.catalogue(rng).into_iter().map(|condition| own(vec![condition])));
        for kind in [Kind::Protocol, Kind::InboundTag, Kind::User, Kind::SourcePort, Kind::Network] {
            rules.push(own(vec![vocabulary.condition(kind, rng), vocabulary.condition(Kind::Port, rng)]));
        }
        let mut set = Self {
            strategy,
            rules,
            listed: vocabulary.listed(rng),
            hosts: Map::new(),
            hosts_names: BTreeMap::new(),
            names: BTreeMap::new(),
        };
        set.name_addresses(rng);
        set
    }

    /// Gives names to some of the addresses that conditions look for.
    fn name_addresses(&mut self, rng: &mut StdRng) {
        let facts =
            self.rules.iter().flat_map(|rule| &rule.conditions).flat_map(|condition| &condition.facts);
        let addresses = facts.filter_map(|fact| match fact {
            // V2Ray 4.34 makes two addresses of a loopback one.
            Fact::Address(address) if !address.is_loopback() => Some(*address),
            Fact::Address(_) | Fact::Name(_) | Fact::Port(_) | Fact::Source(_) | Fact::Network(_) => None,
            Fact::User(_) | Fact::Inbound(_) | Fact::Request(_) => None,
        });
        let addresses = addresses.sample(rng, 160);
        for (index, address) in addresses.into_iter().enumerate() {
            let (key, name) = match index % 6 {
                0 => (format!("domain:d{index}.hosts.zone"), format!("sub.d{index}.hosts.zone")),
                1 => (format!("keyword:kw-{index}-kw"), format!("x-kw-{index}-kw.hosts.zone")),
                2 => (format!(r"regexp:^r{index}-[a-z]+\.hosts\.zone$"), format!("r{index}-abc.hosts.zone")),
                3 => (format!("full:f{index}.hosts.zone"), format!("f{index}.hosts.zone")),
                4 => {
                    let name = format!("two{index}.dns.zone");
                    let other: IpAddr = if rng.random() {
                        Ipv4Addr::new(11, 11, 11, rng.random()).into()
                    } else {
                        Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, rng.random()).into()
                    };
                    self.names.insert(name, vec![other, address]);
                    continue;
                }
                _ => (format!("h{index}.hosts.zone"), format!("h{index}.hosts.zone")),
            };
            self.hosts.insert(key, json!(address));
            self.hosts_names.insert(name.clone(), address);
            if index % 12 == 0 {
                let alias = format!("alias{index}.hosts.zone");
                self.hosts.insert(alias.clone(), json!(name));
                self.hosts_names.insert(alias, address);
            }
        }
    }

    /// Whether `dns.hosts` has an answer for a name.
    pub(crate) fn is_in_hosts(&self, name: &str) -> bool {
        self.hosts.keys().any(|key| match key.split_once(':') {
            Some(("domain", suffix)) => name == suffix || name.ends_with(&format!(".{suffix}")),
            Some(("keyword", keyword)) => name.contains(keyword),
            Some(("full", full)) => name == full,
            // Of the names that are generated, the expressions match those of the table only.
            Some((_, _)) => false,
            None => name == key,
        }) || self.hosts_names.contains_key(name)
    }

    /// The names of a rule's conditions.
    pub(crate) fn keys(&self, rule: usize) -> impl Iterator<Item = &'static str> {
        self.rules[rule].conditions.iter().map(|condition| condition.key)
    }

    /// How many rules there are.
    pub(crate) fn len(&self) -> usize {
        self.rules.len()
    }

    /// The tags of all outbounds.
    pub(crate) fn outbounds(&self) -> Vec<String> {
        let mut tags = vec![DEFAULT.to_owned()];
        for (index, rule) in self.rules.iter().enumerate() {
            match rule.target {
                RuleTarget::Own => tags.push(format!("own{index}")),
                RuleTarget::One => tags.push(format!("only{index}-a")),
                RuleTarget::Pair => tags.extend([format!("pair{index}-a"), format!("pair{index}-b")]),
            }
        }
        tags
    }

    /// The configuration; `nodes` says where the node of each outbound is.
    pub(crate) fn config(&self, nodes: &BTreeMap<String, u16>) -> Value {
        let accounts: Vec<Value> =
            ACCOUNTS.iter().map(|(user, password)| json!({"user": user, "pass": password})).collect();
        let inbounds: Vec<Value> = INBOUNDS
            .iter()
            .map(|&(tag, protocol, asks)| {
                let settings = match (protocol, asks) {
                    ("socks", true) => json!({"auth": "password", "accounts": accounts}),
                    (_, true) => json!({"accounts": accounts}),
                    ("socks", false) => json!({"udp": true}),
                    (_, false) => json!({}),
                };
                json!({"tag": tag, "protocol": protocol, "listen": "127.0.0.1", "port": 0, "settings": settings})
            })
            .collect();
        let outbounds: Vec<Value> = self
            .outbounds()
            .into_iter()
            .map(|tag| {
                let server = json!({"address": "127.0.0.1", "port": nodes[&tag]});
                json!({"tag": tag, "protocol": "socks", "settings": {"servers": [server]}})
            })
            .collect();
        let (mut rules, mut balancers) = (Vec::new(), Vec::new());
        for (index, rule) in self.rules.iter().enumerate() {
            let mut object = json!({"type": "field"});
            match rule.target {
                RuleTarget::Own => object["outboundTag"] = json!(format!("own{index}")),
                RuleTarget::One | RuleTarget::Pair => {
                    let name = if matches!(rule.target, RuleTarget::One) { "only" } else { "pair" };
                    object["balancerTag"] = json!(format!("balancer{index}"));
                    // A selector is a prefix of tags.
                    let selector = format!("{name}{index}-");
                    balancers.push(json!({"tag": format!("balancer{index}"), "selector": [selector]}));
                }
            }
            for condition in &rule.conditions {
                object[condition.key] = condition.value.clone();
            }
            rules.push(object);
        }
        json!({
            "log": {"loglevel": "warning"},
            "dns": {"hosts": self.hosts},
            "inbounds": inbounds,
            "outbounds": outbounds,
            "routing": {"domainStrategy": self.strategy, "rules": rules, "balancers": balancers}
        })
    }

    /// A connection: by chance, or made for a rule, or made for a rule and then changed in one thing.
    pub(crate) fn case(&self, rng: &mut StdRng) -> Case {
        let mut case = Self::by_chance(rng);
        if rng.random_bool(0.4) {
            self.apply(self.listed.choose(rng).unwrap(), &mut case, rng);
        }
        let choice = rng.random_range(0..10);
        if choice > 2 {
            let rule = self.rules.choose(rng).unwrap();
            for condition in &rule.conditions {
                if let Some(fact) = condition.facts.choose(rng) {
                    self.apply(fact, &mut case, rng);
                }
            }
            let near = rule.conditions.choose(rng).and_then(|condition| condition.near.choose(rng));
            if let Some(fact) = near.filter(|_| choice > 6) {
                self.apply(fact, &mut case, rng);
            }
        }
        case.settle()
    }

    fn by_chance(rng: &mut StdRng) -> Case {
        let host = match rng.random_range(0..3) {
            0 => name(&format!("n{}.nowhere{}.org", rng.random_range(0..500), rng.random_range(0..9))),
            1 => Host::Ip(Ipv4Addr::new(rng.random_range(1..224), rng.random(), rng.random(), 1).into()),
            _ => Host::Ip(Ipv6Addr::new(0x2a00, rng.random(), 0, 0, 0, 0, 0, 1).into()),
        };
        Case {
            inbound: rng.random_range(0..INBOUNDS.len()),
            network: if rng.random_bool(0.1) { Network::Udp } else { Network::Tcp },
            source: Ipv4Addr::new(127, rng.random(), rng.random(), rng.random_range(1..255)),
            target: Target::new(host, *[80, 443, 8443, 5222].choose(rng).unwrap()),
            user: rng.random_range(0..ACCOUNTS.len()),
            request: None,
        }
    }

    fn apply(&self, fact: &Fact, case: &mut Case, rng: &mut StdRng) {
        match fact {
            Fact::Name(text) => case.target.host = name(text),
            Fact::Address(address) => {
                let of_hosts = self.hosts_names.iter().filter(|(_, known)| *known == address);
                let of_server = self.names.iter().filter(|(_, known)| known.contains(address));
                let names = of_hosts.map(|(name, _)| name).chain(of_server.map(|(name, _)| name));
                case.target.host = match names.choose(rng) {
                    Some(text) if rng.random_bool(0.7) => name(text),
                    Some(_) | None => Host::from(*address),
                };
            }
            Fact::Port(port) => case.target.port = *port,
            Fact::Source(address) => case.source = *address,
            Fact::Network(network) => case.network = *network,
            Fact::User(user) => {
                case.user = *user;
                case.inbound |= 1;
            }
            Fact::Inbound(inbound) => case.inbound = *inbound,
            Fact::Request(request) => {
                case.request = Some(*request);
                case.network = Network::Tcp;
            }
        }
    }
}

/// Two or three conditions that one connection can meet.
fn joined(vocabulary: &Vocabulary, rng: &mut StdRng) -> Vec<Condition> {
    let n_kinds = rng.random_range(2..4);
    let mut kinds: Vec<Kind> = KINDS.sample(rng, n_kinds).copied().collect();
    kinds.sort_by_key(|kind| KINDS.iter().position(|known| known == kind));
    let has = |kind| kinds.contains(&kind);
    // Users log in at two inbounds, and datagrams come in by one that knows neither users nor HTTP.
    let (has_network, has_user, has_ip) = (has(Kind::Network), has(Kind::User), has(Kind::Ip));
    kinds.retain(|kind| match kind {
        Kind::InboundTag => !has_user && !has_network,
        Kind::User | Kind::Protocol | Kind::Attrs => !has_network,
        Kind::Domain | Kind::Ip | Kind::Port | Kind::SourcePort | Kind::Source | Kind::Network => true,
    });
    let mut conditions: Vec<_> = kinds.iter().map(|&kind| vocabulary.condition(kind, rng)).collect();
    if kinds.contains(&Kind::Domain) && has_ip {
        // Only a name that is resolved meets both.
        conditions[0].value = json!(["domain:hosts.zone", "domain:dns.zone"]);
    }
    if conditions.len() < 2 {
        conditions.push(vocabulary.condition(Kind::Port, rng));
    }
    conditions
}

fn name(text: &str) -> Host {
    Host::Domain(waypost_net::DomainName::new(text).unwrap())
}
