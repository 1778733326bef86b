//! What rules are compiled from, once more when a rule set has changed.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use waypost_config::{
    Diagnostic, Severity, Source, Spanned,
    model::{self, Config, RuleSetFormat, RuleSetSource},
};
use waypost_geodata::rule_set::{RuleSet, SrsReader};
use waypost_router::Router;

use super::{
    assets::Assets,
    dns::{self, DnsRules},
    geo::GeoFiles,
    rule_sets::NamedSet,
    rules,
};
use crate::{
    cache::rule_sets_folder,
    rule_sets::{Content, ContentError, Found, Kept, Stamp, Store, read_file},
};

/// What rules are compiled from.
#[derive(Debug)]
pub(crate) struct Recipe {
    config: Config,
    source: Source,
    assets: Assets,
    /// What else has sets in its rules.
    dns: Option<Arc<DnsRules>>,
    /// What there was of the sets at the start, until somebody takes it.
    found: Mutex<Vec<Found>>,
}

impl Recipe {
    /// `None` if no set can change.
    pub(super) fn new(
        config: &Config,
        source: &Source,
        assets: &Assets,
        dns: Option<Arc<DnsRules>>,
        found: Vec<Found>,
    ) -> Option<Arc<Self>> {
        if config.routing.rule_sets.is_empty() {
            return None;
        }
        let (config, source, assets) = (config.clone(), source.clone(), assets.clone());
        Some(Arc::new(Self { config, source, assets, dns, found: Mutex::new(found) }))
    }

    /// The sets, in the order of the file.
    pub(crate) fn sets(&self) -> &[model::RuleSet] {
        &self.config.routing.rule_sets
    }

    /// What there was of the sets when the configuration was read.
    pub(crate) fn found(&self) -> Vec<Found> {
        self.found.lock().clone()
    }

    /// The same, which is then forgotten here.
    pub(crate) fn take_found(&self) -> Vec<Found> {
        std::mem::take(&mut self.found.lock())
    }

    /// Where the file of a local set is.
    pub(crate) fn path(&self, written: &Spanned<Box<str>>) -> PathBuf {
        local_path(&self.source, written)
    }

    /// Where copies of fetched sets are.
    pub(crate) fn store(&self) -> Store {
        store(&self.config, &self.assets)
    }

    /// Compiles the rules with these contents of sets, by number; geo files are read again. Queries to DNS
    /// servers go by the new rules when this returns, connections by what it returns.
    ///
    /// # Errors
    ///
    /// If something in them cannot be compiled: the first problem.
    pub(crate) fn compile(&self, contents: &[Option<Content>]) -> Result<Router, Box<str>> {
        let mut problems = Vec::new();
        let mut sets = Vec::with_capacity(contents.len());
        let mut reader = SrsReader::default();
        for content in contents {
            let rules = content.as_ref().map(|content| content.rules(&mut reader)).transpose();
            sets.push(rules.map_err(|error| error.to_string())?.unwrap_or_default());
        }
        let files = GeoFiles::read(&self.config, &self.assets, &mut problems);
        let named = named(&self.config, &sets);
        let router = rules::router(&self.config, &self.source, &files, &named, &mut problems);
        let dns =
            self.dns.as_ref().map(|rules| (rules, dns::compile(&self.config, &files, &named, &mut problems)));
        let error = problems.into_iter().find(|problem| problem.severity == Severity::Error);
        match (router, error) {
            (Some(router), None) => {
                if let Some((rules, Some(router))) = dns {
                    rules.replace(router);
                }
                Ok(router)
            }
            (_, Some(error)) => Err(error.message.into()),
            (None, None) => Err("the rules cannot be compiled".into()),
        }
    }
}

/// The sets of a configuration, read.
#[derive(Default)]
pub(super) struct ReadSets {
    /// By number; those that are inline have none.
    pub(super) found: Vec<Found>,
    rules: Vec<RuleSet>,
}

impl ReadSets {
    /// Reads every file that the configuration names, and the copies of sets that are fetched. Nothing
    /// is fetched here.
    pub(super) fn read(
        config: &Config,
        source: &Source,
        assets: &Assets,
        problems: &mut Vec<Diagnostic>,
    ) -> Self {
        let mut read = Self::default();
        let (store, mut reader) = (store(config, assets), SrsReader::default());
        for set in &config.routing.rule_sets {
            let (found, rules) = match &set.source {
                RuleSetSource::Inline(_) => Default::default(),
                RuleSetSource::Local { path, format } => match read_local(source, path, *format, &mut reader)
                {
                    Ok(read) => {
                        if read.1.rules.is_empty() {
                            problems.push(empty_set(path));
                        }
                        read
                    }
                    Err(unusable) => {
                        problems.push(unusable.diagnostic(path));
                        Default::default()
                    }
                },
                RuleSetSource::Remote { url, format, .. } => {
                    read_copy(&store, &url.value.text, *format, &mut reader).unwrap_or_default()
                }
            };
            read.found.push(found);
            read.rules.push(rules);
        }
        read
    }

    /// Has rules compiled with the sets. Copies of fetched sets count as none if they make this fail.
    pub(super) fn compile<T>(
        &mut self,
        config: &Config,
        problems: &mut Vec<Diagnostic>,
        mut compile: impl FnMut(&[NamedSet<'_>], &mut Vec<Diagnostic>) -> T,
    ) -> T {
        let before = problems.len();
        let compiled = compile(&named(config, &self.rules), problems);
        let mut new = problems.iter().skip(before);
        let failed = new.any(|problem| problem.severity == Severity::Error);
        if !failed || !self.found.iter().any(|found| found.meta.is_some()) {
            return compiled;
        }
        problems.truncate(before);
        for (found, rules) in self.found.iter_mut().zip(&mut self.rules) {
            if found.meta.is_some() {
                (*found, *rules) = Default::default();
            }
        }
        compile(&named(config, &self.rules), problems)
    }
}

/// All sets with their rules; `read` has those that are not inline.
fn named<'a>(config: &'a Config, read: &'a [RuleSet]) -> Vec<NamedSet<'a>> {
    let named = |(set, read): (&'a model::RuleSet, &'a RuleSet)| {
        let rules = match &set.source {
            RuleSetSource::Inline(rules) => rules,
            RuleSetSource::Local { .. } | RuleSetSource::Remote { .. } => read,
        };
        NamedSet { tag: &set.tag.value, span: set.span, set: rules }
    };
    config.routing.rule_sets.iter().zip(read).map(named).collect()
}

/// A set that can be read and matches nothing.
fn empty_set(written: &Spanned<Box<str>>) -> Diagnostic {
    let message = format!("the rule set `{}` has no rules, so that it matches nothing", written.value);
    Diagnostic { severity: Severity::Warning, span: written.span, message, help: None }
}

/// Why a local set cannot be used.
enum Unusable {
    Io(PathBuf, io::Error),
    Content(PathBuf, ContentError),
}

impl Unusable {
    fn diagnostic(self, written: &Spanned<Box<str>>) -> Diagnostic {
        let (message, help) = match self {
            Self::Io(path, error) => (
                format!("cannot read the rule set `{}`: {error}", path.display()),
                (error.kind() == io::ErrorKind::NotFound)
                    .then(|| "a path begins in the folder of the configuration file".to_owned()),
            ),
            Self::Content(path, ContentError::Source { rendered, .. }) => {
                let shown: Vec<&str> = rendered.lines().take(MAX_LINES_SHOWN).collect();
                let message = format!("`{}` is no rule set that can be used", path.display());
                (message, Some(format!("correct the file\n{}", shown.join("\n"))))
            }
            Self::Content(path, error @ (ContentError::Compiled(_) | ContentError::Text(_))) => {
                (format!("`{}` is no rule set that can be used: {error}", path.display()), None)
            }
        };
        Diagnostic { severity: Severity::Error, span: written.span, message, help }
    }
}

/// How much is said of a set that is broken.
const MAX_LINES_SHOWN: usize = 40;

fn read_local(
    source: &Source,
    written: &Spanned<Box<str>>,
    format: RuleSetFormat,
    reader: &mut SrsReader,
) -> Result<(Found, RuleSet), Unusable> {
    let path = local_path(source, written);
    let (stamp, bytes): (Stamp, Vec<u8>) =
        read_file(&path).map_err(|error| Unusable::Io(path.clone(), error))?;
    let (content, rules) = Content::read(&path.display().to_string(), bytes, format, reader)
        .map_err(|error| Unusable::Content(path, error))?;
    Ok((Found { content: Some(content), stamp: Some(stamp), meta: None }, rules))
}

fn read_copy(
    store: &Store,
    url: &str,
    format: RuleSetFormat,
    reader: &mut SrsReader,
) -> Option<(Found, RuleSet)> {
    let Kept { meta, bytes } = store.read(url)?;
    let (content, rules) = Content::read(url, bytes, format, reader).ok()?;
    Some((Found { content: Some(content), stamp: None, meta: Some(meta) }, rules))
}

/// A path begins in the folder of the file that it stands in.
fn local_path(source: &Source, Spanned { value, span }: &Spanned<Box<str>>) -> PathBuf {
    let file = Path::new(source.file_of(span.start));
    file.parent().unwrap_or_else(|| Path::new("")).join(&**value)
}

fn store(config: &Config, assets: &Assets) -> Store {
    let folder = match &config.experimental.cache_file {
        Some(settings) => Some(rule_sets_folder(settings)),
        None => assets.cache_folder().map(|folder| folder.join("rule-sets")),
    };
    Store::new(folder)
}
