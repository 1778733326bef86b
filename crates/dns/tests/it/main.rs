//! The resolver with servers: scripted ones on a network that exists nowhere else and on a clock of its
//! own, and real ones on the loopback device.
#![expect(clippy::unwrap_used, reason = "helpers run in tests only, where a panic is the way to fail")]

mod answer;
mod bootstrap;
mod cache;
mod choose;
mod lies;
mod sockets;
mod streams;
mod vectors;
mod world;
