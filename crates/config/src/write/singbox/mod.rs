//! In the dialect of sing-box.

mod balancer;
mod dns;
mod dns_servers;
mod inbound;
mod matcher;
mod outbound;
mod rule;
mod rule_set;
mod transport;
mod tunnel;

use std::collections::BTreeSet;

pub(super) use matcher::fields as matcher_fields;
use waypost_net::Tag;

use super::{
    json::{Fields, Json},
    losses::Losses,
    remote,
};
use crate::{
    Dialect, Span,
    model::{Config, Experimental, LogLevel, OutboundProtocol, Stats},
};

/// The whole file.
pub(super) fn file(config: &Config, losses: &mut Losses) -> Json {
    let names = Names::new(config);
    let mut file = Fields::default();
    if let Some(api) = &config.api {
        losses.drop(api.span, "`api`, the remote control over gRPC");
    }
    file.put_filled("log", log(config.log.level));
    let dns = match config.dialect {
        Dialect::V2ray => dns::dns(&config.dns, losses),
        Dialect::SingBox => dns_servers::dns(&config.dns, losses),
    };
    file.put_filled("dns", dns);
    file.put("inbounds", inbound::inbounds(config, &names, losses));
    let mut outbounds = outbound::outbounds(config, losses);
    outbounds.extend(balancer::groups(config, &names, losses));
    file.put("outbounds", outbounds);
    let mut route = Fields::default();
    route.put_filled("rules", rule::rules(config, &names, losses));
    route.put_filled("rule_set", rule_set::rule_sets(&config.routing.rule_sets, losses));
    let resolver = config.dns.resolver.as_ref().map(outbound::resolver);
    route.put_some("default_domain_resolver", resolver);
    route.put_some("final", config.routing.default.as_ref().map(|tag| tag.value.as_str()));
    file.put_filled("route", route);
    file.put_filled("experimental", experimental(&config.experimental));
    if config.stats != Stats::default() {
        losses.drop(Span::default(), "`stats`, what traffic is counted for");
    }
    Json::from(file)
}

fn log(level: Option<LogLevel>) -> Fields {
    let mut log = Fields::default();
    match level {
        None => {}
        Some(LogLevel::Debug) => log.put("level", "debug"),
        Some(LogLevel::Info) => log.put("level", "info"),
        Some(LogLevel::Warning) => log.put("level", "warn"),
        Some(LogLevel::Error) => log.put("level", "error"),
        Some(LogLevel::None) => log.put("disabled", true),
    }
    log
}

fn experimental(experimental: &Experimental) -> Fields {
    let mut fields = Fields::default();
    if let Some(api) = &experimental.clash_api {
        fields.put("clash_api", remote::clash_api(api));
    }
    if let Some(cache) = &experimental.cache_file {
        let mut written = Fields::default();
        written.put("enabled", true);
        written.put_some("path", cache.path.as_deref());
        written.put_some("cache_id", cache.id.as_deref());
        fields.put("cache_file", written);
    }
    fields
}

/// Names for what has none, and one for each balancer, because groups are outbounds here.
struct Names {
    inbounds: Vec<String>,
    balancers: Vec<(Tag, String)>,
}

impl Names {
    fn new(config: &Config) -> Self {
        let tags = config.inbounds.iter().filter_map(|inbound| inbound.tag.as_ref());
        let mut taken: BTreeSet<String> = tags.map(|tag| tag.value.to_string()).collect();
        let name = |(index, inbound): (usize, &crate::model::Inbound)| match &inbound.tag {
            Some(tag) => tag.value.to_string(),
            None => free(format!("in-{}", index + 1), &mut taken),
        };
        let inbounds = config.inbounds.iter().enumerate().map(name).collect();
        let tags = config.outbounds.iter().filter_map(|outbound| outbound.tag.as_ref());
        let mut taken: BTreeSet<String> = tags.map(|tag| tag.value.to_string()).collect();
        let balancers = config.routing.balancers.iter().map(|balancer| {
            let tag = balancer.tag.value.clone();
            let name = free(tag.to_string(), &mut taken);
            (tag, name)
        });
        Self { inbounds, balancers: balancers.collect() }
    }

    /// The name of the group that stands for a balancer.
    fn group<'a>(&'a self, balancer: &'a Tag) -> &'a str {
        let found = self.balancers.iter().find(|(tag, _)| tag == balancer);
        found.map_or(balancer.as_str(), |(_, name)| name)
    }
}

fn free(mut name: String, taken: &mut BTreeSet<String>) -> String {
    while !taken.insert(name.clone()) {
        name.push('_');
    }
    name
}

/// Whether something other than a rule leads to an outbound: the order of the file, or a group.
fn is_wanted(config: &Config, tag: Option<&Tag>, index: usize) -> bool {
    let Some(tag) = tag else { return true };
    let is_default = match &config.routing.default {
        Some(default) => default.value == *tag,
        None => index == 0,
    };
    let in_group = config.outbounds.iter().any(|outbound| match &outbound.protocol {
        OutboundProtocol::LoadBalance(group) => {
            group.primary.iter().chain(&group.backup).any(|member| member.value == *tag)
        }
        OutboundProtocol::Selector(group) => group.members.iter().any(|member| member.value == *tag),
        OutboundProtocol::UrlTest(group) => group.members.iter().any(|member| member.value == *tag),
        OutboundProtocol::Freedom { .. }
        | OutboundProtocol::Blackhole { .. }
        | OutboundProtocol::Socks(_)
        | OutboundProtocol::Http(_)
        | OutboundProtocol::Shadowsocks(_)
        | OutboundProtocol::Vmess(_)
        | OutboundProtocol::Vless(_)
        | OutboundProtocol::Trojan(_)
        | OutboundProtocol::Dns(_)
        | OutboundProtocol::Api
        | OutboundProtocol::Loopback { .. } => false,
    });
    let in_balancer = config.routing.balancers.iter().any(|balancer| {
        let selects = balancer.selector.iter().any(|prefix| tag.as_str().starts_with(&*prefix.value));
        selects || balancer.fallback.as_ref().is_some_and(|fallback| fallback.value == *tag)
    });
    is_default || in_group || in_balancer
}
