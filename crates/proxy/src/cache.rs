//! What is kept on disk from one run to the next: the choices of selectors, and the mode.
//!
//! The file has a first line that says whose it is, and behind it JSON. It is replaced as a whole,
//! so that a crash leaves the old one or the new one. A file of another program is left alone.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use tokio::task::spawn_blocking;
use tracing::{info, warn};
use waypost_config::model::CacheFile;
use waypost_net::Tag;

/// What a file of this kind begins with, and the version of what follows.
const SIGNATURE: &str = "waypost cache 1\n";
/// The path of sing-box where a file names none.
const DEFAULT_FILE: &str = "cache.db";
/// What is added to the name of a file that another program made.
const ENDING: &str = ".waypost";
/// Some names and tags; far more than that is no file of this kind.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// What is kept on disk. Clones share it; without a file everything is forgotten at the end.
#[derive(Debug, Clone, Default)]
pub struct Cache(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    file: Option<PathBuf>,
    /// Under which name in the file.
    id: Box<str>,
    kept: Mutex<Kept>,
}

/// What one configuration keeps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Kept {
    /// Member by selector.
    selected: Map<String, Value>,
    mode: Option<String>,
}

/// Why a file tells nothing.
#[derive(Debug, thiserror::Error)]
enum CacheError {
    #[error("it cannot be read")]
    Io(#[from] io::Error),
    #[error("it is broken: {0}")]
    Json(#[from] serde_json::Error),
    #[error("it is larger than {MAX_FILE_BYTES} bytes")]
    TooLarge,
}

/// What stands at a path.
enum Found {
    Nothing,
    /// The file of another program.
    Foreign,
    Ours(Map<String, Value>),
}

impl Cache {
    /// Reads what was kept. A file that cannot be used is reported, and nothing is known then.
    pub(crate) fn open(settings: Option<&CacheFile>) -> Self {
        let Some(CacheFile { path, id }) = settings else { return Self::default() };
        let (path, id) = (path.as_deref().unwrap_or(DEFAULT_FILE), id.clone().unwrap_or_default());
        let mut file = PathBuf::from(path);
        let mut found = find(&file);
        if let Ok(Found::Foreign) = found {
            file = with_ending(&file, ENDING);
            info!(path, kept_in = %file.display(), "another program made the cache file, it is left alone");
            found = find(&file);
        }
        let kept = match found {
            Ok(Found::Ours(profiles)) => Kept::read(profiles.get(&*id)),
            Ok(Found::Nothing) => Kept::default(),
            Ok(Found::Foreign) => {
                warn!(path = %file.display(), "another program made this file as well, nothing is kept");
                return Self::default();
            }
            Err(error) => {
                warn!(path = %file.display(), error = %crate::chain::Chain(&error), "the cache file is of no use, so that earlier choices are lost");
                Kept::default()
            }
        };
        Self(Arc::new(Inner { file: Some(file), id, kept: Mutex::new(kept) }))
    }

    /// The member of a selector that was chosen last.
    #[must_use]
    pub fn selected(&self, group: &Tag) -> Option<Tag> {
        self.0.kept.lock().selected.get(group.as_str()).and_then(Value::as_str).map(Tag::from)
    }

    /// Keeps the choice of a selector.
    pub async fn keep_selected(&self, group: &Tag, member: &Tag) {
        let (group, member) = (group.as_str().to_owned(), Value::from(member.as_str()));
        self.keep(move |kept| {
            kept.selected.insert(group, member);
        })
        .await;
    }

    /// Forgets the choice of a selector.
    pub(crate) async fn forget_selected(&self, group: &Tag) {
        let group = group.as_str().to_owned();
        self.keep(move |kept| {
            kept.selected.remove(&group);
        })
        .await;
    }

    /// The mode that was chosen last.
    #[must_use]
    pub fn mode(&self) -> Option<String> {
        self.0.kept.lock().mode.clone()
    }

    /// Keeps the mode.
    pub async fn keep_mode(&self, mode: &str) {
        let mode = mode.to_owned();
        self.keep(move |kept| kept.mode = Some(mode)).await;
    }

    async fn keep(&self, change: impl FnOnce(&mut Kept) + Send + 'static) {
        let inner = self.0.clone();
        let written = spawn_blocking(move || {
            // Held while the file is written, so that the last change is the last one in the file.
            let mut kept = inner.kept.lock();
            change(&mut kept);
            let Some(file) = &inner.file else { return };
            if let Err(error) = write(file, &inner.id, &kept) {
                warn!(path = %file.display(), %error, "a choice holds, but cannot be kept for the next start");
            }
        });
        // Only a runtime that is going down drops it.
        let _stopping = written.await;
    }
}

/// Where rule sets are kept that were fetched, beside the file that `settings` name. The folder may not
/// exist.
pub(crate) fn rule_sets_folder(CacheFile { path, id: _ }: &CacheFile) -> PathBuf {
    with_ending(Path::new(path.as_deref().unwrap_or(DEFAULT_FILE)), ".rule-sets")
}

impl Kept {
    fn read(profile: Option<&Value>) -> Self {
        let field = |name: &str| profile.and_then(|profile| profile.get(name));
        Self {
            selected: field("selected").and_then(Value::as_object).cloned().unwrap_or_default(),
            mode: field("clash_mode").and_then(Value::as_str).map(str::to_owned),
        }
    }
}

fn find(path: &Path) -> Result<Found, CacheError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.is_empty() {
        return Ok(Found::Nothing);
    }
    let Some(json) = bytes.strip_prefix(SIGNATURE.as_bytes()) else { return Ok(Found::Foreign) };
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(CacheError::TooLarge);
    }
    Ok(Found::Ours(serde_json::from_slice(json)?))
}

/// Replaces the file, and keeps what other configurations have in it.
fn write(path: &Path, id: &str, kept: &Kept) -> io::Result<()> {
    let mut profiles = match find(path) {
        Ok(Found::Ours(profiles)) => profiles,
        Ok(Found::Foreign) => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "another program has made the file"));
        }
        Ok(Found::Nothing) | Err(_) => Map::new(),
    };
    profiles.insert(id.to_owned(), json!({"selected": kept.selected, "clash_mode": kept.mode}));
    let text = format!("{SIGNATURE}{}\n", Value::Object(profiles));
    let draft = with_ending(path, ".new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    File::open(folder)?.sync_all()
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests;
