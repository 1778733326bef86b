//! Substrings, all found in one pass.

use std::collections::BTreeMap;

use aho_corasick::AhoCorasick;
use waypost_net::{IdSetsBuilder, SetId};

/// Keywords → sets of ids.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keywords {
    automaton: Option<AhoCorasick>,
    /// By pattern number.
    entries: Box<[(Box<str>, SetId)]>,
    /// What the empty keyword, which is in every name, stands for.
    everything: Option<SetId>,
}

impl Keywords {
    pub(crate) fn find<'a>(&'a self, name: &str, mut found: impl FnMut(&'a str, SetId)) {
        if let Some(set) = self.everything {
            found("", set);
        }
        let Some(automaton) = &self.automaton else { return };
        for hit in automaton.find_overlapping_iter(name) {
            if let Some((keyword, set)) = self.entries.get(hit.pattern().as_usize()) {
                found(keyword, *set);
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len() + usize::from(self.everything.is_some())
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.automaton.as_ref().map_or(0, AhoCorasick::memory_usage)
            + self
                .entries
                .iter()
                .map(|(keyword, set)| keyword.len() + size_of_val(keyword) + size_of_val(set))
                .sum::<usize>()
    }
}

/// Collects keywords for [`Keywords`].
#[derive(Debug, Default)]
pub(crate) struct KeywordsBuilder {
    ids: BTreeMap<Box<str>, Vec<u32>>,
}

impl KeywordsBuilder {
    pub(crate) fn push(&mut self, keyword: &str, id: u32) {
        self.ids.entry(keyword.to_lowercase().into()).or_default().push(id);
    }

    pub(crate) fn build(mut self, sets: &mut IdSetsBuilder) -> Result<Keywords, aho_corasick::BuildError> {
        let mut intern = |mut ids: Vec<u32>| {
            ids.sort_unstable();
            ids.dedup();
            sets.intern(&ids)
        };
        let everything = self.ids.remove("").map(&mut intern);
        let entries: Box<[(Box<str>, SetId)]> =
            self.ids.into_iter().map(|(keyword, ids)| (keyword, intern(ids))).collect();
        let automaton = if entries.is_empty() {
            None
        } else {
            Some(AhoCorasick::new(entries.iter().map(|(keyword, _)| keyword.as_bytes()))?)
        };
        Ok(Keywords { automaton, entries, everything })
    }
}
