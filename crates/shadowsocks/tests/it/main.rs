//! Client and server against each other, at every way of cutting what goes between them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "these helpers run in tests only")]

mod codec;
mod datagrams;
mod parties;
mod recorded;
