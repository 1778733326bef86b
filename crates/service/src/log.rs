//! What the program logs, and for whom.

use std::io::IsTerminal as _;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    Layer as _, Registry, filter::Targets, fmt, layer::SubscriberExt as _, reload,
    util::SubscriberInitExt as _,
};
use waypost_api::{LevelControl, LogFeed};
use waypost_config::model::LogLevel;
use waypost_proxy::level_filter;

use crate::arguments::LogFormat;

/// Logs to standard error from here on, and to whoever follows the log. Yields the feed, and the way to change
/// how much is logged.
pub(crate) fn start(level: Option<LogLevel>, format: LogFormat) -> (LogFeed, LevelControl) {
    let (filter, handle) = reload::Layer::<Targets, Registry>::new(targets(level));
    let feed = LogFeed::new();
    let lines = fmt::layer().with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Text => lines.with_target(false).boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    let subscriber = tracing_subscriber::registry().with(lines.with_filter(filter)).with(feed.layer());
    // A second one in the same process is a test's own.
    let _first_wins = subscriber.try_init();
    let current = level.unwrap_or(LogLevel::Info);
    let control = LevelControl::new(current, move |level| handle.reload(targets(Some(level))).is_ok());
    (feed.with_level(control.clone()), control)
}

/// What is logged at a level: of the libraries within only what somebody should look at, because they
/// tell of every packet.
fn targets(level: Option<LogLevel>) -> Targets {
    let level = level_filter(level);
    Targets::new().with_target("waypost", level).with_default(level.min(LevelFilter::WARN))
}
