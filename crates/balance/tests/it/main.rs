//! Tests through the public interface.
#![expect(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

mod affinity;
mod contract;
mod key;
mod least_load;
mod nested;
mod selector;
mod stickiness;
mod strategies;
mod tiers;
mod urltest;
mod vectors;
mod world;
