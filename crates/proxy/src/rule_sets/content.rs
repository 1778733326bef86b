//! The bytes of rule sets.

use std::sync::Arc;

use waypost_config::{
    Options, Severity, Source, SourceError, Style,
    model::{RuleSetFormat, RuleSetSource},
    render, rule_set,
};
use waypost_geodata::rule_set::{DefaultRule, RuleSet, SrsError, SrsReader};

/// A larger set is not read. What a compiled one inflates to has its own limit.
pub(crate) const MAX_SET_BYTES: usize = 64 << 20;

/// The bytes of a set, which are known to be one. They are kept, because they are far smaller than
/// what is made of them.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    /// As they came.
    pub(crate) bytes: Arc<[u8]>,
    format: RuleSetFormat,
    /// How much is in it.
    pub(crate) size: SetSize,
}

/// How much is in a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct SetSize {
    /// The version of its format.
    pub(crate) version: u8,
    /// Rules, logical ones counted as one.
    pub(crate) n_rules: usize,
    /// Names, ranges and other values in them.
    pub(crate) n_entries: usize,
}

/// Why some bytes are no rule set.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContentError {
    /// They are no compiled set.
    #[error(transparent)]
    Compiled(#[from] SrsError),
    /// They are no text.
    #[error(transparent)]
    Text(#[from] SourceError),
    /// They are no source of a set.
    #[error("{first}")]
    Source {
        /// The first problem with its place, in one line.
        first: String,
        /// All of them, for people.
        rendered: String,
    },
}

impl Content {
    /// Reads a set that is called `name`, with its rules. Whoever reads many lends the same reader.
    ///
    /// # Errors
    ///
    /// If the bytes are no set of this format.
    pub(crate) fn read(
        name: &str,
        bytes: impl Into<Arc<[u8]>>,
        format: RuleSetFormat,
        reader: &mut SrsReader,
    ) -> Result<(Self, RuleSet), ContentError> {
        let bytes = bytes.into();
        let set = parse(name, &bytes, format, reader)?;
        let size = SetSize::of(&set);
        Ok((Self { bytes, format, size }, set))
    }

    /// The rules once more.
    ///
    /// # Errors
    ///
    /// None, as the bytes have been read before.
    pub(crate) fn rules(&self, reader: &mut SrsReader) -> Result<RuleSet, ContentError> {
        parse("", &self.bytes, self.format, reader)
    }
}

fn parse(
    name: &str,
    bytes: &[u8],
    format: RuleSetFormat,
    reader: &mut SrsReader,
) -> Result<RuleSet, ContentError> {
    let mut set = match format {
        RuleSetFormat::Binary => reader.read(bytes)?,
        RuleSetFormat::Source => {
            let source = Source::new(name, bytes)?;
            let outcome = rule_set::parse(&source, &Options::default());
            outcome.set.ok_or_else(|| {
                let mut errors = outcome.diagnostics;
                errors.retain(|diagnostic| diagnostic.severity == Severity::Error);
                let rendered = render(&source, &errors, Style::Plain);
                ContentError::Source {
                    first: rendered.lines().next().unwrap_or_default().to_owned(),
                    rendered,
                }
            })?
        }
    };
    set.spell_out_adguard();
    Ok(set)
}

impl SetSize {
    /// Counts what is in a set.
    pub(crate) fn of(set: &RuleSet) -> Self {
        let mut n_entries = 0;
        set.for_each_rule(|rule| n_entries += count(rule));
        Self { version: set.version, n_rules: set.rules.len(), n_entries }
    }

    /// Counts what is in a set that stands in the configuration.
    pub(crate) fn inline(source: &RuleSetSource) -> Option<Self> {
        match source {
            RuleSetSource::Inline(set) => Some(Self::of(set)),
            RuleSetSource::Local { .. } | RuleSetSource::Remote { .. } => None,
        }
    }
}

fn count(rule: &DefaultRule) -> usize {
    let texts = [
        &rule.networks,
        &rule.domain_keywords,
        &rule.domain_regexps,
        &rule.source_port_ranges,
        &rule.port_ranges,
        &rule.process_names,
        &rule.process_paths,
        &rule.process_path_regexps,
        &rule.package_names,
        &rule.package_name_regexps,
        &rule.wifi_ssids,
        &rule.wifi_bssids,
    ];
    let texts: usize = texts.iter().map(|texts| texts.len()).sum();
    texts
        + rule.domains.len()
        + rule.source_ip.len()
        + rule.ip.len()
        + rule.source_ports.len()
        + rule.ports.len()
        + rule.query_types.len()
        + rule.network_types.len()
        + rule.network_interface_addresses.len()
        + rule.default_interface_addresses.len()
        + usize::from(rule.network_is_expensive)
        + usize::from(rule.network_is_constrained)
}
