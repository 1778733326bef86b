//! Reading a configuration as the command line says, and telling what is wrong with it.

use std::{
    io::IsTerminal as _,
    io::Write as _,
    path::{Path, PathBuf},
};

use waypost_config::{Options, Source, Style, render};
use waypost_proxy::{
    Reading,
    build::{Assets, Loaded, load, read_files},
};

use crate::{arguments::ConfigFile, command::CommandError};

/// What `waypost run` does without a file.
const DEFAULT: &str = include_str!("default.json");

/// Reads and compiles a configuration, the built-in one without `paths`. What can be wrong with it is
/// among the diagnostics.
///
/// # Errors
///
/// If a file cannot be read, or is not even text.
pub fn load_files(paths: &[PathBuf], file: &ConfigFile) -> Result<(Source, Loaded), CommandError> {
    let source = match paths {
        [] => Source::new("(built-in configuration)", DEFAULT)?,
        paths => read_files(paths)?,
    };
    let Reading { unknown_keys, assets, env, .. } = reading(paths, file);
    let loaded = load(&source, &Options { unknown_keys, env: &env }, &assets);
    Ok((source, loaded))
}

/// How a configuration is read, and read again.
pub(crate) fn reading(paths: &[PathBuf], file: &ConfigFile) -> Reading {
    #[expect(clippy::disallowed_methods, reason = "what the binary does is where the environment is read")]
    let env = |name: &str| std::env::var(name).ok();
    let assets = assets(paths.first().map(PathBuf::as_path));
    Reading { paths: paths.to_vec(), unknown_keys: file.unknown_keys, assets, env, confined_to: None }
}

/// The asset folders for a configuration at `path`.
#[must_use]
pub fn assets(path: Option<&Path>) -> Assets {
    let folder = path.and_then(|path| if path.is_dir() { Some(path) } else { path.parent() });
    #[expect(clippy::disallowed_methods, reason = "what the binary does is where the environment is read")]
    Assets::new(folder, &|name| std::env::var_os(name))
}

/// Shows everything that was found, on standard error.
///
/// # Errors
///
/// If nobody reads that.
pub fn report(source: &Source, loaded: &Loaded) -> std::io::Result<()> {
    let style = if std::io::stderr().is_terminal() { Style::Color } else { Style::Plain };
    write_stderr(&render(source, &loaded.diagnostics, style))
}

/// Writes to standard error.
///
/// # Errors
///
/// If nobody reads that.
pub fn write_stderr(text: &str) -> std::io::Result<()> {
    std::io::stderr().write_all(text.as_bytes())
}
