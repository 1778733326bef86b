//! What every request can reach.

use std::{sync::Arc, time::SystemTime};

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use waypost_proxy::Control;

use crate::{
    ApiSettings, LogFeed,
    clash::connections::NameCache,
    guard::Guard,
    stream::{Before, Feeds},
    time::Time,
};

/// The running interface.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) settings: ApiSettings,
    pub(crate) guard: Guard,
    pub(crate) control: Control,
    pub(crate) logs: LogFeed,
    pub(crate) feeds: Feeds,
    pub(crate) names: NameCache,
    /// What those saw who last asked for the whole picture once.
    pub(crate) last_look: Mutex<Before>,
    pub(crate) started: Instant,
    pub(crate) started_at: SystemTime,
    pub(crate) stop: CancellationToken,
}

pub(crate) type Shared = Arc<App>;

impl App {
    pub(crate) fn new(
        settings: ApiSettings,
        control: Control,
        logs: LogFeed,
        stop: CancellationToken,
    ) -> Self {
        Self {
            guard: Guard::new(&settings),
            last_look: Mutex::new(Before::new(&control)),
            settings,
            control,
            logs,
            feeds: Feeds::default(),
            names: NameCache::default(),
            started: Instant::now(),
            started_at: Time::now().0,
            stop,
        }
    }
}
