//! From specifications to a router.

use regex::Regex;
use waypost_geoip::{IpIndex, IpIndexBuilder};
use waypost_geosite::{DomainIndexBuilder, EntryKind, go_regexp};
use waypost_net::DomainError;

use crate::{
    AttributeCondition, AttributeTest, Conditions, DomainList, IpList, Router, Rule, RuleSpec, Strategy,
    UserPattern,
    bits::{Bits, words_for},
    condition::{AttributeRule, FlowCondition, UserTest, ValueTest},
    index::{DomainRules, IpRules, ListInfo},
    rule::{ListConditions, ListLabels},
};

/// Something in the rules that cannot be compiled, with its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rule {}: {field}: {problem}", .rule + 1)]
pub struct BuildError {
    /// The position of the rule, from 0.
    pub rule: usize,
    /// The condition.
    pub field: &'static str,
    /// The position of the list within the condition, from 0; 0 where there are no lists.
    pub list: usize,
    /// The position of the entry within the list or condition, from 0.
    pub entry: usize,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A list has a name that is none.
    #[error("`{name}`: {error}")]
    Name {
        /// The name.
        name: Box<str>,
        /// Why it is none.
        error: DomainError,
    },
    /// A regular expression is wrong.
    #[error("regular expression `{expression}`: {error}")]
    Regexp {
        /// The expression.
        expression: Box<str>,
        /// What is wrong with it.
        error: go_regexp::Error,
    },
    /// All domain entries together are too large.
    #[error(transparent)]
    Index(#[from] waypost_geosite::BuildError),
}

/// Upper bound of one compiled `user` or `attrs` expression.
const REGEXP_SIZE_LIMIT_BYTES: usize = 1 << 20;

impl Router {
    /// Compiles `rules`.
    ///
    /// # Errors
    ///
    /// Every entry that cannot be compiled, not only the first one.
    pub fn new(strategy: Strategy, rules: Vec<RuleSpec<'_>>) -> Result<Self, Vec<BuildError>> {
        let words = words_for(rules.len());
        let mut errors = Vec::new();
        let domain = domain_rules(&rules, words, &mut errors);
        let ip = ip_rules(&rules, words, |conditions| conditions.ip.as_deref());
        let source = ip_rules(&rules, words, |conditions| conditions.source.as_deref());
        let local = ip_rules(&rules, words, |conditions| conditions.local_ip.as_deref());
        let rules =
            rules.into_iter().enumerate().map(|(index, spec)| rule(index, spec, &mut errors)).collect();
        match domain {
            Some(domain) if errors.is_empty() => {
                let (no_rule, every_rule) = (vec![0; words].into(), vec![u64::MAX; words].into());
                Ok(Self { strategy, rules, domain, ip, source, local, no_rule, every_rule })
            }
            Some(_) | None => Err(errors),
        }
    }
}

fn domain_rules(rules: &[RuleSpec<'_>], words: usize, errors: &mut Vec<BuildError>) -> Option<DomainRules> {
    let (mut builder, mut lists, mut present) =
        (DomainIndexBuilder::default(), Vec::new(), Bits::none(words));
    for (rule, spec) in rules.iter().enumerate() {
        let Some(domain) = &spec.conditions.domain else { continue };
        present.insert(rule);
        for (position, list) in domain.iter().enumerate() {
            let id = u32::try_from(lists.len()).unwrap_or(u32::MAX);
            lists.push(ListInfo { rule, inverse: false, label: list.label.as_deref().map(Into::into) });
            for (entry, &(kind, text)) in list.entries.iter().enumerate() {
                if let Err(problem) = insert(&mut builder, kind, text, id) {
                    errors.push(BuildError { rule, field: "domain", list: position, entry, problem });
                }
            }
        }
    }
    match builder.build() {
        Ok(index) => Some(DomainRules::new(index, lists, words, &present)),
        Err(error) => {
            errors.push(BuildError {
                rule: 0,
                field: "domain",
                list: 0,
                entry: 0,
                problem: Problem::Index(error),
            });
            None
        }
    }
}

fn insert<'a>(
    builder: &mut DomainIndexBuilder<'a>,
    kind: EntryKind,
    text: &'a str,
    id: u32,
) -> Result<(), Problem> {
    let name = |error| Problem::Name { name: text.into(), error };
    match kind {
        EntryKind::Full => builder.full(text, id).map_err(name),
        EntryKind::Suffix => builder.suffix(text, id).map_err(name),
        EntryKind::Keyword => {
            builder.keyword(text, id);
            Ok(())
        }
        EntryKind::Regexp => {
            builder.regexp(text, id).map_err(|error| Problem::Regexp { expression: text.into(), error })
        }
    }
}

fn ip_rules<'s>(
    rules: &'s [RuleSpec<'_>],
    words: usize,
    lists_of: impl Fn(&'s Conditions<'s>) -> Option<&'s [IpList<'s>]>,
) -> IpRules {
    let (mut builder, mut infos, mut present) = (IpIndexBuilder::default(), Vec::new(), Bits::none(words));
    for (rule, spec) in rules.iter().enumerate() {
        let Some(lists) = lists_of(&spec.conditions) else { continue };
        present.insert(rule);
        for list in lists {
            let id = u32::try_from(infos.len()).unwrap_or(u32::MAX);
            infos.push(ListInfo {
                rule,
                inverse: list.inverse,
                label: list.label.as_deref().map(Into::into),
            });
            for &net in list.prefixes.iter() {
                builder.insert(net, id);
            }
        }
    }
    let index: IpIndex = builder.build();
    IpRules::new(index, infos, words, &present)
}

fn rule(index: usize, spec: RuleSpec<'_>, errors: &mut Vec<BuildError>) -> Rule {
    let RuleSpec { tag, line, way, conditions } = spec;
    let lists = ListLabels {
        domain: domain_labels(conditions.domain.as_deref()),
        ip: ip_labels(conditions.ip.as_deref()),
        source: ip_labels(conditions.source.as_deref()),
        local: ip_labels(conditions.local_ip.as_deref()),
    };
    let on = ListConditions {
        domain: conditions.domain.is_some(),
        ip: conditions.ip.is_some(),
        source: conditions.source.is_some(),
        local: conditions.local_ip.is_some(),
    };
    let mut compiled = Vec::new();
    compiled.extend(conditions.operating_system.map(FlowCondition::OperatingSystem));
    compiled.extend(conditions.inbound.map(|tags| FlowCondition::Inbound(tags.into())));
    compiled.extend(conditions.network.map(FlowCondition::Network));
    compiled.extend(conditions.port.map(FlowCondition::Port));
    compiled.extend(conditions.source_port.map(FlowCondition::SourcePort));
    compiled.extend(conditions.local_port.map(FlowCondition::LocalPort));
    compiled.extend(conditions.protocol.map(|labels| FlowCondition::Protocol(labels.into())));
    if let Some(users) = conditions.user {
        compiled.push(FlowCondition::User(user_tests(index, users, errors)));
    }
    if let Some(attributes) = conditions.attributes {
        compiled.push(FlowCondition::Attributes(attribute_rules(index, attributes, errors)));
    }
    let process: Option<Box<[_]>> = conditions.process.map(Into::into);
    let only_lists = compiled.is_empty() && process.is_none() && !on.source && !on.local;
    Rule { index, tag, line, way, conditions: compiled.into(), process, on, only_lists, lists }
}

fn domain_labels(lists: Option<&[DomainList<'_>]>) -> Box<str> {
    let mut labels = Labels::default();
    for list in lists.unwrap_or_default() {
        match &list.label {
            Some(label) => labels.push(|| label.to_string()),
            None => list
                .entries
                .iter()
                .for_each(|(kind, text)| labels.push(|| format!("{}:{text}", kind.as_str()))),
        }
    }
    labels.finish()
}

fn ip_labels(lists: Option<&[IpList<'_>]>) -> Box<str> {
    let mut labels = Labels::default();
    for list in lists.unwrap_or_default() {
        let not = if list.inverse { "!" } else { "" };
        match &list.label {
            Some(label) => labels.push(|| format!("{not}{label}")),
            None => list.prefixes.iter().for_each(|net| labels.push(|| format!("{not}{net}"))),
        }
    }
    labels.finish()
}

/// How many entries an explanation names before it only counts the rest.
const LABELS_SHOWN: usize = 8;

#[derive(Default)]
struct Labels {
    shown: Vec<String>,
    more: usize,
}

impl Labels {
    fn push(&mut self, label: impl FnOnce() -> String) {
        if self.shown.len() < LABELS_SHOWN {
            self.shown.push(label());
        } else {
            self.more += 1;
        }
    }

    fn finish(self) -> Box<str> {
        let mut text = self.shown.join(", ");
        if self.more > 0 {
            text.push_str(&format!(" and {} more", self.more));
        }
        text.into()
    }
}

fn user_tests(rule: usize, users: Vec<UserPattern<'_>>, errors: &mut Vec<BuildError>) -> Box<[UserTest]> {
    let mut tests = Vec::with_capacity(users.len());
    for (entry, user) in users.into_iter().enumerate() {
        match user {
            UserPattern::Exact(user) => tests.push(UserTest::Exact(user.into())),
            UserPattern::Regexp(expression) => match regexp(&expression) {
                Ok(regex) => tests.push(UserTest::Regexp(regex)),
                Err(problem) => errors.push(BuildError { rule, field: "user", list: 0, entry, problem }),
            },
        }
    }
    tests.into()
}

fn attribute_rules(
    rule: usize,
    attributes: Vec<AttributeCondition<'_>>,
    errors: &mut Vec<BuildError>,
) -> Box<[AttributeRule]> {
    let mut rules = Vec::with_capacity(attributes.len());
    for (entry, AttributeCondition { key, test }) in attributes.into_iter().enumerate() {
        let test = match test {
            AttributeTest::Equals(value) => ValueTest::Equals(value.into()),
            AttributeTest::StartsWith(value) => ValueTest::StartsWith(value.into()),
            AttributeTest::Contains(value) => ValueTest::Contains(value.into()),
            AttributeTest::Regexp(expression) => match regexp(&expression) {
                Ok(regex) => ValueTest::Regexp(regex),
                Err(problem) => {
                    errors.push(BuildError { rule, field: "attrs", list: 0, entry, problem });
                    continue;
                }
            },
        };
        rules.push(AttributeRule { key: key.into(), test });
    }
    rules.into()
}

fn regexp(expression: &str) -> Result<Regex, Problem> {
    let problem = |error| Problem::Regexp { expression: expression.into(), error };
    go_regexp::compile(expression, REGEXP_SIZE_LIMIT_BYTES).map_err(problem)
}
