//! The conditions of all rules, and which of them have an entry.

use std::collections::HashMap;

use ipnet::IpNet;

use super::is_final;
use crate::{
    Spanned,
    model::{Conditions, DomainEntry, IpEntry, IpSet, Logical, LogicalMode, Matcher, Rule, UserEntry},
};

/// A rule's matcher; conditions by their place in [`Parts::conditions`].
pub(super) enum Tree {
    One { part: usize, invert: bool },
    Joined { mode: LogicalMode, parts: Vec<Tree>, invert: bool },
}

/// An entry that more than one part can have.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Key<'r> {
    Full(&'r str),
    Suffix(&'r str),
    Below(&'r str),
    Regexp(&'r str),
    /// File, code, attributes.
    Site(&'r str, &'r str, &'r [Box<str>]),
    Net(End, bool, IpNet),
    NotPublic(End, bool),
    /// File, code.
    Geo(End, bool, &'r str, &'r str),
    Inbound(&'r str),
    User(&'r str),
    RuleSet(&'r str),
    Port(u16),
}

/// Which address an IP list is compared with.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum End {
    Target,
    Source,
    Local,
}

pub(super) struct Parts<'r> {
    /// By rule.
    pub(super) trees: Vec<Tree>,
    pub(super) conditions: Vec<&'r Conditions>,
    /// By part.
    pub(super) keywords: Vec<Vec<&'r str>>,
    /// The parts that have an entry, in order.
    having: HashMap<Key<'r>, Vec<usize>>,
    /// The rules that can take all that another one takes only if they have one of its entries.
    by_key: HashMap<Key<'r>, Vec<usize>>,
    /// The same, by a keyword that one of its names has to have.
    by_keyword: Vec<(&'r str, usize)>,
    /// The other rules that nothing is tried behind.
    others: Vec<usize>,
}

impl<'r> Parts<'r> {
    pub(super) fn new(rules: &'r [Rule]) -> Self {
        let mut parts = Self {
            trees: Vec::with_capacity(rules.len()),
            conditions: Vec::new(),
            keywords: Vec::new(),
            having: HashMap::new(),
            by_key: HashMap::new(),
            by_keyword: Vec::new(),
            others: Vec::new(),
        };
        for (index, rule) in rules.iter().enumerate() {
            let tree = parts.tree(&rule.matcher);
            if is_final(&rule.action) {
                parts.note_rule(index, &tree);
            }
            parts.trees.push(tree);
        }
        parts
    }

    fn tree(&mut self, matcher: &'r Matcher) -> Tree {
        match matcher {
            Matcher::One(conditions) => Tree::One { part: self.part(conditions), invert: conditions.invert },
            Matcher::Logical(Logical { mode, matchers, invert }) => {
                let parts = matchers.iter().map(|matcher| self.tree(matcher)).collect();
                Tree::Joined { mode: *mode, parts, invert: *invert }
            }
        }
    }

    fn part(&mut self, conditions: &'r Conditions) -> usize {
        let part = self.conditions.len();
        self.conditions.push(conditions);
        let names = conditions.domain.iter().flatten();
        let addresses = [
            (End::Target, &conditions.ip),
            (End::Source, &conditions.source),
            (End::Local, &conditions.local_ip),
        ];
        let addresses = addresses
            .into_iter()
            .flat_map(|(end, entries)| entries.iter().flatten().map(move |entry| ip_key(end, &entry.value)));
        for key in names.filter_map(|entry| domain_key(&entry.value)).chain(addresses) {
            push(self.having.entry(key).or_default(), part);
        }
        self.keywords.push(conditions.domain.as_deref().map(keywords).unwrap_or_default());
        part
    }

    /// Notes by what a rule is found for those that it may take all of.
    fn note_rule(&mut self, rule: usize, tree: &Tree) {
        let &Tree::One { part, invert: false } = tree else {
            self.others.push(rule);
            return;
        };
        let Some(conditions) = self.conditions.get(part).copied() else { return };
        match anchors(conditions) {
            Some(keys) => {
                for key in keys {
                    push(self.by_key.entry(key).or_default(), rule);
                }
                if conditions.rule_sets.is_none() {
                    let keywords = self.keywords.get(part).into_iter().flatten();
                    self.by_keyword.extend(keywords.map(|&keyword| (keyword, rule)));
                }
            }
            None => self.others.push(rule),
        }
    }

    /// Whether a part has an entry.
    pub(super) fn has(&self, part: usize, key: Key<'_>) -> bool {
        self.having.get(&key).is_some_and(|parts| parts.binary_search(&part).is_ok())
    }

    /// Rules that have an entry and may take all of those that have it as well.
    pub(super) fn rules_with<'s>(&'s self, key: Key<'s>) -> &'s [usize] {
        self.by_key.get(&key).map_or(&[], Vec::as_slice)
    }

    pub(super) fn rules_with_keywords(&self) -> &[(&'r str, usize)] {
        &self.by_keyword
    }

    pub(super) fn other_rules(&self) -> &[usize] {
        &self.others
    }

    /// Whether a rule never holds anyway, which is another matter.
    pub(super) fn is_impossible(&self, tree: &Tree) -> bool {
        let &Tree::One { part, invert: false } = tree else { return false };
        self.conditions.get(part).is_some_and(|conditions| has_empty_list(conditions))
    }
}

fn push(places: &mut Vec<usize>, place: usize) {
    if places.last() != Some(&place) {
        places.push(place);
    }
}

fn has_empty_list(conditions: &Conditions) -> bool {
    fn is_empty<T>(list: Option<&Vec<T>>) -> bool {
        list.is_some_and(Vec::is_empty)
    }
    is_empty(conditions.domain.as_ref())
        || is_empty(conditions.ip.as_ref())
        || is_empty(conditions.source.as_ref())
        || is_empty(conditions.local_ip.as_ref())
        || is_empty(conditions.user.as_ref())
        || is_empty(conditions.inbound_tag.as_ref())
        || is_empty(conditions.protocol.as_ref())
        || is_empty(conditions.local_os.as_ref())
        || is_empty(conditions.client.as_ref())
        || conditions.process.iter().any(Vec::is_empty)
        || conditions.rule_sets.as_ref().is_some_and(|sets| sets.tags.is_empty())
        || [&conditions.port, &conditions.source_port, &conditions.local_port]
            .into_iter()
            .any(|ports| ports.as_ref().is_some_and(waypost_net::PortSet::is_empty))
        || conditions.network.is_some_and(|networks| networks == waypost_net::Networks::default())
}

/// Of every rule whose matches are all among those of this one, these keys hold one that covers its first
/// entry, or a keyword does; `None` if that cannot be said.
fn anchors(conditions: &Conditions) -> Option<Vec<Key<'_>>> {
    fn ip_keys(end: End, entries: &[Spanned<IpEntry>]) -> Option<Vec<Key<'_>>> {
        let no_inverse = entries.iter().all(|entry| !entry.value.inverse);
        no_inverse.then(|| entries.iter().map(|entry| ip_key(end, &entry.value)).collect())
    }
    if let Some(sets) = &conditions.rule_sets {
        return Some(sets.tags.iter().map(|tag| Key::RuleSet(&tag.value)).collect());
    }
    match (&conditions.domain, &conditions.ip) {
        (None, None) => {}
        (domain, ip) => {
            let names = domain.iter().flatten().filter_map(|entry| domain_key(&entry.value));
            let mut keys: Vec<Key<'_>> = names.collect();
            if let Some(ip) = ip {
                keys.extend(ip_keys(End::Target, ip)?);
            }
            return Some(keys);
        }
    }
    if let Some(source) = &conditions.source {
        return ip_keys(End::Source, source);
    }
    if let Some(inbounds) = &conditions.inbound_tag {
        return Some(inbounds.iter().map(|tag| Key::Inbound(&tag.value)).collect());
    }
    if let Some(users) = &conditions.user {
        let exact = |user: &'_ Spanned<UserEntry>| matches!(user.value, UserEntry::Exact(_));
        return users.iter().all(exact).then(|| users.iter().map(|user| user_key(&user.value)).collect());
    }
    let ports = conditions.port.as_ref()?.ranges();
    let single = ports.iter().all(|range| range.first == range.last);
    single.then(|| ports.iter().map(|range| Key::Port(range.first)).collect())
}

/// The key of an entry that is no keyword.
pub(super) fn domain_key(entry: &DomainEntry) -> Option<Key<'_>> {
    Some(match entry {
        DomainEntry::Keyword(_) => return None,
        DomainEntry::Regexp(text) => Key::Regexp(text),
        DomainEntry::Suffix(name) => Key::Suffix(name),
        DomainEntry::Full(name) => Key::Full(name),
        DomainEntry::Below(name) => Key::Below(name),
        DomainEntry::List(list) => Key::Site(&list.file, &list.code, &list.attributes),
    })
}

pub(super) fn ip_key(end: End, entry: &IpEntry) -> Key<'_> {
    match &entry.set {
        IpSet::Net(net) => Key::Net(end, entry.inverse, *net),
        IpSet::NotPublic => Key::NotPublic(end, entry.inverse),
        IpSet::List { file, code } => Key::Geo(end, entry.inverse, file, code),
    }
}

pub(super) fn user_key(entry: &UserEntry) -> Key<'_> {
    match entry {
        UserEntry::Exact(text) | UserEntry::Regexp(text) => Key::User(text),
    }
}

fn keywords(entries: &[Spanned<DomainEntry>]) -> Vec<&str> {
    let mut found = Vec::new();
    for entry in entries {
        if let DomainEntry::Keyword(text) = &entry.value {
            found.push(&**text);
        }
    }
    found
}
