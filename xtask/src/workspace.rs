//! What `cargo metadata` says about the workspace.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// One package of the workspace.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Relative to the workspace root.
    pub(crate) folder: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) has_benches: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// Whether the dependency is needed to build the package, not only to test it.
    pub(crate) is_normal: bool,
}

impl Package {
    /// Returns the name without the prefix of the project.
    pub(crate) fn short_name(&self) -> &str {
        self.name.strip_prefix("waypost-").unwrap_or(&self.name)
    }
}

/// Returns the workspace root.
pub(crate) fn root() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask has no parent folder")?;
    Ok(root.to_owned())
}

/// Asks cargo for the packages of the workspace, sorted by name.
pub(crate) fn packages(root: &Path) -> Result<Vec<Package>> {
    let output = Command::new("cargo")
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(root)
        .output()
        .context("cannot run `cargo metadata`")?;
    if !output.status.success() {
        bail!("`cargo metadata` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let metadata = serde_json::from_slice(&output.stdout).context("`cargo metadata` wrote no JSON")?;
    packages_of_metadata(&metadata, root)
}

fn packages_of_metadata(metadata: &Value, root: &Path) -> Result<Vec<Package>> {
    let packages = array(metadata, "packages")?.iter().map(|package| {
        let manifest = Path::new(text(package, "manifest_path")?);
        let folder = manifest.parent().context("a manifest has no parent folder")?;
        let dependencies = array(package, "dependencies")?.iter().map(|dependency| {
            Ok(Dependency {
                name: text(dependency, "name")?.to_owned(),
                is_normal: dependency.get("kind").is_none_or(Value::is_null),
            })
        });
        let is_bench = |target: &Value| {
            target
                .get("kind")
                .and_then(Value::as_array)
                .is_some_and(|kinds| kinds.iter().any(|kind| kind == "bench"))
        };
        Ok(Package {
            name: text(package, "name")?.to_owned(),
            folder: folder.strip_prefix(root).unwrap_or(folder).to_owned(),
            dependencies: dependencies.collect::<Result<_>>()?,
            has_benches: array(package, "targets")?.iter().any(is_bench),
        })
    });
    let mut packages: Vec<Package> = packages.collect::<Result<_>>()?;
    packages.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(packages)
}

/// Returns the files that git tracks or would add, relative to the root.
pub(crate) fn tracked_files(root: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("cannot run `git ls-files`")?;
    if !output.status.success() {
        bail!("`git ls-files` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let names = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
    let mut files: Vec<PathBuf> =
        names.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect();
    files.retain(|file| root.join(file).is_file());
    files.sort();
    Ok(files)
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    value.get(key).and_then(Value::as_str).with_context(|| format!("no text `{key}` in cargo metadata"))
}

fn array<'a>(value: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    value.get(key).and_then(Value::as_array).with_context(|| format!("no array `{key}` in cargo metadata"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tells_normal_dependencies_and_benches_apart() {
        let metadata = json!({"packages": [{
            "name": "waypost-dns",
            "manifest_path": "/w/crates/dns/Cargo.toml",
            "dependencies": [
                {"name": "tokio", "kind": null},
                {"name": "proptest", "kind": "dev"},
            ],
            "targets": [{"kind": ["lib"]}, {"kind": ["bench"]}],
        }]});
        let packages = packages_of_metadata(&metadata, Path::new("/w")).unwrap();
        assert_eq!(packages[0].short_name(), "dns");
        assert_eq!(packages[0].folder, Path::new("crates/dns"));
        assert!(packages[0].has_benches);
        let kinds: Vec<bool> = packages[0].dependencies.iter().map(|found| found.is_normal).collect();
        assert_eq!(kinds, [true, false]);
    }

    #[test]
    fn metadata_without_packages_is_an_error() {
        let error = packages_of_metadata(&json!({}), Path::new("/w")).unwrap_err();
        assert_eq!(error.to_string(), "no array `packages` in cargo metadata");
    }
}
