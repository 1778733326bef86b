//! Sets that are fetched.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task::spawn_blocking,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use waypost_config::model::{ProbeUrl, RuleSetFormat};
use waypost_geodata::rule_set::SrsReader;
use waypost_net::Tag;

use super::{
    Content, Meta, Store,
    compiler::{Applied, Update, apply},
    fetch::{Fetched, Fetcher},
    schedule::Schedule,
};
use crate::chain::Chain;

/// What all fetched sets share.
#[derive(Debug)]
pub(super) struct Fetching {
    pub(super) store: Store,
    /// How many are fetched at a time.
    pub(super) room: Semaphore,
    /// Whether it was said that no copy can be kept.
    pub(super) said_not_kept: AtomicBool,
}

/// A set that is fetched.
#[derive(Debug)]
pub(super) struct RemoteSet {
    /// Its number.
    pub(super) set: usize,
    pub(super) tag: Tag,
    pub(super) url: ProbeUrl,
    pub(super) format: RuleSetFormat,
    pub(super) interval: Duration,
    /// What is in use.
    pub(super) content: Option<Content>,
    /// What the server has said of it.
    pub(super) meta: Option<Meta>,
    pub(super) fetcher: Fetcher,
    pub(super) shared: Arc<Fetching>,
    pub(super) updates: mpsc::Sender<Update>,
    /// Told what came of the first try.
    pub(super) first: Option<oneshot::Sender<Applied>>,
    /// Who wants it fetched now.
    pub(super) wishes: mpsc::Receiver<oneshot::Sender<Applied>>,
}

impl RemoteSet {
    /// Fetches until the proxy stops.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        // A clock that was set back makes a copy old.
        let age =
            self.meta.as_ref().map(|meta| now().duration_since(meta.fetched_at).unwrap_or(Duration::MAX));
        let mut schedule =
            Schedule::new(self.interval, age, Instant::now(), &mut crate::system::thread_rng());
        loop {
            self.tell_next(&schedule);
            let shared = self.shared.clone();
            let mut wish = None;
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep_until(schedule.next()) => {}
                Some(asked) = self.wishes.recv() => wish = Some(asked),
            }
            let fetching = async {
                // Nothing closes it.
                let _permit = shared.room.acquire().await.ok();
                self.update().await
            };
            let updated = tokio::select! {
                () = stop.cancelled() => return,
                updated = fetching => updated,
            };
            match &updated {
                Ok(()) => schedule.succeeded(Instant::now(), &mut crate::system::thread_rng()),
                Err(error) => {
                    let is_news = schedule.failed(Instant::now(), &mut crate::system::thread_rng());
                    self.tell_failure(error, is_news, &schedule);
                }
            }
            for asked in self.first.take().into_iter().chain(wish) {
                let _gone = asked.send(updated.clone());
            }
        }
    }

    fn tell_next(&self, schedule: &Schedule) {
        let at = now() + schedule.next().saturating_duration_since(Instant::now());
        let fetched_at = self.meta.as_ref().map(|meta| meta.fetched_at);
        self.fetcher.held.rule_sets().change(self.set, |report| {
            (report.next_update, report.fetched_at) = (Some(at), fetched_at);
        });
    }

    fn tell_failure(&self, error: &str, is_news: bool, schedule: &Schedule) {
        self.fetcher.held.rule_sets().change(self.set, |report| report.last_error = Some(error.into()));
        let (tag, url) = (&*self.tag, shown(&self.url));
        let seconds = schedule.next().saturating_duration_since(Instant::now()).as_secs();
        match &self.meta {
            _ if !is_news => debug!(tag, url, error, seconds, "a rule set still cannot be fetched"),
            None => {
                warn!(
                    tag,
                    url, error, "a rule set cannot be fetched and is empty until it can; it is tried again"
                );
            }
            Some(meta) => {
                let days =
                    now().duration_since(meta.fetched_at).unwrap_or_default().as_secs() / (24 * 60 * 60);
                warn!(
                    tag,
                    url,
                    error,
                    days,
                    "a rule set cannot be fetched, so that the old copy stays; it is tried again"
                );
            }
        }
    }

    /// Fetches once, and puts what came in use.
    async fn update(&mut self) -> Applied {
        // A copy that is not in use has to come whole.
        let known = self.meta.as_ref().filter(|_| self.content.is_some());
        let fetched = self.fetcher.fetch(&self.url, known).await;
        let fetched = fetched.map_err(|error| Chain(&error).to_string().into_boxed_str())?;
        let meta = match (fetched, &self.meta) {
            (Fetched::Unchanged, Some(meta)) => Meta { fetched_at: now(), ..meta.clone() },
            (Fetched::Unchanged, None) => {
                return Err("the server says that nothing has changed, but there is no copy".into());
            }
            (Fetched::Body { bytes, etag, last_modified }, _) => {
                self.take(bytes).await?;
                Meta { etag, last_modified, fetched_at: now() }
            }
        };
        self.fetcher.held.rule_sets().change(self.set, |report| report.last_error = None);
        self.meta = Some(meta.clone());
        self.fetcher.held.remember(&self.url, self.content.as_ref(), self.meta.as_ref());
        self.keep(meta).await;
        Ok(())
    }

    /// Puts what came in use, if it is a set.
    async fn take(&mut self, bytes: Vec<u8>) -> Applied {
        let (name, format) = (shown(&self.url).to_owned(), self.format);
        let reading = spawn_blocking(move || Content::read(&name, bytes, format, &mut SrsReader::default()));
        let content = match reading.await {
            Ok(Ok((content, _rules))) => content,
            Ok(Err(error)) => return Err(format!("what came is no rule set: {error}").into()),
            Err(stopping) => return Err(stopping.to_string().into()),
        };
        if self.content.as_ref().is_none_or(|old| old.bytes != content.bytes) {
            apply(&self.updates, self.set, content.clone()).await?;
            self.content = Some(content);
        } else {
            info!(tag = &*self.tag, "rule set fetched, it is the same");
        }
        Ok(())
    }

    /// Keeps a copy for the next start.
    async fn keep(&self, meta: Meta) {
        let Some(Content { bytes, .. }) = self.content.clone() else { return };
        let (shared, url) = (self.shared.clone(), self.url.text.clone());
        let written = spawn_blocking(move || shared.store.write(&url, &meta, &bytes)).await;
        if let Ok(Err(error)) = written
            && !self.shared.said_not_kept.swap(true, Ordering::Relaxed)
        {
            warn!(%error, "rule sets that are fetched cannot be kept, so that the next start begins without them; name a folder in `WAYPOST_CACHE`");
        }
    }
}

/// A URL for people: its query may be a secret.
pub(super) fn shown(url: &ProbeUrl) -> &str {
    url.text.split('?').next().unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "copies on disk have the time of the day")]
fn now() -> SystemTime {
    SystemTime::now()
}
