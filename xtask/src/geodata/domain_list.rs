//! Lists of domains as text, in the format of v2fly/domain-list-community.
//!
//! The outcome equals that of its builder (`main.go`): same entries, same order.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use waypost_geodata::{DomainKind, SiteDomain, SiteEntry};

/// The longest domain name and label (RFC 1035, section 2.3.4, less the root label).
const MAX_NAME_LENGTH: usize = 253;
const MAX_LABEL_LENGTH: usize = 63;

/// The lists as they are written, by upper-case name.
pub(crate) type Sources = BTreeMap<String, Source>;

/// One list before its inclusions are resolved.
#[derive(Debug, Default)]
pub(crate) struct Source {
    rules: Vec<Rc<Rule>>,
    inclusions: Vec<Inclusion>,
}

/// The finished lists, sorted by name.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) entries: Vec<SiteEntry>,
    pub(crate) empty: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    kind: DomainKind,
    value: String,
    /// Sorted.
    attributes: Vec<String>,
}

/// `include:` with its filters.
#[derive(Debug)]
struct Inclusion {
    name: String,
    required: Vec<String>,
    banned: Vec<String>,
}

impl Rule {
    /// Returns `type:value:@a,@b`, whose byte order is the order of a finished list.
    fn plain(&self) -> String {
        let kind = match self.kind {
            DomainKind::Keyword => "keyword",
            DomainKind::Regexp => "regexp",
            DomainKind::Suffix => "domain",
            DomainKind::Full => "full",
        };
        format!("{kind}:{}", self.value_with_attributes())
    }

    fn value_with_attributes(&self) -> String {
        let mut text = self.value.clone();
        for (index, attribute) in self.attributes.iter().enumerate() {
            text.push_str(if index == 0 { ":@" } else { ",@" });
            text.push_str(attribute);
        }
        text
    }
}

impl Inclusion {
    fn admits(&self, rule: &Rule) -> bool {
        self.required.iter().all(|attribute| rule.attributes.contains(attribute))
            && !self.banned.iter().any(|attribute| rule.attributes.contains(attribute))
    }
}

/// Reads all files below a folder, or below its `data` folder if it has one.
pub(crate) fn read_folder(folder: &Path) -> Result<Sources> {
    let data = folder.join("data");
    let mut sources = Sources::new();
    for path in files_below(if data.is_dir() { &data } else { folder })? {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_ascii_uppercase();
        if !is_list_name(&name) {
            bail!("`{}`: not a valid name for a list", path.display());
        }
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        add_source(&mut sources, &name, &text, &path.display().to_string())?;
    }
    Ok(sources)
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let cannot_read = || format!("cannot read `{}`", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(cannot_read)? {
        let path = entry.with_context(cannot_read)?.path();
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Adds the text of one list. Affiliations add its rules to other lists as well.
pub(crate) fn add_source(sources: &mut Sources, name: &str, text: &str, file: &str) -> Result<()> {
    sources.entry(name.to_owned()).or_default();
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if !line.is_empty() {
            add_line(sources, name, line).with_context(|| format!("{file}:{}", index + 1))?;
        }
    }
    Ok(())
}

fn add_line(sources: &mut Sources, name: &str, line: &str) -> Result<()> {
    let (kind, rule) = match line.split_once(':') {
        Some((kind, rule)) => (kind.to_lowercase(), rule),
        None => ("domain".to_owned(), line),
    };
    if kind == "include" {
        let inclusion = parse_inclusion(rule)?;
        sources.entry(name.to_owned()).or_default().inclusions.push(inclusion);
        return Ok(());
    }
    let (rule, affiliations) = parse_rule(&kind, rule)?;
    let rule = Rc::new(rule);
    for list in affiliations.into_iter().chain([name.to_owned()]) {
        sources.entry(list).or_default().rules.push(Rc::clone(&rule));
    }
    Ok(())
}

/// Returns the rule, and the names of the lists that it is affiliated to.
fn parse_rule(kind: &str, rule: &str) -> Result<(Rule, Vec<String>)> {
    let mut words = rule.split_whitespace();
    let Some(value) = words.next() else { bail!("a rule without a value") };
    let (kind, value) = parse_value(kind, value)?;
    let mut attributes = BTreeSet::new();
    let mut affiliations = Vec::new();
    for word in words {
        if let Some(attribute) = word.strip_prefix('@') {
            attributes.insert(parse_attribute(attribute)?);
        } else if let Some(list) = word.strip_prefix('&') {
            affiliations.push(parse_list_name(list)?);
        } else {
            bail!("expected `@attribute` or `&list`, found `{word}`");
        }
    }
    Ok((Rule { kind, value, attributes: attributes.into_iter().collect() }, affiliations))
}

fn parse_value(kind: &str, value: &str) -> Result<(DomainKind, String)> {
    let lower_case = value.to_lowercase();
    match kind {
        "regexp" => {
            regex::Regex::new(value).with_context(|| format!("invalid regular expression: `{value}`"))?;
            Ok((DomainKind::Regexp, value.to_owned()))
        }
        "keyword" if !lower_case.bytes().all(is_domain_byte) => bail!("invalid keyword: `{lower_case}`"),
        "keyword" => Ok((DomainKind::Keyword, lower_case)),
        "domain" | "full" if !is_domain_name(&lower_case) => bail!("invalid domain: `{lower_case}`"),
        "domain" => Ok((DomainKind::Suffix, lower_case)),
        "full" => Ok((DomainKind::Full, lower_case)),
        _ => bail!("unknown type of rule: `{kind}`"),
    }
}

fn parse_inclusion(rule: &str) -> Result<Inclusion> {
    let mut words = rule.split_whitespace();
    let Some(name) = words.next() else { bail!("`include:` without a list") };
    let mut inclusion = Inclusion { name: parse_list_name(name)?, required: Vec::new(), banned: Vec::new() };
    for word in words {
        let Some(attribute) = word.strip_prefix('@') else {
            bail!("expected `@attribute` or `@-attribute`, found `{word}`")
        };
        match attribute.strip_prefix('-') {
            Some(banned) => inclusion.banned.push(parse_attribute(banned)?),
            None => inclusion.required.push(parse_attribute(attribute)?),
        }
    }
    Ok(inclusion)
}

fn parse_attribute(attribute: &str) -> Result<String> {
    let attribute = attribute.to_lowercase();
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'!';
    if attribute.is_empty() || !attribute.bytes().all(is_allowed) {
        bail!("invalid attribute: `{attribute}`");
    }
    Ok(attribute)
}

fn parse_list_name(name: &str) -> Result<String> {
    let name = name.to_ascii_uppercase();
    if !is_list_name(&name) {
        bail!("invalid name of a list: `{name}`");
    }
    Ok(name)
}

fn is_list_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"!-".contains(&byte);
    !name.is_empty() && name.bytes().all(is_allowed)
}

fn is_domain_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte)
}

fn is_domain_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=MAX_LABEL_LENGTH).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    name.len() <= MAX_NAME_LENGTH && name.bytes().all(is_domain_byte) && name.split('.').all(is_label)
}

/// The rules of a list with those it includes, by their plain form.
type Rules = BTreeMap<String, Rc<Rule>>;

/// Resolves inclusions, then removes what is redundant in each list.
pub(crate) fn build(sources: &Sources) -> Result<Built> {
    let mut resolved = BTreeMap::new();
    let mut built = Built { entries: Vec::new(), empty: Vec::new() };
    for name in sources.keys() {
        let rules = resolve(sources, name, &mut resolved)?;
        if rules.is_empty() {
            built.empty.push(name.clone());
            continue;
        }
        let domains = polish(&rules).map(|rule| SiteDomain {
            kind: rule.kind,
            value: rule.value.clone(),
            attributes: rule.attributes.clone(),
        });
        built.entries.push(SiteEntry { code: name.clone(), domains: domains.collect() });
    }
    Ok(built)
}

/// `resolved` holds `None` for a list that is being resolved.
fn resolve(
    sources: &Sources,
    name: &str,
    resolved: &mut BTreeMap<String, Option<Rc<Rules>>>,
) -> Result<Rc<Rules>> {
    match resolved.entry(name.to_owned()) {
        Entry::Occupied(entry) => {
            return entry.get().clone().with_context(|| format!("list `{name}` includes itself"));
        }
        Entry::Vacant(entry) => entry.insert(None),
    };
    let source = sources.get(name).with_context(|| format!("no list `{name}`"))?;
    let mut rules: Rules = source.rules.iter().map(|rule| (rule.plain(), Rc::clone(rule))).collect();
    for inclusion in &source.inclusions {
        let included = resolve(sources, &inclusion.name, resolved)
            .with_context(|| format!("list `{name}` includes `{}`", inclusion.name))?;
        // Not the polished list: its parent domain may be filtered out here, and a rule that was
        // redundant because of it is not.
        let admitted = included.iter().filter(|(_, rule)| inclusion.admits(rule));
        rules.extend(admitted.map(|(plain, rule)| (plain.clone(), Rc::clone(rule))));
    }
    let rules = Rc::new(rules);
    resolved.insert(name.to_owned(), Some(Rc::clone(&rules)));
    Ok(rules)
}

/// Leaves out the rules that a `domain:` rule on a parent makes redundant.
///
/// A rule without attributes is redundant whatever the attributes of that parent, one with
/// attributes only if the parent has the same.
fn polish(rules: &Rules) -> impl Iterator<Item = &Rc<Rule>> {
    let mut parents: HashSet<String> = HashSet::new();
    for rule in rules.values().filter(|rule| rule.kind == DomainKind::Suffix) {
        parents.insert(rule.value.clone());
        parents.insert(rule.value_with_attributes());
    }
    rules.values().filter(move |rule| {
        // No dot is in the attributes, so they stay with whatever parent is tried.
        let name = rule.value_with_attributes();
        let mut is_covered_by_parent = name.match_indices('.').map(|(dot, _)| &name[dot + 1..]);
        match rule.kind {
            DomainKind::Keyword | DomainKind::Regexp => true,
            DomainKind::Full if parents.contains(&name) => false,
            DomainKind::Full | DomainKind::Suffix => {
                !is_covered_by_parent.any(|parent| parents.contains(parent))
            }
        }
    })
}

#[cfg(test)]
mod tests;
