//! The resolver: names of the `hosts` section first, then the operating system.
//!
//! The system is asked for each name by one look-up at a time, however many connections wait for
//! it, and what it answers is kept for a short while. The crate uses tokio, reads its clock only,
//! and does not panic. Start from [`Resolver`] and [`Hosts`].
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod cache;
mod error;
mod hosts;
mod resolver;
mod system;

pub use error::{Family, ResolveError};
pub use hosts::{Answer, Hosts, Pattern};
pub use resolver::Resolver;
pub use system::{LookupFuture, SystemLookup, TokioLookup};
