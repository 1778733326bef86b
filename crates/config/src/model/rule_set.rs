//! `route.rule_set`: rules without actions that rules refer to by tag.

use std::time::Duration;

use waypost_geodata::rule_set::RuleSet as RuleSetRules;
use waypost_net::Tag;

use super::ProbeUrl;
use crate::{Span, Spanned};

/// One entry of `route.rule_set`.
#[derive(Debug, Clone)]
pub struct RuleSet {
    /// `tag`.
    pub tag: Spanned<Tag>,
    /// `type`, with what belongs to it.
    pub source: RuleSetSource,
    /// The whole object.
    pub span: Span,
}

/// Where the rules of a set come from.
#[derive(Debug, Clone)]
pub enum RuleSetSource {
    /// `inline`: they stand in the file.
    Inline(RuleSetRules),
    /// `local`: they stand in another file, which is read again when it changes.
    Local {
        /// `path`, as written.
        path: Spanned<Box<str>>,
        /// `format`, or what the ending of the path says.
        format: RuleSetFormat,
    },
    /// `remote`: they are fetched.
    Remote {
        /// `url`, which is `http` or `https`.
        url: Spanned<ProbeUrl>,
        /// `format`, or what the ending of the URL says.
        format: RuleSetFormat,
        /// `download_detour`: the outbound that carries it, which exists; `None` leaves it to the rules.
        detour: Option<Spanned<Tag>>,
        /// `update_interval`.
        update_interval: Duration,
        /// `critical`: without it, or a copy of it, nothing starts.
        critical: bool,
    },
}

/// `format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleSetFormat {
    /// `source`: JSON.
    Source,
    /// `binary`: what `rule-set compile` makes of it.
    Binary,
}
