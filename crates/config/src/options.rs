use std::fmt;

use crate::{Diagnostic, Source, detect, json, model::Config, report::Report};

/// How a file is read.
pub struct Options<'a> {
    /// What an unknown key is. A file can ask for warnings too, by `unknownKeys`.
    pub unknown_keys: UnknownKeys,
    /// The environment, for `"port": "env:NAME"`; `None` for a variable that is not set.
    pub env: &'a dyn Fn(&str) -> Option<String>,
}

/// What a key that is in no table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownKeys {
    /// An error.
    #[default]
    Error,
    /// A warning, for files that cannot be changed.
    Warn,
}

impl UnknownKeys {
    /// Both, by name.
    pub const WORDS: [(&str, Self); 2] = [("error", Self::Error), ("warn", Self::Warn)];
}

/// What came out of reading a file.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The configuration, if there is no error.
    pub config: Option<Config>,
    /// What could be read in spite of errors: for further checks, so that all problems are reported
    /// at once, and never to be run.
    pub draft: Option<Config>,
    /// Errors and warnings in the order of their places.
    pub diagnostics: Vec<Diagnostic>,
}

impl Default for Options<'_> {
    /// Unknown keys are errors, and the environment is empty.
    fn default() -> Self {
        Self { unknown_keys: UnknownKeys::default(), env: &|_| None }
    }
}

impl fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("unknown_keys", &self.unknown_keys).finish_non_exhaustive()
    }
}

/// Reads a whole file and reports everything that is wrong with it. A text that is not JSON is
/// only checked as JSON, because everything else would be a guess.
#[must_use]
pub fn parse(source: &Source, options: &Options<'_>) -> Outcome {
    let mut report = Report::new(source, options);
    let config = json::parse(&mut report).and_then(|root| detect::read(&root, &mut report));
    let (config, draft) = if report.failed() { (None, config) } else { (config, None) };
    Outcome { config, draft, diagnostics: report.finish() }
}
