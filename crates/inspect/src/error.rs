use std::path::PathBuf;

use waypost_config::{SourceError, UrlError};
use waypost_geodata::{
    DatError, MmdbError,
    rule_set::{RuleSetWriteError, SrsError},
};
use waypost_proxy::{
    DownloadError,
    build::{AssetError, ReadError},
};

/// Why a command on a file comes to nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InspectError {
    /// There is no file of that name.
    #[error("there is no file `{name}`, neither here nor in {}", .folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", "))]
    NotFound {
        /// What was looked for.
        name: Box<str>,
        /// The asset folders.
        folders: Vec<PathBuf>,
    },
    /// It cannot be read.
    #[error(transparent)]
    Asset(AssetError),
    /// It is neither kind of .dat file, or broken.
    #[error("`{}` is neither a geosite nor a geoip file: {error}", .path.display())]
    Dat {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, read as the kind that it looks like more.
        error: DatError,
    },
    /// It is a broken country database.
    #[error("`{}` is no country database: {error}", .path.display())]
    Mmdb {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: MmdbError,
    },
    /// The file has the other kind of lists.
    #[error("`{}` has lists of {has}, not of {wanted}", .path.display())]
    Kind {
        /// The file.
        path: PathBuf,
        /// What its lists are of.
        has: &'static str,
        /// What was asked for.
        wanted: &'static str,
    },
    /// An entry of a list is wrong.
    #[error("list `{code}`: `{entry}`: {reason}")]
    Entry {
        /// The list.
        code: String,
        /// The entry.
        entry: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file cannot be read or written.
    #[error("cannot {doing} `{}`: {source}", .path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A configuration cannot be read.
    #[error(transparent)]
    Configuration(#[from] ReadError),
    /// A list cannot be fetched from what an argument says. It may be a secret.
    #[error("not a URL that can be fetched: {0}")]
    Url(UrlError),
    /// There is no runtime to fetch with.
    #[error("cannot fetch anything: {0}")]
    Runtime(std::io::Error),
    /// A list cannot be fetched.
    #[error("cannot fetch `{name}`: {error}")]
    Fetch {
        /// Its URL without the path and the query.
        name: String,
        /// What went wrong.
        error: DownloadError,
    },
    /// Standard input cannot be read.
    #[error("cannot read standard input: {0}")]
    Stdin(std::io::Error),
    /// It is a broken compiled rule set.
    #[error("`{}`: {error}", .path.display())]
    Srs {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: SrsError,
    },
    /// It is no text, so that it can be no source of a rule set.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A set cannot be written in this version of the format.
    #[error("cannot write `{}`: {error}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What is wrong with the set.
        error: RuleSetWriteError,
    },
    /// A set has an entry that cannot be used.
    #[error("`{}`: rules[{rule}]: {reason}", .path.display())]
    Rule {
        /// The file.
        path: PathBuf,
        /// Which rule with conditions it is, counted from 0 in the order of the file.
        rule: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// AdGuard rules have no form in a source file.
    #[error("`{}` has AdGuard rules, which source files cannot have; `waypost rule-set match` reads them", .0.display())]
    AdGuard(PathBuf),
    /// There is no list of this code.
    #[error("`{}` has no list `{code}`; `waypost geo list` shows all codes", .path.display())]
    NoList {
        /// The file.
        path: PathBuf,
        /// What was asked for.
        code: String,
    },
    /// There is nothing in a list that a set could have.
    #[error("`{}` has no entries that a rule set could have", .0.display())]
    Empty(PathBuf),
}

impl From<AssetError> for InspectError {
    fn from(error: AssetError) -> Self {
        match error {
            AssetError::NotFound { file, folders } => Self::NotFound { name: file, folders },
            error @ (AssetError::Io { .. } | AssetError::TooLarge { .. }) => Self::Asset(error),
        }
    }
}
