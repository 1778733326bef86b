//! The links on the way to a file.

use std::{
    ffi::OsString,
    fs,
    path::{Component, Path, PathBuf, absolute},
};

/// As many as Linux follows (path_resolution(7)); more lead in a circle.
const MAX_LINKS: usize = 40;

/// All links on the way to a file or folder, each in its real folder, and last what they lead to. Where
/// something is missing, that is the last.
pub(super) fn places(path: &Path) -> Vec<PathBuf> {
    let path = absolute(path).unwrap_or_else(|_| path.to_owned());
    let (mut places, mut reached) = (Vec::new(), PathBuf::new());
    // What is left of the way, last first.
    let mut left = steps(&path);
    while let Some(step) = left.pop() {
        match Path::new(&step).components().next() {
            Some(Component::ParentDir) => drop(reached.pop()),
            Some(Component::CurDir) | None => {}
            // An absolute path takes the place of what was reached.
            Some(Component::RootDir | Component::Prefix(_) | Component::Normal(_)) => {
                let next = reached.join(&step);
                if let Some(target) = fs::read_link(&next).ok().filter(|_| places.len() < MAX_LINKS) {
                    left.extend(steps(&target));
                    places.push(next);
                } else if next.symlink_metadata().is_ok() {
                    reached = next;
                } else {
                    places.push(next);
                    return places;
                }
            }
        }
    }
    places.push(reached);
    places
}

/// The steps of a path, last first.
fn steps(path: &Path) -> Vec<OsString> {
    let mut steps: Vec<OsString> = path.iter().map(ToOwned::to_owned).collect();
    steps.reverse();
    steps
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_one_after_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let at = |name: &str| root.join(name);
        fs::create_dir_all(at("releases/2/conf")).unwrap();
        fs::write(at("releases/2/conf/a.json"), "{}").unwrap();
        symlink("releases/2", at("current")).unwrap();
        symlink(at("current/conf/a.json"), at("main.json")).unwrap();
        symlink("loop", at("loop")).unwrap();
        assert_eq!(places(&at("main.json")), [at("main.json"), at("current"), at("releases/2/conf/a.json")]);
        assert_eq!(places(&at("current/../1/x")), [at("current"), at("releases/1")]);
        assert_eq!(places(&at("releases/2")), [at("releases/2")]);
        assert_eq!(places(&at("loop")).len(), MAX_LINKS + 1);
        assert_eq!(places(Path::new("/")), [Path::new("/")]);
    }
}
