//! Hash keys against the vectors of the reference programs, and what these leave open.

use serde_json::Value;
use waypost_balance::{KeyPart, KeySpec, KeyState, etld_plus_one};
use waypost_net::{DomainName, Flow, Host, Network, Tag, Target};

const VECTORS: &str = include_str!("../../../../testdata/vectors/loadbalance.json");

pub(crate) fn vectors(name: &str) -> Vec<Value> {
    let mut vectors: Value = serde_json::from_str(VECTORS).unwrap();
    serde_json::from_value(vectors[name].take()).unwrap()
}

/// `HOST:PORT` or `HOST`, as an inbound reads it; `None` if it is refused there.
fn target(text: &str) -> Option<Target> {
    text.parse().ok().or_else(|| Host::parse(text).ok().map(|host| Target::new(host, 0)))
}

/// A flow of which only the network is known, as far as that is possible.
fn unknown_flow() -> Flow {
    Flow::new(Network::Tcp, target("203.0.113.1").unwrap())
}

/// The vectors write a remark in brackets behind some values.
fn without_remark(text: &str) -> &str {
    text.split(" (").next().unwrap_or_default()
}

fn flow(metadata: &Value) -> Flow {
    let text = |name: &str| metadata[name].as_str();
    let mut flow = unknown_flow();
    if let Some(destination) = text("destination") {
        flow.target = target(without_remark(destination)).unwrap();
    }
    flow.network = text("network").map_or(Network::Tcp, |network| network.parse().unwrap());
    flow.source = text("source").map(|source| {
        let Target { host, port } = target(source).unwrap();
        (host.ip().unwrap(), port).into()
    });
    flow.route_domain = text("domain").map(|name| DomainName::new(name).unwrap());
    flow.inbound = text("inbound").map(Tag::from);
    flow.rule_set = text("matched_ruleset").map(Into::into);
    flow
}

/// Why a case of `hash_key` says nothing about this crate.
fn key_exception(case: &Value) -> Option<&'static str> {
    let parts = case["key_parts"].as_array().unwrap();
    match case["gen"].as_str().unwrap() {
        "B" if case["salt"] != "" => Some(
            "generation B puts `key_salt` before the key; here a salt stands among the parts or is the seed",
        ),
        "B" if parts.iter().any(|part| part == "dst_asn") => {
            Some("a flow does not know the number of an autonomous system")
        }
        "C" if case["expected"] == "" => Some(
            "generation C leaves absent parts out; here they are `-`, so that the others keep their place",
        ),
        _ => None,
    }
}

#[test]
fn keys_are_those_of_the_vectors() {
    let (mut n_checked, mut n_excepted) = (0, 0);
    for case in vectors("hash_key") {
        if key_exception(&case).is_some() {
            assert_ne!(case["gen"], "A");
            n_excepted += 1;
            continue;
        }
        let named = |name: &Value| KeyPart::ALL.into_iter().find(|part| name == part.as_str()).unwrap();
        let parts: Vec<KeyPart> = case["key_parts"].as_array().unwrap().iter().map(named).collect();
        let salt = case["salt"].as_str().unwrap();
        let spec = KeySpec::new(parts.clone(), salt);
        let mut key = "what was there before".to_owned();
        let state = spec.write(&flow(&case["metadata"]), &mut key);

        let theirs = case["expected"].as_str().unwrap();
        let expected = match case["ours"].as_str() {
            Some("same visible key; salt mixed into hash seed") => {
                assert_eq!(spec.seed(), salt.as_bytes());
                theirs
            }
            Some(ours) => without_remark(ours),
            None => theirs,
        };
        assert_eq!(key, expected, "{case}");
        let is_empty = key.is_empty() || key.split('|').all(|part| part == "-");
        assert_eq!(state == KeyState::Empty, is_empty, "{case}");
        assert!(case["ours_empty_key"] != true || state == KeyState::Empty, "{case}");
        n_checked += 1;
    }
    assert_eq!((n_checked, n_excepted), (35, 3), "cases were added or lost: adjust the numbers");
}

/// Why a case of `etld_plus_one` says nothing about this crate.
fn etld_exception(input: &str) -> Option<&'static str> {
    if input.is_empty() {
        Some("an empty text is no name: a flow without a name is a case of `hash_key`")
    } else if input.contains(' ') {
        Some("a name with spaces is refused where it is read, and not trimmed later")
    } else if input.contains('@') {
        Some("a name with `@` is refused where it is read")
    } else {
        None
    }
}

#[test]
fn registrable_domains_are_those_of_the_vectors() {
    let spec = KeySpec::new([KeyPart::EtldPlusOne], "");
    let (mut n_checked, mut n_excepted) = (0, 0);
    for case in vectors("etld_plus_one") {
        let input = case["input"].as_str().unwrap();
        let (input, is_name) = match input.strip_suffix(" (as Host string)") {
            Some(input) => (input, true),
            None => (input, false),
        };
        if etld_exception(input).is_some() {
            assert!(target(input).is_none(), "{case}");
            n_excepted += 1;
            continue;
        }
        let mut flow = unknown_flow();
        if is_name {
            flow.route_domain = Some(DomainName::new(input).unwrap());
        } else {
            // An address or a name, with or without a port: the parser of targets tells them apart.
            flow.target = target(input).unwrap();
        }
        let expected = case["ours"].as_str().or_else(|| case["expected"].as_str()).unwrap();
        let expected = if expected == "- / absent" { "-" } else { expected };
        let mut key = String::new();
        let state = spec.write(&flow, &mut key);
        assert_eq!(key, expected, "{case}");
        assert_eq!(state == KeyState::Empty, expected == "-", "{case}");
        n_checked += 1;
    }
    assert_eq!((n_checked, n_excepted), (24, 4), "cases were added or lost: adjust the numbers");
}

#[track_caller]
fn check(flow: &Flow, parts: &[KeyPart], salt: &str, expected: (&str, KeyState)) {
    let mut key = String::new();
    let state = KeySpec::new(parts, salt).write(flow, &mut key);
    assert_eq!((key.as_str(), state), expected);
}

#[test]
fn every_part_has_a_value_and_an_absence() {
    let mut known = unknown_flow();
    known.network = Network::Udp;
    known.source = Some("192.0.2.7:5000".parse().unwrap());
    known.target = "[2001:DB8:0:0::1]:443".parse().unwrap();
    known.route_domain = Some(DomainName::new("www.example.com").unwrap());
    known.inbound = Some(Tag::from("in"));
    known.user = Some("anna".into());
    known.rule_set = Some("geosite:netflix".into());
    let values = [
        ("192.0.2.7", "-"),
        ("5000", "-"),
        ("2001:db8::1", "203.0.113.1"),
        ("443", "-"),
        ("udp", "tcp"),
        ("www.example.com", "-"),
        ("in", "-"),
        ("anna", "-"),
        ("geosite:netflix", "-"),
        ("example.com", "-"),
        ("geosite:netflix", "-"),
        ("s", "s"),
    ];
    for (part, (present, absent)) in KeyPart::ALL.into_iter().zip(values) {
        let state = if part == KeyPart::Salt { KeyState::Empty } else { KeyState::Filled };
        check(&known, &[part], "s", (present, state));
        let state = if absent == "-" || part == KeyPart::Salt { KeyState::Empty } else { KeyState::Filled };
        check(&unknown_flow(), &[part], "s", (absent, state));
    }
}

#[test]
fn a_target_that_is_a_name_has_no_address() {
    let flow = Flow::new(Network::Tcp, "example.com:443".parse().unwrap());
    check(&flow, &[KeyPart::DstIp, KeyPart::DstPort], "", ("-|443", KeyState::Filled));
    check(&flow, &[KeyPart::DstIp], "", ("-", KeyState::Empty));
}

#[test]
fn mapped_addresses_are_ipv4() {
    let mut flow = unknown_flow();
    flow.source = Some("[::ffff:192.0.2.7]:5000".parse().unwrap());
    // A target can only be mapped if it is put together by hand.
    flow.target.host = Host::Ip("::ffff:192.0.2.8".parse().unwrap());
    check(&flow, &[KeyPart::SrcIp, KeyPart::DstIp], "", ("192.0.2.7|192.0.2.8", KeyState::Filled));
}

#[test]
fn the_recognised_name_goes_before_the_requested_one_unless_it_is_an_address() {
    let mut flow = Flow::new(Network::Tcp, "asked.example.com:443".parse().unwrap());
    flow.route_domain = Some(DomainName::new("seen.example.org").unwrap());
    let parts = [KeyPart::Domain, KeyPart::MatchedRulesetOrEtld];
    check(&flow, &parts, "", ("seen.example.org|example.org", KeyState::Filled));
    flow.route_domain = Some(DomainName::new("192.0.2.1").unwrap());
    check(&flow, &parts, "", ("asked.example.com|example.com", KeyState::Filled));
}

#[test]
fn a_salt_alone_does_not_fill_a_key() {
    let parts = [KeyPart::User, KeyPart::Salt, KeyPart::SrcIp];
    check(&unknown_flow(), &parts, "pepper", ("-|pepper|-", KeyState::Empty));
    check(&unknown_flow(), &parts, "", ("-|-", KeyState::Empty));
    check(&unknown_flow(), &[KeyPart::Salt], "pepper", ("pepper", KeyState::Empty));
}

#[test]
fn the_salt_is_the_seed_unless_it_is_a_part() {
    assert_eq!(KeySpec::new([KeyPart::SrcIp], "pepper").seed(), b"pepper");
    assert_eq!(KeySpec::new([KeyPart::SrcIp, KeyPart::Salt], "pepper").seed(), b"");
    assert_eq!(KeySpec::new([], "").seed(), b"");
}

#[test]
fn the_registrable_domain_is_borrowed_from_the_name() {
    let name = DomainName::new("www.example.com").unwrap();
    assert_eq!(etld_plus_one(&name).as_ptr(), name.as_str()[4..].as_ptr());
}
