//! The source form of sing-box rule sets: a file of its own, or `rules` inside a configuration.

mod keys;
mod read;
mod values;

use waypost_geodata::rule_set::{NEWEST_VERSION, RuleSet};

use crate::{
    Diagnostic, Options, Source, json,
    object::Object,
    report::{Report, one_of},
};

pub(crate) use keys::HEADLESS_RULE;
pub use keys::TABLES;
pub(crate) use read::read_rules;

/// What came out of reading a source file.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The set, if there is no error.
    pub set: Option<RuleSet>,
    /// Errors and warnings in the order of their places.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads a source file of a rule set and reports everything that is wrong with it.
///
/// Expressions are not checked here: that is done where they are compiled.
///
/// ```
/// use waypost_config::{Options, Source, rule_set};
///
/// let text = r#"{"version": 2, "rules": [{"domain_suffix": "example.org"}]}"#;
/// let source = Source::new("set.json", text)?;
/// let outcome = rule_set::parse(&source, &Options::default());
/// assert_eq!(outcome.set.ok_or("not usable")?.rules.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn parse(source: &Source, options: &Options<'_>) -> Outcome {
    let mut report = Report::new(source, options);
    let set = json::parse(&mut report).and_then(|root| read_set(&root, &mut report));
    let set = set.filter(|_| !report.failed());
    Outcome { set, diagnostics: report.finish() }
}

fn read_set(root: &json::Value, report: &mut Report<'_>) -> Option<RuleSet> {
    let set = Object::read(root, "the rule set", &keys::RULE_SET, report)?;
    let version = if set.has("version") {
        set.count("version", 1..=NEWEST_VERSION, report)
    } else {
        let names = ["1", "2", "3", "4", "5"];
        report.error(set.span, "`version` is missing").help(format!("expected {}", one_of(names)));
        None
    };
    let rules = read_rules(set.items("rules", report), report);
    if rules.is_empty() && !report.failed() {
        report.warning(set.span, "the set has no rules, so that it holds for nothing");
    }
    Some(RuleSet { version: version?, rules })
}
