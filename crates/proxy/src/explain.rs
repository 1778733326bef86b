//! What would become of a connection, and why.

use std::{fmt, net::IpAddr};

use rand::Rng;
use serde_json::{Value, json};
use waypost_balance::Strategy;
use waypost_net::{DomainName, Flow, Tag};
use waypost_router::{Answer, ConditionTrace, Explanation, Pass, Question, RuleTrace, Verdict};

use crate::{
    serve::rule_label,
    snapshot::{NoRoute, Snapshot, Why},
};

/// A decision with everything that led to it: the router's own record, and what became of it.
#[derive(Debug)]
pub struct Explained {
    /// Every rule that was tried.
    pub explanation: Explanation,
    /// What rules are called, by position.
    pub labels: Vec<String>,
    /// The look-ups that rules asked for.
    pub lookups: Vec<Lookup>,
    /// What the deciding rule is called; `None` if no rule matched.
    pub rule: Option<String>,
    /// The balancer that was asked.
    pub balancer: Option<BalancerChoice>,
    /// The outbounds to try, in order, or why there is none.
    pub outbounds: Result<Vec<(Option<Tag>, Why)>, NoRoute>,
    /// Addresses that the deciding rule matched and that are dialled first.
    pub matched_addresses: Vec<IpAddr>,
}

/// A look-up of a name.
#[derive(Debug)]
pub struct Lookup {
    /// The name.
    pub name: DomainName,
    /// Its addresses, or why there is none.
    pub result: Result<Vec<IpAddr>, String>,
}

/// A balancer, as far as it matters for a choice.
#[derive(Debug)]
pub struct BalancerChoice {
    /// Its tag.
    pub tag: Tag,
    /// How it chooses.
    pub strategy: Strategy,
    /// Whom it chooses from.
    pub members: Vec<Tag>,
}

/// Decides about `flow` by the same code that decides about connections, and keeps the record.
/// `resolve` looks names up. The process behind the flow counts as unknown.
pub fn explain(
    snapshot: &Snapshot,
    flow: &Flow,
    mut resolve: impl FnMut(&DomainName) -> Result<Vec<IpAddr>, String>,
    rng: &mut impl Rng,
) -> Explained {
    let mut lookups = Vec::new();
    let (decision, explanation) = snapshot.router().explain(flow, |question| match question {
        Question::Addresses(name) => {
            let result = resolve(name);
            let addresses = result.clone().unwrap_or_default();
            lookups.push(Lookup { name: name.clone(), result });
            Answer::Addresses(addresses)
        }
        Question::Process => Answer::Process(None),
    });
    let routed = snapshot.route(&decision, rng);
    let balancer =
        decision.rule.and_then(|rule| snapshot.balancer(rule.way())).map(|balancer| BalancerChoice {
            tag: balancer.tag().clone(),
            strategy: balancer.strategy(),
            members: balancer.members().to_vec(),
        });
    let outbounds = routed.map(|route| {
        let attempts = std::iter::once(route.first).chain(route.others);
        attempts.map(|attempt| (attempt.outbound.tag.clone(), attempt.why)).collect()
    });
    Explained {
        explanation,
        labels: snapshot.router().rules().iter().map(rule_label).collect(),
        lookups,
        rule: decision.rule.map(rule_label),
        balancer,
        outbounds,
        matched_addresses: decision.matched_addresses,
    }
}

/// What an outbound without a tag is called.
#[must_use]
pub fn outbound_label(tag: Option<&Tag>) -> &str {
    tag.map_or("(the first outbound, which has no tag)", Tag::as_str)
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lookups = self.lookups.iter();
        let mut pass = Pass::First;
        for rule in &self.explanation.rules {
            if rule.pass != pass {
                pass = rule.pass;
                writeln!(f, "no rule matched; again with the addresses of the name:")?;
            }
            for question in &rule.questions {
                if *question == Question::Process {
                    writeln!(f, "? the process is unknown here")?;
                } else if let Some(lookup) = lookups.next() {
                    writeln!(f, "{lookup}")?;
                }
            }
            self.write_rule(f, rule)?;
        }
        match &self.rule {
            Some(rule) => writeln!(f, "decided by {rule}")?,
            None => writeln!(f, "no rule matched")?,
        }
        if let Some(BalancerChoice { tag, strategy, members }) = &self.balancer {
            let members: Vec<&str> = members.iter().map(Tag::as_str).collect();
            writeln!(f, "balancer {tag} ({}) chooses from {}", strategy.as_str(), members.join(", "))?;
        }
        if !self.matched_addresses.is_empty() {
            let addresses: Vec<String> = self.matched_addresses.iter().map(ToString::to_string).collect();
            writeln!(f, "dialled first: {}", addresses.join(", "))?;
        }
        match &self.outbounds {
            Ok(outbounds) => {
                for (index, (tag, why)) in outbounds.iter().enumerate() {
                    let mark = if index == 0 { "=>" } else { "  " };
                    writeln!(f, "{mark} {} ({why})", outbound_label(tag.as_ref()))?;
                }
                Ok(())
            }
            Err(error) => writeln!(f, "=> refused: {error}"),
        }
    }
}

impl Explained {
    fn write_rule(&self, f: &mut fmt::Formatter<'_>, rule: &RuleTrace) -> fmt::Result {
        let label = self.labels.get(rule.index).map_or("", String::as_str);
        writeln!(f, "{} {label}", if rule.holds { "+" } else { "-" })?;
        for condition in &rule.conditions {
            let mark = match condition.verdict {
                Verdict::Holds => "+",
                Verdict::Fails => "-",
                Verdict::NotNeeded => "?",
            };
            write!(f, "    {mark} {}: {}", condition.name, condition.wanted)?;
            match (&condition.seen, condition.verdict) {
                (Some(seen), _) => writeln!(f, "  <- {seen}")?,
                (None, Verdict::NotNeeded) => writeln!(f, "  <- not looked at, another condition fails")?,
                (None, Verdict::Holds | Verdict::Fails) => writeln!(f)?,
            }
        }
        Ok(())
    }
}

impl Explained {
    /// The same record as JSON, for programs.
    #[must_use]
    pub fn to_json(&self, flow: &Flow) -> Value {
        let rules = self.explanation.rules.iter().map(|rule| {
            let conditions = rule.conditions.iter().map(|condition| {
                let verdict = match condition.verdict {
                    Verdict::Holds => "holds",
                    Verdict::Fails => "fails",
                    Verdict::NotNeeded => "not needed",
                };
                let ConditionTrace { name, wanted, seen, .. } = condition;
                json!({ "name": name, "wanted": wanted, "verdict": verdict, "seen": seen })
            });
            let pass = match rule.pass {
                Pass::First => "first",
                Pass::Resolving => "resolving",
            };
            let label = self.labels.get(rule.index);
            let conditions: Vec<Value> = conditions.collect();
            json!({ "index": rule.index, "rule": label, "pass": pass, "holds": rule.holds, "conditions": conditions })
        });
        let lookups = self.lookups.iter().map(|Lookup { name, result }| match result {
            Ok(addresses) => json!({ "name": name.as_str(), "addresses": addresses }),
            Err(error) => json!({ "name": name.as_str(), "error": error }),
        });
        let balancer = self.balancer.as_ref().map(|BalancerChoice { tag, strategy, members }| {
            let members: Vec<&str> = members.iter().map(Tag::as_str).collect();
            json!({ "tag": tag.as_str(), "strategy": strategy.as_str(), "members": members })
        });
        let attempt =
            |(tag, why): &(Option<Tag>, Why)| json!({ "outbound": tag.as_deref(), "why": why.to_string() });
        let outbounds: Vec<Value> = self.outbounds.iter().flatten().map(attempt).collect();
        json!({
            "network": flow.network.as_str(), "target": flow.target.to_string(),
            "rules": rules.collect::<Vec<_>>(), "lookups": lookups.collect::<Vec<_>>(), "rule": self.rule,
            "balancer": balancer, "outbounds": outbounds,
            "refused": self.outbounds.as_ref().err().map(ToString::to_string),
            "dialledFirst": self.matched_addresses,
        })
    }
}

impl fmt::Display for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.result {
            Ok(addresses) => {
                let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                write!(f, "? {} is {}", self.name, addresses.join(", "))
            }
            Err(error) => write!(f, "? {} was not found: {error}", self.name),
        }
    }
}
