//! Top-N, tiers, order and networks against the vectors of the reference programs.

use std::collections::BTreeMap;

use serde_json::Value;
use waypost_balance::{GroupId, GroupSpec, Role, Strategy, Tier};
use waypost_health::{State, Status};
use waypost_net::{Network, Networks, Tag};

use crate::{
    key::vectors,
    world::{World, flow, flow_over, leaf, order, rng, settled},
};

/// A group whose members are named, primaries first. The vectors do not keep the order of their names.
fn named(strategy: Strategy, primary: &[String], backup: &[String]) -> GroupSpec {
    let member = |(outbound, name): (usize, &String)| leaf(outbound, name);
    let mut members: Vec<_> = primary.iter().chain(backup).enumerate().map(member).collect();
    let backup = members.split_off(primary.len());
    let mut spec = GroupSpec::new(Tag::from("group"), members, strategy);
    spec.backup = backup;
    spec.selector.others_follow = true;
    spec
}

fn strings(value: &Value) -> Vec<String> {
    serde_json::from_value(value.clone()).unwrap()
}

/// `null` is a member that was not measured.
fn status(delay: &Value) -> Status {
    delay.as_u64().map_or(Status::UNKNOWN, settled)
}

fn number(value: &Value) -> usize {
    value.as_u64().unwrap().try_into().unwrap()
}

/// The candidates of a group, the fastest first.
fn candidates(world: &mut World, names: &[String]) -> Vec<String> {
    let standings = world.update();
    let standing = standings.get(GroupId::new(0)).unwrap();
    let is_candidate = |role: &Option<Role>| *role == Some(Role::Candidate);
    let roles = standing.roles(Network::Tcp);
    let mut members: Vec<usize> = (0..names.len()).filter(|&member| is_candidate(&roles[member])).collect();
    members.sort_by_key(|&member| standing.statuses()[member].delay.unwrap().mean());
    members.into_iter().map(|member| names[member].clone()).collect()
}

#[test]
fn the_fastest_are_those_of_the_vectors() {
    let mut n_checked = 0;
    for case in vectors("top_n") {
        let latency: BTreeMap<String, u64> = serde_json::from_value(case["latency"].clone()).unwrap();
        let mut names: Vec<String> = latency.keys().cloned().collect();
        let is_tie = case["ours"].is_array();
        let expected = strings(if is_tie { &case["ours"] } else { &case["expected"] });
        if is_tie {
            // The one that is configured first is taken; the case means the one that it names first.
            names.sort_by_key(|name| *name != expected[0]);
        }
        let mut spec = named(Strategy::Random, &names, &[]);
        spec.top_n.primary = number(&case["top_n"]);
        let mut world = World::new(vec![spec], names.len());
        world.statuses = names.iter().map(|name| settled(latency[name])).collect();
        assert_eq!(candidates(&mut world, &names), expected, "{case}");
        n_checked += 1;
    }
    assert_eq!(n_checked, 4, "cases were added or lost: adjust the number");
}

/// All cases are of generation C, and all of them hold here too.
#[test]
fn incumbents_stay_as_in_the_vectors() {
    let mut n_checked = 0;
    for case in vectors("top_n_tolerance") {
        let healthy: BTreeMap<String, u64> =
            serde_json::from_value::<Vec<(String, u64)>>(case["healthy"].clone())
                .unwrap()
                .into_iter()
                .collect();
        let previous = strings(&case["previous"]);
        // Somebody who is down makes a group of the case without healthy members.
        let names: Vec<String> = healthy.keys().cloned().chain(["z".to_owned()]).collect();
        let mut spec = named(Strategy::Random, &names, &[]);
        spec.top_n.primary = number(&case["n"]);
        assert_eq!(u128::from(case["tolerance"].as_u64().unwrap()), spec.top_n.tolerance.as_millis());
        let mut world = World::new(vec![spec], names.len());
        let down = Status { state: State::Down, ..Status::UNKNOWN };
        let works = |wanted: &dyn Fn(&String) -> bool| -> Vec<Status> {
            let status = |name: &String| healthy.get(name).filter(|_| wanted(name)).copied().map(settled);
            names.iter().map(|name| status(name).unwrap_or(down)).collect()
        };
        world.statuses = works(&|name| previous.contains(name));
        world.update();
        world.statuses = works(&|_| true);
        let expected = if case["expected"].is_null() { Vec::new() } else { strings(&case["expected"]) };
        assert_eq!(candidates(&mut world, &names), expected, "{case}");
        n_checked += 1;
    }
    assert_eq!(n_checked, 7, "cases were added or lost: adjust the number");
}

#[test]
fn tiers_change_as_in_the_vectors_unless_no_backup_works() {
    let mut n_checked = 0;
    for case in vectors("tier_state_machine") {
        assert_eq!(case["ours"], "never enter backup tier when no backup is usable");
        assert_eq!(case["primary_failures"], 3, "which is the default");
        for backup_ok in [false, true] {
            let names = ["p".to_owned(), "b".to_owned()];
            let mut world = World::new(vec![named(Strategy::Random, &names[..1], &names[1..])], names.len());
            for round in case["rounds"].as_array().unwrap() {
                let state = |works: bool| if works { State::Up } else { State::Down };
                world.set(0, state(round["primary_ok"].as_bool().unwrap()));
                world.set(1, state(backup_ok));
                let tier = world.update().get(GroupId::new(0)).unwrap().tier();
                // With a backup that works this is the tier of the case.
                let expected = if backup_ok { round["tier"].as_str().unwrap() } else { "primary" };
                assert_eq!(tier.to_string(), expected, "{case}");
            }
            world.set(0, State::Up);
            let tier = world.update().get(GroupId::new(0)).unwrap().tier();
            assert_eq!(tier, if backup_ok { Tier::Backup } else { Tier::Primary }, "{case}");
        }
        n_checked += 1;
    }
    assert_eq!(n_checked, 1, "cases were added or lost: adjust the number");
}

/// What of a case of `connection_failover` does not concern this crate.
fn failover_exception(case: &Value) -> Option<&'static str> {
    (!case["cancel_during"].is_null())
        .then_some("who walks a plan stops when the client cancels; the plan itself is the same")
}

#[test]
fn attempts_follow_each_other_as_in_the_vectors() {
    let (mut n_checked, mut n_excepted) = (0, 0);
    for case in vectors("connection_failover") {
        if failover_exception(&case).is_some() {
            n_excepted += 1;
            continue;
        }
        let tier = |name: &str| -> BTreeMap<String, Value> {
            case.get(name).map(|tier| serde_json::from_value(tier.clone()).unwrap()).unwrap_or_default()
        };
        let (primary, backup) = (tier("primary"), tier("backup"));
        let names = |tier: &BTreeMap<String, Value>| tier.keys().cloned().collect::<Vec<_>>();
        // Where a member is selected the case looks at the order of the configuration, which is that of
        // the names; elsewhere the fastest go first, and names decide between equals.
        let strategy = if case["selected"].is_string() { Strategy::Failover } else { Strategy::LeastPing };
        let mut spec = named(strategy, &names(&primary), &names(&backup));
        for member in &mut spec.primary {
            member.networks.udp = !member.tag.contains("tcp only");
        }
        let all: Vec<String> = names(&primary).into_iter().chain(names(&backup)).collect();
        let mut world = World::new(vec![spec], all.len());
        world.statuses = primary.values().chain(backup.values()).map(status).collect();
        let standings = world.update();
        let network = if case["network"] == "udp" { Network::Udp } else { Network::Tcp };
        let plan = world.plan(&standings, &flow_over(network, 1), &mut rng(1)).unwrap();
        let mut order: Vec<String> = order(&plan).into_iter().map(|member| all[member].clone()).collect();
        if let Some(expected) = case["order"].as_str() {
            assert_eq!(order.join(","), expected, "{case}");
        } else {
            let fails = strings(&case["fail"]);
            let used = order.iter().position(|member| !fails.contains(member)).unwrap();
            order.truncate(used + 1);
            assert_eq!(order.join(","), case["attempts"].as_str().unwrap(), "{case}");
            assert_eq!(order[used], case["used"].as_str().unwrap(), "{case}");
        }
        n_checked += 1;
    }
    assert_eq!((n_checked, n_excepted), (6, 1), "cases were added or lost: adjust the numbers");
}

#[test]
fn a_network_goes_to_those_that_carry_it_as_in_the_vectors() {
    let mut n_checked = 0;
    for case in vectors("network_filter") {
        let candidates: BTreeMap<String, Vec<String>> =
            serde_json::from_value(case["candidates"].clone()).unwrap();
        assert_eq!(case["network"], "tcp");
        let names: Vec<String> = candidates.keys().cloned().collect();
        for strategy in Strategy::ALL {
            let mut spec = named(strategy, &names, &[]);
            for (member, networks) in spec.primary.iter_mut().zip(candidates.values()) {
                let carries = |network: &str| networks.iter().any(|carried| carried == network);
                member.networks = Networks { tcp: carries("tcp"), udp: carries("udp") };
            }
            let mut world = World::up(spec);
            let standings = world.update();
            let plan = world.plan(&standings, &flow(1), &mut rng(1)).unwrap();
            let mut planned: Vec<String> =
                order(&plan).into_iter().map(|member| names[member].clone()).collect();
            let mut expected = strings(&case["expected"]);
            planned.sort();
            expected.sort();
            assert_eq!(planned, expected, "{case}");
        }
        n_checked += 1;
    }
    assert_eq!(n_checked, 1, "cases were added or lost: adjust the number");
}
