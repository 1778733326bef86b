//! Compile routing rules in the manner of V2Ray and sing-box into an immutable [`Router`], decide, and explain.
//!
//! Rules are tried in order; the first one whose every condition holds decides. All domain lists
//! of all rules share one index and so do all IP lists, so that a decision costs about the same for
//! three rules as for three hundred.
//!
//! Rules can be joined by *and* and *or*, inverted, and name rule sets that several of them share. A
//! rule either sends a connection somewhere or has something done first ([`Step::Perform`]).
//!
//! The router is synchronous and takes no locks. It does no IO: where a condition needs knowledge
//! from outside (the addresses of a name, the process behind a connection), the router *asks* by
//! [`Step::Ask`], and whoever runs it answers and goes on. [`Router::explain`] runs the very same
//! decision with a record of every condition.
//!
//! ```
//! use waypost_net::{Flow, Network, Tag};
//! use waypost_router::{
//!     Conditions, DomainList, EntryKind, Router, RouterSpec, RuleSpec, Step, Way,
//! };
//!
//! let rule = RuleSpec {
//!     tag: None,
//!     line: 3,
//!     file: None,
//!     action: Way::Outbound(Tag::from("direct")).into(),
//!     matcher: Conditions {
//!         domain: Some(vec![DomainList {
//!             label: None,
//!             entries: vec![(EntryKind::Suffix, "example.com")],
//!         }]),
//!         ..Conditions::default()
//!     }
//!     .into(),
//! };
//! let spec = RouterSpec { rules: vec![rule], ..RouterSpec::default() };
//! let router = Router::new(spec).map_err(|problems| problems[0].to_string())?;
//!
//! let flow = Flow::new(Network::Tcp, "www.example.com:443".parse()?);
//! let Step::Decided(decision) = router.route(&flow) else { panic!("nothing to ask") };
//! assert_eq!(decision.rule.map(|rule| rule.line()), Some(3));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(missing_docs)]

mod action;
mod bits;
mod build;
mod collect;
mod condition;
mod decide;
mod explain;
mod index;
mod labels;
mod rule;
mod rule_set;
mod spec;
mod step;
mod tree;
mod uses;

pub use action::{Action, Effect, Reject, RejectMethod, Resolve, ResolveFamily, RouteOptions, Sniff, Way};
pub use build::{BuildError, Problem};
pub use decide::Router;
pub use explain::{ConditionTrace, Explanation, Pass, RuleTrace, Verdict};
pub use rule::Rule;
pub use spec::{
    Addresses, AttributeCondition, AttributeTest, Conditions, DomainList, IpList, IpVersion, Logical,
    LogicalMode, Matcher, Process, ProcessPattern, RouterSpec, RuleSetSpec, RuleSets, RuleSpec, Strategy,
    UserPattern, Words,
};
pub use step::{Answer, Decision, Pending, Performing, Question, Step};
pub use waypost_geosite::EntryKind;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
