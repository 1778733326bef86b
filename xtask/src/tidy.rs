//! `cargo xtask tidy`: the rules of the project that no compiler knows.

mod dependencies;
mod layout;
mod sources;

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::workspace::{self, Package};

/// Something to put right.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Problem {
    /// Relative to the workspace root.
    file: PathBuf,
    line: usize,
    text: String,
}

impl Problem {
    fn new(file: &Path, line: usize, text: impl Into<String>) -> Problem {
        Problem { file: file.to_owned(), line, text: text.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.text)
    }
}

/// Prints every problem, and fails if there is one.
pub(crate) fn run() -> Result<()> {
    let problems = problems(&workspace::root()?)?;
    for problem in &problems {
        println!("{problem}");
    }
    match problems.len() {
        0 => Ok(()),
        n_problems => bail!("tidy found {n_problems} problems"),
    }
}

fn problems(root: &Path) -> Result<Vec<Problem>> {
    let packages = workspace::packages(root)?;
    let mut problems = Vec::new();
    for package in &packages {
        let manifest_path = package.folder.join("Cargo.toml");
        let manifest = read(root, &manifest_path)?;
        problems.extend(dependencies::check(package, &manifest_path, &manifest));
        problems.extend(layout::check_manifest(package, &manifest_path, &manifest));
        problems.extend(layout::check_reusable(root, package));
    }
    let mut binary_lines = 0;
    for path in workspace::tracked_files(root)? {
        let bytes =
            std::fs::read(root.join(&path)).with_context(|| format!("cannot read `{}`", path.display()))?;
        let Ok(text) = String::from_utf8(bytes) else { continue };
        problems.extend(sources::check_text(&path, &text));
        problems.extend(layout::check_architecture(&path, &text));
        if path.extension().is_some_and(|extension| extension == "rs") {
            problems.extend(sources::check_rust(&path, &text, package_of(&packages, &path)));
            if path.starts_with(layout::BINARY_SOURCES) {
                binary_lines += sources::code_lines(&text).count();
            }
        }
    }
    problems.extend(layout::check_binary(binary_lines));
    problems.sort();
    problems.dedup();
    Ok(problems)
}

fn package_of<'a>(packages: &'a [Package], path: &Path) -> Option<&'a Package> {
    packages.iter().find(|package| path.starts_with(&package.folder))
}

fn read(root: &Path, path: &Path) -> Result<String> {
    std::fs::read_to_string(root.join(path)).with_context(|| format!("cannot read `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a workspace in which every group of rules is broken once.
    fn broken_workspace() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let long_code = "const A: u8 = 0;\n".repeat(450);
        let files: [(&str, &str); 7] = [
            ("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"crates/*\"]\n[workspace.lints]\n"),
            ("crates/ring/Cargo.toml", "[package]\nname = \"waypost-ring\"\n[dependencies]\nserde = \"1\"\n"),
            ("crates/ring/src/lib.rs", "#[al!low(dead_code)]\nfn now() { std::time::Instant::now(); }\n"),
            ("crates/waypost/Cargo.toml", "[package]\nname = \"waypost\"\n[lints]\nworkspace = true\n"),
            ("crates/waypost/src/main.rs", &long_code),
            ("docs/ARCHITECTURE.md", &"line\n".repeat(250)),
            ("notes.md", "see /wo!rk/main\n"),
        ];
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text.replace('!', "")).unwrap();
        }
        let git =
            std::process::Command::new("git").args(["init", "--quiet"]).current_dir(folder.path()).status();
        assert!(git.unwrap().success());
        folder
    }

    #[test]
    fn lists_every_problem_of_a_workspace_in_one_run() {
        let folder = broken_workspace();
        let problems: Vec<String> = problems(folder.path()).unwrap().iter().map(Problem::to_string).collect();
        assert_eq!(
            problems,
            [
                "crates/ring/Cargo.toml:1: expected `[lints]` with `workspace = true`",
                "crates/ring/Cargo.toml:4: an engine crate may not depend on `serde`",
                "crates/ring/README.md:1: a reusable crate has a README.md",
                "crates/ring/src/lib.rs:1: `allow` hides what it no longer needs to: use `#[expect(.., reason = \"..\")]`",
                "crates/ring/src/lib.rs:1: a reusable crate has `#![deny(missing_docs)]`",
                "crates/ring/src/lib.rs:1: a reusable crate has an example in its crate documentation",
                "crates/ring/src/lib.rs:2: a pure crate may not use `Instant::now`",
                "crates/waypost/src/main.rs:1: the binary has 450 lines, expected fewer than 400",
                "docs/ARCHITECTURE.md:250: expected fewer than 250 lines, found 250",
                "notes.md:1: an absolute path of one workplace",
            ]
        );
    }

    #[test]
    fn a_file_without_a_package_is_still_read() {
        assert!(package_of(&[], Path::new("fuzz/src/lib.rs")).is_none());
    }
}
