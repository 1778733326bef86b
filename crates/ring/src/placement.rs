//! One type for all algorithms. A new one is a module with the same look-ups, a variant of
//! [`Algorithm`], and its line in every `match` below.

use std::{
    iter::FusedIterator,
    num::{NonZeroU8, NonZeroU16},
};

use crate::{
    BuildError, DEFAULT_PROBES, DEFAULT_TABLE_SIZE, DEFAULT_VIRTUAL_NODES, Maglev, MaglevWalk, Member,
    MemberIndex, Rendezvous, RendezvousWalk, Ring, RingSpec, RingWalk,
};

/// How keys are placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Algorithm {
    /// A [`Ring`] with several probes for each key.
    #[default]
    Ring,
    /// [`Rendezvous`] hashing.
    Rendezvous,
    /// A [`Maglev`] table of [`DEFAULT_TABLE_SIZE`].
    Maglev,
}

impl Algorithm {
    /// Every algorithm there is.
    pub const ALL: [Self; 3] = [Self::Ring, Self::Rendezvous, Self::Maglev];

    /// The name in lower case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ring => "ring",
            Self::Rendezvous => "rendezvous",
            Self::Maglev => "maglev",
        }
    }
}

/// How a [`Placement`] is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlacementSpec<'s> {
    /// How keys are placed.
    pub algorithm: Algorithm,
    /// See [`RingSpec::virtual_nodes`]; the other algorithms have none.
    pub virtual_nodes: NonZeroU16,
    /// See [`RingSpec::probes`]; the other algorithms have none.
    pub probes: NonZeroU8,
    /// Placements with different salts place the same members and keys independently of each other.
    pub salt: &'s [u8],
}

impl Default for PlacementSpec<'_> {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::default(),
            virtual_nodes: DEFAULT_VIRTUAL_NODES,
            probes: DEFAULT_PROBES,
            salt: b"",
        }
    }
}

/// Where keys go, by the algorithm that the caller chooses.
///
/// ```
/// use waypost_ring::{Algorithm, Placement, PlacementSpec};
///
/// for algorithm in Algorithm::ALL {
///     let spec = PlacementSpec { algorithm, salt: b"pool", ..PlacementSpec::default() };
///     let placement = Placement::try_new(["jp1", "jp2", "us1"], &spec)?;
///     let order: Vec<_> = placement.walk(b"key").collect();
///     assert_eq!(placement.owner(b"key"), Some(order[0]));
///     assert_eq!(placement.owner_where(b"key", |member| member != order[0]), Some(order[1]));
/// }
/// # Ok::<(), waypost_ring::BuildError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Placement(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Ring(Ring),
    Rendezvous(Rendezvous),
    Maglev(Maglev),
}

impl Placement {
    /// Places `members`, in any order. Members of equal identity are told apart by which of them comes
    /// first.
    ///
    /// # Errors
    ///
    /// The algorithm cannot place that many members, or not with these settings.
    pub fn try_new<'m>(
        members: impl IntoIterator<Item = impl Into<Member<'m>>>,
        spec: &PlacementSpec<'_>,
    ) -> Result<Self, BuildError> {
        let &PlacementSpec { algorithm, virtual_nodes, probes, salt } = spec;
        Ok(Self(match algorithm {
            Algorithm::Ring => Kind::Ring(Ring::try_new(members, &RingSpec { virtual_nodes, probes, salt })?),
            Algorithm::Rendezvous => Kind::Rendezvous(Rendezvous::try_new(members, salt)?),
            Algorithm::Maglev => Kind::Maglev(Maglev::try_new(members, DEFAULT_TABLE_SIZE, salt)?),
        }))
    }

    /// How keys are placed.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self.0 {
            Kind::Ring(_) => Algorithm::Ring,
            Kind::Rendezvous(_) => Algorithm::Rendezvous,
            Kind::Maglev(_) => Algorithm::Maglev,
        }
    }

    /// The member that `key` belongs to; `None` only if there is no member.
    #[must_use]
    pub fn owner(&self, key: &[u8]) -> Option<MemberIndex> {
        match &self.0 {
            Kind::Ring(ring) => ring.owner(key),
            Kind::Rendezvous(rendezvous) => rendezvous.owner(key),
            Kind::Maglev(maglev) => maglev.owner(key),
        }
    }

    /// The first member in the order of [`walk`](Self::walk) that `accepts`.
    ///
    /// Asks once for each member, and stops at the first yes. For a ring and for rendezvous hashing this
    /// is the owner that the key has among the accepted members only.
    #[must_use]
    pub fn owner_where(&self, key: &[u8], accepts: impl FnMut(MemberIndex) -> bool) -> Option<MemberIndex> {
        match &self.0 {
            Kind::Ring(ring) => ring.owner_where(key, accepts),
            Kind::Rendezvous(rendezvous) => rendezvous.owner_where(key, accepts),
            Kind::Maglev(maglev) => maglev.owner_where(key, accepts),
        }
    }

    /// All members in the order in which they should carry `key`, each once, the owner first.
    #[must_use]
    pub fn walk(&self, key: &[u8]) -> Walk<'_> {
        Walk(match &self.0 {
            Kind::Ring(ring) => WalkKind::Ring(ring.walk(key)),
            Kind::Rendezvous(rendezvous) => WalkKind::Rendezvous(rendezvous.walk(key)),
            Kind::Maglev(maglev) => WalkKind::Maglev(maglev.walk(key)),
        })
    }

    /// The hash of `key`, for explanations. It depends on the salt, and neither on the members nor on
    /// the algorithm.
    #[must_use]
    pub fn position(&self, key: &[u8]) -> u64 {
        match &self.0 {
            Kind::Ring(ring) => ring.position(key),
            Kind::Rendezvous(rendezvous) => rendezvous.position(key),
            Kind::Maglev(maglev) => maglev.position(key),
        }
    }

    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Kind::Ring(ring) => ring.len(),
            Kind::Rendezvous(rendezvous) => rendezvous.len(),
            Kind::Maglev(maglev) => maglev.len(),
        }
    }

    /// Whether there is no member.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The members in the order in which they should carry a key; see [`Placement::walk`].
///
/// The first members come quickly and the later ones cost more, so drop the walk when it has given
/// what was needed.
#[derive(Debug, Clone)]
pub struct Walk<'p>(WalkKind<'p>);

#[derive(Debug, Clone)]
enum WalkKind<'p> {
    Ring(RingWalk<'p>),
    Rendezvous(RendezvousWalk<'p>),
    Maglev(MaglevWalk<'p>),
}

impl Iterator for Walk<'_> {
    type Item = MemberIndex;

    fn next(&mut self) -> Option<MemberIndex> {
        match &mut self.0 {
            WalkKind::Ring(walk) => walk.next(),
            WalkKind::Rendezvous(walk) => walk.next(),
            WalkKind::Maglev(walk) => walk.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            WalkKind::Ring(walk) => walk.size_hint(),
            WalkKind::Rendezvous(walk) => walk.size_hint(),
            WalkKind::Maglev(walk) => walk.size_hint(),
        }
    }
}

impl ExactSizeIterator for Walk<'_> {}

impl FusedIterator for Walk<'_> {}
