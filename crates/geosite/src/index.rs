use waypost_net::{DomainName, IdSets, SetId};

use crate::{keywords::Keywords, names::Names, regexps::Regexps};

/// An immutable index: domain name → sets of ids.
///
/// Made by [`DomainIndexBuilder`](crate::DomainIndexBuilder).
#[derive(Debug, Clone)]
pub struct DomainIndex {
    pub(crate) names: Names,
    pub(crate) keywords: Keywords,
    pub(crate) regexps: Regexps,
    pub(crate) sets: IdSets,
}

/// The kind of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryKind {
    /// The name itself.
    Full,
    /// The name itself or any name below it.
    Suffix,
    /// Any name below the name, but not the name itself.
    Below,
    /// A substring of the name.
    Keyword,
    /// A regular expression in Go's syntax, searched for anywhere in the name.
    Regexp,
}

impl EntryKind {
    /// The prefix that rules write before such an entry, without the colon.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Suffix => "domain",
            Self::Below => "below",
            Self::Keyword => "keyword",
            Self::Regexp => "regexp",
        }
    }
}

/// An entry that a name matches, for explanations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit<'a> {
    /// What kind of entry it is. An entry that is the whole name is reported as full, although some
    /// lists may have it as a suffix; one that is part of it as a suffix, although some lists may have
    /// only the names below it.
    pub kind: EntryKind,
    /// The entry: a normalised name, a keyword in lower case, or an expression as written.
    pub text: &'a str,
    /// The lists that have it.
    pub set: SetId,
}

impl DomainIndex {
    /// Calls `found` with each set of ids that an entry matching `name` belongs to. One id may be in
    /// several of them.
    #[inline]
    pub fn for_each_match(&self, name: &DomainName, mut found: impl FnMut(SetId)) {
        let name = name.as_str();
        self.names.find(name, |hit| found(hit.set));
        self.keywords.find(name, |_, set| found(set));
        self.regexps.find(name, |_, set| found(set));
    }

    /// The sets of ids that entries matching `name` belong to; see [`Self::for_each_match`], which
    /// needs no memory.
    pub fn matches(&self, name: &DomainName) -> impl Iterator<Item = SetId> + use<> {
        let mut sets = Vec::new();
        self.for_each_match(name, |set| sets.push(set));
        sets.into_iter()
    }

    /// Every entry that `name` matches, with the lists that have it.
    #[must_use]
    pub fn explain(&self, name: &DomainName) -> Vec<Hit<'_>> {
        let (name, mut hits) = (name.as_str(), Vec::new());
        self.names.find(name, |hit| {
            if hit.set != SetId::EMPTY {
                let kind = if hit.name.len() == name.len() { EntryKind::Full } else { EntryKind::Suffix };
                hits.push(Hit { kind, text: hit.name, set: hit.set });
            }
        });
        self.keywords.find(name, |text, set| hits.push(Hit { kind: EntryKind::Keyword, text, set }));
        self.regexps.find(name, |text, set| hits.push(Hit { kind: EntryKind::Regexp, text, set }));
        hits
    }

    /// All distinct sets, so that a caller can compute its own form of each once.
    #[must_use]
    pub fn sets(&self) -> &IdSets {
        &self.sets
    }

    /// Number of distinct names, keywords and expressions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len() + self.keywords.len() + self.regexps.len()
    }

    /// Whether there is no entry at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes on the heap, but for the compiled regular expressions, which do not tell.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.names.heap_bytes()
            + self.keywords.heap_bytes()
            + self.regexps.heap_bytes()
            + self.sets.heap_bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::DomainIndexBuilder;

    type Entry = (EntryKind, String, u32);

    fn index(entries: &[Entry]) -> DomainIndex {
        let mut builder = DomainIndexBuilder::default();
        for (kind, text, id) in entries {
            match kind {
                EntryKind::Full => builder.full(text, *id).unwrap(),
                EntryKind::Suffix => builder.suffix(text, *id).unwrap(),
                EntryKind::Below => builder.below(text, *id).unwrap(),
                EntryKind::Keyword => builder.keyword(text, *id),
                EntryKind::Regexp => builder.regexp(text, *id).unwrap(),
            }
        }
        builder.build().unwrap()
    }

    fn naive(entries: &[Entry], name: &str) -> BTreeSet<u32> {
        let matches = |(kind, text, _): &&Entry| match kind {
            EntryKind::Full => name == text,
            EntryKind::Suffix => {
                name.strip_suffix(text.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            EntryKind::Below => name.strip_suffix(text.as_str()).is_some_and(|rest| rest.ends_with('.')),
            EntryKind::Keyword => name.contains(text.as_str()),
            EntryKind::Regexp => regex::Regex::new(text).unwrap().is_match(name),
        };
        entries.iter().filter(matches).map(|&(_, _, id)| id).collect()
    }

    #[track_caller]
    fn check(entries: &[Entry], name: &str) {
        let Ok(name) = DomainName::new(name) else { return };
        let (index, expected) = (index(entries), naive(entries, name.as_str()));
        let found: BTreeSet<u32> =
            index.matches(&name).flat_map(|set| index.sets().get(set).to_vec()).collect();
        assert_eq!(found, expected, "{name} in {entries:?}");
        let explained: BTreeSet<u32> =
            index.explain(&name).iter().flat_map(|hit| index.sets().get(hit.set).to_vec()).collect();
        assert_eq!(explained, expected, "explanation of {name} in {entries:?}");
    }

    #[test]
    fn suffixes_end_at_label_boundaries() {
        let entries =
            [(EntryKind::Suffix, "b.com".to_owned(), 1), (EntryKind::Full, "a.b.com".to_owned(), 2)];
        for name in ["b.com", "a.b.com", "x.a.b.com", "ab.com", "com", ".b.com", "a..b.com", "b.com.org"] {
            check(&entries, name);
        }
    }

    #[test]
    fn entries_of_lists_are_normalised() {
        let entries = [(EntryKind::Suffix, "Example.COM.".to_owned(), 7)];
        let index = index(&entries);
        let name = DomainName::new("www.example.com").unwrap();
        assert_eq!(
            index.explain(&name),
            [Hit { kind: EntryKind::Suffix, text: "example.com", set: SetId::from_u32(1) }]
        );
    }

    #[test]
    fn names_below_a_name_are_not_the_name() {
        let mut builder = DomainIndexBuilder::default();
        builder.below("a.example", 1).unwrap();
        builder.full("a.example", 2).unwrap();
        let index = builder.build().unwrap();
        let ids = |name: &str| -> Vec<u32> {
            let name = DomainName::new(name).unwrap();
            index.matches(&name).flat_map(|set| index.sets().get(set).to_vec()).collect()
        };
        assert_eq!((ids("a.example"), ids("b.a.example"), ids("xa.example")), (vec![2], vec![1], vec![]));
    }

    #[test]
    fn the_empty_keyword_is_in_every_name() {
        check(&[(EntryKind::Keyword, String::new(), 3)], "anything.example");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let mut builder = DomainIndexBuilder::default();
        assert!(builder.full("a b", 0).is_err());
        assert!(builder.suffix("", 0).is_err());
        assert!(builder.regexp("(", 0).is_err());
        assert!(builder.build().unwrap().is_empty());
    }

    fn any_entry() -> impl Strategy<Value = Entry> {
        let name = r"[ab]{1,2}(\.[ab]{1,2}){0,2}";
        (
            prop_oneof![
                (Just(EntryKind::Full), name),
                (Just(EntryKind::Suffix), name),
                (Just(EntryKind::Below), name),
                (Just(EntryKind::Keyword), "[ab.]{0,3}"),
                (Just(EntryKind::Regexp), r"(\^)?[ab]{1,2}(\\\.)?[ab]?(\$)?"),
            ],
            0_u32..5,
        )
            .prop_map(|((kind, text), id)| (kind, text, id))
    }

    proptest! {
        #[test]
        fn agrees_with_testing_every_entry(
            entries in prop::collection::vec(any_entry(), 0..30),
            names in prop::collection::vec("[ab.]{1,9}", 20),
        ) {
            for name in &names {
                check(&entries, name);
            }
        }
    }
}
