//! The hash table of full names and suffixes.

use std::{borrow::Cow, collections::HashMap};

use waypost_net::{IdSetsBuilder, SetId};

/// Multiplier of the 64-bit Fibonacci hash: 2^64 divided by the golden ratio, rounded to odd.
const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;

/// Hash of a suffix, grown from the last byte of the name to the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SuffixHash(u64);

impl SuffixHash {
    const START: Self = Self(MULTIPLIER);

    fn push(self, byte: u8) -> Self {
        Self((self.0.rotate_left(5) ^ u64::from(byte)).wrapping_mul(MULTIPLIER))
    }

    fn of(text: &str) -> Self {
        text.bytes().rev().fold(Self::START, Self::push)
    }

    /// The bits that order slots; `u32::MAX` is kept for empty ones.
    fn slot_key(self) -> u32 {
        ((self.0 >> 32) as u32).min(u32::MAX - 1)
    }
}

/// A slot of the table. Slots are ordered by `key`, so that a search ends at the first larger one.
#[derive(Debug, Clone, Copy)]
struct Slot {
    key: u32,
    /// Offset of the name in the text.
    offset: u32,
    /// Length of the name in the low 8 bits, index of its pair above them.
    length_and_pair: u32,
}

impl Slot {
    const EMPTY: Self = Self { key: u32::MAX, offset: 0, length_and_pair: 0 };
}

/// What a name of the table means: which lists have it as a suffix, and which have it at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Pair {
    suffix: SetId,
    whole: SetId,
}

/// Full names and suffixes → sets of ids.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    /// One slot and a half for each name, rounded; empty slots at the end stop every search.
    slots: Box<[Slot]>,
    /// Number of home positions; a slot is at its home or some places behind it.
    homes: u64,
    text: Box<str>,
    pairs: Box<[Pair]>,
    count: usize,
}

/// A name of the table that a look-up found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found<'a> {
    pub(crate) name: &'a str,
    pub(crate) set: SetId,
}

impl Names {
    /// Walks the labels of `name` from the right and reports what each suffix is in.
    pub(crate) fn find<'a>(&'a self, name: &str, mut found: impl FnMut(Found<'a>)) {
        if self.count == 0 {
            return;
        }
        let bytes = name.as_bytes();
        let mut hash = SuffixHash::START;
        for (at, &byte) in bytes.iter().enumerate().rev() {
            if byte == b'.'
                && let Some((text, pair)) = self.look_up(hash, name.get(at + 1..).unwrap_or_default())
            {
                found(Found { name: text, set: pair.suffix });
            }
            hash = hash.push(byte);
        }
        if let Some((text, pair)) = self.look_up(hash, name) {
            found(Found { name: text, set: pair.whole });
        }
    }

    fn look_up(&self, hash: SuffixHash, suffix: &str) -> Option<(&str, Pair)> {
        let key = hash.slot_key();
        for slot in self.slots.get(home(key, self.homes)..)? {
            if slot.key < key {
                continue;
            }
            if slot.key > key {
                return None;
            }
            let (start, length) = (slot.offset as usize, (slot.length_and_pair & 0xFF) as usize);
            let text = self.text.get(start..start + length)?;
            if text == suffix {
                return Some((text, *self.pairs.get((slot.length_and_pair >> 8) as usize)?));
            }
        }
        None
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        size_of_val(&*self.slots) + self.text.len() + size_of_val(&*self.pairs)
    }
}

/// The first position of a search: the key scaled to the number of homes.
fn home(key: u32, homes: u64) -> usize {
    ((u64::from(key) * homes) >> 32) as usize
}

/// Collects names for [`Names`].
#[derive(Debug, Default)]
pub(crate) struct NamesBuilder<'a> {
    entries: Vec<Entry<'a>>,
    /// Those whose text had to be changed: few, so that the others need no room for it.
    owned: Vec<(Box<str>, u32, Scope)>,
    /// Whether an id has more bits than an entry has room for.
    id_too_large: bool,
}

#[derive(Debug)]
struct Entry<'a> {
    /// What orders the slots; names with the same are told apart by their text.
    key: u32,
    /// The id, with the scope in the lowest bits.
    id_and_scope: u32,
    name: &'a str,
}

/// The bits that a scope takes.
const SCOPE_BITS: u32 = 2;

impl<'a> Entry<'a> {
    fn new(name: &'a str, id: u32, scope: Scope) -> Self {
        let key = SuffixHash::of(name).slot_key();
        Self { key, id_and_scope: id << SCOPE_BITS | scope as u32, name }
    }

    fn id(&self) -> u32 {
        self.id_and_scope >> SCOPE_BITS
    }

    fn is(&self, scope: Scope) -> bool {
        self.id_and_scope & ((1 << SCOPE_BITS) - 1) == scope as u32
    }
}

/// What an entry of the table stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The name itself.
    Full,
    /// The name itself and the names below it.
    Suffix,
    /// The names below it.
    Below,
}

/// The table would outgrow its 32-bit offsets, its 24-bit pair numbers or its 30-bit ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLarge;

impl<'a> NamesBuilder<'a> {
    pub(crate) fn reserve(&mut self, additional: usize) {
        self.entries.reserve_exact(additional);
    }

    /// `name` is normalised, so that it is not empty and has at most 253 bytes.
    pub(crate) fn push(&mut self, name: Cow<'a, str>, id: u32, scope: Scope) {
        self.id_too_large |= id > u32::MAX >> SCOPE_BITS;
        match name {
            Cow::Borrowed(name) => self.entries.push(Entry::new(name, id, scope)),
            Cow::Owned(name) => self.owned.push((name.into(), id, scope)),
        }
    }

    pub(crate) fn build(self, sets: &mut IdSetsBuilder) -> Result<Names, TooLarge> {
        if self.id_too_large {
            return Err(TooLarge);
        }
        let mut entries: Vec<Entry<'_>> = self.entries;
        entries.extend(self.owned.iter().map(|(name, id, scope)| Entry::new(name, *id, *scope)));
        entries
            .sort_unstable_by(|a, b| (a.key, a.name, a.id_and_scope).cmp(&(b.key, b.name, b.id_and_scope)));
        let same = |a: &Entry<'_>, b: &Entry<'_>| a.key == b.key && a.name == b.name;
        let count = entries.chunk_by(same).count();
        let homes = (count as u64 * 3).div_ceil(2);
        let mut slots = Vec::with_capacity(usize::try_from(homes).map_err(|_| TooLarge)? + 1);
        let mut text = String::with_capacity(
            entries.chunk_by(same).map(|chunk| chunk.first().map_or(0, |entry| entry.name.len())).sum(),
        );
        let mut pairs = PairTable::default();
        let (mut suffix, mut whole) = (Vec::new(), Vec::new());
        for chunk in entries.chunk_by(same) {
            let Some(first) = chunk.first() else { continue };
            suffix.clear();
            suffix.extend(chunk.iter().filter(|entry| !entry.is(Scope::Full)).map(Entry::id));
            suffix.dedup();
            whole.clear();
            whole.extend(chunk.iter().filter(|entry| !entry.is(Scope::Below)).map(Entry::id));
            whole.dedup();
            let pair = pairs.intern(Pair { suffix: sets.intern(&suffix), whole: sets.intern(&whole) });
            let key = first.key;
            let at = home(key, homes);
            while slots.len() < at {
                slots.push(Slot::EMPTY);
            }
            let length = u32::try_from(first.name.len()).map_err(|_| TooLarge)?;
            if length > 0xFF || pair >= 1 << 24 {
                return Err(TooLarge);
            }
            let offset = u32::try_from(text.len()).map_err(|_| TooLarge)?;
            slots.push(Slot { key, offset, length_and_pair: pair << 8 | length });
            text.push_str(first.name);
        }
        while slots.len() <= usize::try_from(homes).map_err(|_| TooLarge)? {
            slots.push(Slot::EMPTY);
        }
        Ok(Names { slots: slots.into(), homes, text: text.into(), pairs: pairs.list.into(), count })
    }
}

#[derive(Debug, Default)]
struct PairTable {
    known: HashMap<Pair, u32>,
    list: Vec<Pair>,
}

impl PairTable {
    fn intern(&mut self, pair: Pair) -> u32 {
        *self.known.entry(pair).or_insert_with(|| {
            self.list.push(pair);
            u32::try_from(self.list.len() - 1).unwrap_or(u32::MAX)
        })
    }
}
