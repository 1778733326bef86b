//! The succinct trie of reversed names (a LOUDS tree in breadth-first order).
//!
//! Nodes are numbered in the order in which they are met; the child of label `n` is node `n + 1`.
//! The bitmap has a 0 for each label of a node and a 1 behind its last one.

use std::ops::Range;

use super::{
    MAX_NAME_BYTES, MAX_TRIE_NODES, SrsError, SrsProblem,
    input::Input,
    item::{ANY_LABEL, Item, ROOT_LABEL},
};

const WORD_BITS: usize = 64;

/// A trie whose form has been checked; its memory is used again for the next one.
#[derive(Debug, Default)]
pub(super) struct Trie {
    bitmap: Vec<u64>,
    leaves: Vec<u64>,
    labels: Vec<u8>,
    /// Where the labels of each node begin, and behind the last one where they end.
    first: Vec<u32>,
    open: Vec<Frame>,
    key: Vec<u8>,
}

/// A node on the way to the current one.
#[derive(Debug)]
struct Frame {
    /// Its labels that have not been followed.
    left: Range<u32>,
    is_leaf: bool,
}

/// Whether `x` together with `.` and the label for "anything" is one suffix, which is how version 1
/// writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pairs {
    Join,
    Keep,
}

/// A key of the trie: a name from its last character to its first, with labels that mean something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key<'a> {
    pub(super) bytes: &'a [u8],
    /// Whether every name below it is meant as well.
    pub(super) and_below: bool,
}

impl Trie {
    pub(super) fn read(&mut self, input: &mut Input<'_>, item: Item) -> Result<(), SrsError> {
        let start = input.offset();
        let reserved = input.byte("a tree of names")?;
        if reserved != 0 {
            let problem = SrsProblem::Byte { expected: "the form 0 of a tree", found: reserved };
            return Err(Input::wrong_at(start, problem));
        }
        read_words(input, &mut self.leaves, "the leaves of a tree")?;
        read_words(input, &mut self.bitmap, "the bitmap of a tree")?;
        let count = count(input, MAX_TRIE_NODES - 1, "the labels of a tree")?;
        self.labels.clear();
        input.append(count, &mut self.labels, "the labels of a tree")?;
        let malformed = |flaw| Input::wrong_at(start, SrsProblem::Tree { item: item.word(), flaw });
        self.find_nodes().and_then(|()| self.check()).map_err(malformed)
    }

    /// Finds where the labels of each node begin.
    fn find_nodes(&mut self) -> Result<(), &'static str> {
        let (n_labels, n_nodes) = (self.labels.len(), self.labels.len() + 1);
        self.first.clear();
        self.first.reserve(n_nodes + 1);
        self.first.push(0);
        if self.bitmap.len() != (n_labels + n_nodes).div_ceil(WORD_BITS) {
            return Err("its bitmap has another number of labels");
        }
        for (index, &word) in self.bitmap.iter().enumerate() {
            let mut ones = word;
            while ones != 0 {
                let bit = index * WORD_BITS + ones.trailing_zeros() as usize;
                // The nodes that end before this one have a 1 each, everything else is a label.
                let labels = bit.saturating_sub(self.first.len() - 1);
                self.first.push(u32::try_from(labels).map_err(|_| "it is too large")?);
                let next = self.first.len() - 1;
                if next > n_nodes || labels > n_labels {
                    return Err("its bitmap has another number of labels");
                }
                if next < n_nodes && next > labels {
                    return Err("a node has no parent");
                }
                ones &= ones - 1;
            }
        }
        if self.first.len() != n_nodes + 1 || self.first.last().is_none_or(|&end| end as usize != n_labels) {
            return Err("its bitmap has another number of labels");
        }
        Ok(())
    }

    fn check(&self) -> Result<(), &'static str> {
        let n_nodes = self.labels.len() + 1;
        if self.leaves.len() != n_nodes.div_ceil(WORD_BITS) || !is_clear_from(&self.leaves, n_nodes) {
            return Err("it has another number of leaves");
        }
        if is_set(&self.leaves, 0) {
            return Err("it has the empty name");
        }
        for (node, ends) in self.first.windows(2).enumerate() {
            let labels = self.labels.get(ends[0] as usize..ends[1] as usize).unwrap_or_default();
            if labels.is_empty() && !is_set(&self.leaves, node) {
                return Err("a branch ends without a name");
            }
            if labels.windows(2).any(|pair| pair[0] >= pair[1]) {
                return Err("its labels are not in order");
            }
            // The labels that end names are below all that names have.
            let ends_names = |byte: &&u8| matches!(**byte, ROOT_LABEL | ANY_LABEL);
            for (label, _) in labels.iter().take_while(|byte| **byte <= ANY_LABEL).enumerate() {
                let is_end = labels.get(label).as_ref().is_some_and(ends_names);
                if is_end && !self.labels_of(ends[0] as usize + label + 1).is_empty() {
                    return Err("a name goes on behind its end");
                }
            }
        }
        Ok(())
    }

    fn labels_of(&self, node: usize) -> Range<u32> {
        match self.first.get(node..node + 2) {
            Some(&[start, end]) => start..end,
            _ => 0..0,
        }
    }

    /// Calls `visit` with every key, in rising order.
    pub(super) fn for_each_key(
        &mut self,
        pairs: Pairs,
        mut visit: impl FnMut(Key<'_>) -> Result<(), SrsProblem>,
    ) -> Result<(), SrsProblem> {
        let (mut open, mut key) = (std::mem::take(&mut self.open), std::mem::take(&mut self.key));
        open.clear();
        key.clear();
        open.push(Frame { left: self.labels_of(0), is_leaf: false });
        while let Some(frame) = open.last_mut() {
            let Some(label) = frame.left.next() else {
                open.pop();
                key.pop();
                continue;
            };
            let (byte, node) = (self.labels[label as usize], label as usize + 1);
            if key.len() >= MAX_NAME_BYTES {
                let (what, limit) = ("bytes in one name", MAX_NAME_BYTES as u64);
                return Err(SrsProblem::TooMany { what, limit });
            }
            key.push(byte);
            let is_leaf = is_set(&self.leaves, node);
            let is_half = pairs == Pairs::Join
                && byte == ANY_LABEL
                && key.ends_with(&[b'.', ANY_LABEL])
                && open.iter().rev().nth(1).is_some_and(|frame| frame.is_leaf);
            if is_leaf && !is_half {
                let and_below = pairs == Pairs::Join && self.has_below(node);
                visit(Key { bytes: &key, and_below })?;
            }
            open.push(Frame { left: self.labels_of(node), is_leaf });
        }
        (self.open, self.key) = (open, key);
        Ok(())
    }

    /// Whether the names below that of `node` are meant: behind a dot there is "anything".
    fn has_below(&self, node: usize) -> bool {
        let child = |node: usize, wanted: u8| {
            self.labels_of(node).find(|&label| self.labels[label as usize] == wanted)
        };
        child(node, b'.').is_some_and(|dot| child(dot as usize + 1, ANY_LABEL).is_some())
    }

    /// Gives back memory beyond what most sets need.
    pub(super) fn trim(&mut self) {
        const KEEP_BYTES: usize = 256 << 10;
        for words in [&mut self.bitmap, &mut self.leaves] {
            words.clear();
            words.shrink_to(KEEP_BYTES / 8);
        }
        self.labels.clear();
        self.labels.shrink_to(KEEP_BYTES);
        self.first.clear();
        self.first.shrink_to(KEEP_BYTES / 4);
    }
}

/// Reads a counted list of big-endian words. Memory grows only by what is there.
fn read_words(input: &mut Input<'_>, out: &mut Vec<u64>, expected: &'static str) -> Result<(), SrsError> {
    let words = count(input, 2 * MAX_TRIE_NODES / WORD_BITS, expected)?;
    out.clear();
    for _ in 0..words {
        out.push(u64::from_be_bytes(input.array(expected)?));
    }
    Ok(())
}

/// Reads a count that may not be larger than `limit`.
pub(super) fn count(input: &mut Input<'_>, limit: usize, what: &'static str) -> Result<usize, SrsError> {
    let offset = input.offset();
    let count = input.varint(what)?;
    match usize::try_from(count) {
        Ok(count) if count <= limit => Ok(count),
        _ => Err(Input::wrong_at(offset, SrsProblem::TooMany { what, limit: limit as u64 })),
    }
}

fn is_set(words: &[u64], bit: usize) -> bool {
    words.get(bit / WORD_BITS).is_some_and(|word| word >> (bit % WORD_BITS) & 1 == 1)
}

/// Whether no bit from `bit`, which is in the last word or behind it, is set.
fn is_clear_from(words: &[u64], bit: usize) -> bool {
    words.get(bit / WORD_BITS).is_none_or(|word| word >> (bit % WORD_BITS) == 0)
}
