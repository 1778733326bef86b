use std::{fmt, iter::FusedIterator};

use crate::{MemberIndex, Ring, hash::PROBES};

/// The members of a ring in the order in which they should carry a key; see [`Ring::walk`].
///
/// All probes walk the ring at once, and the one that is nearest to its next virtual node goes
/// first. So the first members come quickly, and the later ones cost more: each passes the virtual
/// nodes of those before it again. Drop the walk when it has given what was needed.
#[derive(Clone)]
pub struct Walk<'r> {
    ring: &'r Ring,
    cursors: [Cursor; PROBES],
    visited: RankSet,
    n_unvisited: usize,
}

/// One probe on its way round the ring.
#[derive(Clone, Copy)]
struct Cursor {
    probe: u64,
    /// The virtual node that comes next.
    node: usize,
    /// Its distance from the probe and the rank of its member.
    next: (u64, u32),
}

impl<'r> Walk<'r> {
    pub(crate) fn new(ring: &'r Ring, probes: [u64; PROBES]) -> Self {
        let cursors = probes.map(|probe| {
            let node = ring.successor(probe);
            let next = ring.node(node, probe).unwrap_or_default();
            Cursor { probe, node, next }
        });
        Self { ring, cursors, visited: RankSet::new(ring.len()), n_unvisited: ring.len() }
    }

    /// Takes the nearest virtual node of all and gives the rank of its member.
    fn pass_nearest(&mut self) -> Option<u32> {
        // Two passes, because the smallest of plain numbers is found without a branch: about half
        // the time of comparing pairs. Equally near members go by rank.
        let distance = self.cursors.iter().map(|cursor| cursor.next.0).min()?;
        let nearest = self.cursors.iter_mut().filter(|cursor| cursor.next.0 == distance);
        let cursor = nearest.min_by_key(|cursor| cursor.next.1)?;
        let (_, rank) = cursor.next;
        cursor.node = self.ring.following(cursor.node);
        cursor.next = self.ring.node(cursor.node, cursor.probe)?;
        Some(rank)
    }
}

impl Iterator for Walk<'_> {
    type Item = MemberIndex;

    fn next(&mut self) -> Option<MemberIndex> {
        // Ends before a cursor has gone round: by then it has passed every member.
        while self.n_unvisited > 0 {
            let rank = self.pass_nearest()?;
            if self.visited.insert(rank) {
                self.n_unvisited -= 1;
                return self.ring.member(rank);
            }
        }
        None
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.n_unvisited, Some(self.n_unvisited))
    }
}

impl ExactSizeIterator for Walk<'_> {}

impl FusedIterator for Walk<'_> {}

impl fmt::Debug for Walk<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Walk").field("n_unvisited", &self.n_unvisited).finish_non_exhaustive()
    }
}

/// A set of member ranks, one bit each.
#[derive(Clone)]
struct RankSet(Box<[u64]>);

impl RankSet {
    fn new(n_members: usize) -> Self {
        Self(vec![0; n_members.div_ceil(64)].into())
    }

    /// Adds a rank; false if it was there, or is beyond the members.
    fn insert(&mut self, rank: u32) -> bool {
        let Some(word) = self.0.get_mut(rank as usize / 64) else { return false };
        let bit = 1 << (rank % 64);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }
}
