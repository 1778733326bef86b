//! One combined index over IP prefixes: an address gives the set of lists that hold it.
//!
//! Every list (a `geoip:` country, the literal prefixes of a rule) gets a number, all lists go into
//! one [`IpIndex`], and one look-up answers for all of them. The index holds disjoint ranges, so
//! overlapping prefixes cost nothing and a look-up costs the same for three lists as for three
//! hundred. No IO, no clock, no panics; building sorts, looking up does not allocate.
//!
//! ```
//! use waypost_geoip::IpIndexBuilder;
//!
//! let mut builder = IpIndexBuilder::default();
//! builder.insert("10.0.0.0/8".parse()?, 0);
//! builder.insert("10.1.0.0/16".parse()?, 1);
//! let index = builder.build();
//! assert_eq!(index.ids("10.1.2.3".parse()?), [0, 1]);
//! assert_eq!(index.ids("10.2.0.1".parse()?), [0]);
//! assert!(index.ids("2001:db8::1".parse()?).is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(missing_docs)]

mod build;
mod index;
mod private;
mod table;

pub use build::IpIndexBuilder;
pub use index::{IpIndex, IpRange};
pub use private::{not_public_prefixes, private_prefixes};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
