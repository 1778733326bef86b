//! Which rule set a decision goes back to.

use std::slice;

use waypost_net::{Flow, Host, canonical_ip};

use crate::{Decision, Router};

impl Router {
    /// The rule set by which the rule of `decision` matched, as the file calls it: `geosite:netflix`.
    ///
    /// That is the first list that has the name; if there is none, the first that has the target's
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
