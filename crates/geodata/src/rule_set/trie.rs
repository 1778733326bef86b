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
    words: Vec<u8>,
    leaves: Vec<u8>,
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
        read_words(input, &mut self.words, "the bitmap of a tree")?;
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
        let mut labels = 0_usize;
        if self.words.len() / 8 != (n_labels + n_nodes).div_ceil(WORD_BITS) {
            return Err("its bitmap has another number of labels");
        }
        for bit in 0..n_labels + n_nodes {
            if is_set(&self.words, bit) {
                self.first.push(u32::try_from(labels).map_err(|_| "it is too large")?);
                let next = self.first.len() - 1;
                if next < n_nodes && next > labels {
                    return Err("a node has no parent");
                }
            } else {
                labels += 1;
            }
        }
        if labels != n_labels || !is_clear_from(&self.words, n_labels + n_nodes) {
            return Err("its bitmap has another number of labels");
        }
        Ok(())
    }

    fn check(&self) -> Result<(), &'static str> {
        let n_nodes = self.labels.len() + 1;
        if self.leaves.len() / 8 != n_nodes.div_ceil(WORD_BITS) || !is_clear_from(&self.leaves, n_nodes) {
            return Err("it has another number of leaves");
        }
        if is_set(&self.leaves, 0) {
            return Err("it has the empty name");
        }
        for node in 0..n_nodes {
            let labels = self.labels_of(node);
            let (start, end) = (labels.start as usize, labels.end as usize);
            if start == end && !is_set(&self.leaves, node) {
                return Err("a branch ends without a name");
            }
            if self.labels[start..end].windows(2).any(|pair| pair[0] >= pair[1]) {
                return Err("its labels are not in order");
            }
            for (label, &byte) in (start..end).zip(&self.labels[start..end]) {
                if matches!(byte, ROOT_LABEL | ANY_LABEL) && !self.labels_of(label + 1).is_empty() {
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
        for bytes in [&mut self.words, &mut self.leaves, &mut self.labels] {
            bytes.clear();
            bytes.shrink_to(KEEP_BYTES);
        }
        self.first.clear();
        self.first.shrink_to(KEEP_BYTES / 4);
    }
}

/// Reads a counted list of big-endian words.
fn read_words(input: &mut Input<'_>, out: &mut Vec<u8>, expected: &'static str) -> Result<(), SrsError> {
    let words = count(input, 2 * MAX_TRIE_NODES / WORD_BITS, expected)?;
    out.clear();
    input.append(8 * words, out, expected)
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

/// Words are stored from their highest byte on, and their bits are counted from the lowest.
fn is_set(words: &[u8], bit: usize) -> bool {
    let byte = bit / WORD_BITS * 8 + (7 - bit % WORD_BITS / 8);
    words.get(byte).is_some_and(|byte| byte >> (bit % 8) & 1 == 1)
}

fn is_clear_from(words: &[u8], bit: usize) -> bool {
    (bit..words.len() * 8).all(|bit| !is_set(words, bit))
}
