use crate::{Diagnostic, Options, Severity, Source, Span, UnknownKeys};

/// The number of problems that are reported. Nobody reads more, and every one costs a scan of
/// the line it is on.
const MAX_PROBLEMS: usize = 1000;

/// Values longer than this many characters are cut in messages.
const MAX_QUOTED: usize = 60;

/// Collects what is wrong with one file.
pub(crate) struct Report<'a> {
    pub(crate) source: &'a Source,
    pub(crate) options: &'a Options<'a>,
    pub(crate) unknown_keys: UnknownKeys,
    diagnostics: Vec<Diagnostic>,
    n_errors: usize,
    left_out: usize,
}

impl<'a> Report<'a> {
    pub(crate) fn new(source: &'a Source, options: &'a Options<'a>) -> Self {
        let unknown_keys = options.unknown_keys;
        Self { source, options, unknown_keys, diagnostics: Vec::new(), n_errors: 0, left_out: 0 }
    }

    /// Whether an error was reported.
    pub(crate) fn failed(&self) -> bool {
        self.n_errors > 0
    }

    /// How many errors were reported so far.
    pub(crate) fn n_errors(&self) -> usize {
        self.n_errors
    }

    /// Whether further problems are only counted, so that looking for help is a waste.
    pub(crate) fn is_full(&self) -> bool {
        self.diagnostics.len() >= MAX_PROBLEMS
    }

    /// The line of a place, for messages that name a second one; with the file if there are several.
    /// Nothing if nobody will read it, because it costs a scan of the line.
    pub(crate) fn line(&self, span: Span) -> String {
        if self.is_full() {
            return String::new();
        }
        let line = self.source.position(span.start).line;
        if self.source.has_several_files() {
            format!("{line} of `{}`", self.source.file_of(span.start))
        } else {
            line.to_string()
        }
    }

    pub(crate) fn error(&mut self, span: Span, message: impl Into<String>) -> &mut Self {
        self.push(Severity::Error, span, message.into())
    }

    pub(crate) fn warning(&mut self, span: Span, message: impl Into<String>) -> &mut Self {
        self.push(Severity::Warning, span, message.into())
    }

    /// Adds a way out to the problem that was reported last.
    pub(crate) fn help(&mut self, help: impl Into<String>) {
        if self.left_out == 0
            && let Some(last) = self.diagnostics.last_mut()
        {
            last.help = Some(help.into());
        }
    }

    /// All problems in the order of their places.
    pub(crate) fn finish(mut self) -> Vec<Diagnostic> {
        self.diagnostics.sort_by_key(|diagnostic| (diagnostic.span, diagnostic.severity));
        if self.left_out > 0 {
            let end = self.source.text().len();
            self.diagnostics.push(Diagnostic {
                severity: if self.n_errors > 0 { Severity::Error } else { Severity::Warning },
                span: Span { start: end, end },
                message: format!("{} more problems are not shown", self.left_out),
                help: None,
            });
        }
        self.diagnostics
    }

    fn push(&mut self, severity: Severity, span: Span, message: String) -> &mut Self {
        self.n_errors += usize::from(severity == Severity::Error);
        if self.is_full() {
            self.left_out += 1;
        } else {
            self.diagnostics.push(Diagnostic { severity, span, message, help: None });
        }
        self
    }
}

/// A value of the file in backticks, cut to a length that fits into a message.
pub(crate) fn quote(value: &str) -> String {
    if value.chars().nth(MAX_QUOTED).is_none() {
        return format!("`{value}`");
    }
    let head: String = value.chars().take(MAX_QUOTED).collect();
    format!("`{head}…`")
}

/// Names in backticks of which one is to be chosen: `a`, `b` or `c`.
pub(crate) fn one_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    join(names, "or")
}

/// Names in backticks that are all meant: `a`, `b` and `c`.
pub(crate) fn all_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    join(names, "and")
}

fn join<'a>(names: impl IntoIterator<Item = &'a str>, word: &str) -> String {
    let mut quoted: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match (quoted.pop(), quoted.is_empty()) {
        (None, _) => String::new(),
        (Some(only), true) => only,
        (Some(last), false) => format!("{} {word} {last}", quoted.join(", ")),
    }
}
