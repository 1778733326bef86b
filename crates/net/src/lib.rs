//! The vocabulary of Waypost.
//!
//! Plain values that every other crate speaks: [`DomainName`] (normalised once, compared as
//! bytes afterwards), [`Host`] and [`Target`], [`Network`], [`Tag`], [`PortSet`] and [`Flow`],
//! the sum of what is known of one connection. The crate does no IO, reads no clock and never
//! panics on input from outside; whatever can be wrong comes back as a typed error.
//!
//! ```
//! use waypost_net::{Host, Target};
//!
//! let target: Target = "Example.COM.:443".parse()?;
//! assert_eq!(target.to_string(), "example.com:443");
//! assert_eq!(Host::parse("::ffff:10.0.0.1")?, Host::parse("10.0.0.1")?);
//! # Ok::<(), waypost_net::AddressError>(())
//! ```
#![deny(missing_docs)]

mod domain;
mod duration;
mod flow;
mod host;
mod id_sets;
mod network;
mod port;
mod secret;
mod tag;

pub use domain::{DomainError, DomainName};
pub use duration::{DurationError, parse_duration};
pub use flow::{Attributes, Detour, Flow};
pub use host::{AddressError, Host, Target, canonical_ip};
pub use id_sets::{IdSets, IdSetsBuilder, SetId};
pub use network::{Network, Networks, UnknownNetwork};
pub use port::{PortRange, PortSet};
pub use secret::Secret;
pub use tag::Tag;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
