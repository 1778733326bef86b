//! Sorted range starts behind jump tables, one layout for each family.
//!
//! What a look-up costs is the memory it touches: the tables of the whole world have to stay in the
//! second-level cache, so an entry is as small as its family allows.

use waypost_net::SetId;

/// Width of a set in an entry. What has no room is marked [`FINE`] and found in the [`FineTable`].
pub(crate) const SET_BITS: u32 = 16;

/// Marks a range that the fine table has to tell apart.
pub(crate) const FINE: SetId = SetId::from_u32((1 << SET_BITS) - 1);

/// IPv4 ranges. A `/16` is a bucket, and within it the lower 16 bits of a start tell ranges apart.
#[derive(Debug, Clone)]
pub(crate) struct V4Table {
    /// Start within its `/16` in the upper and set in the lower bits; ascending within each `/16`.
    entries: Box<[u32]>,
    /// By the first octet: which page to look at, or [`UNIFORM`] and the entry that holds all over.
    octets: Box<[u32]>,
    /// For each octet in which a range begins, the first entry of each `/16` and one more at the end.
    pages: Box<[u32]>,
}

/// Set in an octet in which no range begins.
const UNIFORM: u32 = 1 << 31;

/// Buckets of a page, and the end of the last one.
const PAGE_LEN: usize = 257;

impl V4Table {
    /// `ranges` ascend by start and begin at 0; adjacent ranges with equal sets are merged.
    pub(crate) fn new(ranges: impl IntoIterator<Item = (u32, SetId)>) -> Self {
        let (mut starts, mut entries) = (Vec::<u32>::new(), Vec::<u32>::new());
        let mut last = None;
        for (start, set) in ranges {
            if last != Some(set) {
                starts.push(start);
                entries.push(start << SET_BITS | set.as_u32());
                last = Some(set);
            }
        }
        if entries.is_empty() {
            return Self { entries: Box::default(), octets: Box::default(), pages: Box::default() };
        }
        let before = |start: u64| position(starts.partition_point(|&other| u64::from(other) < start));
        let (mut octets, mut pages) = (Vec::with_capacity(256), Vec::new());
        for octet in 0..256_u64 {
            let (first, end) = (before(octet << 24), before((octet + 1) << 24));
            if first == end {
                octets.push(UNIFORM | first.saturating_sub(1));
                continue;
            }
            octets.push(position(pages.len()));
            pages.extend((0..256).map(|second| before(octet << 24 | second << 16)));
            pages.push(end);
        }
        Self { entries: entries.into(), octets: octets.into(), pages: pages.into() }
    }

    /// The set of the range that holds `key`.
    #[inline]
    pub(crate) fn find(&self, key: u32) -> SetId {
        let entry = self.at(key).and_then(|at| self.entries.get(at));
        entry.map_or(SetId::EMPTY, |&entry| SetId::from_u32(entry & FINE.as_u32()))
    }

    /// The start of the range that holds `key`, the start of the next one, and the set.
    pub(crate) fn range(&self, key: u32) -> Option<(u32, Option<u32>, SetId)> {
        let at = self.at(key)?;
        let set = SetId::from_u32(self.entries.get(at)? & FINE.as_u32());
        Some((self.start(at)?, self.start(at + 1), set))
    }

    /// The whole start of an entry: its bucket is the last one that begins at or before it.
    fn start(&self, at: usize) -> Option<u32> {
        let low = self.entries.get(at)? >> SET_BITS;
        let (mut octet, at) = (255_u32, position(at));
        let page = loop {
            let entry = *self.octets.get(octet as usize)?;
            if entry & UNIFORM == 0 && *self.pages.get(entry as usize)? <= at {
                break self.pages.get(entry as usize..entry as usize + PAGE_LEN)?;
            }
            octet = octet.checked_sub(1)?;
        };
        let second = page.partition_point(|&first| first <= at).checked_sub(1)?;
        Some(octet << 24 | position(second) << 16 | low)
    }

    #[inline]
    fn at(&self, key: u32) -> Option<usize> {
        let octet = *self.octets.get((key >> 24) as usize)?;
        if octet & UNIFORM != 0 {
            return Some((octet & !UNIFORM) as usize);
        }
        let bucket = octet as usize + (key >> 16 & 0xFF) as usize;
        let Some(&[first, end]) = self.pages.get(bucket..bucket + 2) else { return None };
        let inside = self.entries.get(first as usize..end as usize)?;
        let bound = key << SET_BITS | FINE.as_u32();
        (first as usize + inside.partition_point(|&entry| entry <= bound)).checked_sub(1)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        size_of_val(&*self.entries) + size_of_val(&*self.octets) + size_of_val(&*self.pages)
    }
}

/// A bucket with more ranges than this is divided; below, another table costs more than it saves
/// (measured with 8, 16, 32 and 64 on a country database of 124,000 IPv6 ranges).
const CROWDED: usize = 32;

/// Upper bound of the buckets that a part of the table is divided into; half a megabyte.
const MAX_BUCKET_BITS: u32 = 16;

/// Global unicast addresses all begin with `001` (RFC 4291 §2.4), so these bits divide nothing.
const UNICAST_BITS: u32 = 3;

/// The first division goes by networks of 16 bits, which is how large a registry's share is.
const ROOT_BITS: u32 = 16 - UNICAST_BITS;

/// IPv6 ranges, keyed by the first 48 bits.
///
/// Addresses cluster: nearly all that exist lie in a few networks of 16 bits, and thousands of small
/// networks in single ones of 32 bits. So a bucket that is crowded is divided again, by as many bits
/// as it has ranges for.
#[derive(Debug, Clone)]
pub(crate) struct V6Table {
    /// Start in the upper and set in the lower bits; ascending, empty if there is no range.
    entries: Box<[u64]>,
    /// The buckets of all tables; those of a table lie together, with one more at the end.
    buckets: Box<[Bucket]>,
    root: Division,
}

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    /// Position of the bucket's first entry.
    first: u32,
    /// How the bucket is divided further, if it is.
    division: Division,
}

/// Where the table of a divided bucket begins, above 5 bits that tell how many bits divide it; 0 if
/// the bucket is not divided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Division(u32);

impl V6Table {
    /// `ranges` ascend by start and begin at 0; adjacent ranges with equal sets are merged.
    pub(crate) fn new(ranges: impl IntoIterator<Item = (u64, SetId)>) -> Self {
        let mut entries: Vec<u64> = Vec::new();
        let mut last = None;
        for (start, set) in ranges {
            if last != Some(set) {
                entries.push(start << SET_BITS | u64::from(set.as_u32()));
                last = Some(set);
            }
        }
        // No table begins at 0, so that 0 can mean none.
        let mut buckets = vec![Bucket::default()];
        let before = |network: u64| entries.partition_point(|&entry| entry < network << 48);
        let (first, end) = (before(0x2000), before(0x4000));
        let unicast = entries.get(first..end).unwrap_or_default();
        let root_bits = ROOT_BITS.min(unicast.len().checked_ilog2().unwrap_or(0));
        let root = divide(unicast, first, UNICAST_BITS, root_bits, &mut buckets);
        Self { entries: entries.into(), buckets: buckets.into(), root }
    }

    /// The set of the range that holds `key`.
    #[inline]
    pub(crate) fn find(&self, key: u64) -> SetId {
        let entry = self.at(key).and_then(|at| self.entries.get(at));
        entry.map_or(SetId::EMPTY, |&entry| set(entry))
    }

    /// The start of the range that holds `key`, the start of the next one, and the set.
    pub(crate) fn range(&self, key: u64) -> Option<(u64, Option<u64>, SetId)> {
        let at = self.at(key)?;
        let entry = *self.entries.get(at)?;
        Some((entry >> SET_BITS, self.entries.get(at + 1).map(|next| next >> SET_BITS), set(entry)))
    }

    #[inline]
    fn at(&self, key: u64) -> Option<usize> {
        // The largest entry that the range of `key` could have.
        let bound = key << SET_BITS | u64::from(FINE.as_u32());
        let (mut division, mut rest) = (self.root, bound << UNICAST_BITS);
        let (mut first, mut end) = (0, self.entries.len());
        if bound >> (64 - UNICAST_BITS) != 1 {
            division = Division::default();
        }
        while let Some((table, bits)) = division.parts() {
            let bucket = table + index(leading(rest, bits));
            let Some(&[from, to]) = self.buckets.get(bucket..bucket + 2) else { return None };
            (first, end) = (from.first as usize, to.first as usize);
            division = from.division;
            rest <<= bits;
        }
        let inside = self.entries.get(first..end)?;
        (first + inside.partition_point(|&entry| entry <= bound)).checked_sub(1)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        size_of_val(&*self.entries) + size_of_val(&*self.buckets)
    }
}

impl Division {
    /// Where the buckets begin, and how many bits divide.
    #[inline]
    fn parts(self) -> Option<(usize, u32)> {
        (self.0 != 0).then_some(((self.0 >> 5) as usize, self.0 & 31))
    }
}

/// Divides `inside`, whose first entry is at `first` and whose leading `consumed` bits are equal, into
/// 2^`bits` buckets, and crowded buckets into about one per two entries.
fn divide(inside: &[u64], first: usize, consumed: u32, bits: u32, buckets: &mut Vec<Bucket>) -> Division {
    let bits = bits.min(64 - SET_BITS - consumed);
    let table = position(buckets.len());
    // Without a table the search is longer, and right.
    if inside.len() <= CROWDED || bits == 0 || table >= 1 << 27 {
        return Division::default();
    }
    let mut starts = Vec::with_capacity((1 << bits) + 1);
    let mut at = 0;
    for bucket in 0..1_u64 << bits {
        starts.push(at);
        let rest = inside.get(at..).unwrap_or_default();
        at += rest.partition_point(|&entry| leading(entry << consumed, bits) <= bucket);
    }
    starts.push(at);
    buckets.extend(starts.iter().map(|start| Bucket { first: position(first + start), ..Bucket::default() }));
    for (number, edges) in starts.windows(2).enumerate() {
        let &[start, end] = edges else { continue };
        let part = inside.get(start..end).unwrap_or_default();
        let part_bits =
            part.len().checked_ilog2().map_or(0, |log| log.saturating_sub(1).min(MAX_BUCKET_BITS));
        let division = divide(part, first + start, consumed + bits, part_bits, buckets);
        if let Some(bucket) = buckets.get_mut(table as usize + number) {
            bucket.division = division;
        }
    }
    Division(table << 5 | bits)
}

#[expect(clippy::cast_possible_truncation, reason = "16 bits are left")]
fn set(entry: u64) -> SetId {
    SetId::from_u32((entry & u64::from(FINE.as_u32())) as u32)
}

fn leading(entry: u64, bits: u32) -> u64 {
    entry.checked_shr(64 - bits).unwrap_or(0)
}

#[expect(clippy::cast_possible_truncation, reason = "the number of a bucket or part, at most 31 bits")]
fn index(number: u64) -> usize {
    number as usize
}

/// Positions fit 32 bits: 4 billion ranges are 32 GiB of entries, beyond any bounded input.
fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// Ranges that a table of a family cannot tell apart, by plain binary search.
///
/// IPv4 addresses are keyed by their 32 bits, which as IPv6 addresses nobody has.
#[derive(Debug, Clone, Default)]
pub(crate) struct FineTable {
    pub(crate) entries: Box<[(u128, SetId)]>,
}

impl FineTable {
    pub(crate) fn find(&self, key: u128) -> SetId {
        self.range(key).map_or(SetId::EMPTY, |(_, _, set)| set)
    }

    pub(crate) fn range(&self, key: u128) -> Option<(u128, Option<u128>, SetId)> {
        let at = self.entries.partition_point(|&(start, _)| start <= key).checked_sub(1)?;
        let &(start, set) = self.entries.get(at)?;
        Some((start, self.entries.get(at + 1).map(|&(next, _)| next), set))
    }
}
