use std::{cmp::Reverse, collections::BinaryHeap, fmt, iter::FusedIterator};

use crate::{
    BuildError, Member, MemberIndex,
    hash::{self, PlacementHasher},
    ranked::{self, RankSet, Ranked},
};

/// The slots of a table where nothing else is configured: the size of the paper and of Envoy, enough
/// for 600 members whose shares differ by less than 1 %. It takes 256 KiB.
pub const DEFAULT_TABLE_SIZE: u32 = 65_537;

/// The most slots that a table has, as in Envoy. It takes 19 MiB.
pub const MAX_TABLE_SIZE: u32 = 5_000_011;

/// An immutable Maglev table (Eisenbud et al., NSDI 2016, section 3.4).
///
/// Members take turns to claim slots of a table, each in an order of its own, and a key belongs to the
/// member that has its slot. A look-up takes the same short time for any number of members, and the
/// shares are even to the slot. The price is that a removed member disturbs others: a few keys of the
/// members that stay move as well.
///
/// ```
/// use waypost_ring::{DEFAULT_TABLE_SIZE, Maglev};
///
/// let placement = Maglev::try_new(["a", "b", "c"], DEFAULT_TABLE_SIZE, b"")?;
/// let order: Vec<_> = placement.walk(b"key").collect();
/// assert_eq!(placement.owner(b"key"), Some(order[0]));
/// assert_eq!(order.len(), 3);
/// # Ok::<(), waypost_ring::BuildError>(())
/// ```
#[derive(Clone)]
pub struct Maglev {
    hasher: PlacementHasher,
    /// The rank of the member that has each slot; empty without members.
    slots: Box<[u32]>,
    by_rank: Box<[MemberIndex]>,
}

impl Maglev {
    /// Fills a table of `table_size` slots, a prime from 3 to [`MAX_TABLE_SIZE`], for `members` in any
    /// order. Members of equal identity are told apart by which of them comes first. Tables with
    /// different salts place the same members and keys independently of each other.
    ///
    /// A hundred slots or more for each unit of weight keep the shares true. Every member gets at least
    /// one slot.
    ///
    /// # Errors
    ///
    /// The size is none that a table can have, or there are more members than slots.
    pub fn try_new<'m>(
        members: impl IntoIterator<Item = impl Into<Member<'m>>>,
        table_size: u32,
        salt: &[u8],
    ) -> Result<Self, BuildError> {
        if !(3..=MAX_TABLE_SIZE).contains(&table_size) || !is_prime(table_size) {
            return Err(BuildError::TableSize { requested: table_size });
        }
        let ranked = ranked::rank_members(members)?;
        if ranked.len() > table_size as usize {
            return Err(BuildError::TableTooSmall { table_size, members: ranked.len() });
        }
        let hasher = PlacementHasher::new(salt);
        let slots = fill(&hasher, &ranked, table_size);
        Ok(Self { hasher, slots, by_rank: ranked::indexes(&ranked) })
    }

    /// The member that `key` belongs to; `None` only if there is no member.
    #[must_use]
    pub fn owner(&self, key: &[u8]) -> Option<MemberIndex> {
        let slot = hash::scale(self.position(key), self.n_slots());
        self.member(*self.slots.get(slot as usize)?)
    }

    /// The first member in the order of [`walk`](Self::walk) that `accepts`.
    ///
    /// Asks once for each member, and stops at the first yes. On a table of the accepted members only,
    /// the key may belong to another one.
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

    /// All members in the order in which they should carry `key`, each once, the owner first: those
    /// that are met on a way through the table in steps of the key's own length.
    ///
    /// Members of little weight are far between, and to reach the last ones may take a walk through the
    /// whole table.
    #[must_use]
    pub fn walk(&self, key: &[u8]) -> MaglevWalk<'_> {
        let position = self.position(key);
        MaglevWalk {
            placement: self,
            slot: hash::scale(position, self.n_slots()),
            // Neighbouring slots are no good successors: the orders in which members claim slots are
            // arithmetic progressions, so that some members follow each other far too often.
            step: 1 + hash::scale(hash::mix(position), self.n_slots().saturating_sub(1)),
            visited: RankSet::new(self.len()),
            n_unvisited: self.len(),
        }
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

    #[expect(clippy::cast_possible_truncation, reason = "a table has at most MAX_TABLE_SIZE slots")]
    fn n_slots(&self) -> u32 {
        self.slots.len() as u32
    }

    fn member(&self, rank: u32) -> Option<MemberIndex> {
        self.by_rank.get(rank as usize).copied()
    }
}

/// A member on its way through the table.
struct Claimant {
    /// The slot that it wants next.
    slot: u32,
    /// How far it goes on when that is taken. The size being prime, it comes to every slot.
    step: u32,
    weight: u16,
    n_turns: u64,
}

/// Lets the members claim slots until none is free.
///
/// The heaviest member has a turn in every round; one of a third of that weight in every third round,
/// beginning with the first.
fn fill(hasher: &PlacementHasher, ranked: &[Ranked<'_>], table_size: u32) -> Box<[u32]> {
    let mut claimants: Vec<Claimant> =
        ranked.iter().map(|ranked| claimant(hasher, ranked, table_size)).collect();
    let heaviest = claimants.iter().map(|claimant| u64::from(claimant.weight)).max().unwrap_or_default();
    let mut turns: BinaryHeap<Reverse<(u64, u32)>> =
        (0..).zip(&claimants).map(|(rank, _)| Reverse((0, rank))).collect();
    if turns.is_empty() {
        return Box::default();
    }
    let mut slots: Vec<Option<u32>> = vec![None; table_size as usize];
    let mut n_free = table_size;
    while n_free > 0
        && let Some(Reverse((_, rank))) = turns.pop()
        && let Some(claimant) = claimants.get_mut(rank as usize)
    {
        while let Some(slot) = slots.get_mut(claimant.slot as usize) {
            claimant.slot = (claimant.slot + claimant.step) % table_size;
            if slot.is_none() {
                *slot = Some(rank);
                break;
            }
        }
        n_free -= 1;
        claimant.n_turns += 1;
        let round = (claimant.n_turns * heaviest).div_ceil(u64::from(claimant.weight));
        turns.push(Reverse((round, rank)));
    }
    slots.into_iter().flatten().collect()
}

fn claimant(hasher: &PlacementHasher, ranked: &Ranked<'_>, table_size: u32) -> Claimant {
    let numbers = hasher.member(ranked);
    Claimant {
        slot: hash::scale(numbers.number(0), table_size),
        step: 1 + hash::scale(numbers.number(1), table_size - 1),
        weight: ranked.member.weight().get(),
        n_turns: 0,
    }
}

fn is_prime(number: u32) -> bool {
    number > 1
        && (2..)
            .take_while(|divisor| divisor * divisor <= number)
            .all(|divisor| !number.is_multiple_of(divisor))
}

impl fmt::Debug for Maglev {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Maglev")
            .field("members", &self.by_rank.len())
            .field("slots", &self.slots.len())
            .finish_non_exhaustive()
    }
}

/// The members in the order in which they should carry a key; see [`Maglev::walk`].
#[derive(Clone)]
pub struct MaglevWalk<'p> {
    placement: &'p Maglev,
    /// The slot that comes next.
    slot: u32,
    /// How far on the one behind it is. The size being prime, the walk comes to every slot.
    step: u32,
    visited: RankSet,
    n_unvisited: usize,
}

impl Iterator for MaglevWalk<'_> {
    type Item = MemberIndex;

    fn next(&mut self) -> Option<MemberIndex> {
        // Every member has a slot, so that the last one is met before the walk begins again.
        while self.n_unvisited > 0 {
            let rank = *self.placement.slots.get(self.slot as usize)?;
            self.slot = (self.slot + self.step) % self.placement.n_slots();
            if self.visited.insert(rank) {
                self.n_unvisited -= 1;
                return self.placement.member(rank);
            }
        }
        None
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.n_unvisited, Some(self.n_unvisited))
    }
}

impl ExactSizeIterator for MaglevWalk<'_> {}

impl FusedIterator for MaglevWalk<'_> {}

impl fmt::Debug for MaglevWalk<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MaglevWalk").field("n_unvisited", &self.n_unvisited).finish_non_exhaustive()
    }
}
