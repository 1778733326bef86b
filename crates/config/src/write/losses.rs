//! What the other dialect cannot say.

use crate::{Diagnostic, Dialect, Severity, Span};

/// Collects losses, each with the place of what is lost.
#[derive(Debug)]
pub(super) struct Losses {
    dialect: Dialect,
    found: Vec<Diagnostic>,
}

impl Losses {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self { dialect, found: Vec::new() }
    }

    /// Connections would go elsewhere, or be treated in another way.
    pub(super) fn lose(&mut self, span: Span, what: &str, help: impl Into<Option<&'static str>>) {
        self.push(Severity::Error, span, what, help.into());
    }

    /// Only a name, a count or something like that would be gone.
    pub(super) fn drop(&mut self, span: Span, what: &str) {
        self.push(Severity::Warning, span, what, None);
    }

    /// All of them in the order of their places, each once.
    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        self.found.sort_by_key(|loss| (loss.span, loss.severity));
        self.found.dedup();
        self.found
    }

    fn push(&mut self, severity: Severity, span: Span, what: &str, help: Option<&'static str>) {
        let message = format!("{} cannot say {what}", self.dialect.program());
        self.found.push(Diagnostic { severity, span, message, help: help.map(str::to_owned) });
    }
}
