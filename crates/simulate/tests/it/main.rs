//! Tests through the public interface, on a virtual clock.
#![expect(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

mod invariants;
mod models;
mod oracle;
mod pictures;
mod runs;
mod traces;
