//! The combined indexes, with their sets of lists turned into bits of rules.

use std::net::IpAddr;

use waypost_geoip::{IpIndex, IpRange};
use waypost_geosite::{DomainIndex, Hit};
use waypost_net::{DomainName, IdSets};

use crate::bits::{Bits, contains};

/// A list, by the id that the index knows it by.
#[derive(Debug, Clone)]
pub(crate) struct ListInfo {
    /// The rules that it decides without more ado.
    pub(crate) rules: Box<[usize]>,
    /// The part of a rule or of a rule set that it belongs to; see [`crate::tree`].
    pub(crate) leaf: Option<Leaf>,
    pub(crate) inverse: bool,
    /// `None` for entries that stand in the rule itself.
    pub(crate) label: Option<Box<str>>,
}

/// The number of a part of a rule or rule set that has lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Leaf(pub(crate) u32);

impl Leaf {
    /// The position of the part, among those of all rules and rule sets.
    pub(crate) fn part(self) -> usize {
        self.0 as usize / 3
    }
}

/// All domain lists of all rules.
#[derive(Debug)]
pub(crate) struct DomainRules {
    pub(crate) index: DomainIndex,
    lists: Box<[ListInfo]>,
    /// Bits of the rules, one row per set of the index.
    rows: Box<[u64]>,
    words: usize,
}

impl DomainRules {
    pub(crate) fn new(index: DomainIndex, lists: Vec<ListInfo>, words: usize) -> Self {
        let rows = rows(index.sets(), words, |id| lists.get(id as usize).map_or(&[], |list| &*list.rules));
        Self { index, lists: lists.into(), rows, words }
    }

    /// The rules whose domain condition holds for `name`.
    pub(crate) fn hits(&self, name: &DomainName) -> Bits {
        let mut bits = Bits::none(self.words);
        self.index.for_each_match(name, |set| bits.union(row(&self.rows, self.words, set.index())));
        bits
    }

    /// What the first list of `rule` that has `name` is called, among those that are called something.
    pub(crate) fn first_label(&self, rule: usize, name: &DomainName) -> Option<&str> {
        let ids = self.index.matches(name).flat_map(|set| self.index.sets().get(set));
        first_label(&self.lists, rule, ids.copied())
    }

    /// The parts of rules that `name` is in a list of, in order.
    pub(crate) fn leaves(&self, name: &DomainName) -> Vec<Leaf> {
        leaves(&self.lists, self.index.matches(name).flat_map(|set| self.index.sets().get(set)))
    }

    /// Which entries of which lists of a part hold for `name`.
    pub(crate) fn evidence_in(&self, leaf: Leaf, name: &DomainName) -> Option<String> {
        self.evidence_if(name, |list| list.leaf == Some(leaf))
    }

    /// Which entries of which lists of `rule` hold for `name`.
    pub(crate) fn evidence(&self, rule: usize, name: &DomainName) -> Option<String> {
        self.evidence_if(name, |list| list.rules.contains(&rule))
    }

    fn evidence_if(&self, name: &DomainName, wanted: impl Fn(&ListInfo) -> bool) -> Option<String> {
        let mut found = Vec::new();
        for Hit { kind, text, set } in self.index.explain(name) {
            for &id in self.index.sets().get(set) {
                if let Some(list) = self.lists.get(id as usize).filter(|list| wanted(list)) {
                    let entry = format!("{}:{text}", kind.as_str());
                    found.push(match &list.label {
                        Some(label) => format!("{entry} in {label}"),
                        None => entry,
                    });
                }
            }
        }
        found.dedup();
        (!found.is_empty()).then(|| found.join(", "))
    }
}

/// All IP lists of one kind of condition (target, source, local address) of all rules.
#[derive(Debug)]
pub(crate) struct IpRules {
    pub(crate) index: IpIndex,
    lists: Box<[ListInfo]>,
    /// Bits of the rules whose condition holds, one row per set of the index.
    rows: Box<[u64]>,
    words: usize,
}

impl IpRules {
    pub(crate) fn new(index: IpIndex, lists: Vec<ListInfo>, words: usize) -> Self {
        let rules_of = |inverse: bool| {
            let lists = &lists;
            move |id: u32| {
                let list = lists.get(id as usize).filter(|list| list.inverse == inverse);
                list.map_or(&[] as &[usize], |list| &*list.rules)
            }
        };
        let mut has_inverse = Bits::none(words);
        for list in lists.iter().filter(|list| list.inverse) {
            list.rules.iter().for_each(|&rule| has_inverse.insert(rule));
        }
        // A condition holds if a positive list has the address, or if there are inverse lists and
        // none of them has it.
        let mut rows_that_hold = rows(index.sets(), words, rules_of(false));
        let inverse = rows(index.sets(), words, rules_of(true));
        let has_inverse = has_inverse.as_slice().iter().cycle();
        for ((holds, inverse), has_inverse) in rows_that_hold.iter_mut().zip(&inverse).zip(has_inverse) {
            *holds |= has_inverse & !inverse;
        }
        Self { index, lists: lists.into(), rows: rows_that_hold, words }
    }

    /// Bits of the rules whose condition holds for `address`.
    #[inline]
    pub(crate) fn hits(&self, address: IpAddr) -> &[u64] {
        row(&self.rows, self.words, self.index.find(address).index())
    }

    /// Bits of the rules whose condition holds for at least one of `addresses`.
    pub(crate) fn hits_of_any(&self, addresses: &[IpAddr]) -> Bits {
        let mut bits = Bits::none(self.words);
        addresses.iter().for_each(|&address| bits.union(self.hits(address)));
        bits
    }

    /// The parts of rules that `address` is in a list of, in order.
    pub(crate) fn leaves(&self, address: IpAddr) -> Vec<Leaf> {
        leaves(&self.lists, self.index.ids(address))
    }

    /// What the first list of `rule` that has one of `addresses` is called, among those that are called
    /// something and are not inverse.
    pub(crate) fn first_label(&self, rule: usize, addresses: &[IpAddr]) -> Option<&str> {
        let ids = addresses.iter().flat_map(|&address| self.index.ids(address));
        first_label(&self.lists, rule, ids.copied())
    }

    /// Which lists of `rule` hold for `address`, and the range around it.
    pub(crate) fn evidence(&self, rule: usize, address: IpAddr) -> Option<String> {
        if !contains(self.hits(address), rule) {
            return None;
        }
        let ids = self.index.ids(address);
        let labels: Vec<&str> = self
            .lists
            .iter()
            .enumerate()
            .filter(|(id, list)| {
                list.rules.contains(&rule) && ids.iter().any(|&hit| hit as usize == *id) != list.inverse
            })
            .map(|(_, list)| list.label.as_deref().unwrap_or("the rule itself"))
            .collect();
        let range = self.index.range(address).filter(|range| range.first != range.last);
        let range = range.map_or_else(String::new, |range: IpRange| format!(" ({range})"));
        Some(format!("{address}{range} in {}", labels.join(", ")))
    }
}

/// Ids rise in the order in which lists stand in the file, so that the smallest is the first.
fn first_label(lists: &[ListInfo], rule: usize, ids: impl Iterator<Item = u32>) -> Option<&str> {
    let list_of = |id: u32| lists.get(id as usize).filter(|list| list.rules.contains(&rule) && !list.inverse);
    let labels = ids.filter_map(|id| Some((id, list_of(id)?.label.as_deref()?)));
    labels.min_by_key(|(id, _)| *id).map(|(_, label)| label)
}

fn leaves<'i>(lists: &[ListInfo], ids: impl IntoIterator<Item = &'i u32>) -> Vec<Leaf> {
    let leaf = |&id: &u32| lists.get(id as usize)?.leaf;
    let mut leaves: Vec<Leaf> = ids.into_iter().filter_map(leaf).collect();
    leaves.sort_unstable();
    leaves.dedup();
    leaves
}

fn row(rows: &[u64], words: usize, set: usize) -> &[u64] {
    rows.get(set * words..(set + 1) * words).unwrap_or_default()
}

fn rows<'l>(sets: &IdSets, words: usize, rules_of: impl Fn(u32) -> &'l [usize]) -> Box<[u64]> {
    let mut rows = vec![0_u64; sets.iter().len() * words];
    for (index, ids) in sets.iter().enumerate() {
        for rule in ids.iter().flat_map(|&id| rules_of(id)) {
            if let Some(word) = rows.get_mut(index * words + rule / 64) {
                *word |= 1 << (rule % 64);
            }
        }
    }
    rows.into()
}
