//! What a process that runs a proxy sets once.

use std::time::SystemTime;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::level_filters::LevelFilter;
use waypost_config::model::LogLevel;

/// Lets the process open as many files as it may (`RLIMIT_NOFILE`, setrlimit(2)). The usual limit of
/// 1,024 is meant for programs that use `select`.
pub fn raise_descriptor_limit() {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    if soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!(soft, hard, %error, "the limit for open files stays");
    }
}

/// The time of the day, for what people and other programs see.
#[expect(clippy::disallowed_methods, reason = "the shell is where the clock is read")]
pub(crate) fn wall_clock() -> SystemTime {
    SystemTime::now()
}

/// The time of the day in seconds since 1970, as protocols write it.
pub(crate) fn unix_seconds() -> u64 {
    wall_clock().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Where randomness comes from.
#[expect(clippy::disallowed_methods, reason = "the shell is where randomness comes from")]
pub(crate) fn thread_rng() -> impl rand::CryptoRng {
    rand::rng()
}

/// The time by which everything is decided. Tests may set it.
pub(crate) fn monotonic() -> std::time::Instant {
    tokio::time::Instant::now().into_std()
}

/// What is logged at a level of the configuration; `info` where it is silent.
#[must_use]
pub fn level_filter(level: Option<LogLevel>) -> LevelFilter {
    match level {
        Some(LogLevel::Debug) => LevelFilter::DEBUG,
        Some(LogLevel::Info) | None => LevelFilter::INFO,
        Some(LogLevel::Warning) => LevelFilter::WARN,
        Some(LogLevel::Error) => LevelFilter::ERROR,
        Some(LogLevel::None) => LevelFilter::OFF,
    }
}
