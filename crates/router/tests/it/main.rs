//! The router against a naive model, and what it asks.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod asking;
mod logic;
mod model;
mod rule_set;
mod steps;
