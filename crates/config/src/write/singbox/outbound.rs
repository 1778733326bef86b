use std::net::IpAddr;

use super::{
    super::{
        json::{Fields, Json},
        load_balance,
        losses::Losses,
        text,
    },
    is_wanted,
};
use crate::{
    Dialect,
    model::{Config, FreedomResolve, Outbound, OutboundProtocol, ProxyServer, ResolveOptions},
};

/// `outbounds`, without those that are actions of rules here.
pub(super) fn outbounds(config: &Config, losses: &mut Losses) -> Vec<Json> {
    let mut written = Vec::new();
    for (index, outbound) in config.outbounds.iter().enumerate() {
        let tag = outbound.tag.as_ref().map(|tag| &tag.value);
        if !is_action(config, outbound) || is_wanted(config, tag, index) {
            written.extend(self::outbound(outbound, losses).map(Json::from));
        }
    }
    written
}

/// Whether a rule that names the outbound has an action instead, which says the same.
pub(super) fn is_action(config: &Config, outbound: &Outbound) -> bool {
    match &outbound.protocol {
        // sing-box has a type for it, too.
        OutboundProtocol::Blackhole { http_response } => !http_response && config.dialect == Dialect::V2ray,
        OutboundProtocol::Dns(dns) => dns.is_plain(),
        // Nothing listens there that could be reached.
        OutboundProtocol::Api => true,
        OutboundProtocol::Freedom { .. }
        | OutboundProtocol::Socks(_)
        | OutboundProtocol::Http(_)
        | OutboundProtocol::Shadowsocks(_)
        | OutboundProtocol::Vmess(_)
        | OutboundProtocol::Vless(_)
        | OutboundProtocol::Trojan(_)
        | OutboundProtocol::Loopback { .. }
        | OutboundProtocol::LoadBalance(_)
        | OutboundProtocol::Selector(_)
        | OutboundProtocol::UrlTest(_) => false,
    }
}

fn outbound(outbound: &Outbound, losses: &mut Losses) -> Option<Fields> {
    let (kind, settings) = match &outbound.protocol {
        OutboundProtocol::Freedom { resolve, redirect } => {
            if *resolve != FreedomResolve::AsIs {
                losses.lose(outbound.span, "that an outbound resolves by `dns`", None);
            }
            if redirect.is_some() {
                losses.lose(outbound.span, "`redirect` of an outbound", "rules have `override_address`");
            }
            ("direct", Fields::default())
        }
        OutboundProtocol::Blackhole { http_response } => {
            if *http_response {
                losses.lose(outbound.span, "that a refused client gets an answer of HTTP", None);
            }
            ("block", Fields::default())
        }
        OutboundProtocol::Socks(servers) => ("socks", server(servers, outbound, losses)),
        OutboundProtocol::Http(servers) => ("http", server(servers, outbound, losses)),
        OutboundProtocol::Shadowsocks(_)
        | OutboundProtocol::Vmess(_)
        | OutboundProtocol::Vless(_)
        | OutboundProtocol::Trojan(_) => {
            losses.lose(outbound.span, "this protocol", None);
            return None;
        }
        OutboundProtocol::LoadBalance(group) => ("loadbalance", load_balance::settings(group)),
        OutboundProtocol::Selector(group) => ("selector", load_balance::selector(group)),
        OutboundProtocol::UrlTest(group) => ("urltest", load_balance::urltest(group)),
        OutboundProtocol::Dns(_) => {
            losses.lose(
                outbound.span,
                "an outbound that answers DNS questions so",
                "rules have `hijack-dns`",
            );
            return None;
        }
        OutboundProtocol::Api => return None,
        OutboundProtocol::Loopback { .. } => {
            losses.lose(outbound.span, "that connections take the rules again", None);
            return None;
        }
    };
    let mut fields = Fields::default();
    fields.put("type", kind);
    fields.put_some("tag", outbound.tag.as_ref().map(|tag| tag.value.as_str()));
    fields.append(settings);
    match (outbound.networks.tcp, outbound.networks.udp) {
        (true, true) => {}
        (tcp, _) => fields.put("network", if tcp { "tcp" } else { "udp" }),
    }
    fields.put_some("domain_resolver", outbound.resolve.as_ref().map(resolver));
    put_socket(outbound, &mut fields, losses);
    Some(fields)
}

/// Who resolves names.
pub(super) fn resolver(options: &ResolveOptions) -> Fields {
    let mut fields = Fields::default();
    super::rule::put_resolve(options, &mut fields);
    fields
}

fn server(servers: &[ProxyServer], outbound: &Outbound, losses: &mut Losses) -> Fields {
    let mut fields = Fields::default();
    if servers.len() > 1 {
        let help = "write an outbound for each, and a group with the strategy `round_robin`";
        losses.lose(outbound.span, "several servers in one outbound", help);
    }
    if let Some(server) = servers.first() {
        fields.put("server", server.host.to_string());
        fields.put("server_port", server.port);
        if let Some(account) = &server.account {
            fields.put("username", &*account.user);
            fields.put("password", account.password.expose());
        }
    }
    fields
}

fn put_socket(outbound: &Outbound, fields: &mut Fields, losses: &mut Losses) {
    let socket = &outbound.socket;
    match socket.send_through {
        Some(ip @ IpAddr::V4(_)) => fields.put("inet4_bind_address", ip.to_string()),
        Some(ip @ IpAddr::V6(_)) => fields.put("inet6_bind_address", ip.to_string()),
        None => {}
    }
    fields.put_some("bind_interface", socket.interface.as_deref());
    fields.put_some("routing_mark", socket.mark);
    fields.put_some("tcp_keep_alive", socket.keep_alive_idle.map(text::duration));
    fields.put_some("tcp_keep_alive_interval", socket.keep_alive_interval.map(text::duration));
    fields.put_if("tcp_fast_open", socket.fast_open.is_some());
    if socket.user_timeout.is_some() || socket.congestion.is_some() {
        losses.lose(outbound.span, "`tcpUserTimeout` and `tcpcongestion`", None);
    }
}
