//! From the configuration to what runs. This is the only place that knows both sides.

mod assets;
mod geo;
mod groups;
mod rules;
mod sniffing;

use serde_json::{Value, json};
use waypost_balance::GroupId;
use waypost_config::{
    Diagnostic, DiagnosticRecord, Options, Severity, Source, Span,
    model::{AddressFamily, Config, DomainEntry, HostsAnswer, InboundProtocol, OutboundProtocol},
};
use waypost_dns::{Answer, Family, Hosts, Pattern, Resolver};
use waypost_geosite::go_regexp;
use waypost_net::DomainName;
use waypost_router::{EntryKind, Problem, Router};

pub use self::assets::{AssetError, Assets};
use self::{
    geo::{GeoFiles, Reported},
    groups::Leaf,
};
use crate::{
    dial::Dialer,
    handshake::HandshakeSettings,
    snapshot::{self, Outbound, Snapshot, WayOut},
    sniffing::Sniffing,
};

/// What came out of loading a configuration.
#[derive(Debug)]
pub struct Loaded {
    /// What can run, if there is no error.
    pub ready: Option<Ready>,
    /// Everything that was found, sorted by place.
    pub diagnostics: Vec<Diagnostic>,
}

/// A configuration that can run.
#[derive(Debug)]
pub struct Ready {
    /// The configuration as written.
    pub config: Config,
    /// What decides and dials.
    pub snapshot: Snapshot,
}

impl Loaded {
    /// Whether there is an error among the diagnostics.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// How many diagnostics of this severity there are.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count()
    }

    /// The diagnostics as JSON, for editors; lines and columns count from 1.
    #[must_use]
    pub fn to_json(&self, source: &Source) -> Value {
        let diagnostics = self.diagnostics.iter().map(|diagnostic| {
            let record = DiagnosticRecord::new(source, diagnostic);
            json!({
                "file": record.file, "line": record.line, "column": record.column,
                "endLine": record.end_line, "endColumn": record.end_column,
                "severity": record.severity, "message": record.message, "help": record.help,
            })
        });
        json!({
            "errors": self.count(Severity::Error), "warnings": self.count(Severity::Warning),
            "diagnostics": diagnostics.collect::<Vec<_>>(),
        })
    }
}

/// Upper bound of one compiled expression of the `hosts` section.
const HOSTS_REGEXP_LIMIT_BYTES: usize = 1 << 20;

/// Parses a configuration, reads the geo data that it names and compiles everything, but opens no
/// socket. Every problem is reported, not only the first.
#[must_use]
pub fn load(source: &Source, options: &Options<'_>, assets: &Assets) -> Loaded {
    let outcome = waypost_config::parse(source, options);
    let (mut diagnostics, mut problems) = (outcome.diagnostics, Vec::new());
    let ready = outcome.config.and_then(|config| {
        let snapshot = snapshot(&config, source, assets, &mut problems);
        let failed = problems.iter().any(|problem| problem.severity == Severity::Error);
        snapshot.filter(|_| !failed).map(|snapshot| Ready { config, snapshot })
    });
    if let Some(draft) = &outcome.draft {
        // What this makes is thrown away; what it finds is worth knowing in the same run.
        drop(parts(draft, source, assets, &mut problems));
    }
    diagnostics.append(&mut problems);
    diagnostics.sort_by_key(|diagnostic| diagnostic.span);
    Loaded { ready, diagnostics }
}

fn snapshot(
    config: &Config,
    source: &Source,
    assets: &Assets,
    problems: &mut Vec<Diagnostic>,
) -> Option<Snapshot> {
    let Parts { router, hosts, outbounds, leaves, sniffing } = parts(config, source, assets, problems);
    let pools = groups::pools(config, &leaves, problems);
    Some(Snapshot::new(snapshot::Parts {
        router: router?,
        outbounds,
        pools: pools?,
        default: default(config),
        resolver: Resolver::new(hosts),
        family: family(config.dns.family),
        sniffing,
    }))
}

/// What a configuration comes to without its groups, which can only be joined if every tag is right.
struct Parts {
    router: Option<Router>,
    hosts: Hosts,
    outbounds: Vec<Outbound>,
    leaves: Vec<Leaf>,
    sniffing: Vec<Option<Sniffing>>,
}

fn parts(config: &Config, source: &Source, assets: &Assets, problems: &mut Vec<Diagnostic>) -> Parts {
    let files = GeoFiles::read(config, assets, problems);
    let router = rules::router(config, source, &files, problems);
    let hosts = hosts(config, &files, problems);
    let sniffing = sniffing::sniffing(config, &files, problems);
    for inbound in &config.inbounds {
        if let InboundProtocol::Client(protocol) = inbound.protocol
            && let Err(error) = HandshakeSettings::try_new(protocol, inbound)
        {
            problems.push(failure(inbound.span, &error));
        }
    }
    let (mut outbounds, mut leaves) = (Vec::new(), Vec::new());
    for outbound in &config.outbounds {
        let tag = outbound.tag.as_ref().map(|tag| tag.value.clone());
        let Some(leaf) = Leaf::new(tag.clone(), outbound) else { continue };
        match Dialer::try_new(&outbound.protocol, &outbound.socket) {
            Ok(dialer) => {
                outbounds.push(Outbound { tag, dialer });
                leaves.push(leaf);
            }
            Err(error) => problems.push(failure(outbound.span, &error)),
        }
    }
    Parts { router, hosts, outbounds, leaves, sniffing }
}

/// The first entry of the file, which takes what no rule matches.
fn default(config: &Config) -> Option<WayOut> {
    Some(match config.outbounds.first()?.protocol {
        OutboundProtocol::LoadBalance(_) => WayOut::Group(GroupId::new(0)),
        OutboundProtocol::Freedom { .. }
        | OutboundProtocol::Blackhole { .. }
        | OutboundProtocol::Loopback { .. }
        | OutboundProtocol::Socks(_)
        | OutboundProtocol::Http(_) => WayOut::Outbound(0),
    })
}

fn hosts(config: &Config, files: &GeoFiles, problems: &mut Vec<Diagnostic>) -> Hosts {
    let mut entries = Vec::new();
    for entry in &config.dns.hosts {
        let answer = match &entry.answer {
            HostsAnswer::Addresses(addresses) => Answer::Addresses(addresses.clone()),
            HostsAnswer::Alias(name) => Answer::Alias(name.clone()),
        };
        let span = entry.pattern.span;
        let (list, texts) = match &entry.pattern.value {
            DomainEntry::Keyword(text) => (None, vec![(EntryKind::Keyword, &**text)]),
            DomainEntry::Regexp(text) => {
                problems.extend(rules::upper_case_warning(text, span));
                (None, vec![(EntryKind::Regexp, &**text)])
            }
            DomainEntry::Suffix(text) => (None, vec![(EntryKind::Suffix, &**text)]),
            DomainEntry::Full(text) => (None, vec![(EntryKind::Full, &**text)]),
            DomainEntry::List(list) => {
                (Some(list), files.site(list, span, problems).unwrap_or_else(|Reported| Vec::new()))
            }
        };
        for (kind, text) in texts {
            match (pattern(kind, text), list) {
                (Ok(pattern), _) => entries.push((pattern, answer.clone())),
                (Err(error), None) => problems.push(failure(span, &error)),
                (Err(error), Some(list)) => {
                    problems.push(rules::bad_entry(span, &rules::site_label(list), &error));
                    break;
                }
            }
        }
    }
    entries.into_iter().collect()
}

/// An entry of `hosts`. Entries of geo files are in no particular form, so all are normalised.
fn pattern(kind: EntryKind, text: &str) -> Result<Pattern, Problem> {
    let name = |text: &str| match DomainName::new(text) {
        Ok(name) => Ok(name.as_str().into()),
        Err(error) => Err(Problem::Name { name: text.into(), error }),
    };
    let regexp = |error| Problem::Regexp { expression: text.into(), error };
    Ok(match kind {
        EntryKind::Full => Pattern::Full(name(text)?),
        EntryKind::Suffix => Pattern::Suffix(name(text)?),
        EntryKind::Keyword => Pattern::Keyword(text.to_ascii_lowercase().into()),
        EntryKind::Regexp => {
            Pattern::Regexp(go_regexp::compile(text, HOSTS_REGEXP_LIMIT_BYTES).map_err(regexp)?)
        }
    })
}

fn family(family: AddressFamily) -> Family {
    match family {
        AddressFamily::Any => Family::Any,
        AddressFamily::V4 => Family::V4,
        AddressFamily::V6 => Family::V6,
    }
}

fn failure(span: Span, error: &dyn std::error::Error) -> Diagnostic {
    Diagnostic { severity: Severity::Error, span, message: error.to_string(), help: None }
}
