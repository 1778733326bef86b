//! `sniffing` of the configuration → what an inbound sniffs by.

use waypost_config::{
    Diagnostic, Span,
    model::{self, Conditions, Config, Matcher},
};
use waypost_net::Tag;
use waypost_router::{Router, Strategy, Way, Words};

use super::{
    geo::GeoFiles,
    rules::{self, Written},
};
use crate::sniffing::Sniffing;

/// What each inbound sniffs by, in the order of the file; `None` where nothing depends on it.
pub(super) fn sniffing(
    config: &Config,
    files: &GeoFiles,
    problems: &mut Vec<Diagnostic>,
) -> Vec<Option<Sniffing>> {
    let mut labels_count = false;
    for rule in &config.routing.rules {
        rule.matcher.for_each(&mut |Conditions { protocol, attributes, .. }| {
            labels_count |= protocol.is_some() || attributes.is_some();
        });
    }
    let read = |inbound: &model::Inbound| {
        let sniffing = inbound.sniffing.as_ref()?;
        let excluded = excluded(sniffing, inbound.span, files, problems);
        let counts = labels_count || !sniffing.dest_override.is_empty();
        (counts && !sniffing.metadata_only).then(|| Sniffing {
            dest_override: sniffing.dest_override.iter().map(|word| word.label_prefix()).collect(),
            route_only: sniffing.route_only,
            excluded,
        })
    };
    config.inbounds.iter().map(read).collect()
}

/// Rules that match what keeps its target.
fn excluded(
    sniffing: &model::Sniffing,
    span: Span,
    files: &GeoFiles,
    problems: &mut Vec<Diagnostic>,
) -> Option<Router> {
    let (names, ips) = (&sniffing.domains_excluded, &sniffing.ips_excluded);
    let mut conditions: Vec<Matcher> = Vec::new();
    if !names.is_empty() {
        conditions.push(Conditions { domain: Some(names.clone()), ..Conditions::default() }.into());
    }
    if !ips.is_empty() {
        conditions.push(Conditions { ip: Some(ips.clone()), ..Conditions::default() }.into());
    }
    if conditions.is_empty() {
        return None;
    }
    let rules = conditions.iter().map(|matcher| Written {
        tag: None,
        line: 0,
        file: None,
        span,
        action: Way::Outbound(Tag::from("excluded")).into(),
        matcher,
    });
    rules::compile(Strategy::AsIs, Words::V2ray, rules, &[], files, problems)
}
