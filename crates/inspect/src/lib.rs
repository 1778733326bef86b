//! `waypost geo` and `waypost rule-set`: look into files of lists, and make them; `waypost convert`:
//! write a configuration in the other dialect; `waypost link`: make one of share links, and back.
//!
//! Start from [`Command`] and [`run`]. A file is written whole or not at all.
#![forbid(unsafe_code)]

mod arguments;
mod configuration;
mod convert;
mod error;
mod export;
mod fetch;
mod geo;
mod host_match;
mod link;
mod output;
mod rule_set;
mod run;
mod source_form;

pub use arguments::{Command, Convert, Geo, GeoPath, Link, LinkForm, ListKind, RuleSetCommand};
pub use error::InspectError;
pub use run::{Outcome, run};
