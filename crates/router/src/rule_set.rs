//! Which rule set a decision goes back to.

use std::{cell::OnceCell, slice};

use waypost_net::{Flow, Host, canonical_ip};

use crate::{Decision, Router, step::Facts, tree::Trial};

impl Router {
    /// The rule set by which the rule of `decision` matched, as the file calls it: `geosite:netflix`.
    ///
    /// Of a rule that names rule sets that is the first of them that matches by itself; a set inside of
    /// an inverted part does not count. Otherwise it is the first list that has the name; if there is none, the first that has the target's
    /// address or one that the decision matched; if there is none, the first that has the client's
    /// address. Entries that stand in the rule itself are no set, and a list that matched by *not*
    /// having an address (`!geoip:cn`) does not count, nor does one of `localIP`. `None` as well if no
    /// rule matched.
    ///
    /// It is not known from the decision but looked up here, for about the price of a decision, so
    /// that only those pay who ask. `decision` and `flow` have to be a decision of this router and the
    /// flow that it was made for.
    #[must_use]
    pub fn rule_set(&self, decision: &Decision<'_>, flow: &Flow) -> Option<&str> {
        let rule = decision.rule?;
        if !rule.sets.is_empty() || rule.tree.is_some() {
            let addresses =
                (!decision.matched_addresses.is_empty()).then(|| decision.matched_addresses.clone());
            let facts = Facts { addresses, process: Some(None) };
            let leaf_hits = OnceCell::new();
            let context = Self::context_of(flow, &facts, &leaf_hits);
            let trial = Trial { router: self, context: &context };
            let set = match &rule.tree {
                Some(tree) => trial.matching_set(tree),
                None => trial.first_set(&rule.sets, false),
            };
            return set.and_then(|set| Some(self.sets.iter().find(|known| known.tag == *set)?.tag.as_str()));
        }
        let by_domain = || self.domain.first_label(rule.index, flow.domain().filter(|_| rule.on.domain)?);
        let by_ip = || {
            let addresses = match &flow.target.host {
                Host::Ip(address) => slice::from_ref(address),
                Host::Domain(_) => &decision.matched_addresses,
            };
            self.ip.first_label(rule.index, addresses)
        };
        let by_source = || self.source.first_label(rule.index, &[canonical_ip(flow.source?.ip())]);
        by_domain().or_else(by_ip).or_else(by_source)
    }
}
