use std::{
    fmt,
    num::{NonZeroU8, NonZeroU16},
};

use self::index::PlaceIndex;
use crate::{
    BuildError, Member, MemberIndex,
    hash::{self, PlacementHasher},
    ranked::{self, Ranked},
};

mod index;
mod walk;

pub use self::walk::RingWalk;

/// Virtual nodes of a member of weight 1 where nothing else is configured.
///
/// Ten is what the configuration documents; with [`DEFAULT_PROBES`] it is even enough.
pub const DEFAULT_VIRTUAL_NODES: NonZeroU16 = NonZeroU16::MIN.saturating_add(9);

/// The most virtual nodes that a ring holds: 100 members of weight 1000 with 10 each still fit.
///
/// A full ring takes 16 MiB. The limit keeps a mistyped weight from taking all memory.
pub const MAX_VIRTUAL_NODES: u32 = 1 << 20;

/// How many points of the ring a key is hashed to where nothing else is configured; the one nearest to
/// a virtual node decides.
///
/// With the default of 10 virtual nodes a single probe leaves the busiest member at 1.34 times the
/// mean on 4 members and 1.60 times on 10. 21 probes bring that to about 1.045 and 1.052 without more
/// virtual nodes (the mean of 60 salts with 100 000 keys each; the worst of them come to 1.11). The
/// number is part of the placement: another one moves keys.
pub const DEFAULT_PROBES: NonZeroU8 = NonZeroU8::MIN.saturating_add(20);

/// The same number for loops that the compiler unrolls; the default takes the shortest time that way.
const USUAL_PROBES: usize = DEFAULT_PROBES.get() as usize;

/// The most points that a key is hashed to. A look-up takes time for each, and beyond some dozens the
/// shares hardly get more even.
pub const MAX_PROBES: u8 = 64;

/// How a ring is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingSpec<'s> {
    /// Places on the ring for each unit of a member's weight.
    pub virtual_nodes: NonZeroU16,
    /// Points of the ring that a key is hashed to, at most [`MAX_PROBES`].
    pub probes: NonZeroU8,
    /// Rings with different salts place the same members and keys independently of each other.
    pub salt: &'s [u8],
}

impl Default for RingSpec<'_> {
    fn default() -> Self {
        Self { virtual_nodes: DEFAULT_VIRTUAL_NODES, probes: DEFAULT_PROBES, salt: b"" }
    }
}

/// An immutable consistent-hash ring.
///
/// A key goes to the member that has a virtual node nearest behind one of the key's probe points. That
/// distance depends on the key and on this one member alone. So the members of a ring have an order
/// for each key that no other member can disturb, and [`walk`](Self::walk) gives it.
///
/// ```
/// use waypost_ring::{Ring, RingSpec};
///
/// let ring = Ring::try_new(["a", "b", "c"], &RingSpec::default())?;
/// let reordered = Ring::try_new(["c", "a", "b"], &RingSpec::default())?;
/// let name = ring.owner(b"key").map(|member| ["a", "b", "c"][member.get()]);
/// assert_eq!(name, reordered.owner(b"key").map(|member| ["c", "a", "b"][member.get()]));
/// # Ok::<(), waypost_ring::BuildError>(())
/// ```
#[derive(Clone)]
pub struct Ring {
    hasher: PlacementHasher,
    n_probes: NonZeroU8,
    /// Where the virtual nodes lie, ascending.
    places: Box<[u64]>,
    /// The rank of the member that each virtual node belongs to.
    ranks: Box<[u32]>,
    /// Members ranked by identity: the position in the given list must not decide anything.
    by_rank: Box<[MemberIndex]>,
    index: PlaceIndex,
}

impl Ring {
    /// Builds a ring over `members`, in any order. Members of equal identity are told apart by which
    /// of them comes first.
    ///
    /// # Errors
    ///
    /// There are more than [`MAX_MEMBERS`](crate::MAX_MEMBERS), or would be more than
    /// [`MAX_VIRTUAL_NODES`], or there are more than [`MAX_PROBES`].
    pub fn try_new<'m>(
        members: impl IntoIterator<Item = impl Into<Member<'m>>>,
        spec: &RingSpec<'_>,
    ) -> Result<Self, BuildError> {
        let &RingSpec { virtual_nodes, probes, salt } = spec;
        if probes.get() > MAX_PROBES {
            return Err(BuildError::TooManyProbes { requested: probes.get() });
        }
        let ranked = ranked::rank_members(members)?;
        let weight_of = |ranked: &Ranked<'_>| u64::from(ranked.member.weight().get());
        let requested = ranked.iter().map(weight_of).sum::<u64>() * u64::from(virtual_nodes.get());
        if requested > u64::from(MAX_VIRTUAL_NODES) {
            return Err(BuildError::TooManyVirtualNodes { requested });
        }
        let hasher = PlacementHasher::new(salt);
        let mut nodes: Vec<(u64, u32)> = Vec::new();
        for (ranked, rank) in ranked.iter().zip(0..) {
            let numbers = hasher.member(ranked);
            let n_replicas = u32::from(ranked.member.weight().get()) * u32::from(virtual_nodes.get());
            nodes.extend((0..n_replicas).map(|replica| (numbers.number(replica), rank)));
        }
        Ok(Self::with_nodes(hasher, probes, nodes, ranked::indexes(&ranked)))
    }

    /// Puts virtual nodes, given as place and rank, in order.
    fn with_nodes(
        hasher: PlacementHasher,
        n_probes: NonZeroU8,
        mut nodes: Vec<(u64, u32)>,
        by_rank: Box<[MemberIndex]>,
    ) -> Self {
        nodes.sort_unstable();
        let (places, ranks): (Vec<u64>, Vec<u32>) = nodes.into_iter().unzip();
        let index = PlaceIndex::new(&places);
        Self { hasher, n_probes, places: places.into(), ranks: ranks.into(), by_rank, index }
    }

    /// The member that `key` belongs to; `None` only on an empty ring.
    #[must_use]
    pub fn owner(&self, key: &[u8]) -> Option<MemberIndex> {
        let position = self.position(key);
        if self.n_probes == DEFAULT_PROBES {
            self.nearest(hash::probe_array::<USUAL_PROBES>(position))
        } else {
            self.nearest(hash::probes(position, self.n_probes))
        }
    }

    #[inline(always)]
    fn nearest(&self, probes: impl IntoIterator<Item = u64>) -> Option<MemberIndex> {
        let mut nearest = (u64::MAX, u32::MAX);
        for probe in probes {
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
    pub fn walk(&self, key: &[u8]) -> RingWalk<'_> {
        RingWalk::new(self, hash::probes(self.position(key), self.n_probes))
    }

    /// The hash of `key`, for explanations. It depends on the salt, and not on the members.
    #[must_use]
    pub fn position(&self, key: &[u8]) -> u64 {
        self.hasher.position(key)
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

    fn member(&self, rank: u32) -> Option<MemberIndex> {
        self.by_rank.get(rank as usize).copied()
    }

    /// The first virtual node at or behind `point`, going round at the end.
    fn successor(&self, point: u64) -> usize {
        let node = self.index.successor(&self.places, point);
        if node == self.places.len() { 0 } else { node }
    }

    /// The virtual node behind `node`, going round at the end.
    fn following(&self, node: usize) -> usize {
        if node + 1 >= self.places.len() { 0 } else { node + 1 }
    }

    /// How far behind `point` a virtual node lies, and the rank of its member.
    fn node(&self, node: usize, point: u64) -> Option<(u64, u32)> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equally_near_members_go_by_identity() {
        let by_rank = ranked::indexes(&ranked::rank_members(["c", "a", "b"]).unwrap());
        let nodes = vec![(7, 2), (7, 0), (7, 1), (7, 0)];
        let ring = Ring::with_nodes(PlacementHasher::new(b""), DEFAULT_PROBES, nodes, by_rank);
        let order: Vec<usize> = ring.walk(b"key").map(MemberIndex::get).collect();
        assert_eq!(order, [1, 2, 0]);
        assert_eq!(ring.owner(b"key").map(MemberIndex::get), Some(1));
    }
}
