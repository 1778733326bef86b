//! One rule and one connection: does it match?

use serde_json::{Value, json};
use waypost_geodata::{DomainKind, IpEntry, SiteDomain, SiteEntry, write_geoip, write_geosite};
use waypost_net::Tag;

use super::{Vector, Verdict, one_of_two, routes::decide};

pub(super) fn run(vector: &Vector) -> Verdict {
    let rule = with_systems(vector.get("rule"));
    let outbounds = json!([{"protocol": "freedom", "tag": "default"}, {"protocol": "blackhole", "tag": "t"}]);
    let loaded = match vector.load(&outbounds, &json!({"rules": [rule]})) {
        Ok(loaded) => loaded,
        Err(refused) => return refused,
    };
    let snapshot = loaded.ready.expect("a file without error is ready").snapshot;
    let flow = vector.flow();
    let (decision, _) = decide(snapshot.router(), &flow, |_| Vec::new());
    let matched = decision.rule.and_then(|rule| rule.way()?.tag().cloned());
    match matched {
        None => one_of_two(false, vector.expected()),
        Some(tag) if tag == Tag::from("t") => one_of_two(true, vector.expected()),
        Some(other) => Verdict::Wrong(format!("went to {other}")),
    }
}

/// Puts names of operating systems, as Go spells them, in the place of `$HOST_OS` and so on.
fn with_systems(rule: &Value) -> Value {
    let mut rule = rule.clone();
    let host = if cfg!(target_os = "macos") { "darwin" } else { std::env::consts::OS };
    for name in rule.get_mut("localOS").and_then(Value::as_array_mut).into_iter().flatten() {
        *name = match name.as_str() {
            Some("$HOST_OS") => json!(host),
            Some("$HOST_OS_UPPER") => json!(host.to_uppercase()),
            Some("$OTHER_OS") => json!("plan9"),
            _ => panic!("{name} is no placeholder"),
        };
    }
    rule
}

/// A geosite.dat with the lists of a vector.
pub(super) fn geosite(lists: &Value) -> Vec<u8> {
    let domain = |domain: &Value| {
        let kind = match domain["type"].as_str() {
            Some("plain") => DomainKind::Keyword,
            Some("regex") => DomainKind::Regexp,
            Some("domain") => DomainKind::Suffix,
            Some("full") => DomainKind::Full,
            _ => panic!("{domain} has no known type"),
        };
        let attributes = domain.get("attrs").map(strings).unwrap_or_default();
        SiteDomain { kind, value: domain["value"].as_str().unwrap().to_owned(), attributes }
    };
    let lists = lists.as_object().unwrap().iter();
    let lists = lists.map(|(code, domains)| SiteEntry {
        code: code.clone(),
        domains: domains.as_array().unwrap().iter().map(domain).collect(),
    });
    write_geosite(&lists.collect::<Vec<_>>())
}

/// A geoip.dat with the lists of a vector.
pub(super) fn geoip(lists: &Value) -> Vec<u8> {
    let lists = lists.as_object().unwrap().iter();
    let lists = lists.map(|(code, prefixes)| IpEntry {
        code: code.clone(),
        prefixes: strings(prefixes).iter().map(|prefix| prefix.parse().unwrap()).collect(),
    });
    write_geoip(&lists.collect::<Vec<_>>())
}

/// The texts of a list.
pub(super) fn strings(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}
