//! V2Ray's gRPC API for a running Waypost, under the names of V2Ray and under those of Xray.
//!
//! [`GrpcApi`] answers what [`GrpcServices`] lets it, on a listener of its own ([`GrpcApi::serve`], the
//! `listen` of Xray) or on single streams that somebody else accepted ([`GrpcApi::serve_stream`], an inbound
//! that rules take to the `tag` of the API). There is no login, as in the programs that it stands in for:
//! who reaches it may do everything, so that [`GrpcApi::serve`] refuses to listen for other machines unless it
//! is told that they may come.
//!
//! What changes the configuration (rules, inbounds, outbounds, users) writes the one in force as a file of
//! V2Ray, changes that, and has it read again like any file: it is checked whole, and applies whole or
//! not at all. It lasts until the files are read again.
//!
//! Requests and answers are in [`proto`].
#![forbid(unsafe_code)]

mod change;
mod family;
mod handler;
mod logger;
mod observatory;
#[rustfmt::skip]
#[path = "generated/mod.rs"]
#[expect(unused_qualifications, reason = "generated code cannot know what is in scope")]
pub mod proto;
mod limits;
mod routing;
mod server;
mod services;
mod stats;
mod typed;

pub use logger::RestartLogger;
pub use server::{Exposure, GrpcApi, ServeError};
pub use services::GrpcServices;

/// The messages of router, handler and other services, by their short names.
mod messages {
    pub(crate) use crate::proto::{
        v2ray::core::app::{
            log::command as log, observatory::command as observatory, proxyman::command as proxyman,
            router::command as router, stats::command as stats,
        },
        waypost::{common, proxy, rules},
    };
}
