//! Files that come into being whole or not at all.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use crate::InspectError;

/// The largest file that is read.
const MAX_FILE_BYTES: u64 = 512 << 20;

/// Reads a file, or standard input for `-`.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, InspectError> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        io::stdin().take(MAX_FILE_BYTES).read_to_end(&mut bytes).map_err(InspectError::Stdin)?;
    } else {
        let file = File::open(path).map_err(failed("read", path))?;
        file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).map_err(failed("read", path))?;
    }
    Ok(bytes)
}

/// Writes a file beside its place and puts it there when it is complete.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), InspectError> {
    let name =
        path.file_name().ok_or_else(|| failed("write", path)(io::ErrorKind::InvalidFilename.into()))?;
    let draft = path.with_file_name(format!(".{}.{}.part", name.to_string_lossy(), std::process::id()));
    let written = write_draft(&draft, bytes).and_then(|()| fs::rename(&draft, path));
    written.map_err(|source| {
        let _gone = fs::remove_file(&draft);
        failed("write", path)(source)
    })
}

fn write_draft(draft: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(draft)?;
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
