//! Readers and writers of the routing data that V2Ray-compatible programs share.
//!
//! `geosite.dat` (named lists of domain patterns), `geoip.dat` (named lists of IP prefixes) and
//! MMDB country databases, and rule sets of sing-box ([`rule_set`]). Bytes go in and bytes come out: the crate opens no file, reads no
//! clock and never panics, whatever the bytes are. Every size that a file states is compared
//! with what is there before memory is taken for it.
//!
//! Start from [`GeositeFile`] and [`GeoipFile`]: they index a file by list code and decode only
//! the list that is asked for, borrowing from the file. [`CountryMmdb`] answers the same question
//! from an MMDB file. [`write_geosite`], [`write_geoip`] and [`write_country_mmdb`] go the other
//! way.
//!
//! ```
//! use waypost_geodata::{DomainKind, GeositeFile, SiteDomain, SiteEntry, write_geosite};
//!
//! let bytes = write_geosite(&[SiteEntry {
//!     code: "EXAMPLE".to_owned(),
//!     domains: vec![SiteDomain {
//!         kind: DomainKind::Suffix,
//!         value: "example.org".to_owned(),
//!         attributes: vec!["ads".to_owned()],
//!     }],
//! }]);
//!
//! let file = GeositeFile::new(bytes)?;
//! let list = file.list("example").ok_or("no such list")?;
//! for domain in list.domains() {
//!     let domain = domain?;
//!     assert_eq!((domain.kind, domain.value), (DomainKind::Suffix, "example.org"));
//!     assert!(domain.has_attribute("ads"));
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(missing_docs)]

mod error;
mod geoip;
mod geosite;
mod index;
mod mmdb;
mod mmdb_write;
mod proto;
pub mod rule_set;
mod write;

pub use error::{DatError, MmdbError};
pub use geoip::{GeoipFile, GeoipList, GeoipPrefixes};
pub use geosite::{DomainKind, GeositeDomain, GeositeDomains, GeositeFile, GeositeList};
pub use mmdb::CountryMmdb;
pub use mmdb_write::write_country_mmdb;
pub use write::{IpEntry, SiteDomain, SiteEntry, write_geoip, write_geosite};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
