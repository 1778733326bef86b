//! Writes the trie of [`super::trie`].

use std::{collections::VecDeque, ops::Range};

use crate::proto::put_varint;

/// Keys in one piece of memory.
#[derive(Debug, Default)]
pub(super) struct Keys {
    bytes: Vec<u8>,
    places: Vec<Range<usize>>,
}

impl Keys {
    /// Adds a key that `write` appends.
    pub(super) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        write(&mut self.bytes);
        self.places.push(start..self.bytes.len());
    }

    /// Appends the trie of all keys.
    pub(super) fn write(mut self, out: &mut Vec<u8>) {
        let bytes = self.bytes;
        let key = |place: &Range<usize>| bytes.get(place.clone()).unwrap_or_default();
        self.places.sort_unstable_by(|a, b| key(a).cmp(key(b)));
        self.places.dedup_by(|a, b| key(a) == key(b));
        let keys: Vec<&[u8]> = self.places.iter().map(key).collect();
        let (mut leaves, mut bitmap, mut labels) = (Bits::default(), Bits::default(), Vec::new());
        let mut nodes = VecDeque::from([(keys.as_slice(), 0)]);
        while let Some((mut keys, depth)) = nodes.pop_front() {
            let is_leaf = keys.first().is_some_and(|key| key.len() == depth);
            leaves.push(is_leaf);
            if is_leaf {
                keys = &keys[1..];
            }
            for children in keys.chunk_by(|a, b| a.get(depth) == b.get(depth)) {
                labels.extend(children.first().and_then(|key| key.get(depth)));
                bitmap.push(false);
                nodes.push_back((children, depth + 1));
            }
            bitmap.push(true);
        }
        out.push(0);
        leaves.write(out);
        bitmap.write(out);
        put_varint(out, labels.len() as u64);
        out.append(&mut labels);
    }
}

/// Appends `text` from its last character to its first.
pub(super) fn push_reversed(text: &str, out: &mut Vec<u8>) {
    let mut buffer = [0; 4];
    for character in text.chars().rev() {
        out.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
    }
}

/// Bits in words of 64, counted from the lowest.
#[derive(Debug, Default)]
struct Bits {
    words: Vec<u64>,
    count: usize,
}

impl Bits {
    fn push(&mut self, bit: bool) {
        if self.count.is_multiple_of(64) {
            self.words.push(0);
        }
        if let Some(word) = self.words.last_mut() {
            *word |= u64::from(bit) << (self.count % 64);
        }
        self.count += 1;
    }

    fn write(&self, out: &mut Vec<u8>) {
        put_varint(out, self.words.len() as u64);
        out.extend(self.words.iter().flat_map(|word| word.to_be_bytes()));
    }
}
