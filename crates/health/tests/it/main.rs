//! Tests through the public interface, on a virtual clock.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]

mod inherit;
mod passive;
mod probes;
mod round;
mod sampled;
mod uplink;
mod world;
