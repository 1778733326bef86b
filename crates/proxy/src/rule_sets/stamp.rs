//! Files that sets are in.

use std::{
    fs::{File, Metadata},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use super::content::MAX_SET_BYTES;

/// Which version of a file there is. Editors write files in place or put new ones in their place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// The version that stands at `path`; `None` if nothing can be seen there.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().as_ref().map(Self::new)
    }

    fn new(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Reads a file, and says which version it was.
///
/// # Errors
///
/// If it cannot be read or is too large.
pub(crate) fn read(path: &Path) -> io::Result<(Stamp, Vec<u8>)> {
    // Opening a pipe would wait for somebody who writes to it.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    let file = File::open(path)?;
    let stamp = Stamp::new(&file.metadata()?);
    let mut bytes = Vec::new();
    file.take(MAX_SET_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_SET_BYTES {
        let message = format!("it has more than {MAX_SET_BYTES} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok((stamp, bytes))
}
