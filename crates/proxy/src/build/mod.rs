//! From the configuration to what runs. This is the only place that knows both sides.

mod action;
mod assets;
mod dns;
mod files;
mod fingerprint;
mod geo;
mod groups;
mod leaf;
mod observatory;
mod recipe;
mod rule_sets;
mod rules;
mod sniffing;
mod transport;

use std::sync::Arc;

use serde_json::{Value, json};
use waypost_balance::GroupId;
use waypost_config::{
    Diagnostic, DiagnosticRecord, Dialect, Options, Severity, Source, Span,
    model::{AddressFamily, Config, FreedomResolve, OutboundProtocol},
};
use waypost_dns::{Family, Resolver};
use waypost_router::{Resolve, Router};
use waypost_transport::ServerTransport;

pub(crate) use self::recipe::Recipe;
pub use self::{
    assets::{AssetError, Assets},
    files::{ReadError, read_files},
    fingerprint::Fingerprint,
};
use self::{geo::GeoFiles, leaf::Leaf, recipe::ReadSets};
use crate::{
    dial::{Detour, Dialer, Passage},
    dispatch::lookup_family,
    inbound,
    lookups::Lookups,
    mode::Modes,
    snapshot::{self, Outbound, Snapshot, WayOut},
    sniffing::Sniffing,
    tunnel::Replays,
};

/// The mode of sing-box and Clash where a file names none.
const DEFAULT_MODE: &str = "Rule";

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
    /// What all of it was made from; `None` if that is not known.
    pub fingerprint: Option<Fingerprint>,
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

    /// The diagnostics as JSON, for editors; lines and columns count from 1,
    /// bytes of the file from 0.
    #[must_use]
    pub fn to_json(&self, source: &Source) -> Value {
        let diagnostics = self.diagnostics.iter().map(|diagnostic| {
            let record = DiagnosticRecord::new(source, diagnostic);
            json!({
                "file": record.file, "offset": record.offset, "endOffset": record.end_offset,
                "line": record.line, "column": record.column,
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

/// Parses a configuration, reads the geo data that it names and compiles everything, but opens no
/// socket. Every problem is reported, not only the first.
#[must_use]
pub fn load(source: &Source, options: &Options<'_>, assets: &Assets) -> Loaded {
    let outcome = waypost_config::parse(source, options);
    let (mut diagnostics, mut problems) = (outcome.diagnostics, Vec::new());
    let ready = outcome.config.and_then(|config| {
        let snapshot = snapshot(&config, source, assets, &mut problems);
        let failed = problems.iter().any(|problem| problem.severity == Severity::Error);
        snapshot.filter(|_| !failed).map(|snapshot| {
            let fingerprint = Some(Fingerprint::new(source, &config, assets));
            Ready { config, snapshot, fingerprint }
        })
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
    let Parts { router, sets, modes, resolver, mut outbounds, leaves, sniffing, transports } =
        parts(config, source, assets, problems);
    let dns::Resolving { resolver, network: queries, lookups, rules: dns_rules } = resolver?;
    for outbound in &mut outbounds {
        outbound.resolver = outbound.lookup.take().map(|lookup| pinned(&resolver, &lookups, &lookup));
    }
    let pools = groups::pools(config, &leaves, problems);
    Some(Snapshot::new(snapshot::Parts {
        router: router?,
        outbounds,
        pools: pools?,
        default: default(config),
        resolver,
        lookups,
        queries,
        family: family(config.dns.family),
        modes,
        sniffing,
        transports,
        recipe: Recipe::new(config, source, assets, dns_rules, sets.found),
    }))
}

/// The modes of a file with `clash_api`; without it no mode ever holds, as in sing-box.
fn modes(config: &Config) -> Option<Arc<Modes>> {
    let api = config.experimental.clash_api.as_ref()?;
    let mut of_rules = Vec::new();
    let of_routing = config.routing.rules.iter().map(|rule| &rule.matcher);
    for matcher in of_routing.chain(config.dns.rules.iter().map(|rule| &rule.matcher)) {
        matcher.for_each(&mut |conditions| of_rules.extend(conditions.clash_mode.as_deref()));
    }
    Some(Arc::new(Modes::new(api.default_mode.as_deref().unwrap_or(DEFAULT_MODE), of_rules)))
}

/// What a configuration comes to without its groups, which can only be joined if every tag is right.
struct Parts {
    router: Option<Router>,
    sets: ReadSets,
    modes: Option<Arc<Modes>>,
    resolver: Option<dns::Resolving>,
    outbounds: Vec<Outbound>,
    leaves: Vec<Leaf>,
    sniffing: Vec<Option<Sniffing>>,
    transports: Vec<Option<Arc<ServerTransport>>>,
}

fn parts(config: &Config, source: &Source, assets: &Assets, problems: &mut Vec<Diagnostic>) -> Parts {
    let files = GeoFiles::read(config, assets, problems);
    let mut sets = ReadSets::read(config, source, assets, problems);
    let modes = modes(config);
    let (router, resolver) = sets.compile(config, problems, |sets, problems| {
        let router = rules::router(config, source, &files, sets, problems);
        (router, dns::resolver(config, &files, sets, modes.as_ref(), problems))
    });
    let sniffing = sniffing::sniffing(config, &files, problems);
    for inbound in &config.inbounds {
        if let Err(error) = inbound::Inbound::try_new(inbound, None, None, &Replays::default()) {
            problems.push(failure(inbound.span, &error));
        }
    }
    let transports = config.inbounds.iter().map(|inbound| transport::of_inbound(inbound, source, problems));
    let transports = transports.collect();
    let (mut outbounds, mut leaves) = (Vec::new(), Vec::new());
    for outbound in &config.outbounds {
        let tag = outbound.tag.as_ref().map(|tag| tag.value.clone());
        let Some(leaf) = Leaf::new(tag.clone(), outbound) else { continue };
        let transports = transport::of_outbound(outbound, source, problems);
        let detour = outbound.detour.as_ref().map(|tag| Detour::new(tag.value.clone()));
        let passage = Passage { socket: outbound.socket.clone(), detour };
        match Dialer::with_passage(&resolving(config, &outbound.protocol), passage, transports) {
            Ok(dialer) => {
                let lookup = outbound.resolve.as_ref().or(config.dns.resolver.as_ref());
                let lookup = lookup.map(action::resolve);
                let identity = leaf.identity.clone();
                outbounds.push(Outbound {
                    lookup,
                    identity,
                    ..Outbound::new(tag, dialer, outbound.networks)
                });
                leaves.push(leaf);
            }
            Err(error) => problems.push(failure(outbound.span, &error)),
        }
    }
    Parts { router, sets, modes, resolver, outbounds, leaves, sniffing, transports }
}

/// What takes what no rule matches: `final`, or the first entry of the file.
fn default(config: &Config) -> Option<WayOut> {
    let named = |tag: &waypost_config::Spanned<waypost_net::Tag>| {
        config
            .outbounds
            .iter()
            .position(|outbound| outbound.tag.as_ref().is_some_and(|known| known.value == tag.value))
    };
    let index = match &config.routing.default {
        Some(tag) => named(tag)?,
        None => 0,
    };
    let before = config.outbounds.get(..index)?;
    let groups_before = before.iter().filter(|outbound| outbound.protocol.is_group()).count();
    let is_group = config.outbounds.get(index)?.protocol.is_group();
    Some(if is_group {
        WayOut::Group(GroupId::new(groups_before))
    } else {
        WayOut::Outbound(index - groups_before)
    })
}

/// The protocol of an outbound, which in a file of sing-box leaves names to its DNS servers, if it has any.
fn resolving(config: &Config, protocol: &OutboundProtocol) -> OutboundProtocol {
    let leaves = config.dialect == Dialect::SingBox && !config.dns.servers.is_empty();
    if let OutboundProtocol::Freedom { resolve: FreedomResolve::AsIs, redirect } = protocol
        && leaves
    {
        let resolve = FreedomResolve::Use(AddressFamily::Any);
        return OutboundProtocol::Freedom { resolve, redirect: redirect.clone() };
    }
    protocol.clone()
}

/// A resolver that asks whom a look-up names.
fn pinned(resolver: &Resolver, lookups: &Lookups, lookup: &Resolve) -> Resolver {
    let resolver = lookups.resolver(resolver, lookup);
    match lookup_family(lookup) {
        Some(family) => resolver.with_family(family),
        None => resolver,
    }
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
