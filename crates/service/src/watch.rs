//! Following the files of the configuration.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _, recommended_watcher};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tracing::warn;

/// Editors write a file in several steps; the last one is this long ago when it is read.
const SETTLED_AFTER: Duration = Duration::from_millis(250);

/// Files that are followed. Nothing is followed once this is dropped.
#[derive(Debug)]
pub(crate) struct Watched {
    _watcher: RecommendedWatcher,
    changes: mpsc::Receiver<()>,
}

impl Watched {
    /// Follows files and folders: their folders are watched, because editors put another file in the place
    /// of the old one.
    ///
    /// # Errors
    ///
    /// If the system cannot.
    pub(crate) fn new(paths: &[PathBuf]) -> notify::Result<Self> {
        let (sender, changes) = mpsc::channel(1);
        let followed: Vec<PathBuf> =
            paths.iter().map(|path| path.canonicalize().unwrap_or_else(|_| path.clone())).collect();
        let wanted = followed.clone();
        let mut watcher = recommended_watcher(move |event: notify::Result<Event>| match event {
            Ok(event) if !event.kind.is_access() && concerns(&event, &wanted) => {
                // One that waits is enough.
                let _full = sender.try_send(());
            }
            Ok(_) => {}
            Err(error) => warn!(%error, "changes of configuration files may be missed"),
        })?;
        for path in &followed {
            let folder = if path.is_dir() { path } else { path.parent().unwrap_or_else(|| Path::new(".")) };
            watcher.watch(folder, RecursiveMode::NonRecursive)?;
        }
        Ok(Self { _watcher: watcher, changes })
    }

    /// Waits until something changed, and for a while nothing more.
    pub(crate) async fn changed(&mut self) {
        if self.changes.recv().await.is_none() {
            return std::future::pending().await;
        }
        while timeout(SETTLED_AFTER, self.changes.recv()).await.is_ok() {
            sleep(Duration::from_millis(10)).await;
        }
    }
}

fn concerns(event: &Event, followed: &[PathBuf]) -> bool {
    event
        .paths
        .iter()
        .any(|path| followed.iter().any(|wanted| path == wanted || path.parent() == Some(wanted)))
}
