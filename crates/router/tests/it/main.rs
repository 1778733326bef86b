//! The router against a naive model, and what it asks.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod asking;
mod model;
mod rule_set;
