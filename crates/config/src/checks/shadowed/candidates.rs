//! Which rules may take all that another one could take, without comparing every rule with every other.

use std::collections::HashMap;

use super::{
    Steps,
    entries::{covering_addresses, covering_names, has_keyword},
    is_final,
    parts::{End, Key, Parts, Tree, domain_key, ip_key, user_key},
};
use crate::{
    Spanned,
    model::{Conditions, IpEntry, Rule, UserEntry},
};

/// The rules by what they have to have to take all that another one takes: one of the entries that cover
/// the first entry of each of its lists.
pub(super) struct Candidates<'p, 'r> {
    parts: &'p Parts<'r>,
    /// Only entries that a rule is looked for by.
    by_key: HashMap<Key<'r>, Vec<usize>>,
    by_keyword: Vec<(&'r str, usize)>,
    /// The rules of which that cannot be said.
    others: Vec<usize>,
    steps: &'p Steps,
}

impl<'p, 'r> Candidates<'p, 'r> {
    pub(super) fn new(parts: &'p Parts<'r>, rules: &'r [Rule], steps: &'p Steps) -> Self {
        let (by_key, by_keyword, others) = (HashMap::new(), Vec::new(), Vec::new());
        let mut candidates = Self { parts, by_key, by_keyword, others, steps };
        for tree in &parts.trees {
            for_each_part(tree, &mut |part| {
                let Some(conditions) = parts.conditions.get(part) else { return };
                for_each_key(conditions, parts.lengths, &mut |key| {
                    candidates.by_key.entry(key).or_default();
                });
            });
        }
        for (index, (rule, tree)) in rules.iter().zip(&parts.trees).enumerate() {
            if is_final(&rule.action) {
                candidates.note_rule(index, tree);
            }
        }
        candidates
    }

    fn note_rule(&mut self, rule: usize, tree: &Tree) {
        let plain = match tree {
            Tree::One { part, invert: false } => Some(*part),
            Tree::One { invert: true, .. } | Tree::Joined { .. } => None,
        };
        let conditions = plain.and_then(|part| self.parts.conditions.get(part).copied());
        let by_key = &mut self.by_key;
        let found = conditions.is_some_and(|conditions| {
            for_each_anchor(conditions, &mut |key| {
                if let Some(rules) = by_key.get_mut(&key)
                    && rules.last() != Some(&rule)
                {
                    rules.push(rule);
                }
            })
        });
        if !found {
            self.others.push(rule);
        } else if conditions.is_some_and(|conditions| conditions.rule_sets.is_none()) {
            let keywords = plain.and_then(|part| self.parts.keywords.get(part)).into_iter().flatten();
            self.by_keyword.extend(keywords.map(|&keyword| (keyword, rule)));
        }
    }

    /// The rules in front of `rule` that may hold wherever it holds, in order.
    pub(super) fn of(&self, rule: usize, tree: &'p Tree) -> Vec<usize> {
        let others = self.others.partition_point(|&other| other < rule);
        if !self.steps.spend(others) {
            return Vec::new();
        }
        let mut found = self.others.get(..others).unwrap_or_default().to_vec();
        for_each_part(tree, &mut |part| {
            if let Some(conditions) = self.parts.conditions.get(part) {
                self.find(rule, conditions, &mut found);
            }
        });
        found.sort_unstable();
        found.dedup();
        found
    }

    fn find(&self, rule: usize, conditions: &'r Conditions, found: &mut Vec<usize>) {
        for_each_key(conditions, self.parts.lengths, &mut |key| {
            let rules = self.by_key.get(&key).map_or(&[] as &[usize], Vec::as_slice);
            let before = rules.partition_point(|&other| other < rule);
            if self.steps.spend(before + 1) {
                found.extend_from_slice(rules.get(..before).unwrap_or_default());
            }
        });
        if let Some(name) = conditions.domain.iter().flatten().next() {
            let before = self.by_keyword.partition_point(|&(_, other)| other < rule);
            if self.steps.spend(before) {
                let keywords = self.by_keyword.get(..before).unwrap_or_default().iter();
                let having = keywords.filter(|(keyword, _)| has_keyword(&name.value, keyword));
                found.extend(having.map(|&(_, rule)| rule));
            }
        }
    }
}

/// The conditions in a tree that are not inverted.
fn for_each_part(tree: &Tree, see: &mut dyn FnMut(usize)) {
    match tree {
        Tree::One { part, invert: false } => see(*part),
        Tree::Joined { parts, invert: false, .. } => parts.iter().for_each(|tree| for_each_part(tree, see)),
        Tree::One { invert: true, .. } | Tree::Joined { invert: true, .. } => {}
    }
}

/// The entries that cover the first entry of each list.
fn for_each_key<'r>(conditions: &'r Conditions, lengths: u128, see: &mut dyn FnMut(Key<'r>)) {
    if let Some(name) = conditions.domain.iter().flatten().next() {
        covering_names(&name.value).for_each(&mut *see);
    }
    for (end, entries) in [(End::Target, &conditions.ip), (End::Source, &conditions.source)] {
        if let Some(entry) = entries.iter().flatten().find(|entry| !entry.value.inverse) {
            covering_addresses(end, &entry.value, lengths).for_each(&mut *see);
        }
    }
    if let Some(tag) = conditions.rule_sets.as_ref().and_then(|sets| sets.tags.first()) {
        see(Key::RuleSet(&tag.value));
    }
    if let Some(tag) = conditions.inbound_tag.iter().flatten().next() {
        see(Key::Inbound(&tag.value));
    }
    if let Some(user) = conditions.user.iter().flatten().next() {
        see(user_key(&user.value));
    }
    if let Some(range) = conditions.port.as_ref().and_then(|ports| ports.ranges().first()) {
        see(Key::Port(range.first));
    }
}

/// Entries of which one covers the first entry of every rule whose matches are all among those of this
/// one, if no keyword does; `false` if there are none such.
fn for_each_anchor<'r>(conditions: &'r Conditions, see: &mut dyn FnMut(Key<'r>)) -> bool {
    let no_inverse = |entries: &[Spanned<IpEntry>]| entries.iter().all(|entry| !entry.value.inverse);
    if let Some(sets) = &conditions.rule_sets {
        sets.tags.iter().for_each(|tag| see(Key::RuleSet(&tag.value)));
        return true;
    }
    let (domain, ip) = (&conditions.domain, conditions.ip.as_deref());
    if domain.is_some() || ip.is_some() {
        domain.iter().flatten().filter_map(|entry| domain_key(&entry.value)).for_each(&mut *see);
        let ip = ip.unwrap_or_default();
        ip.iter().for_each(|entry| see(ip_key(End::Target, &entry.value)));
        return no_inverse(ip);
    }
    if let Some(source) = &conditions.source {
        source.iter().for_each(|entry| see(ip_key(End::Source, &entry.value)));
        return no_inverse(source);
    }
    if let Some(inbounds) = &conditions.inbound_tag {
        inbounds.iter().for_each(|tag| see(Key::Inbound(&tag.value)));
        return true;
    }
    if let Some(users) = &conditions.user {
        users.iter().for_each(|user| see(user_key(&user.value)));
        return users.iter().all(|user| matches!(user.value, UserEntry::Exact(_)));
    }
    let Some(ports) = &conditions.port else { return false };
    let single = ports.ranges().iter().filter(|range| range.first == range.last);
    single.clone().for_each(|range| see(Key::Port(range.first)));
    single.count() == ports.ranges().len()
}
