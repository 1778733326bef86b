//! What a group does while its members fail by a script.
//!
//! A [`Model`] is a group as a proxy runs it, a [`Trace`] is a network that fails on purpose and the
//! connections that come meanwhile. [`run`] lets them meet on a virtual clock, with the same
//! [`Monitor`](waypost_health::Monitor) and [`Groups`](waypost_balance::Groups) that carry real
//! connections, and yields a [`Report`]: what was lost, how long clients waited, who carried what, which
//! keys moved. [`plot`] draws it. The same seed gives the same report. The crate does no IO and reads no
//! clock.
//!
//! ```
//! use std::time::{Duration, Instant};
//! use waypost_balance::{GroupId, GroupSpec, Groups, MemberSpec, MemberTarget, Strategy};
//! use waypost_health::{CheckSettings, Monitor};
//! use waypost_net::{Networks, Tag};
//! use waypost_simulate::{Model, Pace, Trace, run};
//!
//! let mut monitor = Monitor::new();
//! let members: Vec<_> = ["a", "b"].map(|tag| (monitor.add_member(), Tag::from(tag))).into();
//! let leaves: Vec<_> = members
//!     .iter()
//!     .map(|(member, _)| (*member, Some(monitor.add_check(*member, "probe", CheckSettings::default()))))
//!     .collect();
//! let pool = monitor.add_pool(&leaves, Duration::from_secs(1800));
//! let specs = members.iter().zip(&leaves).map(|((member, tag), (_, check))| MemberSpec {
//!     tag: tag.clone(),
//!     target: MemberTarget::Leaf { member: *member, check: *check },
//!     identity: tag.as_bytes().into(),
//!     weight: std::num::NonZeroU16::MIN,
//!     networks: Networks::ALL,
//! });
//! let spec = GroupSpec::new(Tag::from("lb"), specs.collect(), Strategy::Random);
//! let model = Model {
//!     groups: Groups::try_new(vec![spec])?,
//!     group: GroupId::new(0),
//!     monitor,
//!     members,
//!     pool,
//!     probe_timeouts: Vec::new(),
//!     pace: Pace::default(),
//! };
//! let trace = Trace::parse(
//!     r#"{"duration": "30s", "events": [{"at": "10s", "member": "a", "action": "kill", "for": "10s"}]}"#,
//! )?;
//! let report = run(model, &trace, 1, Instant::now())?;
//! assert_eq!(report.connections.lost, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(missing_docs)]

mod connection;
mod duration;
mod engine;
mod lanes;
mod model;
mod network;
mod observe;
mod owners;
mod plot;
mod race;
mod report;
mod tally;
mod trace;
mod traffic;
mod walk;
mod world;

pub use model::{Model, Pace};
pub use observe::{Ended, Observer, Planned};
pub use plot::{PlotError, plot};
pub use report::{
    Attempts, Connections, Disturbance, Loss, LossReason, MemberReport, Phase, Quantiles, Remaps, Report,
    Slice, TierSwitch, Timeline, Word,
};
pub use trace::{Action, Arrivals, Event, Link, Pattern, Trace, TraceError, Whom};
pub use world::{RunError, run, run_observed};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
