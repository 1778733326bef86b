//! A configuration of nodes.

use std::collections::{BTreeMap, BTreeSet};

use waypost_net::{Host, Tag};

use super::Node;
use crate::{
    Dialect, Options, Source, Span, Spanned,
    model::{Config, LoadBalanceStrategy, OutboundProtocol},
    parse, write,
};

/// A port for this machine, and a group, whose member is replaced.
const SKELETON: &str = r#"{
  "inbounds": [
    {"tag": "in", "protocol": "mixed", "listen": "127.0.0.1", "port": 1080, "settings": {"udp": true}}
  ],
  "outbounds": [
    {"protocol": "loadbalance", "tag": "group", "settings": {"primary_outbounds": ["member"]}},
    {"protocol": "freedom", "tag": "member"}
  ]
}"#;

/// How a configuration is made of nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assembly {
    /// The tag of the group.
    pub group: Tag,
    /// Which of them a connection takes.
    pub strategy: LoadBalanceStrategy,
}

/// A node that was there already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicate {
    /// Its name.
    pub name: Box<str>,
    /// The name of the first.
    pub of: Box<str>,
}

/// A configuration with a port for SOCKS and HTTP on 127.0.0.1:1080, and a `loadbalance` group of all nodes
/// as the first outbound. Every outbound has a tag of its own. Without nodes it cannot run.
#[must_use]
pub fn assemble(nodes: Vec<Node>, assembly: &Assembly) -> Config {
    let outcome = Source::new("", SKELETON).map(|source| parse(&source, &Options::default()).config);
    #[expect(clippy::expect_used, reason = "the text is above")]
    let mut config = outcome.ok().flatten().expect("the skeleton is a configuration");
    config.outbounds.truncate(1);
    let outbounds = tagged(nodes, &[assembly.group.as_str()]).outbounds;
    let spanned = |tag: &Tag| Spanned::new(tag.clone(), Span::default());
    if let [group] = &mut *config.outbounds {
        group.tag = Some(spanned(&assembly.group));
        if let OutboundProtocol::LoadBalance(group) = &mut group.protocol {
            group.primary = outbounds.iter().filter_map(|outbound| outbound.tag.clone()).collect();
            group.strategy = assembly.strategy;
        }
    }
    config.outbounds.extend(outbounds);
    config
}

/// Only the outbounds, each with a tag of its own.
#[must_use]
pub fn bare(nodes: Vec<Node>) -> Config {
    tagged(nodes, &[])
}

/// Leaves out what was there already: the same server, with the same login and the same transport.
#[must_use]
pub fn without_duplicates(nodes: Vec<Node>) -> (Vec<Node>, Vec<Duplicate>) {
    let mut seen: BTreeMap<String, Box<str>> = BTreeMap::new();
    let (mut kept, mut duplicates) = (Vec::new(), Vec::new());
    for node in nodes {
        let outbound = crate::model::Outbound { tag: None, ..node.outbound.clone() };
        let alone = Config { outbounds: vec![outbound], ..Config::default() };
        // sing-box's words have the networks, too.
        let text = write(&alone, Dialect::V2ray).text + &write(&alone, Dialect::SingBox).text;
        match seen.get(&text) {
            Some(first) => duplicates.push(Duplicate { name: shown_name(&node), of: first.clone() }),
            None => {
                seen.insert(text, shown_name(&node));
                kept.push(node);
            }
        }
    }
    (kept, duplicates)
}

fn shown_name(node: &Node) -> Box<str> {
    if node.name.is_empty() { default_name(node) } else { node.name.clone() }
}

/// The name of a node that has none: `vmess-HOST:PORT`.
#[must_use]
pub fn default_name(node: &Node) -> Box<str> {
    let place = |host: &Host, port: u16| super::export::authority(host, port);
    let (protocol, place) = match &node.outbound.protocol {
        OutboundProtocol::Socks(servers) => ("socks", servers.first().map(|one| place(&one.host, one.port))),
        OutboundProtocol::Http(servers) => ("http", servers.first().map(|one| place(&one.host, one.port))),
        OutboundProtocol::Shadowsocks(servers) => {
            ("ss", servers.first().map(|one| place(&one.host, one.port)))
        }
        OutboundProtocol::Vmess(servers) => ("vmess", servers.first().map(|one| place(&one.host, one.port))),
        OutboundProtocol::Vless(servers) => ("vless", servers.first().map(|one| place(&one.host, one.port))),
        OutboundProtocol::Trojan(servers) => {
            ("trojan", servers.first().map(|one| place(&one.host, one.port)))
        }
        OutboundProtocol::Freedom { .. }
        | OutboundProtocol::Blackhole { .. }
        | OutboundProtocol::Dns(_)
        | OutboundProtocol::Api
        | OutboundProtocol::Loopback { .. }
        | OutboundProtocol::LoadBalance(_)
        | OutboundProtocol::Selector(_)
        | OutboundProtocol::UrlTest(_) => ("outbound", None),
    };
    format!("{protocol}-{}", place.unwrap_or_default()).into()
}

fn tagged(nodes: Vec<Node>, taken: &[&str]) -> Config {
    let mut taken: BTreeSet<String> = taken.iter().map(|tag| (*tag).to_owned()).collect();
    let mut next: BTreeMap<Box<str>, usize> = BTreeMap::new();
    let outbounds = nodes.into_iter().map(|node| {
        let name = shown_name(&node);
        let mut tag = name.to_string();
        let count = next.entry(name.clone()).or_insert(1);
        while !taken.insert(tag.clone()) {
            *count += 1;
            tag = format!("{name} {count}");
        }
        let mut outbound = node.outbound;
        outbound.tag = Some(Spanned::new(Tag::from(tag), Span::default()));
        outbound
    });
    Config { outbounds: outbounds.collect(), ..Config::default() }
}
