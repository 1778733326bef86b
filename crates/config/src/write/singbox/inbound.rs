use super::{
    super::{
        json::{Fields, Json},
        losses::Losses,
        text,
    },
    Names, transport, tunnel,
};
use crate::model::{
    Account, ClientProtocol, Config, Door, Inbound, InboundProtocol, Layer, Limits, Listen, Policy, Sniffing,
    SocketOptions,
};

/// `inbounds`.
pub(super) fn inbounds(config: &Config, names: &Names, losses: &mut Losses) -> Vec<Json> {
    let named = config.inbounds.iter().zip(&names.inbounds);
    named.filter_map(|(inbound, name)| Some(self::inbound(inbound, name, losses)?.into())).collect()
}

fn inbound(inbound: &Inbound, name: &str, losses: &mut Losses) -> Option<Fields> {
    let mut fields = Fields::default();
    match &inbound.protocol {
        InboundProtocol::Client(protocol) => {
            fields.put(
                "type",
                match protocol {
                    ClientProtocol::Socks => "socks",
                    ClientProtocol::Http => "http",
                    ClientProtocol::Mixed => "mixed",
                },
            );
        }
        InboundProtocol::Door(door) if door.follow_redirect => fields.put("type", "redirect"),
        InboundProtocol::Door(_) => fields.put("type", "direct"),
        InboundProtocol::Shadowsocks(_) => fields.put("type", "shadowsocks"),
        InboundProtocol::Vmess(_) => fields.put("type", "vmess"),
        InboundProtocol::Vless(_) => fields.put("type", "vless"),
        InboundProtocol::Trojan(_) => fields.put("type", "trojan"),
    }
    fields.put("tag", name);
    let Listen::Ports { ip, ports } = &inbound.listen else {
        losses.lose(inbound.span, "that an inbound listens on a Unix socket", None);
        return None;
    };
    if ports.first != ports.last {
        losses.lose(inbound.span, "several ports in one inbound", "write an inbound for each");
    }
    fields.put("listen", ip.to_string());
    fields.put("listen_port", ports.first);
    let is_open = inbound.accounts.is_empty() && !inbound.protocol.has_own_users();
    fields.put_if("allow_open", is_open && !ip.is_loopback());
    fields.put_filled("users", inbound.accounts.iter().map(user).collect::<Vec<_>>());
    match &inbound.protocol {
        InboundProtocol::Client(_) => {}
        InboundProtocol::Door(door) => put_door(door, inbound, &mut fields, losses),
        InboundProtocol::Shadowsocks(settings) => {
            tunnel::shadowsocks(settings, inbound.span, &mut fields, losses);
        }
        InboundProtocol::Vmess(users) | InboundProtocol::Vless(users) => tunnel::ids(users, &mut fields),
        InboundProtocol::Trojan(settings) => tunnel::trojan(settings, &mut fields),
    }
    put_transport(inbound, &mut fields, losses);
    put_socket(inbound, &mut fields, losses);
    check_rest(inbound, losses);
    Some(fields)
}

fn put_transport(inbound: &Inbound, fields: &mut Fields, losses: &mut Losses) {
    let (tls, layer) = match inbound.protocol {
        InboundProtocol::Vmess(_) | InboundProtocol::Vless(_) | InboundProtocol::Trojan(_) => (true, true),
        InboundProtocol::Client(_) => (true, false),
        InboundProtocol::Door(_) | InboundProtocol::Shadowsocks(_) => (false, false),
    };
    if let Some(server) = &inbound.transport.tls {
        if tls {
            fields.put("tls", transport::server_tls(server, inbound.span, losses));
        } else {
            losses.lose(inbound.span, "TLS of this protocol", None);
        }
    }
    if inbound.transport.layer != Layer::Raw && !layer {
        losses.lose(inbound.span, "a transport of this protocol", None);
    } else {
        fields.put_filled("transport", transport::layer(&inbound.transport.layer, inbound.span, losses));
    }
}

fn user(account: &Account) -> Json {
    let mut fields = Fields::default();
    fields.put("username", &*account.user);
    fields.put("password", account.password.expose());
    fields.into()
}

fn put_door(door: &Door, inbound: &Inbound, fields: &mut Fields, losses: &mut Losses) {
    if door.follow_redirect {
        if door.host.is_some() || door.networks.udp {
            losses.lose(
                inbound.span,
                "a `redirect` inbound with a target of its own, or for datagrams",
                None,
            );
        }
        return;
    }
    super::outbound::put_networks(door.networks, fields);
    fields.put_some("override_address", door.host.as_ref().map(ToString::to_string));
    fields.put_some("override_port", door.port);
}

fn put_socket(inbound: &Inbound, fields: &mut Fields, losses: &mut Losses) {
    let SocketOptions { mark, interface, keep_alive_idle, keep_alive_interval, .. } = &inbound.socket;
    fields.put_some("bind_interface", interface.as_deref());
    fields.put_some("routing_mark", *mark);
    fields.put_some("tcp_keep_alive", keep_alive_idle.map(text::duration));
    fields.put_some("tcp_keep_alive_interval", keep_alive_interval.map(text::duration));
    let SocketOptions { user_timeout, congestion, .. } = &inbound.socket;
    if user_timeout.is_some() || congestion.is_some() {
        losses.lose(inbound.span, "`tcpUserTimeout` and `tcpcongestion`", None);
    }
}

fn check_rest(inbound: &Inbound, losses: &mut Losses) {
    if inbound.policy != Policy::default() {
        losses.lose(inbound.span, "the time-outs of a policy level", None);
    }
    if inbound.limits != Limits::default() {
        losses.lose(inbound.span, "how many connections an inbound takes", None);
    }
    if inbound.udp.is_some_and(|udp| udp.address.is_some() || udp.port.is_some()) {
        losses.lose(inbound.span, "where datagrams of clients come in (`ip`, `udpPort`)", None);
    }
    let Some(sniffing) = &inbound.sniffing else { return };
    let Sniffing { dest_override, metadata_only, route_only, domains_excluded, ips_excluded } = sniffing;
    if *metadata_only {
        losses.lose(inbound.span, "`metadataOnly`", None);
    }
    if !route_only && !dest_override.is_empty() {
        let help = "write `\"routeOnly\": true` if it is for the rules";
        losses.lose(inbound.span, "that a recognised name takes the place of the target", help);
    }
    if *route_only && dest_override.len() < 2 || dest_override.is_empty() {
        losses.lose(inbound.span, "that rules see no recognised name", "sing-box shows it to all rules");
    }
    if !domains_excluded.is_empty() || !ips_excluded.is_empty() {
        losses.lose(inbound.span, "`domainsExcluded` and `ipsExcluded`", None);
    }
}

/// The inbounds whose clients may not send datagrams, although sing-box lets them.
pub(super) fn without_datagrams<'a>(config: &Config, names: &'a Names) -> Vec<&'a str> {
    let refuses = |inbound: &Inbound| {
        let socks = matches!(
            inbound.protocol,
            InboundProtocol::Client(ClientProtocol::Socks | ClientProtocol::Mixed)
        );
        socks && inbound.udp.is_none()
    };
    named_if(config, names, refuses)
}

/// The inbounds whose first bytes are looked at.
pub(super) fn sniffed<'a>(config: &Config, names: &'a Names) -> Vec<&'a str> {
    named_if(config, names, |inbound| {
        inbound.sniffing.as_ref().is_some_and(|sniffing| !sniffing.metadata_only)
    })
}

fn named_if<'a>(config: &Config, names: &'a Names, wanted: impl Fn(&Inbound) -> bool) -> Vec<&'a str> {
    let named = config.inbounds.iter().zip(&names.inbounds);
    named.filter(|(inbound, _)| wanted(inbound)).map(|(_, name)| name.as_str()).collect()
}
