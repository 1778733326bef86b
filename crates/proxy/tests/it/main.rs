//! The pieces of the IO shell on real sockets of the loopback device, and configurations from
//! their text to the decision.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these helpers run in tests only"
)]

mod actions;
mod changing_sets;
mod chosen;
mod dial;
mod endpoints;
mod geo_errors;
mod groups;
mod handshake;
mod http;
mod listener;
mod relay;
mod reload;
mod shadowed;
mod shell;
mod sing_box;
mod sing_box_vectors;
mod sniffing;
mod strategies;
mod udp;
mod vectors;
