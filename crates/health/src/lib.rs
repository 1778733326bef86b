//! Which members of a pool work, told from probes and from what real connections meet.
//!
//! A [`Monitor`] has members, the checks that probe them, and the pools that use them. It does no IO
//! and reads no clock: whoever owns it asks which probes are [due](Monitor::due), makes them, and
//! tells it [how they ended](Monitor::probe_ended) and what [became of connections](Monitor::outcome).
//! What it concludes is a [`Status`] for each member.
//!
//! - Probes: `rise` successes bring a member up and `fall` failures take it down. A failure is looked
//!   into at once, a member that is down ever more seldom, up to the interval.
//! - Probes may be made [in bursts](SamplingSettings) as well, of which the [last ones](SampleStats)
//!   count: a member is down when all of them failed.
//! - Connections: one that fails makes its member a *suspect*, which is asked for a probe and used
//!   last meanwhile. Three in a row eject it for a while, but never the last one that works.
//! - A verdict needs a witness: when nobody else has worked since a member began to fail, the fault
//!   is probably on this side, and verdicts wait until somebody works again.
//!
//! ```
//! use std::time::{Duration, Instant};
//! use rand::{SeedableRng, rngs::StdRng};
//! use waypost_health::{CheckSettings, Monitor, Outcome, State};
//!
//! let (mut now, mut rng) = (Instant::now(), StdRng::seed_from_u64(1));
//! let mut monitor = Monitor::new();
//! let (a, b) = (monitor.add_member(), monitor.add_member());
//! let checks = [a, b].map(|member| monitor.add_check(member, "http://example.com/", CheckSettings::default()));
//! monitor.add_pool(&[(a, Some(checks[0])), (b, Some(checks[1]))], Duration::from_secs(1800));
//! monitor.start(now, &mut rng);
//!
//! now += Duration::from_secs(1);
//! for check in monitor.due(now) {
//!     monitor.probe_ended(check, Some(Duration::from_millis(40)), now, &mut rng);
//! }
//! assert_eq!(monitor.status(a, Some(checks[0]), now).state, State::Up);
//!
//! // A connection through `a` was overtaken by one that started later: `a` may be frozen.
//! monitor.outcome(a, Outcome::Overtaken, now);
//! assert!(matches!(monitor.status(a, Some(checks[0]), now).state, State::Suspect(_)));
//! assert_eq!(monitor.due(now + Duration::from_millis(500)), [checks[0]]);
//! ```
#![deny(missing_docs)]

mod check;
mod delay;
mod monitor;
mod passive;
mod round;
mod sampling;
mod status;

pub use check::{CheckSettings, ProbeRecord};
pub use delay::Estimate;
pub use monitor::{CheckId, Correspondence, Event, MemberId, Monitor, PoolId};
pub use passive::Outcome;
pub use round::{Round, RoundStep};
pub use sampling::{SampleStats, Samples, SamplingSettings};
pub use status::{Cause, State, Status};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
