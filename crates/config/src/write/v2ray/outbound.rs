use waypost_net::{Host, Networks, Tag};

use super::{
    super::{
        json::{Fields, Json},
        load_balance,
        losses::Losses,
    },
    entries,
    inbound::account,
    transport, tunnel,
};
use crate::model::{
    Account, Config, DnsOutbound, FreedomResolve, OtherQuestions, Outbound, OutboundProtocol, ProxyServer,
    Redirect,
};

/// `outbounds`: the one for what no rule takes comes first, and what stands for actions last.
pub(super) fn outbounds(
    config: &Config,
    helpers: Vec<(Tag, &'static str)>,
    losses: &mut Losses,
) -> Vec<Json> {
    let default = config.routing.default.as_ref().map(|tag| &tag.value);
    let tag = |outbound: &Outbound| outbound.tag.as_ref().map(|tag| tag.value.clone());
    let is_default = |outbound: &&Outbound| default.is_some() && tag(outbound).as_ref() == default;
    let (first, others): (Vec<_>, Vec<_>) = config.outbounds.iter().partition(is_default);
    // The one for remote control is written with that.
    let all = first.into_iter().chain(others).filter(|one| !matches!(one.protocol, OutboundProtocol::Api));
    let mut written: Vec<Json> = all.map(|one| outbound(one, losses).into()).collect();
    for (tag, protocol) in helpers {
        let mut fields = Fields::default();
        fields.put("tag", tag.as_str());
        fields.put("protocol", protocol);
        written.push(fields.into());
    }
    written
}

fn outbound(outbound: &Outbound, losses: &mut Losses) -> Fields {
    let (protocol, settings) = match &outbound.protocol {
        OutboundProtocol::Freedom { resolve, redirect } => ("freedom", freedom(*resolve, redirect.as_ref())),
        OutboundProtocol::Blackhole { http_response } => ("blackhole", blackhole(*http_response)),
        OutboundProtocol::Socks(servers) => ("socks", self::servers(servers)),
        OutboundProtocol::Http(servers) => ("http", self::servers(servers)),
        OutboundProtocol::Shadowsocks(servers) => ("shadowsocks", tunnel::shadowsocks_servers(servers)),
        OutboundProtocol::Vmess(servers) => ("vmess", tunnel::vmess_servers(servers)),
        OutboundProtocol::Vless(servers) => ("vless", tunnel::vless_servers(servers)),
        OutboundProtocol::Trojan(servers) => ("trojan", tunnel::trojan_servers(servers)),
        OutboundProtocol::Dns(dns) => ("dns", self::dns(dns)),
        OutboundProtocol::Api => ("api", Fields::default()),
        OutboundProtocol::Loopback { inbound } => ("loopback", loopback(inbound)),
        OutboundProtocol::LoadBalance(group) => ("loadbalance", load_balance::settings(group)),
        OutboundProtocol::Selector(group) => ("selector", load_balance::selector(group)),
        OutboundProtocol::UrlTest(group) => ("urltest", load_balance::urltest(group)),
    };
    if outbound.networks != Networks::ALL {
        losses.lose(outbound.span, "`network` of an outbound", "a rule with `network` can lead elsewhere");
    }
    if let OutboundProtocol::Socks(servers) = &outbound.protocol {
        let is_empty = |account: &Account| account.user.is_empty() || account.password.expose().is_empty();
        if servers.iter().filter_map(|server| server.account.as_ref()).any(is_empty) {
            losses.lose(outbound.span, "a login of SOCKS without a name or a password", None);
        }
    }
    if outbound.resolve.is_some() {
        losses.lose(outbound.span, "`domain_resolver` of an outbound", None);
    }
    let mut fields = Fields::default();
    fields.put_some("tag", outbound.tag.as_ref().map(|tag| tag.value.as_str()));
    fields.put("protocol", protocol);
    fields.put_filled("settings", settings);
    fields.put_some("sendThrough", outbound.socket.send_through.map(|ip| ip.to_string()));
    let Outbound { transport, socket, detour, span, .. } = outbound;
    fields.append(transport::of_outbound(transport, socket, detour.as_ref(), *span, losses));
    fields
}

fn freedom(resolve: FreedomResolve, redirect: Option<&Redirect>) -> Fields {
    let mut settings = Fields::default();
    match resolve {
        FreedomResolve::AsIs => {}
        FreedomResolve::Use(family) => settings.put("domainStrategy", entries::family(family)),
    }
    if let Some(Redirect { host, port }) = redirect {
        let host = match host {
            Some(Host::Ip(ip @ std::net::IpAddr::V6(_))) => format!("[{ip}]"),
            Some(host) => host.to_string(),
            None => String::new(),
        };
        settings.put("redirect", format!("{host}:{}", port.unwrap_or(0)));
    }
    settings
}

fn blackhole(http_response: bool) -> Fields {
    let (mut settings, mut response) = (Fields::default(), Fields::default());
    if http_response {
        response.put("type", "http");
        settings.put("response", response);
    }
    settings
}

fn servers(servers: &[ProxyServer]) -> Fields {
    let server = |server: &ProxyServer| {
        let mut fields = Fields::default();
        fields.put("address", server.host.to_string());
        fields.put("port", server.port);
        fields.put_filled("users", server.account.iter().map(account).collect::<Vec<_>>());
        Json::from(fields)
    };
    let mut settings = Fields::default();
    settings.put("servers", servers.iter().map(server).collect::<Vec<_>>());
    settings
}

fn dns(dns: &DnsOutbound) -> Fields {
    let mut settings = Fields::default();
    settings.put_some("address", dns.host.as_ref().map(ToString::to_string));
    settings.put_some("port", dns.port);
    settings.put_some("network", dns.network.map(|network| network.as_str()));
    match dns.other_questions {
        OtherQuestions::PassOn => {}
        OtherQuestions::Refuse => settings.put("nonIPQuery", "reject"),
        OtherQuestions::Drop => settings.put("nonIPQuery", "drop"),
    }
    settings
}

fn loopback(inbound: &Tag) -> Fields {
    let mut settings = Fields::default();
    settings.put("inboundTag", inbound.as_str());
    settings
}
