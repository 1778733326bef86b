use std::{
    io::IsTerminal as _,
    io::Write as _,
    path::{Path, PathBuf},
};

use waypost_config::{Options, Source, Style, render};
use waypost_proxy::build::{Assets, Loaded, load, read_files};

use crate::arguments::ConfigFile;

/// What `waypost run` does without a file.
const DEFAULT: &str = include_str!("default.json");

/// Reads and compiles a configuration, the built-in one without `paths`. A file that is not even text is a failure; everything else
/// that can be wrong with it is among the diagnostics.
pub(crate) fn load_files(paths: &[PathBuf], file: &ConfigFile) -> anyhow::Result<(Source, Loaded)> {
    let source = match paths {
        [] => Source::new("(built-in configuration)", DEFAULT)?,
        paths => read_files(paths)?,
    };
    #[expect(clippy::disallowed_methods, reason = "the binary is where the environment is read")]
    let options = Options { unknown_keys: file.unknown_keys, env: &|name| std::env::var(name).ok() };
    let loaded = load(&source, &options, &assets(paths.first().map(PathBuf::as_path)));
    Ok((source, loaded))
}

/// The asset folders for a configuration at `path`.
pub(crate) fn assets(path: Option<&Path>) -> Assets {
    let folder = path.and_then(|path| if path.is_dir() { Some(path) } else { path.parent() });
    #[expect(clippy::disallowed_methods, reason = "the binary is where the environment is read")]
    Assets::new(folder, &|name| std::env::var_os(name))
}

/// Shows everything that was found, on standard error.
pub(crate) fn report(source: &Source, loaded: &Loaded) -> anyhow::Result<()> {
    let style = if std::io::stderr().is_terminal() { Style::Color } else { Style::Plain };
    Ok(write_stderr(&render(source, &loaded.diagnostics, style))?)
}

pub(crate) fn write_stderr(text: &str) -> std::io::Result<()> {
    std::io::stderr().write_all(text.as_bytes())
}
