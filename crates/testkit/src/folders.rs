use std::path::{Path, PathBuf};

/// The folder that holds the workspace's `Cargo.toml`.
#[must_use]
pub fn workspace_root() -> PathBuf {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    crates.and_then(Path::parent).expect("this crate is two folders below the root").to_owned()
}

/// The folder `shared` beside the workspace, if there is one: vectors and peers that are not part of
/// the repository.
#[must_use]
pub fn shared_dir() -> Option<PathBuf> {
    let shared = workspace_root().parent()?.join("shared");
    shared.is_dir().then_some(shared)
}

/// [`shared_dir`], or a loud line that `test_name` checks nothing.
#[must_use]
pub fn skip_without_shared(test_name: &str) -> Option<PathBuf> {
    let shared = shared_dir();
    if shared.is_none() {
        crate::say_skipped(test_name, "there is no folder `shared` beside the workspace");
    }
    shared
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_holds_the_workspace_manifest() {
        let manifest = std::fs::read_to_string(workspace_root().join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[workspace]"));
    }
}
