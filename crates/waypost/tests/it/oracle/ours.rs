//! The decisions of this project's router, in process.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::Path,
};

use waypost_config::{Options, Source, Style, render};
use waypost_net::{DomainName, Flow};
use waypost_proxy::{
    Snapshot,
    build::{Assets, load},
};
use waypost_router::{Decision, Question, Step};
use waypost_testkit::seeded_rng;

use super::{
    case::{Case, Told},
    rule_set::RuleSet,
};

/// A router with the answers to what it asks.
pub(crate) struct Ours<'a> {
    snapshot: Snapshot,
    rules: &'a RuleSet,
}

/// Where a connection may go.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// The outbounds that a rule allows: one, or the members of a balancer.
    pub(crate) allowed: BTreeSet<String>,
    /// The rule.
    pub(crate) rule: Option<usize>,
    /// Whether a name was asked for that `dns.hosts` does not have.
    pub(crate) asked_outside: bool,
}

impl<'a> Ours<'a> {
    pub(crate) fn load(text: &str, assets: &Path, rules: &'a RuleSet) -> Self {
        let source = Source::new("oracle.json", text).unwrap();
        let folder = |name: &str| (name == "WAYPOST_ASSETS").then(|| assets.into());
        let loaded = load(&source, &Options::default(), &Assets::new(None, &folder));
        assert!(loaded.ready.is_some(), "{}", render(&source, &loaded.diagnostics, Style::Plain));
        Self { snapshot: loaded.ready.unwrap().snapshot, rules }
    }

    pub(crate) async fn decide(&self, flow: &Flow) -> Verdict {
        let mut step = self.snapshot.router().route(flow);
        let mut asked_outside = false;
        let decision: Decision<'_> = loop {
            step = match step {
                Step::Decided(decision) => break decision,
                Step::Perform(performing) => panic!("{:?}", performing.effect()),
                Step::Ask(pending) => match pending.question().clone() {
                    Question::Addresses(name) => {
                        asked_outside |= !self.rules.is_in_hosts(name.as_str());
                        pending.with_addresses(flow, self.addresses(&name).await)
                    }
                    Question::Process => pending.with_process(flow, None),
                },
            };
        };
        let route = self.snapshot.route(&decision, flow, &mut seeded_rng(1)).unwrap();
        let attempts = std::iter::once(&route.first).chain(&route.others);
        let allowed = attempts.map(|attempt| attempt.outbound.tag.as_ref().unwrap().to_string()).collect();
        Verdict { allowed, rule: decision.rule.map(|rule| rule.index()), asked_outside }
    }

    /// What V2Ray made of a connection and what this router makes of it, where the two differ.
    pub(crate) async fn difference(&self, case: &Case, told: &Told) -> Option<String> {
        let flow = case.flow(told.source_port);
        let verdict = self.decide(&flow).await;
        let theirs = told.answer.as_ref().map(|answer| answer.node.as_str());
        if theirs.as_ref().is_ok_and(|&node| verdict.allowed.contains(node)) {
            return None;
        }
        let explanation = self.explain(&flow).await;
        Some(format!("{case:?}\n  V2Ray: {theirs:?}\n  Waypost: {:?}\n{explanation}", verdict.allowed))
    }

    async fn addresses(&self, name: &DomainName) -> Vec<IpAddr> {
        if self.rules.is_in_hosts(name.as_str()) {
            return self.snapshot.resolver().resolve(name, self.snapshot.family()).await.unwrap();
        }
        self.rules.names.get(name.as_str()).cloned().unwrap_or_default()
    }

    /// Why a connection goes where it goes.
    pub(crate) async fn explain(&self, flow: &Flow) -> String {
        let mut known = BTreeMap::new();
        if let Some(name) = flow.target.host.domain() {
            known.insert(name.clone(), self.addresses(name).await);
        }
        let answer = |name: &DomainName| Ok(known.get(name).cloned().unwrap_or_default());
        waypost_proxy::explain::explain(&self.snapshot, flow, answer, &mut seeded_rng(1)).to_string()
    }
}
