//! In the dialect of V2Ray.

mod balancer;
mod dns;
mod entries;
mod inbound;
mod normal;
mod outbound;
mod rule;
mod transport;
mod tunnel;

pub(super) use normal::never_holds;
pub(super) use rule::condition_fields;
use waypost_net::Tag;

use super::{
    json::{Fields, Json},
    losses::Losses,
    remote, text,
};
use crate::model::{Api, Config, DomainStrategy, OutboundProtocol, ResolveOptions, Stats};

/// The whole file.
pub(super) fn file(config: &Config, losses: &mut Losses) -> Json {
    let mut file = Fields::default();
    if let Some(level) = config.log.level {
        let mut log = Fields::default();
        log.put("loglevel", text::log_level(level));
        file.put("log", log);
    }
    file.put_filled("dns", dns::dns(&config.dns));
    let mut helpers = Helpers::new(config);
    let (strategy, rules) = rule::rules(config, &mut helpers, losses);
    let (inbounds, policy) = inbound::inbounds(config, losses);
    file.put("inbounds", inbounds);
    file.put("outbounds", outbound::outbounds(config, helpers.needed, losses));
    balancer::put_observatories(&config.observatories, &mut file);
    let mut routing = Fields::default();
    match strategy {
        DomainStrategy::AsIs => {}
        DomainStrategy::IpIfNonMatch => routing.put("domainStrategy", "IPIfNonMatch"),
        DomainStrategy::IpOnDemand => routing.put("domainStrategy", "IPOnDemand"),
    }
    routing.put_filled("rules", rules);
    routing.put_filled("balancers", balancer::balancers(config));
    file.put_filled("routing", routing);
    put_policy(policy, config.stats, &mut file);
    file.put_some("api", config.api.as_ref().map(api));
    file.put_some("clashApi", config.experimental.clash_api.as_ref().map(remote::clash_api));
    lose_rest(config, losses);
    Json::from(file)
}

fn api(api: &Api) -> Fields {
    let mut fields = Fields::default();
    fields.put_some("tag", api.tag.as_ref().map(|tag| tag.value.as_str()));
    fields.put("services", api.services.iter().map(|service| service.name()).collect::<Vec<_>>());
    fields.put_some("listen", api.listen.as_ref().map(|listen| listen.value.to_string()));
    fields
}

fn put_policy(levels: Fields, stats: Stats, file: &mut Fields) {
    let Stats { inbound_up, inbound_down, outbound_up, outbound_down } = stats;
    let mut system = Fields::default();
    system.put_if("statsInboundUplink", inbound_up);
    system.put_if("statsInboundDownlink", inbound_down);
    system.put_if("statsOutboundUplink", outbound_up);
    system.put_if("statsOutboundDownlink", outbound_down);
    if !system.is_empty() {
        file.put("stats", Fields::default());
    }
    let mut policy = Fields::default();
    policy.put_filled("levels", levels);
    policy.put_filled("system", system);
    file.put_filled("policy", policy);
}

fn lose_rest(config: &Config, losses: &mut Losses) {
    dns::lose(&config.dns, losses);
    if config.dns.resolver.as_ref().is_some_and(|resolver| *resolver != ResolveOptions::default()) {
        let place = config.dns.resolver.as_ref().and_then(|resolver| resolver.server.as_ref());
        let place = place.map(|server| server.span).unwrap_or_default();
        losses.lose(place, "`default_domain_resolver`", None);
    }
}

/// Outbounds that stand for actions of rules which V2Ray does not have.
struct Helpers<'a> {
    config: &'a Config,
    needed: Vec<(Tag, &'static str)>,
}

impl<'a> Helpers<'a> {
    fn new(config: &'a Config) -> Self {
        Self { config, needed: Vec::new() }
    }

    /// The tag of an outbound that closes connections without a word.
    fn blackhole(&mut self) -> Tag {
        let is_plain = |protocol: &OutboundProtocol| {
            matches!(protocol, OutboundProtocol::Blackhole { http_response: false })
        };
        self.find("block", "blackhole", is_plain)
    }

    /// The tag of an outbound that answers DNS questions.
    fn dns(&mut self) -> Tag {
        self.find(
            "dns-out",
            "dns",
            |protocol| matches!(protocol, OutboundProtocol::Dns(dns) if dns.is_plain()),
        )
    }

    fn find(&mut self, name: &str, protocol: &'static str, is_it: impl Fn(&OutboundProtocol) -> bool) -> Tag {
        let there = self.config.outbounds.iter().find(|outbound| is_it(&outbound.protocol));
        if let Some(tag) = there.and_then(|outbound| outbound.tag.as_ref()) {
            return tag.value.clone();
        }
        if let Some((tag, _)) = self.needed.iter().find(|(_, known)| *known == protocol) {
            return tag.clone();
        }
        let is_taken = |name: &str| {
            let tags = self.config.outbounds.iter().filter_map(|outbound| outbound.tag.as_ref());
            tags.into_iter().any(|tag| tag.value.as_str() == name)
        };
        let mut tag = name.to_owned();
        while is_taken(&tag) {
            tag.push('_');
        }
        let tag = Tag::from(tag.as_str());
        self.needed.push((tag.clone(), protocol));
        tag
    }
}
