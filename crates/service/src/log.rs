//! What the program logs, and for whom.

use std::io::IsTerminal as _;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    Layer as _, Registry, fmt, layer::SubscriberExt as _, reload, util::SubscriberInitExt as _,
};
use waypost_api::{LevelControl, LogFeed};
use waypost_config::model::LogLevel;
use waypost_proxy::level_filter;

use crate::arguments::LogFormat;

/// Logs to standard error from here on, and to whoever follows the log. Yields the feed, and the way to change
/// how much is logged.
pub(crate) fn start(level: Option<LogLevel>, format: LogFormat) -> (LogFeed, LevelControl) {
    let (filter, handle) = reload::Layer::<LevelFilter, Registry>::new(level_filter(level));
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
    let control = LevelControl::new(current, move |level| handle.reload(level_filter(Some(level))).is_ok());
    (feed.with_level(control.clone()), control)
}
