//! The log, as clients follow it.

mod feed;
mod line;

use std::{fmt, sync::Arc};

use parking_lot::Mutex;
use waypost_config::model::LogLevel;

pub use self::feed::{FeedLayer, LogFeed};
pub(crate) use self::{
    feed::Subscription,
    line::{LogLine, level_of_word},
};

/// How much the program logs, and the way to change that while it runs. Clones share it.
#[derive(Clone)]
pub struct LevelControl(Arc<Level>);

struct Level {
    current: Mutex<LogLevel>,
    set: Box<dyn Fn(LogLevel) -> bool + Send + Sync>,
}

impl LevelControl {
    /// A log that has this level now; `set` changes it, and says whether that worked.
    #[must_use]
    pub fn new(level: LogLevel, set: impl Fn(LogLevel) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(Level { current: Mutex::new(level), set: Box::new(set) }))
    }

    /// The level.
    #[must_use]
    pub fn get(&self) -> LogLevel {
        *self.0.current.lock()
    }

    /// Changes the level; `false` if nothing changed, because the log is gone.
    #[must_use]
    pub fn set(&self, level: LogLevel) -> bool {
        let mut current = self.0.current.lock();
        let is_set = (self.0.set)(level);
        if is_set {
            *current = level;
        }
        is_set
    }
}

impl fmt::Debug for LevelControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LevelControl").field(&self.get()).finish()
    }
}
