//! Where files lie and what each crate must have.

use std::path::Path;

use super::Problem;
use crate::workspace::Package;

/// The crates that others may use outside of this project.
const REUSABLE: [&str; 9] =
    ["net", "geodata", "geosite", "geoip", "router", "ring", "health", "balance", "config"];

pub(super) const BINARY_SOURCES: &str = "crates/waypost/src";
/// The binary is thin: arguments, logging, signals, exit codes.
const MAX_BINARY_LINES: usize = 400;

const ARCHITECTURE: &str = "docs/ARCHITECTURE.md";
/// Longer than this, nobody reads it again (matklad, "ARCHITECTURE.md").
const MAX_ARCHITECTURE_LINES: usize = 250;

/// Checks the folder of a package, and that it takes the lints of the workspace.
pub(super) fn check_manifest(package: &Package, path: &Path, manifest: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    let name = package.short_name();
    let folder = if name == "xtask" { Path::new("xtask").to_owned() } else { Path::new("crates").join(name) };
    if package.folder != folder {
        problems.push(Problem::new(
            path,
            1,
            format!("`{}` belongs into `{}`", package.name, folder.display()),
        ));
    }
    let mut lints = manifest.lines().map(str::trim).skip_while(|line| *line != "[lints]").skip(1);
    let mut section = lints.by_ref().take_while(|line| !line.starts_with('['));
    if !section.any(|line| line == "workspace = true") {
        problems.push(Problem::new(path, 1, "expected `[lints]` with `workspace = true`"));
    }
    problems
}

/// Checks what a crate needs so that others can use it.
pub(super) fn check_reusable(root: &Path, package: &Package) -> Vec<Problem> {
    if !REUSABLE.contains(&package.short_name()) {
        return Vec::new();
    }
    let mut problems = Vec::new();
    let readme = package.folder.join("README.md");
    if !root.join(&readme).is_file() {
        problems.push(Problem::new(&readme, 1, "a reusable crate has a README.md"));
    }
    let lib = package.folder.join("src/lib.rs");
    let text = std::fs::read_to_string(root.join(&lib)).unwrap_or_default();
    problems.extend(check_reusable_lib(&lib, &text));
    problems
}

fn check_reusable_lib(path: &Path, text: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    if !text.lines().any(|line| line.trim() == "#![deny(missing_docs)]") {
        problems.push(Problem::new(path, 1, "a reusable crate has `#![deny(missing_docs)]`"));
    }
    if !text.lines().any(|line| line.trim_start().starts_with("//! ```")) {
        problems.push(Problem::new(path, 1, "a reusable crate has an example in its crate documentation"));
    }
    problems
}

pub(super) fn check_architecture(path: &Path, text: &str) -> Option<Problem> {
    let n_lines = text.lines().count();
    let is_too_long = path == Path::new(ARCHITECTURE) && n_lines >= MAX_ARCHITECTURE_LINES;
    let text = || format!("expected fewer than {MAX_ARCHITECTURE_LINES} lines, found {n_lines}");
    is_too_long.then(|| Problem::new(path, MAX_ARCHITECTURE_LINES, text()))
}

/// Checks the lines of the binary crate, without its unit tests.
pub(super) fn check_binary(n_lines: usize) -> Option<Problem> {
    let path = Path::new(BINARY_SOURCES).join("main.rs");
    let text = || format!("the binary has {n_lines} lines, expected fewer than {MAX_BINARY_LINES}");
    (n_lines >= MAX_BINARY_LINES).then(|| Problem::new(&path, 1, text()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, folder: &str) -> Package {
        Package { name: name.to_owned(), folder: folder.into(), dependencies: Vec::new(), has_benches: false }
    }

    fn texts(problems: impl IntoIterator<Item = Problem>) -> Vec<String> {
        problems.into_iter().map(|problem| problem.text).collect()
    }

    const LINTS: &str = "[package]\n[lints]\nworkspace = true\n";

    #[test]
    fn the_folder_is_the_name_without_prefix() {
        let check =
            |name, folder| texts(check_manifest(&package(name, folder), Path::new("Cargo.toml"), LINTS));
        assert!(check("waypost-net", "crates/net").is_empty());
        assert!(check("waypost", "crates/waypost").is_empty());
        assert!(check("xtask", "xtask").is_empty());
        assert_eq!(check("waypost-net", "crates/network"), ["`waypost-net` belongs into `crates/net`"]);
        assert_eq!(check("xtask", "crates/xtask"), ["`xtask` belongs into `xtask`"]);
    }

    #[test]
    fn every_crate_takes_the_lints_of_the_workspace() {
        let package = package("waypost-net", "crates/net");
        let check = |manifest| texts(check_manifest(&package, Path::new("Cargo.toml"), manifest));
        assert!(check(LINTS).is_empty());
        let expected = ["expected `[lints]` with `workspace = true`"];
        assert_eq!(check("[package]\n"), expected);
        assert_eq!(check("[lints]\n[dependencies]\nworkspace = true\n"), expected);
        assert_eq!(check("[lints.rust]\nworkspace = true\n"), expected);
    }

    #[test]
    fn a_reusable_crate_documents_everything_and_has_an_example() {
        let check = |text| texts(check_reusable_lib(Path::new("lib.rs"), text));
        assert!(check("//! Text.\n//!\n//! ```\n//! ```\n#![deny(missing_docs)]\n").is_empty());
        assert_eq!(check("//! ```\n").len(), 1);
        assert_eq!(check("/// ```\n#![deny(missing_docs)]\n").len(), 1);
    }

    #[test]
    fn only_reusable_crates_need_a_readme() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(check_reusable(folder.path(), &package("waypost-net", "crates/net")).len(), 3);
        assert!(check_reusable(folder.path(), &package("waypost-wire", "crates/wire")).is_empty());
    }

    #[test]
    fn the_binary_and_the_architecture_stay_short() {
        assert_eq!((check_binary(399), check_binary(400).is_some()), (None, true));
        let check = |path, n_lines| check_architecture(Path::new(path), &"x\n".repeat(n_lines)).is_some();
        assert!(check(ARCHITECTURE, 250) && !check(ARCHITECTURE, 249) && !check("docs/OTHER.md", 900));
    }
}
