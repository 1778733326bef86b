//! Copies of fetched sets on disk.
//!
//! A file has a line that says whose it is, a line of JSON about the set, and behind it the set as it
//! came. It is replaced as a whole, and what it says of its own content is checked, so that a crash
//! leaves a good copy or none.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::content::MAX_SET_BYTES;

/// What a file of this kind begins with, and the version of what follows.
const SIGNATURE: &str = "waypost rule set 1\n";
/// URL, validators and digests are shorter.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// A longer validator is not kept.
const MAX_VALIDATOR_BYTES: usize = 1024;

/// The folder that copies are in. Clones are not needed: it is shared by reference.
#[derive(Debug, Default)]
pub(crate) struct Store {
    folder: Option<PathBuf>,
    /// Held while a file is written.
    writing: Mutex<()>,
}

/// What a server has said of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Meta {
    /// `ETag`.
    pub(crate) etag: Option<Box<str>>,
    /// `Last-Modified`.
    pub(crate) last_modified: Option<Box<str>>,
    /// When the set was fetched, or found to be the same, to the second.
    pub(crate) fetched_at: SystemTime,
}

/// A copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    /// What the server has said of it.
    pub(crate) meta: Meta,
    /// The set.
    pub(crate) bytes: Vec<u8>,
}

impl Store {
    /// Copies in `folder`, which need not exist; `None` keeps nothing.
    pub(crate) fn new(folder: Option<PathBuf>) -> Self {
        Self { folder, writing: Mutex::default() }
    }

    /// The copy of the set of this URL. One that is broken is none.
    pub(crate) fn read(&self, url: &str) -> Option<Kept> {
        let file = File::open(self.path(url)?).ok()?;
        let mut bytes = Vec::new();
        file.take((MAX_HEAD_BYTES + MAX_SET_BYTES) as u64).read_to_end(&mut bytes).ok()?;
        decode(url, &bytes)
    }

    /// Puts a copy in place of the last one.
    ///
    /// # Errors
    ///
    /// If there is no folder, or it cannot be written; the last copy is still there then.
    pub(crate) fn write(&self, url: &str, meta: &Meta, set: &[u8]) -> io::Result<()> {
        let no_folder = || io::Error::new(io::ErrorKind::NotFound, "no folder for copies is known");
        let path = self.path(url).ok_or_else(no_folder)?;
        let folder = path.parent().ok_or_else(no_folder)?;
        let _one_at_a_time = self.writing.lock();
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        // Another process may write a copy of the same set.
        let draft = path.with_extension(format!("{}.new", std::process::id()));
        let written = write_file(&draft, &encode(url, meta, set), set).and_then(|()| {
            fs::rename(&draft, &path)?;
            File::open(folder)?.sync_all()
        });
        if written.is_err() {
            let _not_there = fs::remove_file(&draft);
        }
        written
    }

    fn path(&self, url: &str) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(format!("{}.set", hex(url.as_bytes()))))
    }
}

fn write_file(path: &Path, head: &[u8], set: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(head)?;
    file.write_all(set)?;
    file.sync_all()
}

fn encode(url: &str, meta: &Meta, set: &[u8]) -> Vec<u8> {
    let since = meta.fetched_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let short = |text: &Option<Box<str>>| text.clone().filter(|text| text.len() <= MAX_VALIDATOR_BYTES);
    let head = json!({
        "url": url, "etag": short(&meta.etag), "last_modified": short(&meta.last_modified),
        "fetched_at": since.as_secs(), "sha256": hex(set),
    });
    format!("{SIGNATURE}{head}\n").into_bytes()
}

fn decode(url: &str, bytes: &[u8]) -> Option<Kept> {
    let rest = bytes.strip_prefix(SIGNATURE.as_bytes())?;
    let end = rest.iter().take(MAX_HEAD_BYTES).position(|&byte| byte == b'\n')?;
    let (head, set) = rest.split_at_checked(end)?;
    let set = set.get(1..)?;
    let head: Value = serde_json::from_slice(head).ok()?;
    let text = |name: &str| head.get(name).and_then(Value::as_str);
    if text("url")? != url || text("sha256")? != hex(set) {
        return None;
    }
    let since = Duration::from_secs(head.get("fetched_at")?.as_u64()?);
    let meta = Meta {
        etag: text("etag").map(Into::into),
        last_modified: text("last_modified").map(Into::into),
        fetched_at: SystemTime::UNIX_EPOCH.checked_add(since)?,
    };
    Some(Kept { meta, bytes: set.to_vec() })
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://example.org/a.srs";

    fn kept(bytes: &[u8]) -> Kept {
        let meta = Meta {
            etag: Some("\"x\"".into()),
            last_modified: None,
            fetched_at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        };
        Kept { meta, bytes: bytes.to_vec() }
    }

    #[test]
    fn a_copy_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(Some(folder.path().join("deep/rule-sets")));
        assert_eq!(store.read(URL), None);
        for bytes in [&b"SRS\n\0"[..], b"", b"another"] {
            let Kept { meta, bytes } = kept(bytes);
            store.write(URL, &meta, &bytes).unwrap();
            assert_eq!(store.read(URL), Some(Kept { meta, bytes }));
        }
        assert_eq!(store.read("https://example.org/b.srs"), None);
        let files = fs::read_dir(folder.path().join("deep/rule-sets")).unwrap().count();
        assert_eq!(files, 1, "drafts are not left");
    }

    #[test]
    fn a_copy_that_is_broken_or_of_another_url_is_none() {
        let Kept { meta, bytes } = kept(b"0123456789");
        let file = [encode(URL, &meta, &bytes), bytes].concat();
        assert!(decode(URL, &file).is_some());
        assert_eq!(decode("https://example.org/b.srs", &file), None);
        for length in 0..file.len() {
            assert_eq!(decode(URL, &file[..length]), None, "cut to {length}");
            let mut turned = file.clone();
            turned[length] ^= 1;
            let decoded = decode(URL, &turned);
            assert!(decoded.is_none_or(|kept| kept.bytes == b"0123456789"), "byte {length} turned");
        }
    }

    #[test]
    fn without_a_folder_nothing_is_kept() {
        let Kept { meta, bytes } = kept(b"x");
        let none = Store::default();
        assert!(none.write(URL, &meta, &bytes).is_err());
        assert_eq!(none.read(URL), None);
        let file = tempfile::NamedTempFile::new().unwrap();
        let no_folder = Store::new(Some(file.path().join("below")));
        assert!(no_folder.write(URL, &meta, &bytes).is_err());
    }
}
