//! `waypost run` and what talks to it: log, signals, reloads, remote control, systemd.
#![forbid(unsafe_code)]

mod arguments;
mod clash;
mod client;
mod command;
mod free;
#[cfg(feature = "grpc-api")]
mod grpc;
mod load;
mod log;
mod reload_signal;
mod remote;
mod run;
mod systemd;
mod watch;

pub use arguments::{Command, ConfigFile, LogFormat, Reload, RemoteOptions, Run};
pub use client::{ClientError, RemoteAddress};
pub use command::{CommandError, Outcome, command, remote};
pub use load::{assets, load_files, report, write_stderr};
pub use remote::{Remote, RemoteAnswer};
pub use run::RunError;
