//! The router against a naive model, and what it asks.

mod asking;
mod model;
