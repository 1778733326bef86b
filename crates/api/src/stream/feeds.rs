//! One clock for all who want the same frames as often: each frame is made once.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::extract::ws::Utf8Bytes;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval_at},
};
use waypost_proxy::{Control, Volume};

use super::Source;
use crate::{
    app::{App, Shared},
    clash::connections,
    memory::resident,
    own::live,
};

/// What a frame shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Bytes since the frame before.
    Traffic,
    /// What the program takes of the memory.
    Memory,
    /// The live connections.
    Connections,
    /// Everything that the own page draws.
    Live,
}

/// The frames that somebody follows.
#[derive(Debug, Default)]
pub(crate) struct Feeds(Mutex<BTreeMap<(Kind, Duration), watch::Sender<Utf8Bytes>>>);

/// What one frame leaves for the next.
#[derive(Debug)]
pub(crate) struct Before {
    volume: Volume,
    at: Instant,
    /// How long the last frame was.
    length: usize,
}

#[derive(Serialize)]
struct Traffic {
    up: u64,
    down: u64,
    #[serde(rename = "upTotal")]
    up_total: u64,
    #[serde(rename = "downTotal")]
    down_total: u64,
}

#[derive(Serialize)]
struct Memory {
    inuse: u64,
    oslimit: u64,
}

impl Feeds {
    /// Frames of a kind from now on. There is one at once, unless it would have to show a rate.
    pub(crate) fn follow(&self, app: &Shared, kind: Kind, every: Duration) -> Source {
        let first = match kind {
            Kind::Traffic => None,
            Kind::Memory | Kind::Connections | Kind::Live => {
                Some(frame(app, kind, &mut Before::new(&app.control)))
            }
        };
        let mut feeds = self.0.lock();
        let feed = feeds.entry((kind, every)).or_insert_with(|| {
            let (sender, _) = watch::channel(Utf8Bytes::default());
            tokio::spawn(tick(app.clone(), kind, every));
            sender
        });
        Source::Frames { first, feed: feed.subscribe() }
    }

    /// Hands a frame to those who follow; `false` if nobody did, and the feed is gone.
    fn publish(&self, key: (Kind, Duration), make: impl FnOnce() -> Utf8Bytes) -> bool {
        let mut feeds = self.0.lock();
        let Some(feed) = feeds.get(&key).filter(|feed| feed.receiver_count() > 0).cloned() else {
            feeds.remove(&key);
            return false;
        };
        drop(feeds);
        feed.send_replace(make());
        true
    }
}

async fn tick(app: Arc<App>, kind: Kind, every: Duration) {
    let mut clock = interval_at(Instant::now() + every, every);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = Before::new(&app.control);
    while app.stop.run_until_cancelled(clock.tick()).await.is_some() {
        if !app.feeds.publish((kind, every), || frame(&app, kind, &mut before)) {
            return;
        }
    }
}

fn frame(app: &App, kind: Kind, before: &mut Before) -> Utf8Bytes {
    let mut text = Vec::with_capacity(before.length + before.length / 8);
    let written = match kind {
        Kind::Traffic => serde_json::to_writer(&mut text, &traffic(app, before)),
        Kind::Memory => serde_json::to_writer(&mut text, &Memory { inuse: resident(), oslimit: 0 }),
        Kind::Connections => connections::write(app, &mut text),
        Kind::Live => live::write(app, before, &mut text),
    };
    text.push(b'\n');
    before.length = text.len();
    // What is written is JSON, and JSON is text.
    written.ok().and_then(|()| Utf8Bytes::try_from(axum::body::Bytes::from(text)).ok()).unwrap_or_default()
}

fn traffic(app: &App, before: &mut Before) -> Traffic {
    let now = app.control.volumes().all;
    let since = before.rates(now);
    Traffic { up: since.up, down: since.down, up_total: now.up, down_total: now.down }
}

impl Before {
    pub(crate) fn new(control: &Control) -> Self {
        Self { volume: control.volumes().all, at: Instant::now(), length: 0 }
    }

    /// Bytes a second since the frame before, which this becomes.
    pub(crate) fn rates(&mut self, now: Volume) -> Volume {
        let at = Instant::now();
        let millis = at.duration_since(self.at).as_millis();
        let rate = |now: u64, before: u64| {
            let bytes = u128::from(now.saturating_sub(before)) * 1000;
            u64::try_from(bytes.checked_div(millis).unwrap_or(0)).unwrap_or(u64::MAX)
        };
        let rates = Volume { up: rate(now.up, self.volume.up), down: rate(now.down, self.volume.down) };
        (self.volume, self.at) = (now, at);
        rates
    }
}
