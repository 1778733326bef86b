use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher as _,
};

/// A set of an [`IdSets`] table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetId(u32);

impl SetId {
    /// The empty set, which every table has.
    pub const EMPTY: Self = Self(0);

    /// The position of the set in its table.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }

    /// The position of the set in its table, as the number that indexes store.
    #[must_use]
    pub fn as_u32(self) -> u32 {
        self.0
    }

    /// The set at `index` of its table; a number from elsewhere names the empty set or another one.
    #[must_use]
    pub const fn from_u32(index: u32) -> Self {
        Self(index)
    }
}

/// Sets of ids, each stored once.
///
/// A combined index has many keys and few distinct sets: the 38,250 names of the public domain
/// list have 2,278. Keys hold a [`SetId`], and whoever needs another form of the sets (a bit per
/// rule, say) computes it once per set.
///
/// ```
/// use waypost_net::{IdSetsBuilder, SetId};
///
/// let mut builder = IdSetsBuilder::default();
/// let odd = builder.intern(&[1, 3]);
/// assert_eq!(builder.intern(&[1, 3]), odd);
/// assert_eq!(builder.intern(&[]), SetId::EMPTY);
/// assert_eq!(builder.build().get(odd), [1, 3]);
/// ```
#[derive(Debug, Clone)]
pub struct IdSets {
    ids: Box<[u32]>,
    /// End of each set in `ids`; a set begins where the one before it ends.
    ends: Box<[u32]>,
}

impl IdSets {
    /// The ids of a set in ascending order; empty for a set of another table.
    #[must_use]
    pub fn get(&self, set: SetId) -> &[u32] {
        let index = set.index();
        let start =
            index.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |&end| end as usize);
        let end = self.ends.get(index).map_or(start, |&end| end as usize);
        self.ids.get(start..end).unwrap_or_default()
    }

    /// All sets; the first one is empty.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u32]> {
        (0..self.ends.len()).map(|index| self.get(SetId(u32::try_from(index).unwrap_or(u32::MAX))))
    }

    /// Bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        size_of_val(&*self.ids) + size_of_val(&*self.ends)
    }
}

/// Collects the distinct sets of an [`IdSets`] table.
#[derive(Debug)]
pub struct IdSetsBuilder {
    /// Sets by the hash of their ids; where several have the same, by one of the next free numbers.
    known: HashMap<u64, SetId>,
    hasher: RandomState,
    ids: Vec<u32>,
    ends: Vec<u32>,
}

impl Default for IdSetsBuilder {
    fn default() -> Self {
        let (known, hasher) = (HashMap::new(), RandomState::new());
        Self { known, hasher, ids: Vec::new(), ends: vec![0] }
    }
}

impl IdSetsBuilder {
    /// The set that holds exactly `ids`, which must be in ascending order and without repeats.
    ///
    /// # Panics
    ///
    /// If all sets together hold more than `u32::MAX` ids.
    pub fn intern(&mut self, ids: &[u32]) -> SetId {
        if ids.is_empty() {
            return SetId::EMPTY;
        }
        let mut hash = self.hasher.hash_one(ids);
        while let Some(&set) = self.known.get(&hash) {
            if self.get(set) == ids {
                return set;
            }
            hash = hash.wrapping_add(1);
        }
        self.ids.extend_from_slice(ids);
        #[expect(clippy::expect_used, reason = "four billion ids are 16 GiB, beyond any bounded input")]
        let (end, set) = (
            u32::try_from(self.ids.len()).expect("fewer than four billion ids"),
            SetId(u32::try_from(self.ends.len()).expect("fewer sets than ids")),
        );
        self.ends.push(end);
        self.known.insert(hash, set);
        set
    }

    fn get(&self, set: SetId) -> &[u32] {
        let end_of = |index: usize| self.ends.get(index).map_or(0, |&end| end as usize);
        let start = set.index().checked_sub(1).map_or(0, end_of);
        self.ids.get(start..end_of(set.index())).unwrap_or_default()
    }

    /// The finished table.
    #[must_use]
    pub fn build(self) -> IdSets {
        IdSets { ids: self.ids.into(), ends: self.ends.into() }
    }
}
