//! `testdata/config`: broken files with what is said about them, files with warnings, and files
//! that nothing is said about. A new case needs no Rust; `UPDATE_EXPECT=1` writes the `.stderr`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::read;

pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/config").join(name)
}

/// The JSON files of a folder in the order of their names, with their content.
fn files(name: &str) -> Vec<(PathBuf, String)> {
    let entries = fs::read_dir(folder(name)).expect("the folder exists");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    let content = |path: &PathBuf| fs::read_to_string(path).expect("readable");
    paths.iter().map(|path| (path.clone(), content(path))).collect()
}

#[expect(clippy::disallowed_methods, reason = "a switch for whoever runs the tests")]
pub(crate) fn updates_expectations() -> bool {
    std::env::var_os("UPDATE_EXPECT").is_some()
}

/// Compares what is said about every file of a folder with what is written beside it.
fn check_folder(name: &str, usable: bool, least: usize) {
    let files = files(name);
    assert!(files.len() >= least, "only {} files in {name}", files.len());
    let mut differing = Vec::new();
    for (path, text) in &files {
        let shown = format!("{name}/{}", path.file_name().expect("a file").to_string_lossy());
        let (outcome, rendered) = read(&shown, text);
        assert_eq!(outcome.config.is_some(), usable, "{shown}\n{rendered}");
        assert!(!outcome.diagnostics.is_empty(), "{shown}");
        let expected = path.with_extension("stderr");
        if updates_expectations() {
            fs::write(&expected, &rendered).expect("writable");
        } else if fs::read_to_string(&expected).unwrap_or_default() != rendered {
            differing.push(format!("--- {shown}\n{rendered}"));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn broken_files_are_refused_with_a_place_and_a_way_out() {
    check_folder("bad", false, 51);
}

#[test]
fn doubtful_files_are_accepted_with_warnings() {
    check_folder("warn", true, 14);
}

#[test]
fn nothing_is_said_about_good_files() {
    let files = files("good");
    assert!(files.len() >= 11, "only {} files", files.len());
    for (path, text) in files {
        let (outcome, rendered) = read(&path.display().to_string(), &text);
        assert_eq!(rendered, "");
        assert!(outcome.config.is_some());
    }
}

#[test]
fn no_rule_of_the_examples_is_called_never_reached() {
    let files: Vec<_> =
        ["../../docs/examples", "convert", "../sing-box"].into_iter().flat_map(files).collect();
    assert!(files.len() >= 13, "only {} files", files.len());
    for (path, text) in files {
        let (_, rendered) = read(&path.display().to_string(), &text);
        assert!(!rendered.contains("takes all it could take"), "{rendered}");
    }
}
