//! `waypost geo export`: a list of a geo file as a rule set.

use std::path::{Path, PathBuf};

use waypost_geodata::{
    DomainKind,
    rule_set::{DefaultRule, DomainMatch, HeadlessRule, RangesBuilder, RuleSet},
};

use crate::{
    InspectError, Outcome,
    geo::{Content, GeoFile},
    rule_set::write_set,
};

/// Writes the list with a code, or the entries of it that have an attribute.
pub(crate) fn export(file: &GeoFile, written: &str, output: Option<&Path>) -> Result<Outcome, InspectError> {
    let (code, attribute) = match written.split_once('@') {
        Some((code, attribute)) => (code, Some(attribute)),
        None => (written, None),
    };
    let no_list = || InspectError::NoList { path: file.path.clone(), code: written.to_owned() };
    let dat = |error| InspectError::Dat { path: file.path.clone(), error };
    let mut rule = DefaultRule::default();
    let mut ranges = RangesBuilder::default();
    match &file.content {
        Content::Sites(sites) => {
            for domain in sites.list(code).ok_or_else(no_list)?.domains() {
                let domain = domain.map_err(dat)?;
                if attribute.is_none_or(|attribute| domain.has_attribute(attribute)) {
                    add(&mut rule, domain.kind, domain.value).map_err(|reason| InspectError::Entry {
                        code: code.to_owned(),
                        entry: domain.value.to_owned(),
                        reason,
                    })?;
                }
            }
        }
        Content::Ips(_) | Content::Countries(_) if attribute.is_some() => {
            let path = file.path.clone();
            return Err(InspectError::Kind { path, has: "addresses", wanted: "names with attributes" });
        }
        Content::Ips(ips) => {
            for prefix in ips.list(code).ok_or_else(no_list)?.prefixes() {
                ranges.push(prefix.map_err(dat)?);
            }
        }
        Content::Countries(database) => {
            let found = database.prefixes(&[code]);
            let found = found.map_err(|error| InspectError::Mmdb { path: file.path.clone(), error })?;
            found.into_values().flatten().for_each(|prefix| ranges.push(prefix));
        }
    }
    rule.ip = ranges.build();
    if rule.is_empty() {
        return Err(no_list());
    }
    let set = RuleSet { version: 2, rules: vec![HeadlessRule::Default(Box::new(rule))] };
    let named =
        output.map_or_else(|| PathBuf::from(format!("{}.srs", written.to_lowercase())), Path::to_owned);
    write_set(&set, None, &named, String::new())
}

fn add(rule: &mut DefaultRule, kind: DomainKind, value: &str) -> Result<(), String> {
    let pushed = match kind {
        DomainKind::Full => rule.domains.push(DomainMatch::Full, value),
        DomainKind::Suffix => rule.domains.push(DomainMatch::Suffix, value),
        DomainKind::Keyword => {
            rule.domain_keywords.push(value.into());
            Ok(())
        }
        DomainKind::Regexp => {
            rule.domain_regexps.push(value.into());
            Ok(())
        }
    };
    pushed.map_err(|error| error.to_string())
}
