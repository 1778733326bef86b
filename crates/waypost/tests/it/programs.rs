//! Other people's programs, which not every machine has.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::process::Command;

/// The program called `name`, or a loud line that `test` checks nothing. Where
/// `CI_REQUIRE_PEERS=1` is set, as `.ci/run` does, a program that is absent is a failure.
pub(crate) fn require(name: &str, test: &str) -> Option<PathBuf> {
    find(name).or_else(|| {
        skip(test, &format!("`{name}` is not installed"));
        None
    })
}

/// The program called `name`, if it is in `PATH`.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let folders = variable("PATH").unwrap_or_default();
    std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// A Python that has the module `socks` (PySocks).
pub(crate) async fn require_pysocks(test: &str) -> Option<PathBuf> {
    for python in ["/usr/bin/python3", "python3"].map(Path::new) {
        let mut command = Command::new(python);
        command.args(["-c", "import socks"]).stdout(Stdio::null()).stderr(Stdio::null());
        if command.status().await.is_ok_and(|status| status.success()) {
            return Some(python.to_owned());
        }
    }
    skip(test, "no `python3` has the module `socks` (PySocks)");
    None
}

/// Says that `test` checks nothing, or fails where that is not acceptable.
pub(crate) fn skip(test: &str, why: &str) {
    let must_be_there = variable("CI_REQUIRE_PEERS").is_some_and(|value| value == "1");
    assert!(!must_be_there, "{test}: {why}, and CI_REQUIRE_PEERS=1 asks for it");
    waypost_testkit::say_skipped(test, why);
}

#[expect(clippy::disallowed_methods, reason = "where programs are, and whether they must be, is told so")]
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}
