//! Conformance vectors taken from V2Ray and Xray (`testdata/vectors/routing.json`): what their
//! JSON readers accept, and what it becomes. Where V2Ray 5 and Xray differ, V2Ray 5 counts.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use waypost_config::model::{AddressFamily, Conditions, Config, DomainEntry, DomainStrategy};
use waypost_net::{Networks, PortRange, PortSet};

use crate::read;

/// Vectors whose expectation we do not meet on purpose, with what we do and why.
const EXCLUDED: &[(&str, &str)] = &[
    ("json_comments-525", "we do not rewrite a text without comments, so a comment ends a word"),
    ("parse_ip_rule-336", "accepted: DESIGN §6 has inverse prefixes, which V2Ray 5 lacks and Xray has"),
    ("parse_domain_rule-367", "refused: an attribute without name filters nothing, Xray refuses it too"),
    ("parse_domain_rule-368", "refused: an attribute without name filters nothing, Xray refuses it too"),
    ("parse_domain_rule-370", "accepted: 4.34, 4.45 and Xray take `_`, and names with it exist"),
    ("to_domain-174", "accepted: 4.34, 4.45 and Xray take `_`, and names with it exist"),
    ("parse_domain_rule-372", "accepted: the router translates expressions from Go's syntax and refuses it"),
    ("config_build-454", "accepted: `type` has one value, and Xray lets it be absent"),
    ("config_build-462", "refused: this version does not probe outbounds"),
    ("config_build-465", "refused: only the shapes of V2Ray's manual are understood, not all of Starlark"),
    ("config_build-466", "accepted: the object is Xray's form of `attrs`"),
    ("config_build-468", "refused: this version does not probe outbounds"),
];

struct Vector {
    id: String,
    data: Value,
}

impl Vector {
    fn input(&self) -> &Value {
        self.data.get("input").expect("an input")
    }

    fn expected(&self) -> &Value {
        let by = self.data.get("expect_by");
        let by = by.and_then(|by| by.get("v5").or_else(|| by.get("v4")).or_else(|| by.get("xray")));
        by.or_else(|| self.data.get("expect")).expect("an expectation")
    }

    fn expects_ok(&self) -> bool {
        self.expected().get("ok").and_then(Value::as_bool).expect("`ok` in the expectation")
    }
}

/// Runs `holds` on every vector of a kind: it has to be true for those that are not excluded, and
/// false for those that are, so that no exclusion hides an agreement.
#[track_caller]
fn check_kind(kind: &str, n_vectors: usize, holds: impl Fn(&Vector) -> bool) {
    let vectors = vectors(kind);
    assert_eq!(vectors.len(), n_vectors, "{kind}");
    for vector in vectors {
        let excluded = EXCLUDED.iter().any(|(id, _)| *id == vector.id);
        assert_eq!(holds(&vector), !excluded, "{} {}", vector.id, vector.data);
    }
}

fn vectors(kind: &str) -> Vec<Vector> {
    let text = include_str!("../../../../testdata/vectors/routing.json");
    let all: Value = serde_json::from_str(text).expect("the vectors are JSON");
    let all = all.get("vectors").and_then(Value::as_array).expect("a list").clone();
    let of_kind = all.into_iter().filter(|vector| vector.get("kind") == Some(&json!(kind)));
    let id = |vector: &Value| vector.get("id").and_then(Value::as_str).expect("an id").to_owned();
    of_kind.map(|data| Vector { id: id(&data), data }).collect()
}

/// Reads a file with these values for `routing`, and for `port` of the inbound.
fn config(routing: &Value, port: &Value) -> Option<Config> {
    let file = json!({
        "inbounds": [{"protocol": "socks", "listen": "127.0.0.1", "port": port}],
        "outbounds": [
            {"protocol": "freedom", "tag": "a"},
            {"protocol": "freedom", "tag": "b1"},
            {"protocol": "freedom", "tag": "x"},
        ],
        "routing": routing,
    });
    read("vector.json", &file.to_string()).0.config
}

/// Reads a rule with one condition.
fn conditions(key: &str, value: &Value) -> Option<Conditions> {
    let config = config(&json!({"rules": [{key: value, "outboundTag": "a"}]}), &json!(1080))?;
    config.routing.rules.into_iter().next().and_then(|rule| rule.matcher.one().cloned())
}

#[test]
fn port_lists() {
    check_kind("port_list", 15, |vector| {
        let found = conditions("port", vector.input()).and_then(|conditions| conditions.port);
        let expected =
            vector.expected().as_array().map(|ranges| ranges.iter().map(range).collect::<PortSet>());
        found == expected
    });
}

#[test]
fn port_ranges_of_inbounds() {
    check_kind("port_range", 7, |vector| {
        // More ports than we listen on in one inbound; the limit has its own test.
        let input = if vector.id == "port_range-390" { json!("1234-1278") } else { vector.input().clone() };
        let expected =
            if vector.id == "port_range-390" { json!([1234, 1278]) } else { vector.expected().clone() };
        let found = config(&json!({}), &input)
            .and_then(|config| config.inbounds.first().and_then(|first| first.listen.ports()));
        found == (!expected.is_null()).then(|| range(&expected))
    });
}

fn range(pair: &Value) -> PortRange {
    let number = |index: usize| {
        let number = pair.get(index).and_then(Value::as_u64).expect("a number");
        u16::try_from(number).expect("a port")
    };
    PortRange { first: number(0), last: number(1) }
}

#[test]
fn words_of_dest_override() {
    check_kind("dest_override_parse", 2, |vector| {
        let sniffing = json!({"enabled": true, "destOverride": vector.input()});
        let file = json!({
            "inbounds": [{"protocol": "socks", "listen": "127.0.0.1", "port": 1080, "sniffing": sniffing}],
            "outbounds": [{"protocol": "freedom"}],
        });
        let (outcome, _) = read(&vector.id, &file.to_string());
        let sniffing = outcome.config.and_then(|config| config.inbounds.into_iter().next()?.sniffing);
        let words = sniffing.map(|sniffing| {
            sniffing.dest_override.iter().map(|word| word.label_prefix()).collect::<Vec<_>>()
        });
        json!(words) == *vector.expected()
    });
}

#[test]
fn string_lists() {
    check_kind("string_list", 5, |vector| {
        let found = conditions("domain", vector.input()).and_then(|conditions| conditions.domain);
        let found: Option<Vec<Value>> = found.map(|entries| {
            let text = |entry: &DomainEntry| match entry {
                DomainEntry::Keyword(text) => json!(text),
                DomainEntry::Regexp(_)
                | DomainEntry::Suffix(_)
                | DomainEntry::Full(_)
                | DomainEntry::Below(_)
                | DomainEntry::List(_) => {
                    panic!("not a keyword: {entry:?}")
                }
            };
            entries.iter().map(|entry| text(&entry.value)).collect()
        });
        found.as_ref() == vector.expected().as_array()
    });
}

#[test]
fn network_lists() {
    check_kind("network_list", 5, |vector| {
        let found = conditions("network", vector.input()).and_then(|conditions| conditions.network);
        let flag = |name: &str| vector.expected().get(name).and_then(Value::as_bool);
        found == flag("tcp").zip(flag("udp")).map(|(tcp, udp)| Networks { tcp, udp })
    });
}

#[test]
fn ip_entries() {
    check_kind("parse_ip_rule", 32, |vector| {
        let found = conditions("ip", &json!([vector.input()])).and_then(|conditions| conditions.ip);
        let inverse = found.as_ref().and_then(|entries| entries.first()).map(|entry| entry.value.inverse);
        let reverse = vector.expected().get("reverse").and_then(Value::as_bool);
        found.is_some() == vector.expects_ok() && (reverse.is_none() || reverse == inverse)
    });
}

#[test]
fn domain_entries() {
    check_kind("parse_domain_rule", 11, |vector| {
        conditions("domain", &json!([vector.input()])).is_some() == vector.expects_ok()
    });
}

#[test]
fn names_are_normalised() {
    check_kind("to_domain", 5, |vector| {
        let input = vector.input().as_str().expect("a name");
        let found = conditions("domain", &json!([format!("domain:{input}")]));
        let found =
            found.and_then(|conditions| conditions.domain?.into_iter().next()).map(|entry| entry.value);
        let expected = vector.expected().as_str().map(|name| DomainEntry::Suffix(name.into()));
        found == expected
    });
}

#[test]
fn whole_routing_sections() {
    check_kind("config_build", 14, |vector| {
        let routing = vector.data.get("routing").expect("a routing section");
        let selectors = routing.to_string().contains("selector");
        let found = config(routing, &json!(1080)).is_some();
        assert!(!selectors || routing.get("rules").is_none(), "a balancer is only read here");
        found == vector.expects_ok()
    });
}

#[test]
fn domain_strategies() {
    check_kind("domain_strategy", 3, |vector| {
        let config = config(&json!({"domainStrategy": vector.input()}), &json!(1080)).expect("accepted");
        assert_eq!(config.dns.family, AddressFamily::Any);
        let found = match config.routing.domain_strategy {
            DomainStrategy::AsIs => "AsIs",
            DomainStrategy::IpIfNonMatch => "IPIfNonMatch",
            DomainStrategy::IpOnDemand => "IPOnDemand",
        };
        vector.expected() == found
    });
}

/// A text and the same text after V2Ray has removed the comments are read the same.
#[test]
fn comments() {
    check_kind("json_comments", 5, |vector| {
        let messages = |text: &Value| {
            let (outcome, _) = read("vector.json", text.as_str().expect("a text"));
            outcome.diagnostics.into_iter().map(|found| found.message).collect::<Vec<_>>()
        };
        messages(vector.input()) == messages(vector.expected())
    });
}

#[test]
fn every_exclusion_is_for_a_vector_that_is_checked() {
    let kinds = [
        "port_list",
        "port_range",
        "string_list",
        "network_list",
        "parse_ip_rule",
        "parse_domain_rule",
        "to_domain",
        "config_build",
        "domain_strategy",
        "json_comments",
        "dest_override_parse",
    ];
    let ids: BTreeSet<String> = kinds.into_iter().flat_map(vectors).map(|vector| vector.id).collect();
    for (id, reason) in EXCLUDED {
        assert!(ids.contains(*id), "no vector {id}");
        assert!(!reason.is_empty(), "{id}");
    }
}
