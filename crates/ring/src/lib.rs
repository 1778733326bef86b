//! Consistent hashing: a key goes in, the members that should carry it come out, best first.
//!
//! A [`Placement`] is built once over some [`Member`]s and never changes. Looking a key up is pure and
//! the same on every machine, in every build and after every restart. When a member goes, only its
//! own keys move ([`Maglev`] moves a few others); when it comes back, exactly those keys return. The
//! order of the members does not matter, only their identities do. No IO, no clock, no random numbers,
//! no panics, no logging; finding an [owner](Placement::owner) does not allocate.
//!
//! There are three algorithms, each a type of its own with the same look-ups: [`Ring`], [`Rendezvous`]
//! and [`Maglev`]. [`capacity`] bounds the load of a member.
//!
//! ```
//! use waypost_ring::{MemberIndex, Placement, PlacementSpec};
//!
//! let names = ["jp1", "jp2", "us1"];
//! let placement = Placement::try_new(names, &PlacementSpec::default())?;
//!
//! let key = b"10.0.0.1|example.com";
//! let order: Vec<MemberIndex> = placement.walk(key).collect();
//! assert_eq!(order.len(), names.len());
//! assert_eq!(placement.owner(key), Some(order[0]));
//!
//! // Skipping a member that is down is the same as a ring that never had it.
//! let next = placement.owner_where(key, |member| member != order[0]);
//! assert_eq!(next, Some(order[1]));
//! # Ok::<(), waypost_ring::BuildError>(())
//! ```
#![deny(missing_docs)]

mod placement;

mod maglev;
mod rendezvous;
mod ring;

mod bounded;
mod error;
mod hash;
mod member;
mod ranked;

pub use bounded::capacity;
pub use error::BuildError;
pub use maglev::{DEFAULT_TABLE_SIZE, MAX_TABLE_SIZE, Maglev, MaglevWalk};
pub use member::{MAX_MEMBERS, Member, MemberIndex};
pub use placement::{Algorithm, Placement, PlacementSpec, Walk};
pub use rendezvous::{Rendezvous, RendezvousWalk};
pub use ring::{
    DEFAULT_PROBES, DEFAULT_VIRTUAL_NODES, MAX_PROBES, MAX_VIRTUAL_NODES, Ring, RingSpec, RingWalk,
};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
