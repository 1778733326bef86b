//! DNS rules of sing-box → what chooses a server, and the servers that look-ups name.

use waypost_config::{
    Diagnostic,
    model::{Config, ResolveOptions, RuleAction},
};
use waypost_dns::{Chooser, Chosen, ServerSpec};
use waypost_net::{DomainName, Flow, Host, Network, Tag, Target};
use waypost_router::{Reject, Router, Step, Strategy, Way, Words};

use crate::{
    build::{
        action,
        geo::GeoFiles,
        rules::{self, Written},
    },
    lookups::{Lookups, Wanted},
};

/// Rules that choose a server for a name. They are those of connections, with servers for outbounds.
#[derive(Debug)]
struct Rules {
    router: Router,
    /// The server of each rule, by its place; `None` where nobody is asked.
    servers: Box<[Option<u16>]>,
    default: u16,
}

impl Chooser for Rules {
    fn choose(&self, name: &DomainName) -> Chosen {
        let flow = Flow::new(Network::Udp, Target::new(Host::Domain(name.clone()), 0));
        let rule = match self.router.route(&flow) {
            Step::Decided(decision) => decision.rule,
            // No condition of a DNS rule needs more than the name.
            Step::Ask(_) | Step::Perform(_) => None,
        };
        match rule.map(|rule| self.servers.get(rule.index()).copied().flatten()) {
            None => Chosen::Server(self.default),
            Some(None) => Chosen::Nobody,
            Some(Some(server)) => Chosen::Server(server),
        }
    }
}

/// What chooses a server, if rules do.
pub(super) fn chooser(
    config: &Config,
    files: &GeoFiles,
    problems: &mut Vec<Diagnostic>,
) -> Option<std::sync::Arc<dyn Chooser>> {
    let number = |place: usize| u16::try_from(place).unwrap_or(u16::MAX);
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
    let sets = rules::inline_sets(config);
    let router = rules::compile(Strategy::AsIs, Words::SingBox, written, &sets, files, problems)?;
    let servers = config.dns.rules.iter().map(|rule| rule.server.map(number)).collect();
    Some(std::sync::Arc::new(Rules { router, servers, default: number(config.dns.default) }))
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
