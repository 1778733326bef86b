//! Tests of the public interface, against prost, `maxminddb` and real files.
#![cfg(test)]

mod dat;
mod errors;
mod mmdb;
mod mmdb_broken;
mod oracle;
mod rule_set;
mod rule_set_hostile;

use std::path::PathBuf;

/// Returns a folder of the shared data, or says that the test is skipped.
fn shared_data(folder: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(folder);
    if path.exists() {
        return Some(path);
    }
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    waypost_testkit::say_skipped(&test, &format!("{} is not here", path.display()));
    None
}

fn bytes_of_hex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}
