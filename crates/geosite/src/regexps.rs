//! Regular expressions, all searched for in one pass.

use std::collections::BTreeMap;

use regex::bytes::{RegexSet, RegexSetBuilder};
use waypost_net::{IdSetsBuilder, SetId};

use crate::go_regexp;

/// Upper bound of the compiled set, so that a hostile list cannot take all memory. The 163
/// expressions of the public domain list need well under 1 MiB.
const SIZE_LIMIT_BYTES: usize = 64 << 20;

/// Upper bound of the cache that each thread's lazy automaton keeps.
const DFA_SIZE_LIMIT_BYTES: usize = 8 << 20;

/// Regular expressions → sets of ids.
#[derive(Debug, Clone, Default)]
pub(crate) struct Regexps {
    set: Option<RegexSet>,
    /// By pattern number, as written.
    entries: Box<[(Box<str>, SetId)]>,
}

impl Regexps {
    pub(crate) fn find<'a>(&'a self, name: &str, mut found: impl FnMut(&'a str, SetId)) {
        let Some(set) = &self.set else { return };
        // Most names match no expression; asking that first needs no memory.
        if !set.is_match(name.as_bytes()) {
            return;
        }
        for pattern in &set.matches(name.as_bytes()) {
            if let Some((expression, set)) = self.entries.get(pattern) {
                found(expression, *set);
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.entries.iter().map(|entry| entry.0.len() + size_of_val(entry)).sum()
    }
}

/// Collects expressions for [`Regexps`].
#[derive(Debug, Default)]
pub(crate) struct RegexpsBuilder<'a> {
    ids: BTreeMap<&'a str, Vec<u32>>,
}

impl<'a> RegexpsBuilder<'a> {
    pub(crate) fn push(&mut self, expression: &'a str, id: u32) {
        self.ids.entry(expression).or_default().push(id);
    }

    /// Whether `expression` has been seen, so that it need not be checked again.
    pub(crate) fn contains(&self, expression: &str) -> bool {
        self.ids.contains_key(expression)
    }

    pub(crate) fn build(self, sets: &mut IdSetsBuilder) -> Result<Regexps, go_regexp::Error> {
        let mut translated = Vec::with_capacity(self.ids.len());
        let mut entries = Vec::with_capacity(self.ids.len());
        for (expression, mut ids) in self.ids {
            ids.sort_unstable();
            ids.dedup();
            translated.push(go_regexp::translate(expression)?);
            entries.push((expression.into(), sets.intern(&ids)));
        }
        let set = if entries.is_empty() {
            None
        } else {
            let set = RegexSetBuilder::new(&translated)
                .unicode(false)
                .size_limit(SIZE_LIMIT_BYTES)
                .dfa_size_limit(DFA_SIZE_LIMIT_BYTES)
                .build()
                .map_err(|error| go_regexp::Error::from_engine(&error))?;
            Some(set)
        };
        Ok(Regexps { set, entries: entries.into() })
    }
}
