//! The settings of a `loadbalance` group, which are the same in both dialects.

use std::time::Duration;

use waypost_net::Tag;

use super::{
    json::{Fields, Json},
    text,
};
use crate::{
    Spanned,
    model::{
        DialPace, EmptyPoolAction, Hash, HashAlgorithm, Hysteresis, KeyPart, LoadBalance,
        LoadBalanceStrategy, OnEmptyKey, Probe, ProbeMethod, Selector, TopN, UrlTest,
    },
};

/// What a probe has if nothing is said; upstream sing-box knows no keys for these.
const TIMEOUT: Duration = Duration::from_secs(5);
const RISE: u8 = 1;
const FALL: u8 = 2;

/// The settings of a `selector`.
pub(super) fn selector(group: &Selector) -> Fields {
    let Selector { members, initial, interrupt_exist_connections, fallback } = group;
    let mut fields = Fields::default();
    fields.put("outbounds", tags(members));
    let initial = members.get(*initial).filter(|_| *initial > 0);
    fields.put_some("default", initial.map(|tag| tag.value.as_str()));
    fields.put_if("interrupt_exist_connections", *interrupt_exist_connections);
    fields.put_if("fallback", *fallback);
    fields
}

/// The settings of a `urltest`.
pub(super) fn urltest(group: &UrlTest) -> Fields {
    let UrlTest { members, probe, tolerance, interrupt_exist_connections, dial } = group;
    let mut fields = Fields::default();
    fields.put("outbounds", tags(members));
    put_probe(probe, &mut fields);
    // Upstream sing-box only takes whole milliseconds, as a number.
    match u16::try_from(tolerance.as_millis()) {
        Ok(millis) if *tolerance == Duration::from_millis(millis.into()) => fields.put("tolerance", millis),
        Ok(_) | Err(_) => fields.put("tolerance", text::duration(*tolerance)),
    }
    fields.put_if("interrupt_exist_connections", *interrupt_exist_connections);
    fields.put_filled("dial", self::dial(dial));
    fields
}

/// What differs from the defaults, and the members and probes in any case.
pub(super) fn settings(group: &LoadBalance) -> Fields {
    let mut fields = Fields::default();
    fields.put("primary_outbounds", tags(&group.primary));
    fields.put_filled("backup_outbounds", tags(&group.backup));
    fields.put("strategy", strategy(group.strategy));
    let mut weights = Fields::default();
    for (tag, weight) in &group.weights {
        weights.put(tag.as_str(), weight.get());
    }
    fields.put_filled("weights", weights);
    put_probe(&group.probe, &mut fields);
    fields.put_filled("top_n", top_n(&group.top_n));
    fields.put_filled("hash", hash(&group.hash));
    fields.put_filled("hysteresis", hysteresis(&group.hysteresis));
    if group.empty_pool_action == EmptyPoolAction::FallbackAll {
        fields.put("empty_pool_action", "fallback_all");
    }
    fields.put_if("interrupt_exist_connections", group.interrupt_exist_connections);
    fields.put_filled("dial", dial(&group.dial));
    fields
}

pub(super) fn tags(tags: &[Spanned<Tag>]) -> Vec<&str> {
    tags.iter().map(|tag| tag.value.as_str()).collect()
}

fn put_probe(probe: &Probe, fields: &mut Fields) {
    let Probe { url, interval, timeout, idle_timeout, method, expected_status, rise, fall } = probe;
    fields.put("url", &*url.text);
    fields.put("interval", text::duration(*interval));
    if *timeout != TIMEOUT {
        fields.put("timeout", text::duration(*timeout));
    }
    fields.put("idle_timeout", text::duration(*idle_timeout));
    let mut more = Fields::default();
    if *method != ProbeMethod::default() {
        more.put("method", text::method(*method));
    }
    if !expected_status.is_empty() {
        let range = |(first, last): &(u16, u16)| {
            if first == last { first.to_string() } else { format!("{first}-{last}") }
        };
        more.put("expected_status", expected_status.iter().map(range).collect::<Vec<_>>().join("/"));
    }
    more.put_some("rise", Some(rise.get()).filter(|&rise| rise != RISE));
    more.put_some("fall", Some(fall.get()).filter(|&fall| fall != FALL));
    fields.put_filled("probe", more);
}

fn top_n(top_n: &TopN) -> Fields {
    let TopN { primary, backup, tolerance } = *top_n;
    let default = TopN::default();
    let mut fields = Fields::default();
    fields.put_some("primary", Some(primary).filter(|&primary| primary != default.primary));
    fields.put_some("backup", Some(backup).filter(|&backup| backup != default.backup));
    if tolerance != default.tolerance {
        fields.put("tolerance", text::duration(tolerance));
    }
    fields
}

fn hash(hash: &Hash) -> Fields {
    let Hash { key_parts, virtual_nodes, on_empty_key, salt, probes, algorithm, balance_factor } = hash;
    let default = Hash::default();
    let mut fields = Fields::default();
    fields.put_filled("key_parts", key_parts.iter().copied().map(key_part).collect::<Vec<_>>());
    if *virtual_nodes != default.virtual_nodes {
        fields.put("virtual_nodes", virtual_nodes.get());
    }
    match on_empty_key {
        OnEmptyKey::Random => {}
        OnEmptyKey::HashEmpty => fields.put("on_empty_key", "hash_empty"),
        OnEmptyKey::Error => fields.put("on_empty_key", "error"),
    }
    fields.put_some("salt", Some(&**salt).filter(|salt| !salt.is_empty()));
    if *probes != default.probes {
        fields.put("probes", probes.get());
    }
    match algorithm {
        HashAlgorithm::Ring => {}
        HashAlgorithm::Rendezvous => fields.put("algorithm", "rendezvous"),
        HashAlgorithm::Maglev => fields.put("algorithm", "maglev"),
    }
    fields.put_some("balance_factor", *balance_factor);
    fields
}

fn hysteresis(hysteresis: &Hysteresis) -> Fields {
    let default = Hysteresis::default();
    let mut fields = Fields::default();
    if hysteresis.primary_failures != default.primary_failures {
        fields.put("primary_failures", hysteresis.primary_failures.get());
    }
    if hysteresis.backup_hold_time != default.backup_hold_time {
        fields.put("backup_hold_time", text::duration(hysteresis.backup_hold_time));
    }
    fields
}

fn dial(dial: &DialPace) -> Fields {
    let default = DialPace::default();
    let durations = [
        ("attempt_timeout", dial.attempt_timeout, default.attempt_timeout),
        ("total_timeout", dial.total_timeout, default.total_timeout),
        ("hedge_delay", dial.hedge_delay, default.hedge_delay),
        ("replay_delay", dial.replay_delay, default.replay_delay),
    ];
    let mut fields = Fields::default();
    for (key, value, default) in durations {
        if value != default {
            fields.put(key, text::duration(value));
        }
    }
    if dial.max_in_flight != default.max_in_flight {
        fields.put("max_in_flight", dial.max_in_flight.get());
    }
    if dial.first_flight_replay != default.first_flight_replay {
        fields.put("first_flight_replay", Json::Bool(dial.first_flight_replay));
    }
    fields
}

pub(super) fn strategy(strategy: LoadBalanceStrategy) -> &'static str {
    match strategy {
        LoadBalanceStrategy::Random => "random",
        LoadBalanceStrategy::ConsistentHash => "consistent_hash",
        LoadBalanceStrategy::RoundRobin => "round_robin",
        LoadBalanceStrategy::LeastConn => "least_conn",
        LoadBalanceStrategy::LeastPing => "least_ping",
        LoadBalanceStrategy::Failover => "failover",
    }
}

fn key_part(part: KeyPart) -> &'static str {
    match part {
        KeyPart::SrcIp => "src_ip",
        KeyPart::SrcPort => "src_port",
        KeyPart::DstIp => "dst_ip",
        KeyPart::DstPort => "dst_port",
        KeyPart::Network => "network",
        KeyPart::Domain => "domain",
        KeyPart::InboundTag => "inbound_tag",
        KeyPart::User => "user",
        KeyPart::MatchedRuleset => "matched_ruleset",
        KeyPart::EtldPlusOne => "etld_plus_one",
        KeyPart::MatchedRulesetOrEtld => "matched_ruleset_or_etld",
        KeyPart::Salt => "salt",
    }
}
