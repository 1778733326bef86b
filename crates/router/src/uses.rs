//! How rules use rule sets, which says how both are compiled.

use crate::{Conditions, Matcher, RuleSetSpec, RuleSpec};

/// How rules use rule sets.
pub(crate) struct Uses {
    /// By the place of a rule: whether all that it wants is said by its own fields and the lists of its
    /// sets.
    pub(crate) plain: Vec<bool>,
    /// By the place of a set.
    pub(crate) sets: Vec<SetUse>,
}

#[derive(Default)]
pub(crate) struct SetUse {
    /// The plain rules that name it.
    pub(crate) plain_rules: Vec<usize>,
    pub(crate) used: bool,
    /// Whether it is one rule whose lists are all that it wants.
    pub(crate) is_list: bool,
    /// Whether its lists of target addresses are compared with those of clients as well.
    pub(crate) as_source: bool,
}

impl Uses {
    pub(crate) fn of(rules: &[RuleSpec<'_>], sets: &[RuleSetSpec<'_>]) -> Self {
        let only_lists: Vec<bool> = sets.iter().map(has_only_lists).collect();
        let is_plain = |rule: &RuleSpec<'_>| match &rule.matcher {
            Matcher::Logical(_) => false,
            Matcher::One(conditions) if conditions.invert => false,
            Matcher::One(conditions) => conditions.rule_sets.as_ref().is_none_or(|named| {
                let has_own = conditions.domain.is_some() || conditions.ip.is_some();
                let merges = |set: usize| sets.get(set).is_some_and(|set| set.rules.len() == 1);
                let only_lists =
                    |&set: &usize| only_lists.get(set).copied().unwrap_or(false) && (!has_own || merges(set));
                conditions.either
                    && !named.match_source
                    && !named.sets.is_empty()
                    && named.sets.iter().all(only_lists)
            }),
        };
        let plain: Vec<bool> = rules.iter().map(is_plain).collect();
        let is_list =
            sets.iter().zip(&only_lists).map(|(set, &only_lists)| only_lists && set.rules.len() == 1);
        let sets = is_list.map(|is_list| SetUse { is_list, ..SetUse::default() }).collect();
        let mut uses = Self { plain, sets };
        for (index, rule) in rules.iter().enumerate() {
            uses.note(index, &rule.matcher);
        }
        uses
    }

    fn note(&mut self, rule: usize, matcher: &Matcher<'_>) {
        match matcher {
            Matcher::Logical(logical) => logical.matchers.iter().for_each(|matcher| self.note(rule, matcher)),
            Matcher::One(conditions) => {
                let Some(named) = &conditions.rule_sets else { return };
                let plain = self.plain.get(rule).copied().unwrap_or(false);
                for &set in &named.sets {
                    let Some(noted) = self.sets.get_mut(set) else { continue };
                    noted.used = true;
                    noted.as_source |= named.match_source;
                    if plain && noted.plain_rules.last() != Some(&rule) {
                        noted.plain_rules.push(rule);
                    }
                }
            }
        }
    }
}

/// Whether one of the set's lists of names and addresses having the target is all that it wants.
fn has_only_lists(set: &RuleSetSpec<'_>) -> bool {
    let only_lists = |matcher: &Matcher<'_>| match matcher {
        Matcher::Logical(_) => false,
        Matcher::One(conditions) => {
            let Conditions { domain, ip, either, .. } = &**conditions;
            let lists = domain.is_some() || ip.is_some();
            let no_inverse = ip.iter().flatten().all(|list| !list.inverse);
            let one_is_enough = *either || domain.is_none() || ip.is_none();
            lists && no_inverse && one_is_enough && conditions.has_only_lists()
        }
    };
    !set.rules.is_empty() && set.rules.iter().all(only_lists)
}

impl Conditions<'_> {
    /// Whether conditions on the target's name and address are all there are.
    fn has_only_lists(&self) -> bool {
        let Self {
            domain: _,
            ip: _,
            source: None,
            local_ip: None,
            port: None,
            source_port: None,
            local_port: None,
            network: None,
            user: None,
            inbound: None,
            protocol: None,
            attributes: None,
            process,
            operating_system: None,
            ip_version: None,
            mode: None,
            client: None,
            rule_sets: None,
            either: _,
            invert: false,
        } = self
        else {
            return false;
        };
        process.is_empty()
    }
}
