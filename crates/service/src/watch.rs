//! Following the files of the configuration.

mod links;

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _, recommended_watcher};
use parking_lot::Mutex;
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tracing::{debug, warn};

use self::links::places;

/// Editors write a file in several steps; the last one is this long ago when it is read.
const SETTLED_AFTER: Duration = Duration::from_millis(250);
/// Something that is written again and again is read all the same.
const SETTLED_AT_LAST: Duration = Duration::from_secs(2);
/// How long changes may gather before they are looked at.
const PAUSE: Duration = Duration::from_millis(10);

/// Files that are followed. Nothing is followed once this is dropped.
#[derive(Debug)]
pub(crate) struct Watched {
    watcher: RecommendedWatcher,
    changes: mpsc::Receiver<()>,
    paths: Vec<PathBuf>,
    followed: Arc<Mutex<Followed>>,
    /// Whether something changed of which nobody was told.
    is_changed: bool,
}

/// Whose changes count.
#[derive(Debug, Default)]
struct Followed {
    /// Files, folders, and the links that lead to them.
    places: BTreeSet<PathBuf>,
    /// Folders that are read as configurations.
    read: BTreeSet<PathBuf>,
}

impl Watched {
    /// Follows files and folders, and the links that lead to them: the folders of all of these are
    /// watched, because editors put another file in the place of the old one.
    ///
    /// # Errors
    ///
    /// If the system cannot.
    pub(crate) fn new(paths: &[PathBuf]) -> notify::Result<Self> {
        let (sender, changes) = mpsc::channel(1);
        let mut followed = Followed::new(paths);
        let shared = Arc::new(Mutex::new(Followed::default()));
        let known = shared.clone();
        let mut watcher = recommended_watcher(move |event: notify::Result<Event>| match event {
            Ok(event) if !event.kind.is_access() && known.lock().concerns(&event) => {
                // One that waits is enough.
                let _full = sender.try_send(());
            }
            Ok(_) => {}
            Err(error) => warn!(%error, "changes of configuration files may be missed"),
        })?;
        for folder in followed.folders() {
            watcher.watch(&folder, RecursiveMode::NonRecursive)?;
        }
        std::mem::swap(&mut *shared.lock(), &mut followed);
        Ok(Self { watcher, changes, paths: paths.to_vec(), followed: shared, is_changed: false })
    }

    /// Waits until something changed, and for a while nothing more.
    pub(crate) async fn changed(&mut self) {
        if !self.is_changed {
            if self.changes.recv().await.is_none() {
                return std::future::pending().await;
            }
            self.is_changed = true;
        }
        let settled = async {
            while timeout(SETTLED_AFTER, self.changes.recv()).await.is_ok() {
                sleep(PAUSE).await;
            }
        };
        let _still_written = timeout(SETTLED_AT_LAST, settled).await;
        self.follow_again();
        self.is_changed = false;
    }

    /// Follows what links lead to now; what it says is read after that.
    fn follow_again(&mut self) {
        let now = Followed::new(&self.paths);
        let folders = now.folders();
        let before = std::mem::replace(&mut *self.followed.lock(), now).folders();
        for gone in before.difference(&folders) {
            // The system has forgotten folders that are no more.
            let _forgotten = self.watcher.unwatch(gone);
        }
        // Also the others: one may have taken the place of another.
        for folder in &folders {
            if let Err(error) = self.watcher.watch(folder, RecursiveMode::NonRecursive) {
                debug!(%error, folder = %folder.display(), "a folder cannot be watched");
            }
        }
    }
}

impl Followed {
    fn new(paths: &[PathBuf]) -> Self {
        let mut followed = Self::default();
        for path in paths {
            let on_the_way = places(path);
            if let Some(folder) = on_the_way.last().filter(|place| place.is_dir()) {
                // A folder that cannot be listed is an error where it is read.
                for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                    let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
                    if is_link && is_read(&entry.path()) {
                        followed.places.extend(places(&entry.path()));
                    }
                }
                followed.read.insert(folder.clone());
            }
            followed.places.extend(on_the_way);
        }
        followed
    }

    /// What has to be watched for that.
    fn folders(&self) -> BTreeSet<PathBuf> {
        let parents = self.places.iter().filter_map(|place| place.parent());
        parents.map(Path::to_owned).chain(self.read.iter().cloned()).collect()
    }

    fn concerns(&self, event: &Event) -> bool {
        event.paths.iter().any(|path| {
            let is_in_folder = || path.parent().is_some_and(|folder| self.read.contains(folder));
            self.places.contains(path) || (is_read(path) && is_in_folder())
        })
    }
}

/// Whether a file of this name in a folder is read, as
/// [`read_files`](waypost_proxy::build::read_files) says.
fn is_read(path: &Path) -> bool {
    let is_json = matches!(path.extension().and_then(OsStr::to_str), Some("json" | "jsonc"));
    is_json && path.file_name().is_some_and(|name| !name.as_encoded_bytes().starts_with(b"."))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tokio::{task::JoinHandle, time::Instant};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);
    /// Long enough for a change to be told.
    const QUIET: Duration = Duration::from_millis(800);

    async fn is_told(watched: &mut Watched) -> bool {
        timeout(LIMIT, watched.changed()).await.is_ok()
    }

    async fn is_quiet(watched: &mut Watched) -> bool {
        timeout(QUIET, watched.changed()).await.is_err()
    }

    /// Puts a link in the place of another, as `ln -sfn` and Kubernetes do.
    fn relink(target: &str, link: &Path) {
        let draft = link.with_file_name("..draft");
        symlink(target, &draft).unwrap();
        fs::rename(draft, link).unwrap();
    }

    #[tokio::test]
    async fn a_link_to_another_release_is_a_change_and_what_it_leads_to_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for release in ["one", "two"] {
            fs::create_dir(at(release)).unwrap();
            fs::write(at(release).join("config.json"), "{}").unwrap();
        }
        symlink("one", at("current")).unwrap();
        let mut watched = Watched::new(&[at("current/config.json")]).unwrap();
        relink("two", &at("current"));
        assert!(is_told(&mut watched).await, "another release");
        fs::write(at("one/config.json"), "{ }").unwrap();
        assert!(is_quiet(&mut watched).await, "nobody reads that any more");
        fs::write(at("two/config.json"), "{ }").unwrap();
        assert!(is_told(&mut watched).await, "the file of the new release");
        // Gone, and there again.
        fs::remove_file(at("current")).unwrap();
        assert!(is_told(&mut watched).await, "no release");
        symlink("one", at("current")).unwrap();
        assert!(is_told(&mut watched).await, "a release again");
    }

    #[tokio::test]
    async fn a_folder_of_links_is_swapped_as_kubernetes_does_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for version in ["..1", "..2"] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("a.json"), "{}").unwrap();
        }
        symlink("..1", at("..data")).unwrap();
        symlink("..data/a.json", at("a.json")).unwrap();
        let mut watched = Watched::new(&[folder.path().to_owned()]).unwrap();
        relink("..2", &at("..data"));
        assert!(is_told(&mut watched).await, "another version");
        fs::write(at("b.log"), "x").unwrap();
        fs::write(at(".c.json"), "{}").unwrap();
        assert!(is_quiet(&mut watched).await, "such names are not read");
        fs::write(at("d.jsonc"), "{}").unwrap();
        assert!(is_told(&mut watched).await, "another file");
    }

    #[tokio::test]
    async fn a_file_that_is_always_written_postpones_nothing_for_long() {
        let folder = tempfile::tempdir().unwrap();
        let busy = folder.path().join("busy.json");
        fs::write(&busy, "{}").unwrap();
        let mut watched = Watched::new(&[folder.path().to_owned()]).unwrap();
        let writing: JoinHandle<()> = tokio::spawn(async move {
            loop {
                fs::write(&busy, "{}").unwrap();
                sleep(Duration::from_millis(50)).await;
            }
        });
        let begin = Instant::now();
        assert!(is_told(&mut watched).await);
        assert!(begin.elapsed() >= SETTLED_AFTER);
        writing.abort();
    }
}
