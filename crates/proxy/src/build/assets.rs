//! Where geo data is looked for.

use std::{
    ffi::OsString,
    fmt, fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// The largest geo file that is read: the largest public one has 48 MB.
const MAX_FILE_BYTES: u64 = 512 << 20;

/// The folders that geo files are looked for in, in order.
#[derive(Debug, Clone, Default)]
pub struct Assets {
    folders: Vec<PathBuf>,
    cache: Option<PathBuf>,
}

/// A geo file that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum AssetError {
    /// It is in none of the folders.
    #[error("cannot find `{file}`")]
    NotFound {
        /// The file.
        file: Box<str>,
        /// The folders that were tried.
        folders: Vec<PathBuf>,
    },
    /// It is there and cannot be read.
    #[error("cannot read `{}`: {source}", .path.display())]
    Io {
        /// The whole path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is larger than any geo file is.
    #[error("`{}` is larger than {MAX_FILE_BYTES} bytes", .path.display())]
    TooLarge {
        /// The whole path.
        path: PathBuf,
    },
}

impl Assets {
    /// The folders for a configuration in `configuration_folder`: those that `WAYPOST_ASSETS`,
    /// `V2RAY_LOCATION_ASSET` and `XRAY_LOCATION_ASSET` name, the configuration's own, and those of
    /// waypost, v2ray and xray in the XDG data folders, `/usr/local/share` and `/usr/share`.
    #[must_use]
    pub fn new(configuration_folder: Option<&Path>, env: &dyn Fn(&str) -> Option<OsString>) -> Self {
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        let named = ["WAYPOST_ASSETS", "V2RAY_LOCATION_ASSET", "XRAY_LOCATION_ASSET"];
        let mut folders: Vec<PathBuf> =
            named.iter().filter_map(|name| set(name)).map(PathBuf::from).collect();
        folders.extend(configuration_folder.map(Path::to_path_buf));

        let home_data = set("XDG_DATA_HOME")
            .map(PathBuf::from)
            .or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".local/share")));
        let data_dirs = set("XDG_DATA_DIRS").unwrap_or_default();
        // A relative path is invalid in these variables (XDG Base Directory Specification), and an
        // empty variable splits into one.
        let data_dirs = std::env::split_paths(&data_dirs).filter(|folder| folder.is_absolute());
        let shared = ["/usr/local/share", "/usr/share"].map(PathBuf::from);
        for share in home_data.into_iter().chain(data_dirs).chain(shared) {
            folders.extend(["waypost", "v2ray", "xray"].map(|program| share.join(program)));
        }
        let mut seen = std::collections::HashSet::new();
        folders.retain(|folder| seen.insert(folder.clone()));
        Self { folders, cache: cache_folder(&set) }
    }

    /// Where copies of what was fetched are kept if the configuration does not say it: the folder that
    /// `WAYPOST_CACHE` names, or `waypost` in `XDG_CACHE_HOME` or `~/.cache`. `None` if there is none.
    #[must_use]
    pub fn cache_folder(&self) -> Option<&Path> {
        self.cache.as_deref()
    }

    /// The first file of this name.
    #[must_use]
    pub fn find(&self, file: &str) -> Option<PathBuf> {
        self.folders.iter().map(|folder| folder.join(file)).find(|path| path.is_file())
    }

    /// Reads the first file of this name.
    ///
    /// # Errors
    ///
    /// If there is none, or it cannot be read.
    pub fn read(&self, file: &str) -> Result<(PathBuf, Vec<u8>), AssetError> {
        let path = self
            .find(file)
            .ok_or_else(|| AssetError::NotFound { file: file.into(), folders: self.folders.clone() })?;
        Self::read_at(path)
    }

    /// Reads the file at `path`, whatever its folder.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn read_at(path: PathBuf) -> Result<(PathBuf, Vec<u8>), AssetError> {
        match read_bounded(&path) {
            Ok(Some(bytes)) => Ok((path, bytes)),
            Ok(None) => Err(AssetError::TooLarge { path }),
            Err(source) => Err(AssetError::Io { path, source }),
        }
    }
}

fn cache_folder(set: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |name: &str| set(name).map(PathBuf::from).filter(|folder| folder.is_absolute());
    let user = || {
        Some(absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?.join("waypost"))
    };
    set("WAYPOST_CACHE").map(PathBuf::from).or_else(user)
}

fn read_bounded(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = fs::File::open(path)?;
    let mut bytes =
        Vec::with_capacity(usize::try_from(file.metadata()?.len().min(MAX_FILE_BYTES)).unwrap_or(0));
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= MAX_FILE_BYTES).then_some(bytes))
}

/// A list of folders for people, with commas.
pub(super) struct Folders<'a>(pub(super) &'a [PathBuf]);

impl fmt::Display for Folders<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, folder) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{}", folder.display())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders(env: &[(&str, &str)], configuration: Option<&str>) -> Vec<String> {
        let find =
            |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
        let assets = Assets::new(configuration.map(Path::new), &find);
        assets.folders.iter().map(|folder| folder.display().to_string()).collect()
    }

    #[test]
    fn named_folders_come_before_the_configuration_and_the_system() {
        let found = folders(
            &[
                ("XRAY_LOCATION_ASSET", "/x"),
                ("V2RAY_LOCATION_ASSET", "/v"),
                ("WAYPOST_ASSETS", "/w"),
                ("HOME", "/home/me"),
                ("XDG_DATA_DIRS", "/data:/usr/share"),
            ],
            Some("/etc/waypost"),
        );
        assert_eq!(
            found,
            [
                "/w",
                "/v",
                "/x",
                "/etc/waypost",
                "/home/me/.local/share/waypost",
                "/home/me/.local/share/v2ray",
                "/home/me/.local/share/xray",
                "/data/waypost",
                "/data/v2ray",
                "/data/xray",
                "/usr/share/waypost",
                "/usr/share/v2ray",
                "/usr/share/xray",
                "/usr/local/share/waypost",
                "/usr/local/share/v2ray",
                "/usr/local/share/xray",
            ]
        );
    }

    #[test]
    fn copies_are_in_the_first_folder_that_is_named() {
        for (env, expected) in [
            (&[("WAYPOST_CACHE", "/w"), ("XDG_CACHE_HOME", "/x"), ("HOME", "/home/me")][..], Some("/w")),
            (&[("WAYPOST_CACHE", ""), ("XDG_CACHE_HOME", "/x"), ("HOME", "/home/me")], Some("/x/waypost")),
            (&[("XDG_CACHE_HOME", "not/absolute"), ("HOME", "/home/me")], Some("/home/me/.cache/waypost")),
            (&[], None),
        ] {
            let find =
                |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
            let assets = Assets::new(None, &find);
            assert_eq!(assets.cache_folder(), expected.map(Path::new), "{env:?}");
        }
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        assert_eq!(folders(&[("WAYPOST_ASSETS", ""), ("XDG_DATA_HOME", "/d")], None)[0], "/d/waypost");
    }

    #[test]
    fn no_folder_is_below_the_working_folder() {
        for env in [&[][..], &[("XDG_DATA_DIRS", "")], &[("XDG_DATA_DIRS", "data::/usr/share")]] {
            assert!(folders(env, None).iter().all(|folder| folder.starts_with('/')), "{env:?}");
        }
    }

    #[test]
    fn a_missing_file_names_the_places_tried() {
        let folders = vec!["/nowhere/a".into(), "/nowhere/b".into()];
        let assets = Assets { folders, cache: None };
        let error = assets.read("geosite.dat").unwrap_err();
        let AssetError::NotFound { folders, .. } = &error else { panic!("{error}") };
        assert_eq!(Folders(folders).to_string(), "/nowhere/a, /nowhere/b");
    }
}
