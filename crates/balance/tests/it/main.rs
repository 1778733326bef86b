//! Tests through the public interface.
#![expect(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

mod contract;
mod key;
mod nested;
mod stickiness;
mod strategies;

mod world;
