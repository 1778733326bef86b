//! Rules of the configuration → specifications of the router.

use std::borrow::Cow;

use ipnet::IpNet;
use waypost_config::{
    Diagnostic, Severity, Source, Span, Spanned,
    model::{self, Config, DomainEntry, GeositeRef, IpEntry, IpSet},
};
use waypost_router::{
    AttributeCondition, AttributeTest, BuildError, Conditions, DomainList, EntryKind, IpList, ProcessPattern,
    Router, RuleSpec, Strategy, UserPattern, Way,
};

use super::geo::{GeoFiles, Reported};

/// Compiles the rules of `config`; `None` if that failed, and `problems` says why.
pub(super) fn router(
    config: &Config,
    source: &Source,
    files: &GeoFiles,
    problems: &mut Vec<Diagnostic>,
) -> Option<Router> {
    let mut places = Vec::with_capacity(config.routing.rules.len());
    let mut specs = Vec::with_capacity(config.routing.rules.len());
    for rule in &config.routing.rules {
        let mut lowering = Lowering { files, problems, places: RulePlaces::default() };
        let conditions = lowering.conditions(&rule.conditions);
        places.push((rule.span, lowering.places));
        specs.push(RuleSpec {
            tag: rule.tag.clone(),
            line: source.position(rule.span.start).line,
            way: way(&rule.target),
            conditions,
        });
    }
    match Router::new(strategy(config.routing.domain_strategy), specs) {
        Ok(router) => Some(router),
        Err(errors) => {
            problems.extend(errors.iter().map(|error| diagnose(error, &places)));
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
    /// By list and entry; a list from a file has one place.
    domain: Vec<Vec<Span>>,
    user: Vec<Span>,
    attributes: Vec<Span>,
}

fn diagnose(error: &BuildError, places: &[(Span, RulePlaces)]) -> Diagnostic {
    let rule = places.get(error.rule);
    let entry = |spans: &[Span]| spans.get(error.entry).or_else(|| spans.first()).copied();
    let place = rule.and_then(|(_, places)| match error.field {
        "domain" => places.domain.get(error.list).and_then(|spans| entry(spans)),
        "user" => entry(&places.user),
        "attrs" => entry(&places.attributes),
        _ => None,
    });
    let span = place.or_else(|| rule.map(|(span, _)| *span)).unwrap_or_default();
    Diagnostic { severity: Severity::Error, span, message: error.problem.to_string(), help: None }
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
                DomainEntry::Regexp(text) => (EntryKind::Regexp, &**text),
                DomainEntry::Suffix(text) => (EntryKind::Suffix, &**text),
                DomainEntry::Full(text) => (EntryKind::Full, &**text),
                DomainEntry::List(reference) => {
                    let entries = self.files.site(reference, *span, self.problems);
                    let entries = entries.unwrap_or_else(|Reported| Vec::new());
                    lists.push(DomainList { label: Some(site_label(reference).into()), entries });
                    places.push(vec![*span]);
                    continue;
                }
            };
            own.push(literal);
            own_places.push(*span);
        }
        if !own.is_empty() {
            lists.push(DomainList { label: None, entries: own });
            places.push(own_places);
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

fn site_label(reference: &GeositeRef) -> String {
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
