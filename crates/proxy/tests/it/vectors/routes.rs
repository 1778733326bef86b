//! Many rules and one connection: where does it go, and what is looked up for that?

use std::{collections::BTreeSet, net::IpAddr};

use rand::{SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use waypost_net::{DomainName, Flow, Tag};
use waypost_proxy::Snapshot;
use waypost_router::{Decision, Question, Router, Step};

use super::{Vector, Verdict, host_address, rules::strings};

pub(super) fn run(vector: &Vector) -> Verdict {
    let outbounds: Vec<Value> =
        outbounds(vector).iter().map(|tag| json!({"protocol": "freedom", "tag": tag})).collect();
    match vector.load(&json!(outbounds), vector.get("routing")) {
        Ok(loaded) => compare(vector, &loaded.ready.expect("a file without error is ready").snapshot),
        Err(refused) => refused,
    }
}

/// The outbounds that a vector gives, or those that its rules name behind one that they do not.
fn outbounds(vector: &Vector) -> Vec<String> {
    if let Some(given) = vector.data.get("outbounds") {
        return strings(given);
    }
    let rules = vector.get("routing")["rules"].as_array().unwrap();
    let named: BTreeSet<&str> = rules.iter().filter_map(|rule| rule["outboundTag"].as_str()).collect();
    ["default"].into_iter().chain(named).map(str::to_owned).collect()
}

fn compare(vector: &Vector, snapshot: &Snapshot) -> Verdict {
    let flow = vector.flow();
    let (decision, n_lookups) = decide(snapshot.router(), &flow, |name| lookup(vector, name));
    let route = match snapshot.route(&decision, &flow, &mut StdRng::seed_from_u64(1)) {
        Ok(route) => route,
        Err(no_route) => return Verdict::Wrong(no_route.to_string()),
    };
    let went_to = route.first.outbound.tag.as_ref().map(Tag::as_str);
    let by_rule = decision.rule.and(went_to);
    let found = json!({
        "rule_outbound": by_rule,
        "default_outbound": went_to,
        "final": went_to,
        "dns_lookups": n_lookups,
    });
    let expected = vector.expected().as_object().expect("an object");
    assert!(!expected.is_empty(), "{}: nothing is expected", vector.id);
    match expected.iter().find(|&(key, value)| found.get(key) != Some(value)) {
        None => Verdict::AsExpected,
        Some((key, _)) => Verdict::Wrong(format!("{key} is {}", found[key])),
    }
}

/// The vector's own name server; a failed look-up has no addresses.
fn lookup(vector: &Vector, name: &DomainName) -> Vec<IpAddr> {
    let answer = &vector.get("dns")[name.as_str()];
    match answer.as_str() {
        Some(failure) => {
            assert_eq!(failure, "SERVFAIL", "{}", vector.id);
            Vec::new()
        }
        None => strings(answer).iter().map(|address| host_address(address)).collect(),
    }
}

/// Decides as the shell does, and counts the look-ups.
pub(super) fn decide<'r>(
    router: &'r Router,
    flow: &Flow,
    mut lookup: impl FnMut(&DomainName) -> Vec<IpAddr>,
) -> (Decision<'r>, usize) {
    let mut n_lookups = 0;
    let mut step = router.route(flow);
    loop {
        match step {
            Step::Perform(performing) => panic!("{:?}", performing.effect()),
            Step::Decided(decision) => return (decision, n_lookups),
            Step::Ask(pending) => {
                let Question::Addresses(name) = pending.question().clone() else {
                    panic!("no vector is about processes");
                };
                n_lookups += 1;
                step = pending.with_addresses(flow, lookup(&name));
            }
        }
    }
}
