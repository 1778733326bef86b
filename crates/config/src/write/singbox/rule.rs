use super::{
    super::{
        json::{Fields, Json},
        losses::Losses,
        text,
        v2ray::never_holds,
    },
    Names, inbound, matcher,
    outbound::is_action,
};
use crate::model::{
    Config, DomainStrategy, Outbound, OutboundProtocol, Reject, RejectMethod, ResolveFamily, ResolveOptions,
    RouteOptions, Rule, RuleAction, RuleTarget, SniffOptions,
};

/// `route.rules`, with what V2Ray says of inbounds and of the whole routing.
pub(super) fn rules(config: &Config, names: &Names, losses: &mut Losses) -> Vec<Json> {
    let mut written: Vec<Json> = prelude(config, names);
    let mut resolves = config.routing.domain_strategy == DomainStrategy::IpOnDemand;
    if config.routing.domain_strategy == DomainStrategy::IpIfNonMatch {
        let needs = config.routing.rules.iter().find(|rule| looks_at_addresses(rule));
        if let Some(rule) = needs {
            let help = "`IPOnDemand` is a `resolve` before the first rule with addresses";
            losses.lose(rule.span, "that names are only looked up when no rule matches", help);
        }
    }
    for rule in config.routing.rules.iter().filter(|rule| !never(rule)) {
        if resolves && looks_at_addresses(rule) {
            resolves = false;
            let mut fields = Fields::default();
            fields.put("action", "resolve");
            written.push(fields.into());
        }
        if let Some(tag) = &rule.tag {
            losses.drop(rule.span, &format!("the name of a rule, `{tag}`"));
        }
        let resolved = config.routing.domain_strategy != DomainStrategy::AsIs;
        if resolved && has_inverse(rule) {
            let help = "there `invert` is about all addresses of a name; list the addresses that are meant";
            losses.lose(rule.span, "that one address of a name is outside of a list", help);
        }
        if let Some(mut fields) = matcher::fields(&rule.matcher, rule.span, losses) {
            put_action(rule, config, names, &mut fields);
            written.push(fields.into());
        }
    }
    written
}

fn prelude(config: &Config, names: &Names) -> Vec<Json> {
    let mut rules = Vec::new();
    let silent = inbound::without_datagrams(config, names);
    if !silent.is_empty() {
        let mut fields = Fields::default();
        fields.put("network", vec!["udp"]);
        fields.put("inbound", silent);
        fields.put("action", "reject");
        rules.push(fields.into());
    }
    let sniffed = inbound::sniffed(config, names);
    if !sniffed.is_empty() {
        let mut fields = Fields::default();
        if sniffed.len() < config.inbounds.len() {
            fields.put("inbound", sniffed);
        }
        fields.put("action", "sniff");
        rules.push(fields.into());
    }
    rules
}

fn looks_at_addresses(rule: &Rule) -> bool {
    let mut found = false;
    rule.matcher.for_each(&mut |conditions| found |= conditions.ip.is_some());
    found
}

fn has_inverse(rule: &Rule) -> bool {
    let mut found = false;
    rule.matcher.for_each(&mut |conditions| {
        found |= conditions.ip.iter().flatten().any(|entry| entry.value.inverse);
    });
    found
}

/// Whether the rule matches nothing, because one of its lists is empty.
fn never(rule: &Rule) -> bool {
    rule.matcher.one().is_some_and(|conditions| !conditions.invert && never_holds(conditions))
}

fn put_action(rule: &Rule, config: &Config, names: &Names, fields: &mut Fields) {
    match &rule.action {
        RuleAction::Route { target, options } => {
            put_target(target, config, names, fields);
            put_options(options, fields);
        }
        RuleAction::Reject(Reject { method, no_drop }) => {
            fields.put("action", "reject");
            match method {
                RejectMethod::Default => {}
                RejectMethod::Drop => fields.put("method", "drop"),
            }
            fields.put_if("no_drop", *no_drop);
        }
        RuleAction::HijackDns => fields.put("action", "hijack-dns"),
        RuleAction::RouteOptions(options) => {
            fields.put("action", "route-options");
            put_options(options, fields);
        }
        RuleAction::Sniff(SniffOptions { protocols, timeout }) => {
            fields.put("action", "sniff");
            fields.put_filled("sniffer", protocols.iter().map(|protocol| &**protocol).collect::<Vec<_>>());
            if *timeout != SniffOptions::default().timeout {
                fields.put("timeout", text::duration(*timeout));
            }
        }
        RuleAction::Resolve(options) => {
            fields.put("action", "resolve");
            put_resolve(options, fields);
        }
    }
}

fn put_target(target: &RuleTarget, config: &Config, names: &Names, fields: &mut Fields) {
    let tag = match target {
        RuleTarget::Outbound(tag) => &tag.value,
        RuleTarget::Balancer(tag) => {
            fields.put("action", "route");
            fields.put("outbound", names.group(&tag.value));
            return;
        }
    };
    let has_tag = |outbound: &&Outbound| outbound.tag.as_ref().is_some_and(|known| known.value == *tag);
    match config.outbounds.iter().find(has_tag).and_then(|outbound| action_of(config, outbound)) {
        Some(action) => fields.put("action", action),
        None => {
            fields.put("action", "route");
            fields.put("outbound", tag.as_str());
        }
    }
}

/// What a rule does in place of an outbound that is not written. Nothing may go elsewhere because it
/// cannot be said.
fn action_of(config: &Config, outbound: &Outbound) -> Option<&'static str> {
    match &outbound.protocol {
        OutboundProtocol::Dns(_) => Some("hijack-dns"),
        OutboundProtocol::Loopback { .. } | OutboundProtocol::Api => Some("reject"),
        OutboundProtocol::Blackhole { .. } => is_action(config, outbound).then_some("reject"),
        OutboundProtocol::Freedom { .. }
        | OutboundProtocol::Socks(_)
        | OutboundProtocol::Http(_)
        | OutboundProtocol::Shadowsocks(_)
        | OutboundProtocol::Vmess(_)
        | OutboundProtocol::Vless(_)
        | OutboundProtocol::Trojan(_)
        | OutboundProtocol::LoadBalance(_)
        | OutboundProtocol::Selector(_)
        | OutboundProtocol::UrlTest(_) => None,
    }
}

fn put_options(options: &RouteOptions, fields: &mut Fields) {
    let RouteOptions { host, port, udp_timeout } = options;
    fields.put_some("override_address", host.as_ref().map(ToString::to_string));
    fields.put_some("override_port", *port);
    fields.put_some("udp_timeout", udp_timeout.map(text::duration));
}

pub(super) fn put_resolve(options: &ResolveOptions, fields: &mut Fields) {
    let ResolveOptions { server, family, disable_cache, client_ip } = options;
    fields.put_some("server", server.as_ref().map(|tag| tag.value.as_str()));
    fields.put_some(
        "strategy",
        family.map(|family| match family {
            ResolveFamily::PreferV4 => "prefer_ipv4",
            ResolveFamily::PreferV6 => "prefer_ipv6",
            ResolveFamily::OnlyV4 => "ipv4_only",
            ResolveFamily::OnlyV6 => "ipv6_only",
        }),
    );
    fields.put_if("disable_cache", *disable_cache);
    fields.put_some("client_subnet", client_ip.map(|ip| ip.to_string()));
}
