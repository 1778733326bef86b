//! sing-box as an oracle: the same rules, the same connections, the same outbounds.
//!
//! Rules and rule sets are generated with every condition that a test can bring about, joined, inverted
//! and nested; behind each rule stands a SOCKS node that says which rule it is.

mod connection;
pub(crate) mod process;
mod rules;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::Value;
use tokio::task::JoinSet;
use waypost_config::{Options, Source, Style, render};
use waypost_net::{DomainName, Flow};
use waypost_proxy::{
    Snapshot,
    build::{Assets, load},
};
use waypost_router::Step;
use waypost_testkit::seeded_rng;

pub(crate) use self::process::SingBox;
use self::{
    connection::Connection,
    rules::{Generator, N_RULES},
};
use crate::{binary::Waypost, oracle::Node, sing_box::require_sing_box};

/// Rounds, each with rules of its own.
const N_ROUNDS: u64 = 10;
/// Connections of each round.
const N_CONNECTIONS: usize = 1_000;
/// Of which so many go through the binary, too.
const N_OF_BINARY: usize = 100;
/// Connections that are open at the same time.
const N_CONCURRENT: usize = 48;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_connections_go_where_sing_box_sends_them() {
    let Some(program) = require_sing_box("the comparison of decisions with sing-box") else { return };
    let mut nodes = Vec::new();
    for index in 0..=N_RULES {
        nodes.push(Node::start(&node_name(index)).await);
    }
    let ports: Vec<u16> = nodes.iter().map(|node| node.address.port()).collect();
    let mut hit = BTreeMap::<String, usize>::new();
    for round in 0..N_ROUNDS {
        let mut rng = seeded_rng(500 + round);
        let config = Generator::new(&mut rng).config(&ports);
        let connections: Arc<[Connection]> =
            (0..N_CONNECTIONS).map(|_| Connection::generate(&mut rng)).collect();
        let sing_box = SingBox::start(&program, &config).await;
        let theirs = make_all(connections.clone(), &sing_box.addresses).await;
        let snapshot = snapshot(&config);
        let mut differences = Vec::new();
        for (connection, (source_port, answer)) in connections.iter().zip(&theirs) {
            let flow = connection.flow(*source_port);
            let ours = decide(&snapshot, &flow);
            *hit.entry(ours.clone()).or_default() += 1;
            if answer.as_ref().ok() != Some(&ours) {
                let why = explain(&snapshot, &flow);
                differences.push(format!("{connection:?}\n  sing-box: {answer:?}\n  Waypost: {ours}\n{why}"));
            }
        }
        report(round, &differences, &config, &sing_box.log());
        let some: Arc<[Connection]> = connections.iter().take(N_OF_BINARY).cloned().collect();
        let waypost = Waypost::start(&config.to_string(), None).await;
        let through = make_all(some.clone(), &waypost.addresses()).await;
        let mut differences = Vec::new();
        for (connection, (source_port, answer)) in some.iter().zip(&through) {
            let ours = decide(&snapshot, &connection.flow(*source_port));
            if answer.as_ref().ok() != Some(&ours) {
                differences.push(format!("{connection:?}\n  the binary: {answer:?}\n  the router: {ours}"));
            }
        }
        report(round, &differences, &config, &waypost.log());
    }
    eprintln!("{hit:?}");
    let n_default = hit.get(&node_name(N_RULES)).copied().unwrap_or_default();
    let n_all: usize = hit.values().sum();
    assert!(hit.len() > N_RULES / 2 && n_default * 2 < n_all, "the rules decide about too little: {hit:?}");
}

/// What the node behind a rule is called; the last one is behind no rule.
fn node_name(index: usize) -> String {
    format!("node-{index}")
}

fn snapshot(config: &Value) -> Snapshot {
    let source = Source::new("config.json", format!("{config:#}")).unwrap();
    let loaded = load(&source, &Options::default(), &Assets::new(None, &|_| None));
    assert!(loaded.ready.is_some(), "{}", render(&source, &loaded.diagnostics, Style::Plain));
    loaded.ready.unwrap().snapshot
}

/// The outbound of the rule that decides, or the default one.
fn decide(snapshot: &Snapshot, flow: &Flow) -> String {
    let Step::Decided(decision) = snapshot.router().route(flow) else { panic!("nothing has to be asked") };
    let route = snapshot.route(&decision, flow, &mut seeded_rng(1)).unwrap();
    route.first.outbound.tag.as_ref().unwrap().to_string()
}

/// Why a connection goes where it goes.
fn explain(snapshot: &Snapshot, flow: &Flow) -> String {
    let unknown = |_name: &DomainName| Ok(Vec::new());
    waypost_proxy::explain::explain(snapshot, flow, unknown, &mut seeded_rng(1)).to_string()
}

/// Makes all connections, some at a time: from which port, and which node answered.
async fn make_all(
    connections: Arc<[Connection]>,
    inbounds: &BTreeMap<String, SocketAddr>,
) -> Vec<(u16, Result<String, String>)> {
    let inbounds = Arc::new(inbounds.clone());
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..N_CONCURRENT {
        let (connections, inbounds, next) = (connections.clone(), inbounds.clone(), next.clone());
        workers.spawn(async move {
            let mut told = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(connection) = connections.get(index) else { return told };
                told.push((index, connection.make(&inbounds).await));
            }
        });
    }
    let told: BTreeMap<usize, _> = workers.join_all().await.into_iter().flatten().collect();
    told.into_values().collect()
}

#[track_caller]
fn report(round: u64, differences: &[String], config: &Value, log: &str) {
    let tail: Vec<&str> = log.lines().rev().take(5).collect();
    assert!(
        differences.is_empty(),
        "round {round}: {} differences, such as\n{}\nlast lines of the log:\n{}\nthe rules are in {}",
        differences.len(),
        differences.iter().take(5).map(String::as_str).collect::<Vec<_>>().join("\n\n"),
        tail.join("\n"),
        keep(config),
    );
}

/// Where a configuration is kept that was decided otherwise.
fn keep(config: &Value) -> String {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("sing-box-difference.json");
    std::fs::write(&path, format!("{config:#}")).unwrap();
    path.display().to_string()
}
