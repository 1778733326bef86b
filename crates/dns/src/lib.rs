//! The resolver: names of the `hosts` section first, then DNS servers chosen by name, or the operating
//! system.
//!
//! Each question is under way once at a time, however many connections wait for it, and its answer is
//! kept for as long as it holds. Servers are asked in datagrams, streams, TLS or HTTPS; what carries the
//! queries is a [`Network`], so that a proxy can send them through its own rules. Answers are not
//! trusted: what does not answer the question is passed over, and all that grows has a bound. The crate
//! uses tokio, reads its clock only, and does not panic. Start from [`Resolver`], [`Hosts`] and
//! [`ServersSpec`].
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod answer;
mod cache;
mod control;
mod error;
mod exchange;
mod hosts;
mod message;
mod network;
mod resolver;
mod select;
mod server;
mod servers;
mod system;

pub use answer::{Carrier, Reply, failure, refusal};
pub use control::{AnswerRecord, QueryError, QueryReply, ResolverFigures};
pub use error::{Family, ResolveError};
pub use exchange::{Protocol, ServerError};
pub use hosts::{Answer, Hosts, Pattern};
pub use network::{Datagrams, Destination, DirectNetwork, Network, NetworkFuture, Stream, Way};
pub use resolver::{Found, Resolver};
pub use select::{Names, NamesBuilder};
pub use server::{AddressFilter, AddressSet, ServerAddress, ServerSpec};
pub use servers::{Chooser, Chosen, Fallback, ServersSpec};
pub use system::{LookupFuture, SystemLookup, TokioLookup};
