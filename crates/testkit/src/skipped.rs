use std::{fs::OpenOptions, io::Write};

/// Says that `test` checks nothing, and why.
///
/// A runner that hides the output of tests that pass would hide this too, so the line is also
/// appended to the file that the variable `WAYPOST_SKIP_LOG` names; `cargo xtask ci` sets it and
/// shows the file when all tests are done.
pub fn say_skipped(test: &str, why: &str) {
    let line = format!("SKIPPED: {test}: {why}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    #[expect(clippy::disallowed_methods, reason = "the runner says where skipped tests are listed")]
    if let Some(log) = std::env::var_os("WAYPOST_SKIP_LOG") {
        let mut log = OpenOptions::new().create(true).append(true).open(log).unwrap();
        log.write_all(line.as_bytes()).unwrap();
    }
}
