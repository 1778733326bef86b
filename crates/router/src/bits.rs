//! One bit per rule.

/// Words kept without an allocation: enough for 512 rules.
const INLINE_WORDS: usize = 8;

/// A row of bits, as long as the router has rules.
#[derive(Debug, Clone)]
pub(crate) struct Bits {
    inline: [u64; INLINE_WORDS],
    heap: Vec<u64>,
    words: usize,
}

impl Bits {
    pub(crate) fn none(words: usize) -> Self {
        let heap = if words > INLINE_WORDS { vec![0; words] } else { Vec::new() };
        Self { inline: [0; INLINE_WORDS], heap, words }
    }

    pub(crate) fn as_slice(&self) -> &[u64] {
        if self.words > INLINE_WORDS { &self.heap } else { self.inline.get(..self.words).unwrap_or_default() }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [u64] {
        if self.words > INLINE_WORDS {
            &mut self.heap
        } else {
            self.inline.get_mut(..self.words).unwrap_or_default()
        }
    }

    pub(crate) fn insert(&mut self, rule: usize) {
        if let Some(word) = self.as_mut_slice().get_mut(rule / 64) {
            *word |= 1 << (rule % 64);
        }
    }

    #[inline]
    pub(crate) fn union(&mut self, other: &[u64]) {
        for (mine, theirs) in self.as_mut_slice().iter_mut().zip(other) {
            *mine |= theirs;
        }
    }
}

/// Whether the bit of `rule` is set in `row`.
#[inline]
pub(crate) fn contains(row: &[u64], rule: usize) -> bool {
    row.get(rule / 64).is_some_and(|word| word >> (rule % 64) & 1 == 1)
}

/// Number of words for `rules` bits.
pub(crate) fn words_for(rules: usize) -> usize {
    rules.div_ceil(64)
}
