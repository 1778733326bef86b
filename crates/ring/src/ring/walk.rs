use std::{fmt, iter::FusedIterator};

use super::{Ring, USUAL_PROBES};
use crate::{MemberIndex, ranked::RankSet};

/// The members of a ring in the order in which they should carry a key; see [`Ring::walk`].
///
/// All probes walk the ring at once, and the one that is nearest to its next virtual node goes
/// first. So the first members come quickly, and the later ones cost more: each passes the virtual
/// nodes of those before it again. Drop the walk when it has given what was needed.
#[derive(Clone)]
pub struct RingWalk<'r> {
    ring: &'r Ring,
    cursors: Box<[Cursor]>,
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

impl<'r> RingWalk<'r> {
    pub(crate) fn new(ring: &'r Ring, probes: impl Iterator<Item = u64>) -> Self {
        let cursors = probes.map(|probe| {
            let node = ring.successor(probe);
            let next = ring.node(node, probe).unwrap_or_default();
            Cursor { probe, node, next }
        });
        Self { ring, cursors: cursors.collect(), visited: RankSet::new(ring.len()), n_unvisited: ring.len() }
    }

    /// Takes the nearest virtual node of all and gives the rank of its member.
    fn pass_nearest(&mut self) -> Option<u32> {
        // A constant number of cursors lets the compiler unroll the loops: a fifth of the time.
        let cursor = if self.cursors.len() == USUAL_PROBES {
            nearest(self.cursors.first_chunk_mut::<USUAL_PROBES>()?)?
        } else {
            nearest(&mut self.cursors)?
        };
        let (_, rank) = cursor.next;
        cursor.node = self.ring.following(cursor.node);
        cursor.next = self.ring.node(cursor.node, cursor.probe)?;
        Some(rank)
    }
}

/// The cursor with the nearest virtual node; equally near members go by rank.
#[inline(always)]
fn nearest(cursors: &mut [Cursor]) -> Option<&mut Cursor> {
    // Two passes, because the smallest of plain numbers is found without a branch: about half the
    // time of comparing pairs.
    let distance = cursors.iter().map(|cursor| cursor.next.0).min()?;
    let nearest = cursors.iter_mut().filter(|cursor| cursor.next.0 == distance);
    nearest.min_by_key(|cursor| cursor.next.1)
}

impl Iterator for RingWalk<'_> {
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

impl ExactSizeIterator for RingWalk<'_> {}

impl FusedIterator for RingWalk<'_> {}

impl fmt::Debug for RingWalk<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingWalk").field("n_unvisited", &self.n_unvisited).finish_non_exhaustive()
    }
}
