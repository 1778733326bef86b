//! The conditions of all rules, and which of them have an entry.

use std::{cell::OnceCell, collections::HashSet};

use ipnet::IpNet;

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
    /// By part: its entries, once they are asked for.
    entries: Vec<OnceCell<HashSet<Key<'r>>>>,
    /// By bit: whether a prefix of this length, below 128, is among the entries.
    pub(super) lengths: u128,
}

impl<'r> Parts<'r> {
    pub(super) fn new(rules: &'r [Rule]) -> Self {
        let mut parts = Self {
            trees: Vec::with_capacity(rules.len()),
            conditions: Vec::new(),
            keywords: Vec::new(),
            entries: Vec::new(),
            lengths: 0,
        };
        for rule in rules {
            let tree = parts.tree(&rule.matcher);
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
        for entry in
            [&conditions.ip, &conditions.source, &conditions.local_ip].into_iter().flatten().flatten()
        {
            if let IpSet::Net(net) = &entry.value.set {
                self.lengths |= 1_u128.checked_shl(net.prefix_len().into()).unwrap_or(0);
            }
        }
        self.conditions.push(conditions);
        self.keywords.push(conditions.domain.as_deref().map(keywords).unwrap_or_default());
        self.entries.push(OnceCell::new());
        self.conditions.len() - 1
    }

    /// Whether a part has an entry.
    pub(super) fn has(&self, part: usize, key: Key<'_>) -> bool {
        let (Some(entries), Some(conditions)) = (self.entries.get(part), self.conditions.get(part)) else {
            return false;
        };
        let entries: &HashSet<Key<'_>> = entries.get_or_init(|| entry_keys(conditions).collect());
        entries.contains(&key)
    }

    /// Whether a rule never holds anyway, which is another matter.
    pub(super) fn is_impossible(&self, tree: &Tree) -> bool {
        let &Tree::One { part, invert: false } = tree else { return false };
        self.conditions.get(part).is_some_and(|conditions| has_empty_list(conditions))
    }
}

/// The entries of all lists of names and addresses; keywords are not among them.
fn entry_keys(conditions: &Conditions) -> impl Iterator<Item = Key<'_>> {
    let names = conditions.domain.iter().flatten().filter_map(|entry| domain_key(&entry.value));
    let addresses = [
        (End::Target, &conditions.ip),
        (End::Source, &conditions.source),
        (End::Local, &conditions.local_ip),
    ];
    let addresses = addresses
        .into_iter()
        .flat_map(|(end, entries)| entries.iter().flatten().map(move |entry| ip_key(end, &entry.value)));
    names.chain(addresses)
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
