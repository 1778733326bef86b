//! The gRPC API of a proxy that runs, asked over real connections.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests are not seen as tests"
)]

mod door;
mod families;
mod garbage;
mod handler;
mod hostile;
mod observatory;
mod reflection;
mod routing;
mod rules;
mod sing_box;
mod stats;
mod v2ctl;
mod world;
