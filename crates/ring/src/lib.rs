//! A consistent-hash ring: a key goes in, the members that should carry it come out, best first.
//!
//! A [`Ring`] is built once over some [`Member`]s and never changes. Looking a key up is pure and
//! the same on every machine, in every build and after every restart. When a member goes, only its
//! own keys move; when it comes back, exactly those keys return. The order of the members does not
//! matter, only their identities do. No IO, no clock, no random numbers, no panics, no logging;
//! finding an [owner](Ring::owner) does not allocate.
//!
//! ```
//! use waypost_ring::{DEFAULT_VIRTUAL_NODES, MemberIndex, Ring};
//!
//! let names = ["jp1", "jp2", "us1"];
//! let ring = Ring::try_new(names, DEFAULT_VIRTUAL_NODES, b"")?;
//!
//! let key = b"10.0.0.1|example.com";
//! let order: Vec<MemberIndex> = ring.walk(key).collect();
//! assert_eq!(order.len(), names.len());
//! assert_eq!(ring.owner(key), Some(order[0]));
//!
//! // Skipping a member that is down is the same as a ring that never had it.
//! let next = ring.owner_where(key, |member| member != order[0]);
//! assert_eq!(next, Some(order[1]));
//! # Ok::<(), waypost_ring::BuildError>(())
//! ```
#![deny(missing_docs)]

mod hash;
mod member;
mod ring;
mod walk;

pub use hash::PROBES;
pub use member::{Member, MemberIndex};
pub use ring::{BuildError, DEFAULT_VIRTUAL_NODES, MAX_VIRTUAL_NODES, Ring};
pub use walk::Walk;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
