//! The control interface on real sockets, in front of a running proxy.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these helpers run in tests only"
)]

mod choices;
mod client;
mod connections;
mod delays;
mod described;
mod explained;
mod figures;
mod page;
mod program;
mod reload;
mod security;
mod streams;
mod unix;
mod v2ray;
mod vectors;
mod world;
