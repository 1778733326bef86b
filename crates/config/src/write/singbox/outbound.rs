use std::net::IpAddr;

use waypost_net::Networks;

use super::{
    super::{
        json::{Fields, Json},
        load_balance,
        losses::Losses,
        text,
    },
    is_wanted, transport, tunnel,
};
use crate::{
    Dialect,
    model::{
        Account, Config, FreedomResolve, Layer, Outbound, OutboundProtocol, ProxyServer, ResolveOptions,
    },
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
        OutboundProtocol::Socks(servers) => ("socks", server(servers, put_account, outbound, losses)),
        OutboundProtocol::Http(servers) => ("http", server(servers, put_account, outbound, losses)),
        OutboundProtocol::Shadowsocks(servers) => {
            ("shadowsocks", server(servers, tunnel::shadowsocks_key, outbound, losses))
        }
        OutboundProtocol::Vmess(servers) => {
            ("vmess", server(servers, tunnel::vmess_account, outbound, losses))
        }
        OutboundProtocol::Vless(servers) => ("vless", server(servers, tunnel::vless_id, outbound, losses)),
        OutboundProtocol::Trojan(servers) => {
            ("trojan", server(servers, tunnel::trojan_password, outbound, losses))
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
    put_networks(outbound.networks, &mut fields);
    put_transport(outbound, &mut fields, losses);
    fields.put_some("detour", outbound.detour.as_ref().map(|tag| tag.value.as_str()));
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

/// `network`, unless both are meant.
pub(super) fn put_networks(networks: Networks, fields: &mut Fields) {
    match (networks.tcp, networks.udp) {
        (true, true) => {}
        (tcp, _) => fields.put("network", if tcp { "tcp" } else { "udp" }),
    }
}

fn put_transport(outbound: &Outbound, fields: &mut Fields, losses: &mut Losses) {
    let (tls, layer) = match outbound.protocol {
        OutboundProtocol::Vmess(_) | OutboundProtocol::Vless(_) | OutboundProtocol::Trojan(_) => (true, true),
        OutboundProtocol::Http(_) => (true, false),
        OutboundProtocol::Socks(_)
        | OutboundProtocol::Shadowsocks(_)
        | OutboundProtocol::Freedom { .. }
        | OutboundProtocol::Blackhole { .. }
        | OutboundProtocol::Dns(_)
        | OutboundProtocol::Api
        | OutboundProtocol::Loopback { .. }
        | OutboundProtocol::LoadBalance(_)
        | OutboundProtocol::Selector(_)
        | OutboundProtocol::UrlTest(_) => (false, false),
    };
    if let Some(client) = &outbound.transport.tls {
        if tls {
            fields.put("tls", transport::client_tls(client, outbound.span, losses));
        } else {
            losses.lose(outbound.span, "TLS of this protocol", None);
        }
    }
    if outbound.transport.layer != Layer::Raw && !layer {
        losses.lose(outbound.span, "a transport of this protocol", None);
    } else {
        fields.put_filled("transport", transport::layer(&outbound.transport.layer, outbound.span, losses));
    }
}

fn server<A>(
    servers: &[ProxyServer<A>],
    put: impl Fn(&A, &mut Fields),
    outbound: &Outbound,
    losses: &mut Losses,
) -> Fields {
    let mut fields = Fields::default();
    if servers.len() > 1 {
        let help = "write an outbound for each, and a group with the strategy `round_robin`";
        losses.lose(outbound.span, "several servers in one outbound", help);
    }
    if let Some(server) = servers.first() {
        fields.put("server", server.host.to_string());
        fields.put("server_port", server.port);
        put(&server.account, &mut fields);
    }
    fields
}

fn put_account(account: &Option<Account>, fields: &mut Fields) {
    if let Some(account) = account {
        fields.put("username", &*account.user);
        fields.put("password", account.password.expose());
    }
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
