//! The parts that a decision is made of, without a configuration.

use std::collections::BTreeSet;

use rand::{SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use waypost_balance::{Context, GroupId, GroupSpec, Groups, MemberSpec, MemberTarget, Strategy, select};
use waypost_geosite::{DomainIndexBuilder, go_regexp};
use waypost_health::{Monitor, Status};
use waypost_net::{DomainName, Flow, Host, Network, Networks, Tag, Target};

use super::{Vector, Verdict, exactly, one_of_two, rules::strings};

/// The candidates come sorted by tag, which no vector contradicts.
pub(super) fn balancer_select(vector: &Vector) -> Verdict {
    let outbounds = strings(vector.get("outbounds"));
    // An outbound without tag has no tag at all here, not an empty one.
    let tags: Vec<Tag> =
        outbounds.iter().filter(|tag| !tag.is_empty()).map(|tag| Tag::from(tag.as_str())).collect();
    let selected = select(&strings(vector.get("selector")), &tags);
    let selected: Vec<&str> = selected.iter().map(Tag::as_str).collect();
    exactly(&json!(selected), vector.expected())
}

pub(super) fn round_robin(vector: &Vector) -> Verdict {
    let names = strings(vector.get("candidates"));
    let mut monitor = Monitor::new();
    let member = |name: &String| MemberSpec {
        tag: Tag::from(name.as_str()),
        target: MemberTarget::Leaf { member: monitor.add_member(), check: None },
        identity: name.as_bytes().into(),
        weight: std::num::NonZeroU16::MIN,
        networks: Networks::ALL,
    };
    let members = names.iter().map(member).collect();
    let groups =
        Groups::try_new(vec![GroupSpec::new(Tag::from("b"), members, Strategy::RoundRobin)]).unwrap();
    let now = tokio::time::Instant::now().into_std();
    let standings = groups.update(&mut groups.start(), |_, _| Status::UNKNOWN, now);
    let flow = Flow::new(Network::Tcp, "example.com:443".parse().unwrap());
    let context = Context { standings: &standings, flow: &flow, load: &|_| 0 };
    let mut rng = StdRng::seed_from_u64(1);
    let n_picks = vector.get("picks").as_u64().unwrap();
    let mut pick = || {
        let plan = groups.plan(GroupId::new(0), context, &mut rng).unwrap();
        names[plan.attempts[0].member.index()].clone()
    };
    exactly(&json!((0..n_picks).map(|_| pick()).collect::<Vec<_>>()), vector.expected())
}

/// What expressions mean that Rust reads differently or not at all: (expression, found in, not in).
const MEANINGS: &[(&str, &[&str], &[&str])] = &[
    (r"\Qa.b\E", &["a.b"], &["axb"]),
    ("a{", &["a{"], &["a"]),
    ("a{x}", &["a{x}"], &["ax"]),
    ("[[]", &["["], &["]"]),
    ("[a&&b]", &["a", "&", "b"], &["c"]),
    (r"\101", &["A"], &["101"]),
    // The last one is an Arabic digit.
    (r"^\d$", &["7"], &["x", "\u{663}"]),
];

/// The column of Go: what it accepts, and what that means to it.
pub(super) fn regex_dialect(vector: &Vector) -> Verdict {
    let pattern = vector.get("pattern").as_str().unwrap();
    let accepted = vector.get("go_accepts");
    if go_regexp::check(pattern).is_ok() && accepted == true {
        let (_, found_in, not_in) = MEANINGS
            .iter()
            .find(|(known, ..)| *known == pattern)
            .unwrap_or_else(|| panic!("{pattern} has no meaning in the table"));
        let regex = go_regexp::compile(pattern, 1 << 20).unwrap();
        if !found_in.iter().all(|text| regex.is_match(text)) || not_in.iter().any(|text| regex.is_match(text))
        {
            return Verdict::Wrong(format!("{pattern} means something else"));
        }
    }
    one_of_two(go_regexp::check(pattern).is_ok(), accepted)
}

/// Only *which* entries match counts for rules. Their order and how often each is reported are
/// for choosing a DNS server, so they are compared as sets.
pub(super) fn index_match(vector: &Vector) -> Verdict {
    let rules = vector.get("rules").as_array().unwrap();
    let mut builder = DomainIndexBuilder::default();
    for rule in rules {
        let value = rule["value"].as_str().unwrap();
        let index = number(&rule["index"]);
        match rule["type"].as_str() {
            Some("full") => builder.full(value, index).unwrap(),
            Some("domain") => builder.suffix(value, index).unwrap(),
            Some("keyword") => builder.keyword(value, index),
            Some("regexp") => builder.regexp(value, index).unwrap(),
            _ => panic!("{rule} has no known type"),
        }
    }
    let index = builder.build().unwrap();
    let mut found = BTreeSet::<u32>::new();
    // The empty name of one vector is none here, so nothing can match it.
    if let Ok(name) = DomainName::new(vector.get("input").as_str().unwrap()) {
        index.for_each_match(&name, |set| found.extend(index.sets().get(set)));
    }
    let expected: BTreeSet<u32> = vector.expected().as_array().unwrap().iter().map(number).collect();
    exactly(&json!(found), &json!(expected))
}

fn number(value: &Value) -> u32 {
    u32::try_from(value.as_u64().unwrap()).unwrap()
}

pub(super) fn parse_host(vector: &Vector) -> Verdict {
    let target: Target = vector.get("input").as_str().unwrap().parse().unwrap();
    exactly(&json!({"host": target.host.to_string(), "port": target.port}), vector.expected())
}

pub(super) fn parse_address(vector: &Vector) -> Verdict {
    match Host::parse(vector.get("input").as_str().unwrap()) {
        Ok(Host::Domain(name)) => {
            exactly(&json!({"family": "domain", "value": name.to_string()}), vector.expected())
        }
        Ok(Host::Ip(address)) => Verdict::Wrong(address.to_string()),
        Err(error) => Verdict::Refused(error.to_string()),
    }
}
