//! The files that a configuration is in.

use std::{
    ffi::OsStr,
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use waypost_config::{Source, SourceError};

/// How many files are read together; nobody writes more by hand.
const MAX_FILES: usize = 10_000;

/// Why a configuration could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// A file or folder cannot be read.
    #[error("cannot read `{}`", .path.display())]
    Io {
        /// Its path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A folder has nothing to read.
    #[error("there is no `.json` or `.jsonc` file in `{}`", .path.display())]
    EmptyFolder {
        /// Its path.
        path: PathBuf,
    },
    /// A folder has more than anybody means.
    #[error("there are more than {MAX_FILES} files in `{}`", .path.display())]
    TooMany {
        /// Its path.
        path: PathBuf,
    },
    /// A file is not text, or all of them are too large.
    #[error(transparent)]
    Text(#[from] SourceError),
}

/// Reads files and folders as one configuration, in the order in which they are given. Of a folder
/// that is its `*.json` and `*.jsonc` in the order of their names; hidden files and folders in it do
/// not count.
///
/// # Errors
///
/// If one of them cannot be read or is not text.
pub fn read_files(paths: &[PathBuf]) -> Result<Source, ReadError> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            files.extend(folder(path)?);
        } else {
            files.push(path.clone());
        }
    }
    let name = match paths {
        [only] => only.display().to_string(),
        several => format!("{} files", files.len().max(several.len())),
    };
    let contents: Result<Vec<_>, ReadError> = files.into_iter().map(read).collect();
    Ok(Source::of_files(name, contents?)?)
}

fn read(path: PathBuf) -> Result<(String, Vec<u8>), ReadError> {
    let mut bytes = Vec::new();
    let limit = Source::MAX_BYTES as u64 + 1;
    match fs::File::open(&path).and_then(|file| file.take(limit).read_to_end(&mut bytes)) {
        Ok(_) => Ok((path.display().to_string(), bytes)),
        Err(source) => Err(ReadError::Io { path, source }),
    }
}

fn folder(path: &Path) -> Result<Vec<PathBuf>, ReadError> {
    let failed = |source| ReadError::Io { path: path.to_path_buf(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        let is_json = matches!(file.extension().and_then(OsStr::to_str), Some("json" | "jsonc"));
        let is_hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if is_json && !is_hidden && !file.is_dir() {
            files.push(file);
        }
        if files.len() > MAX_FILES {
            return Err(ReadError::TooMany { path: path.to_path_buf() });
        }
    }
    if files.is_empty() {
        return Err(ReadError::EmptyFolder { path: path.to_path_buf() });
    }
    files.sort();
    Ok(files)
}
