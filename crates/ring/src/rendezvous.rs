use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    fmt,
    iter::FusedIterator,
};

use crate::{
    BuildError, Member, MemberIndex,
    hash::{self, PlacementHasher},
    ranked,
};

mod log2;

/// An immutable set of members of which each key takes the one with the lowest cost: weighted
/// rendezvous hashing, also called highest random weight.
///
/// The cost of a member for a key is `-log2(u) / weight` with a `u` in (0, 1) that is hashed from both.
/// It depends on no other member, so that removing one moves only its own keys. There is no table and
/// nothing to tune, and the shares are as even as chance allows; a look-up visits every member.
///
/// ```
/// use waypost_ring::Rendezvous;
///
/// let placement = Rendezvous::try_new(["a", "b", "c"], b"")?;
/// let order: Vec<_> = placement.walk(b"key").collect();
/// assert_eq!(placement.owner(b"key"), Some(order[0]));
/// assert_eq!(placement.owner_where(b"key", |member| member != order[0]), Some(order[1]));
/// # Ok::<(), waypost_ring::BuildError>(())
/// ```
#[derive(Clone)]
pub struct Rendezvous {
    hasher: PlacementHasher,
    /// By rank.
    seats: Box<[Seat]>,
    by_rank: Box<[MemberIndex]>,
}

/// What is known of a member before the key is.
#[derive(Clone, Copy)]
struct Seat {
    seed: u64,
    weight: u16,
}

/// A member as one key sees it; the greatest one owns the key.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Bid {
    /// `-log2(u)` in fixed point.
    cost: u64,
    weight: u16,
    hash: u64,
    rank: Reverse<u32>,
}

impl Ord for Bid {
    fn cmp(&self, other: &Self) -> Ordering {
        // The quotients of cost and weight, compared without a division. A cost is below 2^47.
        let mine = self.cost * u64::from(other.weight);
        let theirs = other.cost * u64::from(self.weight);
        theirs.cmp(&mine).then(self.hash.cmp(&other.hash)).then(self.rank.cmp(&other.rank))
    }
}

impl PartialOrd for Bid {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Rendezvous {
    /// Places `members`, in any order. Members of equal identity are told apart by which of them comes
    /// first. Sets with different salts place the same members and keys independently of each other.
    ///
    /// # Errors
    ///
    /// There are more than [`MAX_MEMBERS`](crate::MAX_MEMBERS).
    pub fn try_new<'m>(
        members: impl IntoIterator<Item = impl Into<Member<'m>>>,
        salt: &[u8],
    ) -> Result<Self, BuildError> {
        let ranked = ranked::rank_members(members)?;
        let hasher = PlacementHasher::new(salt);
        let seat = |ranked: &ranked::Ranked<'_>| Seat {
            seed: hasher.member(ranked).number(0),
            weight: ranked.member.weight().get(),
        };
        Ok(Self { hasher, seats: ranked.iter().map(seat).collect(), by_rank: ranked::indexes(&ranked) })
    }

    /// The member that `key` belongs to; `None` only if there is no member.
    #[must_use]
    pub fn owner(&self, key: &[u8]) -> Option<MemberIndex> {
        self.member(self.bids(key).max()?)
    }

    /// The first member in the order of [`walk`](Self::walk) that `accepts`.
    ///
    /// It is the owner that the key has among the accepted members only. Asks once for each member,
    /// and stops at the first yes.
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
    /// Leaving a member out of this order gives the order without that member.
    #[must_use]
    pub fn walk(&self, key: &[u8]) -> RendezvousWalk<'_> {
        RendezvousWalk { placement: self, bids: self.bids(key).collect() }
    }

    /// The hash of `key`, for explanations. It depends on the salt, and not on the members.
    #[must_use]
    pub fn position(&self, key: &[u8]) -> u64 {
        self.hasher.position(key)
    }

    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seats.len()
    }

    /// Whether there is no member.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    fn bids(&self, key: &[u8]) -> impl Iterator<Item = Bid> {
        let position = self.hasher.position(key);
        self.seats.iter().zip(0..).map(move |(&Seat { seed, weight }, rank)| {
            let hash = hash::mix(position ^ seed);
            Bid { cost: log2::negative_log2(hash), weight, hash, rank: Reverse(rank) }
        })
    }

    fn member(&self, bid: Bid) -> Option<MemberIndex> {
        self.by_rank.get(bid.rank.0 as usize).copied()
    }
}

impl fmt::Debug for Rendezvous {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rendezvous").field("members", &self.seats.len()).finish_non_exhaustive()
    }
}

/// The members in the order in which they should carry a key; see [`Rendezvous::walk`].
#[derive(Clone)]
pub struct RendezvousWalk<'p> {
    placement: &'p Rendezvous,
    bids: BinaryHeap<Bid>,
}

impl Iterator for RendezvousWalk<'_> {
    type Item = MemberIndex;

    fn next(&mut self) -> Option<MemberIndex> {
        self.placement.member(self.bids.pop()?)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.bids.len(), Some(self.bids.len()))
    }
}

impl ExactSizeIterator for RendezvousWalk<'_> {}

impl FusedIterator for RendezvousWalk<'_> {}

impl fmt::Debug for RendezvousWalk<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RendezvousWalk").field("n_unvisited", &self.bids.len()).finish_non_exhaustive()
    }
}
