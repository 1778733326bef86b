//! Rules of the configuration → specifications of the router.

use std::{borrow::Cow, sync::Arc};

use ipnet::IpNet;
use waypost_config::{
    Diagnostic, Dialect, Severity, Source, Span, Spanned,
    model::{self, Config, DomainEntry, GeositeRef, IpEntry, IpSet},
};
use waypost_geosite::go_regexp;
use waypost_net::Tag;
use waypost_router::{
    Action, AttributeCondition, AttributeTest, BuildError, Conditions, DomainList, EntryKind, IpList,
    IpVersion, Logical, LogicalMode, Matcher, Problem, ProcessPattern, Router, RouterSpec, RuleSetSpec,
    RuleSets, RuleSpec, Strategy, UserPattern, Words,
};

use super::{
    action, failure,
    geo::{GeoFiles, Reported},
    rule_sets::{self, NamedSet},
};

/// Compiles the rules of `config`; `None` if that failed, and `problems` says why.
pub(super) fn router(
    config: &Config,
    source: &Source,
    files: &GeoFiles,
    sets: &[NamedSet<'_>],
    problems: &mut Vec<Diagnostic>,
) -> Option<Router> {
    let rules = config.routing.rules.iter().map(|rule| Written {
        tag: rule.tag.clone(),
        line: source.position(rule.span.start).line,
        file: source.has_several_files().then(|| source.file_of(rule.span.start).into()),
        span: rule.span,
        action: action::action(&rule.action),
        matcher: &rule.matcher,
    });
    let naming = match config.dialect {
        Dialect::V2ray => Words::V2ray,
        Dialect::SingBox => Words::SingBox,
    };
    compile(strategy(config.routing.domain_strategy), naming, rules, sets, files, problems)
}

/// A rule before it is compiled.
pub(super) struct Written<'a> {
    pub(super) tag: Option<Tag>,
    pub(super) line: usize,
    pub(super) file: Option<Arc<str>>,
    pub(super) span: Span,
    pub(super) action: Action,
    pub(super) matcher: &'a model::Matcher,
}

/// Compiles rules; `None` if that failed, and `problems` says why.
pub(super) fn compile<'a>(
    strategy: Strategy,
    words: Words,
    rules: impl Iterator<Item = Written<'a>>,
    sets: &[NamedSet<'a>],
    files: &'a GeoFiles,
    problems: &mut Vec<Diagnostic>,
) -> Option<Router> {
    let (mut places, mut specs, mut set_specs) = (Vec::new(), Vec::new(), Vec::new());
    for Written { tag, line, file, span, action, matcher } in rules {
        let mut lowering = Lowering { files, sets, problems, places: Vec::new() };
        let matcher = lowering.matcher(matcher);
        places.push((None, span, lowering.places));
        specs.push(RuleSpec { tag, line, file, action, matcher });
    }
    for (index, NamedSet { tag, span, set }) in sets.iter().enumerate() {
        places.push((Some(index), *span, Vec::new()));
        set_specs.push(RuleSetSpec { tag: (*tag).clone(), rules: rule_sets::matchers(set) });
    }
    match Router::new(RouterSpec { strategy, words, rules: specs, rule_sets: set_specs }) {
        Ok(router) => Some(router),
        Err(errors) => {
            diagnose(&errors, &places, problems);
            None
        }
    }
}

fn strategy(strategy: model::DomainStrategy) -> Strategy {
    match strategy {
        model::DomainStrategy::AsIs => Strategy::AsIs,
        model::DomainStrategy::IpIfNonMatch => Strategy::IpIfNonMatch,
        model::DomainStrategy::IpOnDemand => Strategy::IpOnDemand,
    }
}

/// Where the conditions of a rule stand in the file: the rule set that it belongs to, the rule, and the
/// entries of its parts.
type RulePlaces = (Option<usize>, Span, Vec<PartPlaces>);

/// Where the entries of a part of a rule stand in the file.
#[derive(Default)]
struct PartPlaces {
    domain: Vec<ListPlace>,
    user: Vec<Span>,
    attributes: Vec<Span>,
    process: Vec<Vec<Span>>,
}

/// Where a list of names stands in the file.
enum ListPlace {
    /// In the rule itself, entry by entry.
    Own(Vec<Span>),
    /// In a geo file, which the rule names here.
    File { span: Span, label: String },
}

/// Reports what cannot be compiled. Of a list from a geo file only the first entry is shown.
fn diagnose(errors: &[BuildError], places: &[RulePlaces], problems: &mut Vec<Diagnostic>) {
    let mut last_list = None;
    for error in errors {
        let mut of_set = places.iter().filter(|(set, ..)| *set == error.place.set);
        // The entries of a rule set have no places of their own.
        let found = of_set.nth(if error.place.set.is_none() { error.place.rule } else { 0 });
        let Some((rule, places)) =
            found.and_then(|(_, rule, parts)| Some((rule, parts.get(error.place.part)?)))
        else {
            problems.push(failure(found.map(|(_, rule, _)| *rule).unwrap_or_default(), &error.problem));
            continue;
        };
        let entry = |spans: &[Span]| spans.get(error.entry).copied().unwrap_or(*rule);
        let (span, label) = match (error.field, places.domain.get(error.list)) {
            // All entries of all rules are too large together: no entry is to blame.
            _ if matches!(error.problem, Problem::Index(_)) => (*rule, None),
            ("domain", Some(ListPlace::File { span, label })) => (*span, Some(label)),
            ("domain", Some(ListPlace::Own(spans))) => (entry(spans), None),
            ("user", _) => (entry(&places.user), None),
            ("attrs", _) => (entry(&places.attributes), None),
            ("process", _) => (places.process.get(error.list).map_or(*rule, |spans| entry(spans)), None),
            (_, _) => (*rule, None),
        };
        let Some(label) = label else {
            problems.push(failure(span, &error.problem));
            continue;
        };
        let list = Some((error.place, error.list));
        if list != last_list {
            problems.push(bad_entry(span, label, &error.problem));
        }
        last_list = list;
    }
}

/// An entry of a list of a geo file that cannot be compiled.
pub(super) fn bad_entry(span: Span, label: &str, error: &dyn std::fmt::Display) -> Diagnostic {
    let message = format!("`{label}` has an entry that cannot be used: {error}");
    let help =
        Some("the mistake is in the geo file: use another version of it, or leave the list out".into());
    Diagnostic { severity: Severity::Error, span, message, help }
}

/// A warning if an expression for names can only be found in texts with an upper-case letter.
pub(super) fn upper_case_warning(expression: &str, span: Span) -> Option<Diagnostic> {
    go_regexp::needs_upper_case(expression).then(|| Diagnostic {
        severity: Severity::Warning,
        span,
        message: "this expression never matches: it needs an upper-case letter, and names are compared in \
                  lower case"
            .to_owned(),
        help: Some("write it in lower case, or put `(?i)` at its beginning".to_owned()),
    })
}

struct Lowering<'a, 'p> {
    files: &'a GeoFiles,
    sets: &'p [NamedSet<'a>],
    problems: &'p mut Vec<Diagnostic>,
    /// Of the parts so far.
    places: Vec<PartPlaces>,
}

impl<'a> Lowering<'a, '_> {
    fn matcher(&mut self, matcher: &'a model::Matcher) -> Matcher<'a> {
        match matcher {
            model::Matcher::One(conditions) => {
                self.places.push(PartPlaces::default());
                Matcher::One(Box::new(self.conditions(conditions)))
            }
            model::Matcher::Logical(model::Logical { mode, matchers, invert }) => Matcher::Logical(Logical {
                mode: match mode {
                    model::LogicalMode::And => LogicalMode::And,
                    model::LogicalMode::Or => LogicalMode::Or,
                },
                matchers: matchers.iter().map(|matcher| self.matcher(matcher)).collect(),
                invert: *invert,
            }),
        }
    }

    fn conditions(&mut self, conditions: &'a model::Conditions) -> Conditions<'a> {
        let model::Conditions {
            domain,
            ip,
            source,
            local_ip,
            port,
            source_port,
            local_port,
            network,
            user,
            inbound_tag,
            protocol,
            attributes,
            process,
            local_os,
            ip_version,
            clash_mode,
            client,
            rule_sets,
            either,
            invert,
        } = conditions;
        if let Some(places) = self.places.last_mut() {
            places.user = spans(user.as_deref());
            places.attributes = spans(attributes.as_deref());
            places.process = process.iter().map(|entries| spans(Some(entries))).collect();
        }
        Conditions {
            domain: domain.as_ref().map(|entries| self.domain_lists(entries)),
            ip: ip.as_ref().map(|entries| self.ip_lists(entries)),
            source: source.as_ref().map(|entries| self.ip_lists(entries)),
            local_ip: local_ip.as_ref().map(|entries| self.ip_lists(entries)),
            port: port.clone(),
            source_port: source_port.clone(),
            local_port: local_port.clone(),
            network: *network,
            user: user
                .as_ref()
                .map(|entries| entries.iter().map(|entry| user_pattern(&entry.value)).collect()),
            inbound: inbound_tag.as_ref().map(|tags| tags.iter().map(|tag| tag.value.clone()).collect()),
            protocol: protocol.clone(),
            attributes: attributes
                .as_ref()
                .map(|entries| entries.iter().map(|entry| attribute(&entry.value)).collect()),
            process: process
                .iter()
                .map(|entries| entries.iter().map(|entry| process_pattern(&entry.value)).collect())
                .collect(),
            operating_system: local_os
                .as_ref()
                .map(|names| names.iter().any(|name| **name == *this_system())),
            ip_version: ip_version.map(|version| match version {
                model::IpVersion::V4 => IpVersion::V4,
                model::IpVersion::V6 => IpVersion::V6,
            }),
            mode: clash_mode.clone(),
            client: client.clone(),
            rule_sets: rule_sets.as_ref().map(|named| RuleSets {
                sets: named
                    .tags
                    .iter()
                    .filter_map(|tag| self.sets.iter().position(|set| *set.tag == tag.value))
                    .collect(),
                match_source: named.match_source,
            }),
            either: *either,
            invert: *invert,
        }
    }

    /// One list of what stands in the rule itself, and one for each list of a file.
    fn domain_lists(&mut self, entries: &'a [Spanned<DomainEntry>]) -> Vec<DomainList<'a>> {
        let (mut own, mut own_places) = (Vec::new(), Vec::new());
        let (mut lists, mut places) = (Vec::new(), Vec::new());
        for Spanned { value, span } in entries {
            let literal = match value {
                DomainEntry::Keyword(text) => (EntryKind::Keyword, &**text),
                DomainEntry::Regexp(text) => {
                    self.problems.extend(upper_case_warning(text, *span));
                    (EntryKind::Regexp, &**text)
                }
                DomainEntry::Suffix(text) => (EntryKind::Suffix, &**text),
                DomainEntry::Full(text) => (EntryKind::Full, &**text),
                DomainEntry::Below(text) => (EntryKind::Below, &**text),
                DomainEntry::List(reference) => {
                    let entries = self.files.site(reference, *span, self.problems);
                    let entries = entries.unwrap_or_else(|Reported| Vec::new());
                    let label = site_label(reference);
                    lists.push(DomainList { label: Some(label.clone().into()), entries });
                    places.push(ListPlace::File { span: *span, label });
                    continue;
                }
            };
            own.push(literal);
            own_places.push(*span);
        }
        if !own.is_empty() {
            lists.push(DomainList { label: None, entries: own });
            places.push(ListPlace::Own(own_places));
        }
        if let Some(part) = self.places.last_mut() {
            part.domain = places;
        }
        lists
    }

    fn ip_lists(&mut self, entries: &'a [Spanned<IpEntry>]) -> Vec<IpList<'a>> {
        let (mut positive, mut inverse) = (Vec::<IpNet>::new(), Vec::<IpNet>::new());
        let mut lists = Vec::new();
        for Spanned { value, span } in entries {
            match &value.set {
                IpSet::NotPublic => {
                    let addresses = waypost_geoip::not_public_prefixes().collect::<Vec<_>>().into();
                    let label = Some("private addresses".into());
                    lists.push(IpList { label, inverse: value.inverse, addresses });
                }
                IpSet::Net(net) if value.inverse => inverse.push(*net),
                IpSet::Net(net) => positive.push(*net),
                IpSet::List { file, code } => {
                    let prefixes = self.files.ip(file, code, *span, self.problems);
                    let prefixes = prefixes.unwrap_or_else(|Reported| Vec::new());
                    let label = Some(ip_label(file, code).into());
                    lists.push(IpList { label, inverse: value.inverse, addresses: prefixes.into() });
                }
            }
        }
        for (prefixes, inverse) in [(positive, false), (inverse, true)] {
            if !prefixes.is_empty() {
                lists.push(IpList { label: None, inverse, addresses: prefixes.into() });
            }
        }
        lists
    }
}

fn spans<T>(entries: Option<&[Spanned<T>]>) -> Vec<Span> {
    entries.unwrap_or_default().iter().map(|entry| entry.span).collect()
}

pub(super) fn site_label(reference: &GeositeRef) -> String {
    let mut label = match &*reference.file {
        "geosite.dat" => format!("geosite:{}", reference.code),
        file => format!("ext:{file}:{}", reference.code),
    };
    for attribute in &reference.attributes {
        label.push('@');
        label.push_str(attribute);
    }
    label
}

fn ip_label(file: &str, code: &str) -> String {
    match file {
        "geoip.dat" => format!("geoip:{code}"),
        file => format!("ext:{file}:{code}"),
    }
}

fn user_pattern(user: &model::UserEntry) -> UserPattern<'_> {
    match user {
        model::UserEntry::Exact(user) => UserPattern::Exact(Cow::Borrowed(user)),
        model::UserEntry::Regexp(expression) => UserPattern::Regexp(Cow::Borrowed(expression)),
    }
}

fn attribute(entry: &model::AttributeEntry) -> AttributeCondition<'_> {
    let test = match &entry.test {
        model::AttributeTest::Equals(value) => AttributeTest::Equals(Cow::Borrowed(value)),
        model::AttributeTest::StartsWith(value) => AttributeTest::StartsWith(Cow::Borrowed(value)),
        model::AttributeTest::Contains(value) => AttributeTest::Contains(Cow::Borrowed(value)),
        model::AttributeTest::Regexp(value) => AttributeTest::Regexp(Cow::Borrowed(value)),
    };
    AttributeCondition { key: Cow::Borrowed(&entry.key), test }
}

fn process_pattern(entry: &model::ProcessEntry) -> ProcessPattern {
    match entry {
        model::ProcessEntry::Name(name) => ProcessPattern::Name(name.clone()),
        model::ProcessEntry::Path(path) => ProcessPattern::Path(path.clone()),
        model::ProcessEntry::Folder(folder) => ProcessPattern::Folder(folder.clone()),
        model::ProcessEntry::Regexp(expression) => ProcessPattern::Regexp(expression.clone()),
        model::ProcessEntry::User(user) => ProcessPattern::User(user.clone()),
        model::ProcessEntry::UserId(id) => ProcessPattern::UserId(*id),
    }
}

/// The name that Go gives this operating system, which is what files for Xray write.
fn this_system() -> &'static str {
    match std::env::consts::OS {
        "macos" => "darwin",
        os => os,
    }
}
