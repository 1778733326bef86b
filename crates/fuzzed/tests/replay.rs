//! What the fuzzer has found so far, played again.

use std::{
    fs,
    path::{Path, PathBuf},
};

use waypost_fuzzed::TARGETS;

fn folder(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz").join(kind)
}

/// The files of a folder in their order; none if there is no folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    files
}

#[test]
fn every_target_takes_what_was_found() {
    for (name, target) in TARGETS {
        let corpus = files(&folder("corpus").join(name));
        assert!(!corpus.is_empty(), "`{name}` has no corpus");
        for file in corpus.into_iter().chain(files(&folder("crashes").join(name))) {
            let bytes = fs::read(&file).unwrap();
            // If it panics, this is how to know on what.
            println!("{}", file.display());
            target(&bytes);
        }
    }
}

#[test]
fn there_are_no_files_but_for_targets_that_there_are() {
    for kind in ["corpus", "crashes"] {
        for found in files(&folder(kind)) {
            let name = found.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            assert!(TARGETS.iter().any(|(target, _)| *target == name), "no such target: {}", found.display());
        }
    }
}

#[test]
fn every_target_has_a_binary() {
    let manifest = fs::read_to_string(folder("Cargo.toml")).unwrap();
    for (name, _) in TARGETS {
        assert!(manifest.contains(&format!("name = \"{name}\"\n")), "no binary: {name}");
        let main = fs::read_to_string(folder("fuzz_targets").join(format!("{name}.rs"))).unwrap();
        assert!(main.contains(&format!("waypost_fuzzed::{name}(bytes)")), "another target: {main}");
    }
}
