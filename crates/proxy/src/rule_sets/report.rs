//! What can be seen of rule sets while they are used.

use std::{collections::BTreeMap, time::SystemTime};

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use waypost_config::model;
use waypost_net::Tag;

use super::{Found, compiler::Applied, content::SetSize};

/// What is known of a rule set at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleSetReport {
    /// Its name.
    pub tag: Tag,
    /// Where it comes from.
    pub kind: RuleSetKind,
    /// Its rules; a logical one counts as one. None until there is a copy.
    pub n_rules: usize,
    /// The names, ranges and other values in them.
    pub n_entries: usize,
    /// The version of its format; 0 until there is a copy.
    pub version: u8,
    /// When it was fetched, or found to be the same; `None` if it is not fetched, or has not been yet.
    pub fetched_at: Option<SystemTime>,
    /// When it is fetched next.
    pub next_update: Option<SystemTime>,
    /// Why the last version could not be had; `None` once one could.
    pub last_error: Option<Box<str>>,
}

/// Where a rule set comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleSetKind {
    /// It is in the configuration.
    Inline,
    /// It is a file.
    Local,
    /// It is fetched.
    Remote,
}

/// The reports of all sets, in the order of the file.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    reports: Mutex<Vec<RuleSetReport>>,
    /// Whom to tell that a set is wanted now, by the number of the set; those that are fetched.
    wishes: Mutex<BTreeMap<usize, Wishes>>,
}

/// Where to ask for a set now.
type Wishes = mpsc::Sender<oneshot::Sender<Applied>>;

/// Why a rule set is not updated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// There is no such set.
    #[error("there is no such rule set")]
    Unknown,
    /// It cannot be had; what there was stays.
    #[error("{reason}")]
    Failed {
        /// Why.
        reason: Box<str>,
    },
}

impl Reports {
    /// What is known at the start.
    pub(crate) fn new(sets: &[model::RuleSet], found: &[Found]) -> Self {
        let reports = sets.iter().enumerate().map(|(index, set)| {
            let kind = match &set.source {
                model::RuleSetSource::Inline(_) => RuleSetKind::Inline,
                model::RuleSetSource::Local { .. } => RuleSetKind::Local,
                model::RuleSetSource::Remote { .. } => RuleSetKind::Remote,
            };
            let found = found.get(index);
            let content = found.and_then(|found| found.content.as_ref());
            let size = SetSize::inline(&set.source).or_else(|| Some(content?.size)).unwrap_or_default();
            RuleSetReport {
                tag: set.tag.value.clone(),
                kind,
                n_rules: size.n_rules,
                n_entries: size.n_entries,
                version: size.version,
                fetched_at: found.and_then(|found| Some(found.meta.as_ref()?.fetched_at)),
                next_update: None,
                last_error: None,
            }
        });
        Self { reports: Mutex::new(reports.collect()), wishes: Mutex::default() }
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<RuleSetReport> {
        self.reports.lock().clone()
    }

    /// Keeps where to ask for the set of this number.
    pub(crate) fn take_wishes(&self, set: usize, wishes: Wishes) {
        self.wishes.lock().insert(set, wishes);
    }

    /// Fetches a set now. One that is a file, or in the configuration, is as new as it can be.
    pub(crate) async fn update(&self, tag: &str) -> Result<(), UpdateError> {
        let set = self.reports.lock().iter().position(|report| report.tag.as_str() == tag);
        let set = set.ok_or(UpdateError::Unknown)?;
        let Some(wishes) = self.wishes.lock().get(&set).cloned() else { return Ok(()) };
        let failed = |reason: &str| UpdateError::Failed { reason: reason.into() };
        let (answer, answered) = oneshot::channel();
        wishes.try_send(answer).map_err(|_full| failed("it is being fetched already"))?;
        let applied = answered.await.map_err(|_gone| failed("another configuration is in force"))?;
        applied.map_err(|reason| UpdateError::Failed { reason })
    }

    /// Changes the report of the set of this number.
    pub(crate) fn change(&self, set: usize, change: impl FnOnce(&mut RuleSetReport)) {
        if let Some(report) = self.reports.lock().get_mut(set) {
            change(report);
        }
    }

    /// Notes that a set has another content; yields how many entries it had.
    pub(crate) fn replace(&self, set: usize, size: SetSize) -> usize {
        let mut before = 0;
        self.change(set, |report| {
            before = report.n_entries;
            (report.n_rules, report.n_entries, report.version) = (size.n_rules, size.n_entries, size.version);
            report.last_error = None;
        });
        before
    }
}
