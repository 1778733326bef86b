//! `waypost demo`: a group that loses no connection while its members are killed and frozen.
//!
//! The members and the origin are processes of their own, started from the same binary; the proxy with
//! the group runs in this one. Steady traffic goes through it, a script kills, freezes and restarts
//! members, and a view shows what becomes of it all. Nothing outside of the loopback device is used.
//! Start from [`Command`] and [`run`].
#![forbid(unsafe_code)]

mod arguments;
mod child;
mod error;
mod figures;
mod frame;
mod picture;
mod processes;
mod proxy;
mod run;
mod script;
mod show;
mod summary;
mod traffic;
mod view;

pub use arguments::{Command, Demo, DemoMember};
pub use error::DemoError;
pub use run::run;
