//! Control of a running Waypost: Clash-compatible HTTP API, metrics, explanations, web page.
//!
//! [`Api::bind`] listens, and [`BoundApi::run`] answers clients with what a
//! [`Control`](waypost_proxy::Control) tells and does. Who may ask for what is decided in one place, before
//! anything is answered: `guard.rs`. The crate reads no configuration file and no environment, and holds no state
//! of the proxy; what it keeps for itself are streams, the log that clients follow, and caches of text.
#![forbid(unsafe_code)]

mod app;
mod clash;
mod files;
mod guard;
mod logs;
mod memory;
mod metrics;
mod openapi;
mod own;
mod page;
mod patient;
mod respond;
mod routes;
mod serve;
mod settings;
mod stream;
mod time;

pub use logs::{FeedLayer, LevelControl, LogFeed};
pub use openapi::openapi;
pub use serve::{Api, ApiError, BoundApi};
pub use settings::{ApiSettings, Bounds, ListenOn, made_secret};
