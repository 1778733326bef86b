//! Files that come into being whole or not at all.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use crate::InspectError;

/// The largest file that is read.
const MAX_FILE_BYTES: u64 = 512 << 20;

/// Permissions of new files, less those that the process withholds (umask(2)).
const PUBLIC: u32 = 0o666;
const PRIVATE: u32 = 0o600;

/// Reads a file, or standard input for `-`.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, InspectError> {
    read_at_most(path, MAX_FILE_BYTES)
}

/// Like [`read`], but no more than so many bytes.
pub(crate) fn read_at_most(path: &Path, most: u64) -> Result<Vec<u8>, InspectError> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        io::stdin().take(most).read_to_end(&mut bytes).map_err(InspectError::Stdin)?;
    } else {
        let file = File::open(path).map_err(failed("read", path))?;
        file.take(most).read_to_end(&mut bytes).map_err(failed("read", path))?;
    }
    Ok(bytes)
}

/// Writes a file beside its place and puts it there when it is complete.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), InspectError> {
    write_as(path, bytes, PUBLIC)
}

/// Like [`write`], for what only the owner may read.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), InspectError> {
    write_as(path, bytes, PRIVATE)
}

fn write_as(path: &Path, bytes: &[u8], mode: u32) -> Result<(), InspectError> {
    let name =
        path.file_name().ok_or_else(|| failed("write", path)(io::ErrorKind::InvalidFilename.into()))?;
    let draft = path.with_file_name(format!(".{}.{}.part", name.to_string_lossy(), std::process::id()));
    let written = write_draft(&draft, bytes, mode).and_then(|()| fs::rename(&draft, path));
    written.map_err(|source| {
        let _gone = fs::remove_file(&draft);
        failed("write", path)(source)
    })
}

fn write_draft(draft: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(draft)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// The place of an output that was not named: that of the input with another ending.
pub(crate) fn beside(input: &Path, ending: &str) -> PathBuf {
    let name = if input == Path::new("-") { Path::new("rule-set") } else { input };
    name.with_extension(ending)
}

fn failed<'a>(doing: &'static str, path: &'a Path) -> impl Fn(io::Error) -> InspectError + 'a {
    move |source| InspectError::Io { doing, path: path.to_owned(), source }
}
