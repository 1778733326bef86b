use std::{fmt, num::NonZeroU16};

use crate::{Member, MemberIndex, Walk, hash::RingHasher};

/// Virtual nodes of a member of weight 1 where nothing else is configured.
///
/// Ten is what the configuration documents; with [`PROBES`](crate::PROBES) probes it is even enough.
pub const DEFAULT_VIRTUAL_NODES: NonZeroU16 = NonZeroU16::MIN.saturating_add(9);

/// The most virtual nodes that a ring holds: 100 members of weight 1000 with 10 each still fit.
///
/// A full ring takes 16 MiB. The limit keeps a mistyped weight from taking all memory.
pub const MAX_VIRTUAL_NODES: u32 = 1 << 20;

/// Why a ring cannot be built. All of it is for the author of the member list to mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Two members have the same identity.
    #[error("duplicate ring member: `{}`", identity.escape_ascii())]
    DuplicateMember {
        /// What both are called.
        identity: Box<[u8]>,
        /// Where the first of them stands in the list.
        first: usize,
        /// Where the second of them stands in the list.
        second: usize,
    },
    /// The weights and virtual nodes multiply to more than [`MAX_VIRTUAL_NODES`].
    #[error("too many virtual nodes on the ring, the limit is {MAX_VIRTUAL_NODES}: `{requested}`")]
    TooManyVirtualNodes {
        /// How many there would be.
        requested: u64,
    },
}

/// An immutable consistent-hash ring.
///
/// A key goes to the member that has a virtual node nearest behind one of the key's
/// [`PROBES`](crate::PROBES) points. That distance depends on the key and on this one member alone. So the members of a ring
/// have an order for each key that no other member can disturb, and [`walk`](Self::walk) gives it.
///
/// ```
/// use waypost_ring::{DEFAULT_VIRTUAL_NODES, Ring};
///
/// let ring = Ring::try_new(["a", "b", "c"], DEFAULT_VIRTUAL_NODES, b"")?;
/// let reordered = Ring::try_new(["c", "a", "b"], DEFAULT_VIRTUAL_NODES, b"")?;
/// let name = ring.owner(b"key").map(|member| ["a", "b", "c"][member.get()]);
/// assert_eq!(name, reordered.owner(b"key").map(|member| ["c", "a", "b"][member.get()]));
/// # Ok::<(), waypost_ring::BuildError>(())
/// ```
#[derive(Clone)]
pub struct Ring {
    hasher: RingHasher,
    /// Where the virtual nodes lie, ascending.
    places: Box<[u64]>,
    /// The rank of the member that each virtual node belongs to.
    ranks: Box<[u32]>,
    /// Members ranked by identity: the position in the given list must not decide anything.
    by_rank: Box<[MemberIndex]>,
    index: PlaceIndex,
}

impl Ring {
    /// Builds a ring over `members`, in any order, with `virtual_nodes` for each unit of weight.
    ///
    /// Rings with different salts place the same members and keys independently of each other.
    ///
    /// # Errors
    ///
    /// Two members have one identity, or there would be more than [`MAX_VIRTUAL_NODES`].
    pub fn try_new<'m>(
        members: impl IntoIterator<Item = impl Into<Member<'m>>>,
        virtual_nodes: NonZeroU16,
        salt: &[u8],
    ) -> Result<Self, BuildError> {
        let members: Vec<Member<'m>> = members.into_iter().map(Into::into).collect();
        let replicas = |member: &Member| u64::from(member.weight().get()) * u64::from(virtual_nodes.get());
        let requested = members.iter().map(replicas).sum();
        if requested > u64::from(MAX_VIRTUAL_NODES) {
            return Err(BuildError::TooManyVirtualNodes { requested });
        }
        let ranked = rank_members(&members)?;
        let hasher = RingHasher::new(salt);
        let mut nodes: Vec<(u64, u32)> = Vec::new();
        for ((_, member), rank) in ranked.iter().zip(0..) {
            let places = hasher.member(member.identity());
            let n_replicas = u32::from(member.weight().get()) * u32::from(virtual_nodes.get());
            nodes.extend((0..n_replicas).map(|replica| (places.place(replica), rank)));
        }
        Ok(Self::with_nodes(hasher, nodes, ranked.into_iter().map(|(index, _)| index).collect()))
    }

    /// Puts virtual nodes, given as place and rank, in order.
    fn with_nodes(hasher: RingHasher, mut nodes: Vec<(u64, u32)>, by_rank: Box<[MemberIndex]>) -> Self {
        nodes.sort_unstable();
        let (places, ranks): (Vec<u64>, Vec<u32>) = nodes.into_iter().unzip();
        let index = PlaceIndex::new(&places);
        Self { hasher, places: places.into(), ranks: ranks.into(), by_rank, index }
    }

    /// The member that `key` belongs to; `None` only on an empty ring.
    #[must_use]
    pub fn owner(&self, key: &[u8]) -> Option<MemberIndex> {
        let mut nearest = (u64::MAX, u32::MAX);
        for probe in self.hasher.probes(key) {
            let (distance, rank) = self.node(self.successor(probe), probe)?;
            // The rank of a tie is compared as well: equally near members go by identity.
            nearest = nearest.min((distance, rank));
        }
        self.member(nearest.1)
    }

    /// The first member in the order of [`walk`](Self::walk) that `accepts`.
    ///
    /// It is the owner that the key has on a ring of the accepted members only. Asks once for each
    /// member, and stops at the first yes.
    #[must_use]
    pub fn owner_where(
        &self,
        key: &[u8],
        mut accepts: impl FnMut(MemberIndex) -> bool,
    ) -> Option<MemberIndex> {
        let owner = self.owner(key)?;
        if accepts(owner) {
            return Some(owner);
        }
        self.walk(key).skip(1).find(|&member| accepts(member))
    }

    /// All members in the order in which they should carry `key`, each once, the owner first.
    ///
    /// Leaving a member out of this order gives the order of the ring without that member.
    #[must_use]
    pub fn walk(&self, key: &[u8]) -> Walk<'_> {
        Walk::new(self, self.hasher.probes(key))
    }

    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_rank.len()
    }

    /// Whether there is no member.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_rank.is_empty()
    }

    pub(crate) fn member(&self, rank: u32) -> Option<MemberIndex> {
        self.by_rank.get(rank as usize).copied()
    }

    /// The first virtual node at or behind `point`, going round at the end.
    pub(crate) fn successor(&self, point: u64) -> usize {
        let node = self.index.successor(&self.places, point);
        if node == self.places.len() { 0 } else { node }
    }

    /// The virtual node behind `node`, going round at the end.
    pub(crate) fn following(&self, node: usize) -> usize {
        if node + 1 >= self.places.len() { 0 } else { node + 1 }
    }

    /// How far behind `point` a virtual node lies, and the rank of its member.
    pub(crate) fn node(&self, node: usize, point: u64) -> Option<(u64, u32)> {
        Some((self.places.get(node)?.wrapping_sub(point), *self.ranks.get(node)?))
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("members", &self.by_rank.len())
            .field("virtual_nodes", &self.places.len())
            .finish_non_exhaustive()
    }
}

/// The members ordered by identity, each with its place in the given list.
fn rank_members<'m>(members: &[Member<'m>]) -> Result<Vec<(MemberIndex, Member<'m>)>, BuildError> {
    let mut ranked: Vec<(MemberIndex, Member<'m>)> =
        (0..).map(MemberIndex::new).zip(members.iter().copied()).collect();
    ranked.sort_unstable_by_key(|(index, member)| (member.identity(), *index));
    for (first, second) in ranked.iter().zip(ranked.iter().skip(1)) {
        if first.1.identity() == second.1.identity() {
            return Err(BuildError::DuplicateMember {
                identity: first.1.identity().into(),
                first: first.0.get(),
                second: second.0.get(),
            });
        }
    }
    Ok(ranked)
}

/// For each equal slice of the hash space the first virtual node in it, so that a look-up compares
/// with the one or two nodes of a slice instead of searching all.
#[derive(Clone)]
struct PlaceIndex {
    /// One entry more than there are slices: the end of a slice is the start of the next.
    starts: Box<[u32]>,
    /// How far to shift a point right to get the number of its slice.
    shift: u32,
}

impl PlaceIndex {
    fn new(places: &[u64]) -> Self {
        // At least two slices: shifting a u64 by all of its 64 bits is not defined.
        let n_slices = places.len().next_power_of_two().max(2);
        let shift = u64::BITS - n_slices.trailing_zeros();
        let mut starts = Vec::with_capacity(n_slices + 1);
        let mut place_slices = places.iter().map(|place| place >> shift).peekable();
        let mut n_before = 0;
        for slice in 0..n_slices as u64 {
            starts.push(n_before);
            while place_slices.next_if_eq(&slice).is_some() {
                n_before += 1;
            }
        }
        starts.push(n_before);
        Self { starts: starts.into(), shift }
    }

    /// The number of places below `point`.
    fn successor(&self, places: &[u64], point: u64) -> usize {
        #[expect(clippy::cast_possible_truncation, reason = "a slice number is below 2^21")]
        let slice = (point >> self.shift) as usize;
        let (Some(&start), Some(&end)) = (self.starts.get(slice), self.starts.get(slice + 1)) else {
            return places.len();
        };
        let (start, end) = (start as usize, end as usize);
        let in_slice = places.get(start..end).unwrap_or_default();
        start + in_slice.partition_point(|&place| place < point)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn points() -> impl Strategy<Value = u64> {
        prop_oneof![
            any::<u64>(),
            // Close to the borders of slices and to both ends.
            (0_u64..16, 0_u64..3)
                .prop_map(|(slice, offset)| (slice << 60).wrapping_add(offset).wrapping_sub(1)),
        ]
    }

    proptest! {
        #[test]
        fn the_index_finds_what_a_search_of_all_places_finds(
            mut places in prop::collection::vec(points(), 0..20),
            point in points(),
        ) {
            places.sort_unstable();
            let expected = places.partition_point(|&place| place < point);
            prop_assert_eq!(PlaceIndex::new(&places).successor(&places, point), expected);
        }
    }

    #[test]
    fn equally_near_members_go_by_identity() {
        let members = ["c", "a", "b"].map(Member::from);
        let by_rank: Box<[MemberIndex]> =
            rank_members(&members).unwrap().into_iter().map(|(index, _)| index).collect();
        let nodes = vec![(7, 2), (7, 0), (7, 1), (7, 0)];
        let ring = Ring::with_nodes(RingHasher::new(b""), nodes, by_rank);
        let order: Vec<usize> = ring.walk(b"key").map(MemberIndex::get).collect();
        assert_eq!(order, [1, 2, 0]);
        assert_eq!(ring.owner(b"key").map(MemberIndex::get), Some(1));
    }
}
