//! One combined index over domain rules.
//!
//! Every list (a `geosite:` list, the literal names of a rule) gets a number, the entries of all
//! lists go into one [`DomainIndex`], and one walk over the labels of a name answers for all of
//! them: which lists hold the name. Full names and suffixes are one hash table that compares the
//! whole text, keywords one Aho-Corasick automaton, regular expressions one set in Go's syntax (see
//! [`go_regexp`]). A look-up costs the same for three lists as for three hundred.
//!
//! Names are expected in the one form that [`waypost_net::DomainName`] gives. No IO, no clock, no
//! panics; looking up does not allocate unless a regular expression matches.
//!
//! ```
//! use waypost_geosite::DomainIndexBuilder;
//! use waypost_net::DomainName;
//!
//! let mut builder = DomainIndexBuilder::default();
//! builder.suffix("example.com", 0)?;
//! builder.full("www.example.com", 1)?;
//! builder.keyword("ample", 2);
//! builder.regexp(r"^w{3}\.", 3)?;
//! let index = builder.build()?;
//!
//! let name = DomainName::new("WWW.example.com")?;
//! let mut ids: Vec<u32> = index.matches(&name).flat_map(|set| index.sets().get(set).to_vec()).collect();
//! ids.sort();
//! assert_eq!(ids, [0, 1, 2, 3]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(missing_docs)]

mod build;
pub mod go_regexp;
mod index;
mod keywords;
mod names;
mod regexps;

pub use build::{BuildError, DomainIndexBuilder};
pub use index::{DomainIndex, EntryKind, Hit};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
