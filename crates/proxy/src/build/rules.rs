//! Rules of the configuration → specifications of the router.

use std::borrow::Cow;

use ipnet::IpNet;
use waypost_config::{
    Diagnostic, Severity, Source, Span, Spanned,
    model::{self, Config, DomainEntry, GeositeRef, IpEntry, IpSet},
};
use waypost_geosite::go_regexp;
use waypost_net::Tag;
use waypost_router::{
    AttributeCondition, AttributeTest, BuildError, Conditions, DomainList, EntryKind, IpList, Problem,
    ProcessPattern, Router, RuleSpec, Strategy, UserPattern, Way,
};

use super::{
    failure,
    geo::{GeoFiles, Reported},
};

/// Compiles the rules of `config`; `None` if that failed, and `problems` says why.
pub(super) fn router(
    config: &Config,
    source: &Source,
    files: &GeoFiles,
    problems: &mut Vec<Diagnostic>,
) -> Option<Router> {
    let rules = config.routing.rules.iter().map(|rule| Written {
        tag: rule.tag.clone(),
        line: source.position(rule.span.start).line,
        span: rule.span,
        way: way(&rule.target),
        conditions: &rule.conditions,
    });
    compile(strategy(config.routing.domain_strategy), rules, files, problems)
}

/// A rule before it is compiled.
pub(super) struct Written<'a> {
    pub(super) tag: Option<Tag>,
    pub(super) line: usize,
    pub(super) span: Span,
    pub(super) way: Way,
    pub(super) conditions: &'a model::Conditions,
}

/// Compiles rules; `None` if that failed, and `problems` says why.
pub(super) fn compile<'a>(
    strategy: Strategy,
    rules: impl Iterator<Item = Written<'a>>,
    files: &'a GeoFiles,
    problems: &mut Vec<Diagnostic>,
) -> Option<Router> {
    let (mut places, mut specs) = (Vec::new(), Vec::new());
    for Written { tag, line, span, way, conditions } in rules {
        let mut lowering = Lowering { files, problems, places: RulePlaces::default() };
        let conditions = lowering.conditions(conditions);
        places.push((span, lowering.places));
        specs.push(RuleSpec { tag, line, way, conditions });
    }
    match Router::new(strategy, specs) {
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

fn way(target: &model::RuleTarget) -> Way {
    match target {
        model::RuleTarget::Outbound(tag) => Way::Outbound(tag.value.clone()),
        model::RuleTarget::Balancer(tag) => Way::Balancer(tag.value.clone()),
    }
}

/// Where the entries of a rule stand in the file.
#[derive(Default)]
struct RulePlaces {
    domain: Vec<ListPlace>,
    user: Vec<Span>,
    attributes: Vec<Span>,
}

/// Where a list of names stands in the file.
enum ListPlace {
    /// In the rule itself, entry by entry.
    Own(Vec<Span>),
    /// In a geo file, which the rule names here.
    File { span: Span, label: String },
}

/// Reports what cannot be compiled. Of a list from a geo file only the first entry is shown.
fn diagnose(errors: &[BuildError], places: &[(Span, RulePlaces)], problems: &mut Vec<Diagnostic>) {
    let mut last_list = None;
    for error in errors {
        let Some((rule, places)) = places.get(error.rule) else {
            problems.push(failure(Span::default(), &error.problem));
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
            (_, _) => (*rule, None),
        };
        let Some(label) = label else {
            problems.push(failure(span, &error.problem));
            continue;
        };
        let list = Some((error.rule, error.list));
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
    problems: &'p mut Vec<Diagnostic>,
    places: RulePlaces,
}

impl<'a> Lowering<'a, '_> {
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
        } = conditions;
        self.places.user = spans(user.as_deref());
        self.places.attributes = spans(attributes.as_deref());
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
                .as_ref()
                .map(|entries| entries.iter().map(|entry| process_pattern(&entry.value)).collect()),
            operating_system: local_os
                .as_ref()
                .map(|names| names.iter().any(|name| **name == *this_system())),
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
        self.places.domain = places;
        lists
    }

    fn ip_lists(&mut self, entries: &'a [Spanned<IpEntry>]) -> Vec<IpList<'a>> {
        let (mut positive, mut inverse) = (Vec::<IpNet>::new(), Vec::<IpNet>::new());
        let mut lists = Vec::new();
        for Spanned { value, span } in entries {
            match &value.set {
                IpSet::Net(net) if value.inverse => inverse.push(*net),
                IpSet::Net(net) => positive.push(*net),
                IpSet::List { file, code } => {
                    let prefixes = self.files.ip(file, code, *span, self.problems);
                    let prefixes = prefixes.unwrap_or_else(|Reported| Vec::new());
                    let label = Some(ip_label(file, code).into());
                    lists.push(IpList { label, inverse: value.inverse, prefixes: prefixes.into() });
                }
            }
        }
        for (prefixes, inverse) in [(positive, false), (inverse, true)] {
            if !prefixes.is_empty() {
                lists.push(IpList { label: None, inverse, prefixes: prefixes.into() });
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
    }
}

/// The name that Go gives this operating system, which is what files for Xray write.
fn this_system() -> &'static str {
    match std::env::consts::OS {
        "macos" => "darwin",
        os => os,
    }
}
