//! From the program's log to those who follow it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use parking_lot::Mutex;
use tokio::sync::broadcast::{self, error::RecvError};
use tracing::{Event, Metadata, Subscriber, level_filters::LevelFilter, subscriber::Interest};
use tracing_subscriber::{
    Layer,
    layer::{Context, Filter},
    registry::LookupSpan,
};

use super::{LevelControl, LogLine};

/// How many lines wait for a reader; who falls behind by more misses lines and is told so.
const CAPACITY: usize = 1024;
/// The levels from off to debug; a filter's place here is what is stored of it.
const LEVELS: [LevelFilter; 5] =
    [LevelFilter::OFF, LevelFilter::ERROR, LevelFilter::WARN, LevelFilter::INFO, LevelFilter::DEBUG];

/// The program's log for clients of the interface. Clones share it.
///
/// [`LogFeed::layer`] is what has to be put into the subscriber of the program. While nobody follows the
/// log, no event gets that far.
#[derive(Debug, Clone)]
pub struct LogFeed {
    shared: Arc<Feed>,
    level: Option<LevelControl>,
}

#[derive(Debug)]
struct Feed {
    lines: broadcast::Sender<Arc<LogLine>>,
    /// How many follow each level.
    followers: Mutex<[usize; LEVELS.len()]>,
    /// The place of the most talkative level that somebody follows.
    wanted: AtomicUsize,
}

/// Hands events of the program to those who follow the log; made by [`LogFeed::layer`].
#[derive(Debug)]
pub struct FeedLayer(Arc<Feed>);

#[derive(Debug)]
struct FeedFilter(Arc<Feed>);

/// One who follows the log.
#[derive(Debug)]
pub(crate) struct Subscription {
    feed: Arc<Feed>,
    lines: broadcast::Receiver<Arc<LogLine>>,
    level: LevelFilter,
}

impl Default for LogFeed {
    fn default() -> Self {
        let (lines, _) = broadcast::channel(CAPACITY);
        let feed = Feed { lines, followers: Mutex::default(), wanted: AtomicUsize::new(0) };
        Self { shared: Arc::new(feed), level: None }
    }
}

impl LogFeed {
    /// A log that nobody follows, and whose level nobody can change.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same log, whose level can be seen and changed by this.
    #[must_use]
    pub fn with_level(self, level: LevelControl) -> Self {
        Self { level: Some(level), ..self }
    }

    /// What feeds the log from a subscriber. It has a filter of its own, so that clients may follow
    /// more or less than what the program logs elsewhere.
    #[must_use]
    pub fn layer<S: Subscriber + for<'s> LookupSpan<'s>>(&self) -> impl Layer<S> + Send + Sync + use<S> {
        FeedLayer(self.shared.clone()).with_filter(FeedFilter(self.shared.clone()))
    }

    pub(crate) fn level(&self) -> Option<&LevelControl> {
        self.level.as_ref()
    }

    pub(crate) fn subscribe(&self, level: LevelFilter) -> Subscription {
        let lines = self.shared.lines.subscribe();
        self.shared.change(level, |followers| followers.saturating_add(1));
        Subscription { feed: self.shared.clone(), lines, level }
    }
}

impl Feed {
    fn change(&self, level: LevelFilter, change: impl FnOnce(usize) -> usize) {
        let mut followers = self.followers.lock();
        if let Some(place) = LEVELS.iter().position(|known| *known == level)
            && let Some(followers) = followers.get_mut(place)
        {
            *followers = change(*followers);
        }
        let wanted = followers.iter().rposition(|&followers| followers > 0).unwrap_or(0);
        let before = self.wanted.swap(wanted, Ordering::AcqRel);
        drop(followers);
        if before != wanted {
            // What the program asked of each place that logs was remembered there.
            tracing::callsite::rebuild_interest_cache();
        }
    }

    fn wanted(&self) -> LevelFilter {
        LEVELS.get(self.wanted.load(Ordering::Acquire)).copied().unwrap_or(LevelFilter::OFF)
    }

    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        // Libraries that log what they send would log the sending of the log.
        let bound =
            if metadata.target().starts_with("waypost") { LevelFilter::DEBUG } else { LevelFilter::INFO };
        !metadata.is_span() && *metadata.level() <= self.wanted().min(bound)
    }
}

impl<S: Subscriber> Layer<S> for FeedLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if self.0.wanted.load(Ordering::Acquire) > 0 {
            // Nobody may be left to read it.
            let _sent = self.0.lines.send(Arc::new(LogLine::new(event)));
        }
    }
}

impl<S> Filter<S> for FeedFilter {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        self.0.wants(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.0.wants(metadata) { Interest::always() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.0.wanted())
    }
}

impl Subscription {
    /// Waits for the next line of the level; `None` once there are no more. What was not waited for to
    /// the end is not lost.
    pub(crate) async fn next(&mut self) -> Option<Arc<LogLine>> {
        loop {
            match self.lines.recv().await {
                Ok(line) if line.level <= self.level => return Some(line),
                Ok(_) => {}
                Err(RecvError::Lagged(n_lines)) => return Some(Arc::new(LogLine::skipped(n_lines))),
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.feed.change(self.level, |followers| followers.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use tracing::{debug, error, info};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[tokio::test]
    async fn events_go_to_those_who_follow_their_level() {
        let feed = LogFeed::new();
        let subscriber = tracing_subscriber::registry().with(feed.layer());
        let _guard = tracing::subscriber::set_default(subscriber);
        assert!(!tracing::enabled!(tracing::Level::ERROR));
        let mut quiet = feed.subscribe(LevelFilter::ERROR);
        assert!(tracing::enabled!(tracing::Level::ERROR) && !tracing::enabled!(tracing::Level::DEBUG));
        let mut all = feed.subscribe(LevelFilter::DEBUG);
        debug!(id = 7, name = "x", ok = true, "seen");
        error!("broken");
        let line = all.next().await.unwrap();
        assert_eq!(line.to_json(false), "{\"type\":\"debug\",\"payload\":\"seen id=7 name=x ok=true\"}\n");
        let structured: serde_json::Value = serde_json::from_str(&line.to_json(true)).unwrap();
        assert_eq!((&structured["level"], &structured["message"]), (&"debug".into(), &"seen".into()));
        assert_eq!(structured["fields"][0], serde_json::json!({"key": "id", "value": "7"}));
        assert!(quiet.next().await.unwrap().to_json(false).contains("broken"));
        drop(all);
        assert!(!tracing::enabled!(tracing::Level::DEBUG));
        drop(quiet);
        assert!(!tracing::enabled!(tracing::Level::ERROR));
    }

    #[tokio::test]
    async fn who_is_too_slow_is_told_what_is_missing() {
        let feed = LogFeed::new();
        let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(feed.layer()));
        let mut slow = feed.subscribe(LevelFilter::INFO);
        for number in 0..=CAPACITY {
            info!(number, "line");
        }
        let text = slow.next().await.unwrap().to_json(false);
        assert_eq!(
            text,
            "{\"type\":\"warning\",\"payload\":\"1 lines were left out: the reader is too slow\"}\n"
        );
        assert!(slow.next().await.unwrap().to_json(false).contains("number=1\""));
    }
}
