//! From specifications to a router.

use std::fmt;

use regex::Regex;
use waypost_geosite::go_regexp;
use waypost_net::{DomainError, Tag};

use crate::{
    AttributeCondition, AttributeTest, Conditions, EntryKind, IpList, Logical, Matcher, ProcessPattern,
    Router, RouterSpec, Rule, RuleSetSpec, RuleSets, RuleSpec, UserPattern,
    bits::words_for,
    collect::{Collector, End, Indexes, Owner},
    condition::{AttributeRule, FlowCondition, ProcessTest, UserTest, ValueTest},
    decide::Enough,
    labels::{Labels, labels},
    rule::{ListConditions, ListLabels},
    tree::{Inverse, Items, Node, NodeSets, RuleSet},
    uses::{SetUse, Uses},
};

/// Something in the rules that cannot be compiled, with its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {field}: {problem}")]
pub struct BuildError {
    /// Where the conditions stand.
    pub place: Place,
    /// The condition.
    pub field: &'static str,
    /// The position of the list within the condition, from 0; 0 where there are no lists.
    pub list: usize,
    /// The position of the entry within the list or condition, from 0.
    pub entry: usize,
    /// What is wrong with it.
    pub problem: Problem,
}

/// Where some conditions stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// The position of the rule set, from 0; `None` for the rules themselves.
    pub set: Option<usize>,
    /// The position of the rule, from 0.
    pub rule: usize,
    /// The position of the [`Conditions`] among those of the rule, from 0, in the order in which they
    /// are written.
    pub part: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(set) = self.set {
            write!(f, "rule set {}: ", set + 1)?;
        }
        write!(f, "rule {}", self.rule + 1)
    }
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

/// Upper bound of one compiled `user`, `attrs` or process expression.
const REGEXP_SIZE_LIMIT_BYTES: usize = 1 << 20;

impl Router {
    /// Compiles rules and the rule sets that they name.
    ///
    /// # Errors
    ///
    /// Every entry that cannot be compiled, not only the first one.
    pub fn new(spec: RouterSpec<'_>) -> Result<Self, Vec<BuildError>> {
        let RouterSpec { strategy, words: naming, rules, rule_sets } = spec;
        let words = words_for(rules.len());
        let uses = Uses::of(&rules, &rule_sets);
        let tags = rule_sets.iter().map(|set| set.tag.clone()).collect();
        let mut builder =
            Builder { uses: &uses, tags, collector: Collector::default(), set_of_part: Vec::new() };
        let of_sets = rule_sets.iter().flat_map(|set| &set.rules);
        let matchers = rules.iter().map(|rule| &rule.matcher).chain(of_sets);
        builder.collector.reserve_names(matchers.map(n_names).sum());
        let sets =
            rule_sets.into_iter().enumerate().map(|(index, set)| builder.rule_set(index, set)).collect();
        let rules: Box<[Rule]> =
            rules.into_iter().enumerate().map(|(index, rule)| builder.rule(index, rule)).collect();
        let mut enough = vec![Enough { domain: u64::MAX, ip: u64::MAX, either: 0 }; words];
        for rule in &rules {
            let bit = 1 << (rule.index % 64);
            if let Some(enough) = enough.get_mut(rule.index / 64) {
                enough.domain &= if rule.on.domain { !bit } else { u64::MAX };
                enough.ip &= if rule.on.ip { !bit } else { u64::MAX };
                enough.either |= if rule.on.either { bit } else { 0 };
            }
        }
        let set_of_part = builder.set_of_part;
        let Indexes { domain, ip, source, local } = builder.collector.finish(words)?;
        let (no_rule, every_rule) = (vec![0; words].into(), vec![u64::MAX; words].into());
        let enough = enough.into();
        let set_of_part = set_of_part.into();
        Ok(Self {
            strategy,
            naming,
            rules,
            sets,
            set_of_part,
            domain,
            ip,
            source,
            local,
            enough,
            no_rule,
            every_rule,
        })
    }
}

/// How many names there are in the lists of a matcher.
fn n_names(matcher: &Matcher<'_>) -> usize {
    let is_name = |kind: EntryKind| matches!(kind, EntryKind::Full | EntryKind::Suffix | EntryKind::Below);
    match matcher {
        Matcher::Logical(logical) => logical.matchers.iter().map(n_names).sum(),
        Matcher::One(conditions) => {
            let lists = conditions.domain.iter().flatten();
            lists.map(|list| list.entries.iter().filter(|(kind, _)| is_name(*kind)).count()).sum()
        }
    }
}

struct Builder<'u, 'a> {
    uses: &'u Uses,
    /// Of the rule sets.
    tags: Vec<Tag>,
    collector: Collector<'a>,
    /// By part, of those of rule sets: the rule set, if it is nothing but the lists of this part.
    set_of_part: Vec<Option<usize>>,
}

impl<'a> Builder<'_, 'a> {
    fn rule_set(&mut self, index: usize, set: RuleSetSpec<'a>) -> RuleSet {
        let RuleSetSpec { tag, rules } = set;
        let unused = SetUse::default();
        let uses = self.uses.sets.get(index).unwrap_or(&unused);
        if !uses.used {
            return RuleSet { tag, nodes: Box::default() };
        }
        let context =
            NodeContext { plain_rules: &uses.plain_rules, label: Some(&tag), as_source: uses.as_source };
        let mut nodes = Vec::with_capacity(rules.len());
        for (rule, matcher) in rules.into_iter().enumerate() {
            let mut place = Place { set: Some(index), rule, part: 0 };
            self.set_of_part.resize(self.collector.n_parts(), None);
            self.set_of_part.push(uses.is_list.then_some(index));
            nodes.push(self.node(matcher, &mut place, context));
        }
        RuleSet { tag, nodes: nodes.into() }
    }

    fn rule(&mut self, index: usize, spec: RuleSpec<'a>) -> Rule {
        let RuleSpec { tag, line, file, action, matcher } = spec;
        let mut place = Place { set: None, rule: index, part: 0 };
        let conditions = match matcher {
            Matcher::One(conditions) if self.uses.plain.get(index).copied().unwrap_or(false) => conditions,
            matcher @ (Matcher::One(_) | Matcher::Logical(_)) => {
                let context = NodeContext { plain_rules: &[], label: None, as_source: false };
                let tree = Some(Box::new(self.node(matcher, &mut place, context)));
                return Rule { file, tree, ..Rule::empty(index, tag, line, action) };
            }
        };
        let mut conditions = *conditions;
        let owner = Owner { rules: &[index], leaf: None, label: None };
        self.collector.domain(place, conditions.domain.as_deref().unwrap_or_default(), owner);
        for (end, lists) in ends(&conditions) {
            self.collector.own_ip(end, lists, index);
        }
        let mut lists = labels(&conditions);
        let mut on = on(&conditions);
        let sets: Box<[usize]> =
            conditions.rule_sets.take().map(|named| named.sets.into()).unwrap_or_default();
        if !sets.is_empty() {
            on = ListConditions { domain: true, ip: true, either: true, ..on };
            let mut tags = Labels::default();
            for tag in sets.iter().filter_map(|&set| self.tags.get(set)) {
                tags.push(|| tag.to_string());
            }
            let tags = tags.finish();
            for text in [&mut lists.domain, &mut lists.ip] {
                let join = if text.is_empty() { "" } else { ", " };
                *text = format!("{text}{join}rule_set {tags}").into();
            }
        }
        let (compiled, process) = self.flow_conditions(place, conditions);
        let only_lists = compiled.is_empty() && process.is_empty() && !on.source && !on.local;
        Rule {
            conditions: compiled,
            process,
            sets,
            on,
            only_lists,
            lists,
            file,
            ..Rule::empty(index, tag, line, action)
        }
    }

    /// Compiles a part of a rule or of a rule set.
    fn node(&mut self, matcher: Matcher<'a>, place: &mut Place, context: NodeContext<'_>) -> Node {
        match matcher {
            Matcher::Logical(Logical { mode, matchers, invert }) => {
                let nodes = matchers.into_iter().map(|matcher| self.node(matcher, place, context));
                Node::Logical { mode, nodes: nodes.collect(), invert }
            }
            Matcher::One(conditions) => {
                let items = self.items(*conditions, *place, context);
                place.part += 1;
                Node::Items(Box::new(items))
            }
        }
    }

    fn items(&mut self, mut conditions: Conditions<'a>, place: Place, context: NodeContext<'_>) -> Items {
        let leaves @ [leaf, inverse_leaf, source_leaf] = self.collector.new_leaves();
        let NodeContext { plain_rules: rules, label, as_source } = context;
        let owner = |leaf| Owner { rules, leaf: Some(leaf), label };
        self.collector.domain(place, conditions.domain.as_deref().unwrap_or_default(), owner(leaf));
        for (end, lists) in ends(&conditions) {
            let rules = if end == End::Target { rules } else { &[] };
            let owner =
                |inverse: bool| Owner { rules, leaf: Some(if inverse { inverse_leaf } else { leaf }), label };
            self.collector.ip(end, lists, owner);
        }
        if as_source {
            let owner = |_inverse: bool| Owner { rules: &[], leaf: Some(source_leaf), label };
            self.collector.ip(End::Source, conditions.ip.as_deref().unwrap_or_default(), owner);
        }
        let on = on(&conditions);
        let has_inverse =
            |lists: Option<&[IpList<'_>]>| lists.unwrap_or_default().iter().any(|list| list.inverse);
        let inverse = Inverse {
            ip: has_inverse(conditions.ip.as_deref()),
            source: has_inverse(conditions.source.as_deref()),
            local: has_inverse(conditions.local_ip.as_deref()),
        };
        let lists = if label.is_some() { ListLabels::default() } else { labels(&conditions) };
        let invert = conditions.invert;
        let sets = conditions.rule_sets.take();
        let sets = sets.map(|named| self.node_sets(named));
        let (conditions, process) = self.flow_conditions(place, conditions);
        Items { leaves, on, inverse, conditions, process, sets, invert, lists }
    }

    fn node_sets(&self, named: RuleSets) -> NodeSets {
        let RuleSets { sets, match_source } = named;
        let is_list = |&set: &usize| self.uses.sets.get(set).is_some_and(|uses| uses.is_list);
        let listed = (!match_source && sets.iter().all(is_list)).then(|| {
            let mut listed = sets.clone();
            listed.sort_unstable();
            listed.into()
        });
        NodeSets { sets: sets.into(), listed, match_source }
    }

    /// What is decided without lists.
    fn flow_conditions(
        &mut self,
        place: Place,
        conditions: Conditions<'_>,
    ) -> (Box<[FlowCondition]>, ProcessTests) {
        let errors = &mut self.collector.errors;
        let mut compiled = Vec::new();
        compiled.extend(conditions.operating_system.map(FlowCondition::OperatingSystem));
        compiled.extend(conditions.inbound.map(|tags| FlowCondition::Inbound(tags.into())));
        compiled.extend(conditions.ip_version.map(FlowCondition::IpVersion));
        compiled.extend(conditions.network.map(FlowCondition::Network));
        compiled.extend(conditions.port.map(FlowCondition::Port));
        compiled.extend(conditions.source_port.map(FlowCondition::SourcePort));
        compiled.extend(conditions.local_port.map(FlowCondition::LocalPort));
        compiled.extend(conditions.protocol.map(|labels| FlowCondition::Protocol(labels.into())));
        compiled.extend(conditions.client.map(|clients| FlowCondition::Client(clients.into())));
        compiled.extend(conditions.mode.map(FlowCondition::Mode));
        if let Some(users) = conditions.user {
            compiled.push(FlowCondition::User(user_tests(place, users, errors)));
        }
        if let Some(attributes) = conditions.attributes {
            compiled.push(FlowCondition::Attributes(attribute_rules(place, attributes, errors)));
        }
        let process = conditions.process.into_iter();
        let process =
            process.enumerate().map(|(list, group)| process_tests(place, list, group, errors)).collect();
        (compiled.into(), process)
    }
}

/// What the parts of a rule or rule set have in common.
#[derive(Clone, Copy)]
struct NodeContext<'c> {
    /// The rules that its lists decide without more ado.
    plain_rules: &'c [usize],
    /// What its lists are called.
    label: Option<&'c str>,
    as_source: bool,
}

pub(crate) type ProcessTests = Box<[Box<[ProcessTest]>]>;

fn ends<'c, 'a>(conditions: &'c Conditions<'a>) -> [(End, &'c [IpList<'a>]); 3] {
    [
        (End::Target, conditions.ip.as_deref().unwrap_or_default()),
        (End::Source, conditions.source.as_deref().unwrap_or_default()),
        (End::Local, conditions.local_ip.as_deref().unwrap_or_default()),
    ]
}

fn on(conditions: &Conditions<'_>) -> ListConditions {
    ListConditions {
        domain: conditions.domain.is_some(),
        ip: conditions.ip.is_some(),
        source: conditions.source.is_some(),
        local: conditions.local_ip.is_some(),
        either: conditions.either && conditions.domain.is_some() && conditions.ip.is_some(),
    }
}

fn user_tests(place: Place, users: Vec<UserPattern<'_>>, errors: &mut Vec<BuildError>) -> Box<[UserTest]> {
    let mut tests = Vec::with_capacity(users.len());
    for (entry, user) in users.into_iter().enumerate() {
        match user {
            UserPattern::Exact(user) => tests.push(UserTest::Exact(user.into())),
            UserPattern::Regexp(expression) => match regexp(&expression) {
                Ok(regex) => tests.push(UserTest::Regexp(regex)),
                Err(problem) => errors.push(BuildError { place, field: "user", list: 0, entry, problem }),
            },
        }
    }
    tests.into()
}

fn attribute_rules(
    place: Place,
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
                    errors.push(BuildError { place, field: "attrs", list: 0, entry, problem });
                    continue;
                }
            },
        };
        rules.push(AttributeRule { key: key.into(), test });
    }
    rules.into()
}

fn process_tests(
    place: Place,
    list: usize,
    group: Vec<ProcessPattern>,
    errors: &mut Vec<BuildError>,
) -> Box<[ProcessTest]> {
    let mut tests = Vec::with_capacity(group.len());
    for (entry, pattern) in group.into_iter().enumerate() {
        tests.push(match pattern {
            ProcessPattern::Name(name) => ProcessTest::Name(name),
            ProcessPattern::Path(path) => ProcessTest::Path(path),
            ProcessPattern::Folder(folder) => ProcessTest::Folder(folder),
            ProcessPattern::User(user) => ProcessTest::User(user),
            ProcessPattern::UserId(id) => ProcessTest::UserId(id),
            ProcessPattern::Regexp(expression) => match regexp(&expression) {
                Ok(regex) => ProcessTest::Regexp(regex),
                Err(problem) => {
                    errors.push(BuildError { place, field: "process", list, entry, problem });
                    continue;
                }
            },
        });
    }
    tests.into()
}

fn regexp(expression: &str) -> Result<Regex, Problem> {
    let problem = |error| Problem::Regexp { expression: expression.into(), error };
    go_regexp::compile(expression, REGEXP_SIZE_LIMIT_BYTES).map_err(problem)
}
