//! Sets in files, which are looked at again and again.

use std::{path::PathBuf, time::Duration};

use tokio::{sync::mpsc, task::spawn_blocking, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use waypost_config::model::RuleSetFormat;
use waypost_geodata::rule_set::SrsReader;
use waypost_net::Tag;

use super::{
    Content, Stamp,
    compiler::{Update, apply},
    stamp,
};
use crate::installed::Held;

/// How often files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// A file that a set is in.
#[derive(Debug, Clone)]
pub(super) struct LocalSet {
    /// The number of the set.
    pub(super) set: usize,
    pub(super) tag: Tag,
    pub(super) path: PathBuf,
    pub(super) format: RuleSetFormat,
    /// The version that was read last, whatever came of it; `None` if the file was gone.
    pub(super) stamp: Option<Stamp>,
}

/// What came of reading a file that has changed.
type Read = Result<Content, Box<str>>;

/// Looks at files until the proxy stops.
pub(super) async fn watch(
    held: Held,
    mut sets: Vec<LocalSet>,
    updates: mpsc::Sender<Update>,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(LOOK_EVERY) => {}
        }
        let looking = spawn_blocking(move || {
            let changed: Vec<(usize, Read)> =
                sets.iter_mut().enumerate().filter_map(|(index, set)| Some((index, set.look()?))).collect();
            (sets, changed)
        });
        let Ok((same, changed)) = looking.await else { return };
        sets = same;
        let mut applying = tokio::task::JoinSet::new();
        for (index, read) in changed {
            let Some(LocalSet { set, .. }) = sets.get(index) else { continue };
            let (set, updates) = (*set, updates.clone());
            applying.spawn(async move {
                let applied = match read {
                    Ok(content) => apply(&updates, set, content).await,
                    Err(error) => Err(error),
                };
                (index, applied)
            });
        }
        while let Some(applied) = applying.join_next().await {
            let Ok((index, Err(error))) = applied else { continue };
            let Some(LocalSet { set, tag, path, .. }) = sets.get(index) else { continue };
            if stop.is_cancelled() {
                return;
            }
            warn!(tag = &**tag, path = %path.display(), %error, "a rule set cannot be read again, so that its old rules stay");
            held.rule_sets().change(*set, |report| report.last_error = Some(error));
        }
    }
}

impl LocalSet {
    /// Reads the file if it has changed; `None` if not.
    fn look(&mut self) -> Option<Read> {
        let now = Stamp::of(&self.path);
        if now == self.stamp {
            return None;
        }
        let read = match stamp::read(&self.path) {
            // It is being written: the next look finds the end.
            Ok((read, _)) if Stamp::of(&self.path) != Some(read) => return None,
            Ok((read, bytes)) => {
                self.stamp = Some(read);
                let name = self.path.display().to_string();
                Content::read(&name, bytes, self.format, &mut SrsReader::default())
                    .map(|(content, _rules)| content)
                    .map_err(|error| error.to_string().into())
            }
            Err(error) => {
                self.stamp = now;
                Err(error.to_string().into())
            }
        };
        Some(read)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const ONE: &str = r#"{"version": 2, "rules": [{"domain": "a.example"}]}"#;

    fn set(path: PathBuf) -> LocalSet {
        let stamp = Stamp::of(&path);
        LocalSet { set: 0, tag: Tag::from("set"), path, format: RuleSetFormat::Source, stamp }
    }

    #[test]
    fn every_version_is_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("set.json");
        fs::write(&path, ONE).unwrap();
        let mut set = set(path.clone());
        assert!(set.look().is_none(), "it was read at the start");

        fs::write(&path, ONE.replace("a.example", "another.example")).unwrap();
        assert_eq!(set.look().unwrap().unwrap().size.n_entries, 1);
        assert!(set.look().is_none());

        let next = folder.path().join("next");
        fs::write(&next, ONE.replace(r#""a.example""#, r#"["a.example", "b.example"]"#)).unwrap();
        fs::rename(&next, &path).unwrap();
        assert_eq!(set.look().unwrap().unwrap().size.n_entries, 2);

        fs::write(&path, "{").unwrap();
        let error = set.look().unwrap().unwrap_err();
        assert!(error.contains("set.json:1:"), "{error}");
        assert!(set.look().is_none(), "it is not told twice");

        fs::remove_file(&path).unwrap();
        assert!(set.look().unwrap().is_err());
        assert!(set.look().is_none());
        fs::write(&path, ONE).unwrap();
        assert_eq!(set.look().unwrap().unwrap().size.n_entries, 1);

        fs::remove_file(&path).unwrap();
        let mode = nix::sys::stat::Mode::from_bits_truncate(0o600);
        nix::unistd::mkfifo(&path, mode).unwrap();
        assert_eq!(set.look().unwrap().unwrap_err(), "it is no regular file".into());
    }
}
