//! Groups of outbounds: turn a flow into an ordered plan of members to try.
//!
//! [`Groups`] are built once from [`GroupSpec`]s. Whenever the health of members changes,
//! [`Groups::update`] makes [`Standings`] of it: who serves, in which tier, and in which order the
//! others follow. With them [`Groups::plan`] orders the members for one connection: the strategy's
//! choice first, then everybody who could carry it in its place, each with the [`Reason`].
//! The crate does no IO and reads no clock; time and the random generator are arguments.
//!
//! ```
//! use std::{num::NonZeroU16, time::Instant};
//! use rand::{SeedableRng, rngs::StdRng};
//! use waypost_balance::{Context, GroupId, GroupSpec, Groups, MemberSpec, MemberTarget, Strategy};
//! use waypost_health::Monitor;
//! use waypost_net::{Flow, Network, Networks, Tag};
//!
//! let mut monitor = Monitor::new();
//! let members = ["jp1", "jp2"].map(|tag| MemberSpec {
//!     tag: Tag::from(tag),
//!     target: MemberTarget::Leaf { member: monitor.add_member(), check: None },
//!     identity: tag.as_bytes().into(),
//!     weight: NonZeroU16::MIN,
//!     networks: Networks::ALL,
//! });
//! let spec = GroupSpec::new(Tag::from("japan"), members.to_vec(), Strategy::RoundRobin);
//! let groups = Groups::try_new(vec![spec])?;
//!
//! let now = Instant::now();
//! let standings = groups.update(&mut groups.start(), |member, check| monitor.status(member, check, now), now);
//! let flow = Flow::new(Network::Tcp, "example.com:443".parse()?);
//! let context = Context { standings: &standings, flow: &flow, load: &|_| 0 };
//! let mut rng = StdRng::seed_from_u64(1);
//! for turn in [[0, 1], [1, 0], [0, 1]] {
//!     let plan = groups.plan(GroupId::new(0), context, &mut rng)?;
//!     let order: Vec<usize> = plan.attempts.iter().map(|attempt| attempt.member.index()).collect();
//!     assert_eq!(order, turn);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(missing_docs)]

mod etld;
mod group;
mod groups;
mod inherit;
mod key;
mod least_load;
mod order;
mod plan;
mod select;
mod selector;
mod spec;
mod standing;
mod strategy;
mod tier;
mod top_n;

pub use etld::etld_plus_one;
pub use group::Group;
pub use groups::{Context, GroupStates, Groups, GroupsError, Standings};
pub use key::{KeyPart, KeySpec, KeyState};
pub use least_load::LeastLoadSpec;
pub use plan::{Attempt, HashedKey, Plan, PlanError, Reason, Role};
pub use select::select;
pub use selector::{SelectError, SelectorSpec};
pub use spec::{
    EmptyPoolAction, GroupId, GroupSpec, HashSpec, Hysteresis, MemberSpec, MemberTarget, OnEmptyKey, TopN,
};
pub use standing::Standing;
pub use strategy::Strategy;
pub use tier::Tier;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
