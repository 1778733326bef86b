//! DNS rules of sing-box → what chooses a server, and the servers that look-ups name.

use std::sync::Arc;

use arc_swap::ArcSwap;
use waypost_config::{
    Diagnostic,
    model::{AddressFamily, Config, DnsRule, ResolveOptions, RuleAction},
};
use waypost_dns::{Chooser, Chosen, ServerSpec};
use waypost_net::{DomainName, Flow, Host, Network, Tag, Target};
use waypost_router::{Reject, Router, Step, Strategy, Way, Words};

use crate::{
    build::{
        action, family,
        geo::GeoFiles,
        rule_sets::NamedSet,
        rules::{self, Written},
    },
    lookups::{Lookups, Wanted},
    mode::Modes,
};

/// Rules that choose a server for a name. They are those of connections, with servers for outbounds.
#[derive(Debug)]
pub(crate) struct DnsRules {
    router: ArcSwap<Router>,
    /// The server of each rule, by its place; `None` where nobody is asked.
    servers: Box<[Option<u16>]>,
    default: u16,
    modes: Option<Arc<Modes>>,
}

impl Chooser for DnsRules {
    fn choose(&self, name: &DomainName) -> Chosen {
        let mut flow = Flow::new(Network::Udp, Target::new(Host::Domain(name.clone()), 0));
        flow.mode = self.modes.as_deref().map(Modes::current);
        let router = self.router.load();
        let rule = match router.route(&flow) {
            Step::Decided(decision) => decision.rule,
            // No condition of a DNS rule needs more than the name and the mode.
            Step::Ask(_) | Step::Perform(_) => None,
        };
        match rule.map(|rule| self.servers.get(rule.index()).copied().flatten()) {
            None => Chosen::Server(self.default),
            Some(None) => Chosen::Nobody,
            Some(Some(server)) => Chosen::Server(server),
        }
    }
}

impl DnsRules {
    /// `None` if they cannot be compiled, and `problems` says why.
    pub(super) fn new(
        config: &Config,
        files: &GeoFiles,
        sets: &[NamedSet<'_>],
        servers: Box<[Option<u16>]>,
        modes: Option<&Arc<Modes>>,
        problems: &mut Vec<Diagnostic>,
    ) -> Option<Self> {
        let router = ArcSwap::from_pointee(compile(config, files, sets, problems)?);
        Some(Self { router, servers, default: number(config.dns.default), modes: modes.cloned() })
    }

    /// Has the same rules decide with other rule sets.
    pub(crate) fn replace(&self, router: Router) {
        drop(self.router.swap(Arc::new(router)));
    }
}

fn number(place: usize) -> u16 {
    u16::try_from(place).unwrap_or(u16::MAX)
}

/// The server of each rule, by its number. Those of rules that ask in a way of their own are added.
pub(super) fn servers(config: &Config, specs: &mut Vec<ServerSpec>) -> Box<[Option<u16>]> {
    let server_of = |rule: &DnsRule| {
        let place = rule.server?;
        let is_plain = rule.client_ip.is_none() && !rule.disable_cache && rule.family == AddressFamily::Any;
        if is_plain {
            return Some(number(place));
        }
        let spec = specs.get(place)?;
        specs.push(ServerSpec {
            client_subnet: rule.client_ip.or(spec.client_subnet),
            family: if rule.family == AddressFamily::Any { spec.family } else { family(rule.family) },
            cache: spec.cache && !rule.disable_cache,
            ..spec.clone()
        });
        Some(number(specs.len() - 1))
    };
    config.dns.rules.iter().map(server_of).collect()
}

/// Compiles the DNS rules; `None` if that failed, and `problems` says why.
pub(in crate::build) fn compile(
    config: &Config,
    files: &GeoFiles,
    sets: &[NamedSet<'_>],
    problems: &mut Vec<Diagnostic>,
) -> Option<Router> {
    let written = config.dns.rules.iter().map(|rule| Written {
        tag: None,
        line: 0,
        file: None,
        span: rule.span,
        action: match rule.server {
            Some(_) => Way::Outbound(Tag::from("server")).into(),
            None => Way::Reject(Reject::default()).into(),
        },
        matcher: &rule.matcher,
    });
    rules::compile(Strategy::AsIs, Words::SingBox, written, sets, files, problems)
}

/// Adds the servers that look-ups name, each as it is wanted.
pub(super) fn lookups(config: &Config, specs: &mut Vec<ServerSpec>) -> Lookups {
    let mut lookups = Lookups::default();
    let of_rules = config.routing.rules.iter().filter_map(|rule| match &rule.action {
        RuleAction::Resolve(options) => Some(options),
        RuleAction::Route { .. }
        | RuleAction::Reject(_)
        | RuleAction::HijackDns
        | RuleAction::RouteOptions(_)
        | RuleAction::Sniff(_) => None,
    });
    let of_outbounds = config.outbounds.iter().filter_map(|outbound| outbound.resolve.as_ref());
    let all: Vec<&ResolveOptions> = of_rules.chain(of_outbounds).chain(&config.dns.resolver).collect();
    for options in all {
        let Some(wanted) = Wanted::new(&action::resolve(options)) else { continue };
        let named =
            |tag: &Tag| config.dns.servers.iter().position(|server| server.name.as_ref() == Some(tag));
        let Some(place) = named(&wanted.server) else { continue };
        let is_plain = !wanted.disable_cache && wanted.client_ip.is_none();
        let number = if is_plain {
            place
        } else {
            let Some(spec) = specs.get(place) else { continue };
            let client_subnet = wanted.client_ip.or(spec.client_subnet);
            let cache = spec.cache && !wanted.disable_cache;
            specs.push(ServerSpec { client_subnet, cache, ..spec.clone() });
            specs.len() - 1
        };
        if let Ok(number) = u16::try_from(number) {
            lookups.insert(wanted, number);
        }
    }
    lookups
}
