//! The pieces of the IO shell on real sockets of the loopback device.
#![expect(clippy::unwrap_used, reason = "these helpers run in tests only")]

mod dial;
mod handshake;
mod listener;
mod relay;
mod shell;
mod vectors;
