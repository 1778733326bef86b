//! `waypost geo` and `waypost rule-set`: look into files of lists, and make them.
//!
//! Start from [`Command`] and [`run`]. A file is written whole or not at all.
#![forbid(unsafe_code)]

mod arguments;
mod convert;
mod error;
mod export;
mod geo;
mod host_match;
mod output;
mod rule_set;
mod run;
mod source_form;

pub use arguments::{Command, Geo, GeoPath, ListKind, RuleSetCommand};
pub use error::InspectError;
pub use run::{Outcome, run};
