//! Development only: what tests of several crates need.
//!
//! Peers on the loopback device ([`EchoServer`], [`UdpEcho`], [`HttpOrigin`], [`Socks5Node`], which can also
//! misbehave on purpose), folders ([`workspace_root`], [`shared_dir`]) and a seeded generator
//! ([`seeded_rng`]). Every peer listens on a port that the system chooses, says which, and stops
//! when it is dropped. Helpers panic when the test cannot go on.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers run in tests only, where a panic is the way to fail"
)]

mod folders;
mod origin;
mod peer;
mod skipped;
mod socks5_node;
mod udp;

pub use folders::{shared_dir, skip_without_shared, workspace_root};
pub use origin::{EchoServer, HttpOrigin};
pub use peer::{refused_address, tcp_pair};
pub use skipped::say_skipped;
pub use socks5_node::{Behaviour, Seen, Socks5Node};
pub use udp::UdpEcho;

/// A generator that gives the same numbers in every run.
#[must_use]
pub fn seeded_rng(seed: u64) -> rand::rngs::StdRng {
    rand::SeedableRng::seed_from_u64(seed)
}
