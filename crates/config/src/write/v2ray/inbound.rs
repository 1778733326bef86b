use std::time::Duration;

use super::{
    super::{
        json::{Fields, Json},
        losses::Losses,
    },
    entries,
    rule::is_sniffed,
    transport, tunnel,
};
use crate::{
    Span,
    model::{
        Account, ClientProtocol, Config, Door, Inbound, InboundProtocol, Listen, OverrideProtocol, Policy,
        Sniffing,
    },
};

/// `inbounds`, and the levels of `policy` that they name.
pub(super) fn inbounds(config: &Config, losses: &mut Losses) -> (Vec<Json>, Fields) {
    let mut levels: Vec<(Policy, Span)> = Vec::new();
    let mut written = Vec::new();
    for inbound in &config.inbounds {
        // The level 0 is that of inbounds which name none, so it stays free.
        let level = match levels.iter().position(|(known, _)| *known == inbound.policy) {
            _ if inbound.policy == Policy::default() => None,
            Some(index) => Some(index + 1),
            None => {
                levels.push((inbound.policy, inbound.span));
                Some(levels.len())
            }
        };
        let all = Sniffing {
            dest_override: vec![OverrideProtocol::Http, OverrideProtocol::Tls],
            route_only: true,
            ..Sniffing::default()
        };
        let sniffing = inbound.sniffing.as_ref().or_else(|| is_sniffed(config, inbound).then_some(&all));
        written.push(self::inbound(inbound, level, sniffing, losses).into());
    }
    let mut fields = Fields::default();
    for (index, (policy, span)) in levels.iter().enumerate() {
        fields.put((index + 1).to_string(), level(policy, *span, losses));
    }
    (written, fields)
}

fn level(policy: &Policy, span: Span, losses: &mut Losses) -> Fields {
    let Policy { handshake, idle, uplink_only, downlink_only, total, buffer } = *policy;
    let durations = [
        ("handshake", handshake),
        ("connIdle", idle),
        ("uplinkOnly", uplink_only),
        ("downlinkOnly", downlink_only),
        ("connTotal", total),
    ];
    let mut fields = Fields::default();
    for (key, duration) in durations {
        let Some(duration) = duration else { continue };
        if duration != Duration::from_secs(duration.as_secs()) {
            losses.lose(span, "a time-out that is not whole seconds", None);
        }
        fields.put(key, duration.as_secs());
    }
    fields.put_some("bufferSize", buffer.map(|bytes| bytes / 1024));
    fields
}

fn inbound(
    inbound: &Inbound,
    level: Option<usize>,
    sniffing: Option<&Sniffing>,
    losses: &mut Losses,
) -> Fields {
    let mut fields = Fields::default();
    fields.put_some("tag", inbound.tag.as_ref().map(|tag| tag.value.as_str()));
    let (protocol, mut settings) = match &inbound.protocol {
        InboundProtocol::Client(protocol) => client(*protocol, inbound),
        InboundProtocol::Door(door) => ("dokodemo-door", self::door(door)),
        InboundProtocol::Shadowsocks(inbound) => ("shadowsocks", tunnel::shadowsocks(inbound, level)),
        InboundProtocol::Vmess(users) => ("vmess", tunnel::vmess(users, level)),
        InboundProtocol::Vless(users) => ("vless", tunnel::vless(users, level)),
        InboundProtocol::Trojan(inbound) => ("trojan", tunnel::trojan(inbound, level)),
    };
    settings.put_some("userLevel", level.filter(|_| !inbound.protocol.has_own_users()));
    fields.put("protocol", protocol);
    match &inbound.listen {
        Listen::Ports { ip, ports } => {
            fields.put("listen", ip.to_string());
            if ports.first == ports.last {
                fields.put("port", ports.first);
            } else {
                fields.put("port", ports.to_string());
            }
            let is_open = inbound.accounts.is_empty() && !inbound.protocol.has_own_users();
            fields.put_if("allow_open", is_open && !ip.is_loopback());
        }
        Listen::Unix { path, mode } => {
            let mode = mode.map(|mode| format!(",{mode:04o}")).unwrap_or_default();
            fields.put("listen", format!("{path}{mode}"));
        }
    }
    fields.put_filled("settings", settings);
    fields.put_some("sniffing", sniffing.map(self::sniffing));
    fields.put_some("maxConnections", inbound.limits.connections.map(u32::from));
    fields.put_some("maxConnectionsPerSource", inbound.limits.per_source.map(u32::from));
    fields.append(transport::of_inbound(&inbound.transport, &inbound.socket, inbound.span, losses));
    fields
}

fn client(protocol: ClientProtocol, inbound: &Inbound) -> (&'static str, Fields) {
    let mut settings = Fields::default();
    let word = match protocol {
        ClientProtocol::Http => "http",
        ClientProtocol::Socks => "socks",
        ClientProtocol::Mixed => "mixed",
    };
    if protocol != ClientProtocol::Http && !inbound.accounts.is_empty() {
        settings.put("auth", "password");
    }
    settings.put_filled("accounts", inbound.accounts.iter().map(account).collect::<Vec<_>>());
    if let Some(udp) = &inbound.udp {
        settings.put("udp", true);
        settings.put_some("ip", udp.address.map(|ip| ip.to_string()));
        settings.put_some("udpPort", udp.port);
    }
    (word, settings)
}

pub(super) fn account(account: &Account) -> Json {
    let mut fields = Fields::default();
    fields.put("user", &*account.user);
    fields.put("pass", account.password.expose());
    fields.into()
}

fn door(door: &Door) -> Fields {
    let mut settings = Fields::default();
    settings.put_some("address", door.host.as_ref().map(ToString::to_string));
    settings.put_some("port", door.port);
    settings.put("network", door.networks.to_string());
    settings.put_if("followRedirect", door.follow_redirect);
    settings
}

fn sniffing(sniffing: &Sniffing) -> Fields {
    let words = sniffing.dest_override.iter().map(|protocol| protocol.label_prefix());
    let mut fields = Fields::default();
    fields.put("enabled", true);
    fields.put_filled("destOverride", words.collect::<Vec<_>>());
    fields.put_if("metadataOnly", sniffing.metadata_only);
    fields.put_if("routeOnly", sniffing.route_only);
    fields.put_filled("domainsExcluded", entries::domains(&sniffing.domains_excluded));
    fields.put_filled("ipsExcluded", entries::ips(&sniffing.ips_excluded));
    fields
}
