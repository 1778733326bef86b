//! Rules that never decide, because one rule before them takes everything that they could take.
//!
//! Only what is certain is reported: conditions are compared one by one, and what would take long to
//! compare is left out, so that two thousand rules take a few milliseconds.

mod candidates;
mod entries;
mod implied;
mod parts;

use std::cell::Cell;

use candidates::Candidates;
use implied::Comparison;
use parts::Parts;

use crate::{
    model::{Conditions, Rule, RuleAction},
    report::Report,
};

/// How many entries and pairs of rules are looked at before the rest is believed to be fine.
const MOST_STEPS: usize = 200_000;

/// Warns of every rule that is never reached because of one other.
pub(super) fn find_shadowed(rules: &[Rule], report: &mut Report<'_>) {
    if rules.len() < 2 {
        return;
    }
    let parts = Parts::new(rules);
    let steps = Steps(Cell::new(MOST_STEPS));
    let candidates = Candidates::new(&parts, rules, &steps);
    let comparison = Comparison::new(&parts, &steps);
    let mut changes = Changes::default();
    for (index, (rule, tree)) in rules.iter().zip(&parts.trees).enumerate() {
        let takes_all = |earlier: &usize| {
            parts.trees.get(*earlier).is_some_and(|earlier| comparison.implies(tree, earlier))
                && rules.get(*earlier).is_some_and(|rule| changes.none_behind(*earlier, rule))
        };
        let candidates = if parts.is_impossible(tree) { Vec::new() } else { candidates.of(index, tree) };
        if let Some(earlier) = candidates.into_iter().find(takes_all).and_then(|earlier| rules.get(earlier)) {
            let line = report.line(earlier.span);
            report
                .warning(
                    rule.span,
                    format!("this rule is never reached, the rule on line {line} takes all it could take"),
                )
                .help("move it before that rule, or remove it");
        }
        changes.note(index, &rule.action);
    }
}

/// How many entries and pairs of rules may still be looked at.
struct Steps(Cell<usize>);

impl Steps {
    /// Whether there are so many steps left; if not, there are none any more.
    fn spend(&self, steps: usize) -> bool {
        let left = self.0.get().checked_sub(steps);
        self.0.set(left.unwrap_or(0));
        left.is_some()
    }
}

/// Whether nothing behind it is tried for a connection that a rule takes.
pub(super) fn is_final(action: &RuleAction) -> bool {
    match action {
        RuleAction::Route { .. } | RuleAction::Reject(_) | RuleAction::HijackDns => true,
        RuleAction::RouteOptions(_) | RuleAction::Sniff(_) | RuleAction::Resolve(_) => false,
    }
}

/// Which rule was the last to change what conditions look at.
#[derive(Default)]
struct Changes {
    /// The target's name or addresses.
    host: Option<usize>,
    port: Option<usize>,
    /// What is recognised.
    protocol: Option<usize>,
}

impl Changes {
    fn note(&mut self, rule: usize, action: &RuleAction) {
        match action {
            RuleAction::Route { .. } | RuleAction::Reject(_) | RuleAction::HijackDns => {}
            RuleAction::Sniff(_) => {
                self.host = Some(rule);
                self.protocol = Some(rule);
            }
            RuleAction::Resolve(_) => self.host = Some(rule),
            RuleAction::RouteOptions(options) => {
                self.host = if options.host.is_some() { Some(rule) } else { self.host };
                self.port = if options.port.is_some() { Some(rule) } else { self.port };
            }
        }
    }

    /// Whether nothing that `rule` looks at was changed behind it.
    fn none_behind(&self, index: usize, rule: &Rule) -> bool {
        let behind = |last: Option<usize>| last.is_some_and(|last| last > index);
        let mut none = true;
        rule.matcher.for_each(&mut |conditions: &Conditions| {
            let sets = conditions.rule_sets.is_some();
            let host =
                conditions.domain.is_some() || conditions.ip.is_some() || conditions.ip_version.is_some();
            let protocol = conditions.protocol.is_some()
                || conditions.attributes.is_some()
                || conditions.client.is_some();
            none &= !(behind(self.host) && (host || sets)
                || behind(self.port) && (conditions.port.is_some() || sets)
                || behind(self.protocol) && (protocol || sets));
        });
        none
    }
}
