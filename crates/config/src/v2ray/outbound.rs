use waypost_net::{Networks, Tag};

use super::{
    accounts::LEVELS, checks, dns::FAMILIES, dns_outbound, groups, host, inbound::report_protocol,
    names::Names, proxy_settings, sockopt, stream, tunnel, upstream,
};
use crate::{
    Span, Spanned,
    json::Value,
    keys::{Form, Key, KeyTable},
    model::{FreedomResolve, Outbound, OutboundProtocol, Redirect, SocketOptions},
    names::GroupKind,
    object::{Object, choose},
    report::{Report, one_of, quote},
};

pub(super) static OUTBOUND: KeyTable = KeyTable {
    name: "Outbound",
    path: "outbounds[]",
    doc: "A way out.",
    keys: &[
        Key::new("tag", Form::Text, "The name for rules and balancers."),
        Key::new(
            "protocol",
            Form::Word(&[
                "freedom",
                "direct",
                "blackhole",
                "block",
                "socks",
                "http",
                "shadowsocks",
                "shadowsocks2022",
                "vmess",
                "vless",
                "trojan",
                "dns",
                "loopback",
                "loadbalance",
                "selector",
                "urltest",
            ]),
            "How connections leave; `direct` is another word for `freedom`, and `block` for `blackhole`.",
        ),
        Key::new(
            "settings",
            Form::ByNeighbour {
                key: "protocol",
                tables: &[
                    ("freedom", "FreedomSettings"),
                    ("direct", "FreedomSettings"),
                    ("blackhole", "BlackholeSettings"),
                    ("block", "BlackholeSettings"),
                    ("socks", "SocksOutboundSettings"),
                    ("http", "HttpOutboundSettings"),
                    ("shadowsocks", "ShadowsocksOutboundSettings"),
                    ("shadowsocks2022", "Shadowsocks2022Settings"),
                    ("vmess", "VmessOutboundSettings"),
                    ("vless", "VlessOutboundSettings"),
                    ("trojan", "TrojanOutboundSettings"),
                    ("dns", "DnsOutboundSettings"),
                    ("loopback", "LoopbackSettings"),
                    ("loadbalance", "LoadBalanceSettings"),
                    ("selector", "SelectorSettings"),
                    ("urltest", "UrlTestSettings"),
                ],
            },
            "Settings of the protocol, an object.",
        ),
        Key::new(
            "streamSettings",
            Form::Object("StreamSettings"),
            "What carries the protocol to the server: TLS, and what is laid over it.",
        ),
        Key::new("mux", Form::Object("Mux"), "Several connections in one; only switched off."),
        Key::new("sendThrough", Form::Text, "The local address of connections; `0.0.0.0` and `::` mean any."),
        Key::new(
            "proxySettings",
            Form::Object("ProxySettings"),
            "Another outbound that connections to the server take.",
        ),
        Key::new("targetStrategy", Form::Word(&["AsIs"]), "Who resolves names; only `AsIs`."),
        Key::new("domainStrategy", Form::Word(&["AsIs"]), "Who resolves names; only `AsIs`."),
        Key::new("remarks", Form::Text, "A note; not read."),
        Key::new("ps", Form::Text, "A note; not read."),
        Key::new("id", Form::Any, "The number that a graphical front end gave; not read."),
    ],
};

pub(super) static FREEDOM: KeyTable = KeyTable {
    name: "FreedomSettings",
    path: "the settings of a `freedom` outbound",
    doc: "Settings of an outbound with the protocol `freedom` or `direct`.",
    keys: &[
        Key::new(
            "domainStrategy",
            Form::Word(&["AsIs", "UseIP", "UseIPv4", "UseIPv6"]),
            "Who resolves the name that is dialled: the system, or the `dns` section with these families.",
        )
        .alias(&["targetStrategy"]),
        Key::new(
            "redirect",
            Form::Text,
            "Dials this target instead: `HOST:PORT`, or `:PORT` for the client's host.",
        ),
        Key::new("fragment", Form::Any, "Cuts the first bytes into pieces.")
            .only_off("it is not available in this version"),
        Key::new("noises", Form::Any, "Sends random datagrams first.")
            .only_off("it is not available in this version"),
        Key::new("noise", Form::Any, "Sends random datagrams first.")
            .only_off("it is not available in this version"),
        Key::new("proxyProtocol", Form::Number, "Announces the client's address to the target.")
            .only_off("it is not available in this version"),
        Key::new("protocolReplacement", Form::Text, "Dials with another network.")
            .only_off("it is not available in this version"),
        Key::new("ipsBlocked", Form::Strings, "Addresses that are not dialled.")
            .only_off("it is not available in this version; write a rule to a `blackhole` outbound"),
        Key::new("timeout", Form::Number, "How long an idle connection lives.")
            .no_effect("old and ignored by V2Ray too"),
        Key::new("userLevel", Form::Number, "The policy level of connections.").no_effect(LEVELS),
    ],
};

pub(super) static BLACKHOLE: KeyTable = KeyTable {
    name: "BlackholeSettings",
    path: "the settings of a `blackhole` outbound",
    doc: "Settings of an outbound with the protocol `blackhole` or `block`.",
    keys: &[Key::new(
        "response",
        Form::Object("BlackholeResponse"),
        "What the client gets before the connection ends.",
    )],
};

pub(super) static RESPONSE: KeyTable = KeyTable {
    name: "BlackholeResponse",
    path: "response",
    doc: "What a client gets whose connection is refused.",
    keys: &[Key::new(
        "type",
        Form::Word(&["none", "http"]),
        "Nothing, or the answer `HTTP/1.1 403 Forbidden`.",
    )],
};

pub(super) static LOOPBACK: KeyTable = KeyTable {
    name: "LoopbackSettings",
    path: "the settings of a `loopback` outbound",
    doc: "Settings of an outbound with the protocol `loopback`, which sends connections through the rules again.",
    keys: &[Key::new(
        "inboundTag",
        Form::Text,
        "The inbound that `inboundTag` conditions see the second time.",
    )],
};

#[derive(Clone, Copy)]
enum Kind {
    Loopback,
    Freedom,
    Blackhole,
    Socks,
    Http,
    Shadowsocks,
    Shadowsocks2022,
    Vmess,
    Vless,
    Trojan,
    Dns,
    Group(GroupKind),
}

const PROTOCOLS: [(&str, Kind); 16] = [
    ("loopback", Kind::Loopback),
    ("freedom", Kind::Freedom),
    ("direct", Kind::Freedom),
    ("blackhole", Kind::Blackhole),
    ("block", Kind::Blackhole),
    ("socks", Kind::Socks),
    ("http", Kind::Http),
    ("shadowsocks", Kind::Shadowsocks),
    ("shadowsocks2022", Kind::Shadowsocks2022),
    ("vmess", Kind::Vmess),
    ("vless", Kind::Vless),
    ("trojan", Kind::Trojan),
    ("dns", Kind::Dns),
    ("loadbalance", Kind::Group(GroupKind::LoadBalance)),
    ("selector", Kind::Group(GroupKind::Selector)),
    ("urltest", Kind::Group(GroupKind::UrlTest)),
];

/// Protocols of V2Ray and Xray that do not exist here.
const FOREIGN: &[&str] = &["vliteu", "wireguard", "hysteria", "hysteria2", "mtproto"];

/// Reads all outbounds. The first of the file is the default, so it counts as used.
pub(super) fn read_all(values: &[&Value], names: &mut Names, report: &mut Report<'_>) -> Vec<Outbound> {
    let mut outbounds = Vec::with_capacity(values.len());
    for (index, value) in values.iter().enumerate() {
        let Some(object) = Object::read(value, "outbounds[]", &OUTBOUND, report) else { continue };
        let tag = names.outbounds.declare(&object, "outbound", report);
        match &tag {
            Some(tag) if index == 0 => names.outbounds.mark_used(&tag.value),
            None if index > 0 => names.nameless.push(object.span),
            Some(_) | None => {}
        }
        outbounds.extend(read(&object, tag, names, report));
        check_rest(&object, report);
    }
    outbounds
}

fn read(
    object: &Object<'_>,
    tag: Option<Spanned<Tag>>,
    names: &mut Names,
    report: &mut Report<'_>,
) -> Option<Outbound> {
    let send_through = sockopt::read_send_through(object, report);
    let before = report.n_errors();
    let stream = stream::read_outbound(object, report);
    let detour = proxy_settings::read(object, &stream, report);
    let protocol = read_protocol(object, tag.as_ref(), names, report)?;
    let place = object.get("streamSettings").map_or(object.span, |field| field.key_span);
    if !protocol.has_server() && !stream.transport.is_plain() {
        report
            .error(place, "there is no server here that could speak TLS or another transport")
            .help("`streamSettings` are for outbounds with a server; remove `security` and `network`");
    }
    if report.n_errors() == before {
        let place = object.get("protocol").map_or(object.span, |field| field.value.span);
        checks::warn_of_open_outbound(&protocol, stream.transport.tls.is_some(), place, report);
    }
    Some(Outbound {
        tag,
        protocol,
        networks: Networks::ALL,
        resolve: None,
        socket: SocketOptions { send_through, ..stream.socket },
        transport: stream.transport,
        detour,
        span: object.span,
    })
}

fn read_protocol(
    object: &Object<'_>,
    tag: Option<&Spanned<Tag>>,
    names: &mut Names,
    report: &mut Report<'_>,
) -> Option<OutboundProtocol> {
    let choices = || PROTOCOLS.iter().map(|(name, _)| *name);
    if !object.has("protocol") {
        let brace = Span { start: object.span.start, end: object.span.start + 1 };
        report.error(brace, "an outbound needs a `protocol`").help(format!("expected {}", one_of(choices())));
        return None;
    }
    let written = object.text("protocol", report)?;
    let Some((_, kind)) = PROTOCOLS.iter().find(|(name, _)| written.value.eq_ignore_ascii_case(name)) else {
        report_protocol("outbound", written, FOREIGN, choices(), report);
        return None;
    };
    match kind {
        Kind::Loopback => read_loopback(object, report),
        Kind::Freedom => Some(read_freedom(object, report)),
        Kind::Blackhole => Some(read_blackhole(object, report)),
        Kind::Socks => upstream::read_socks(object, report).map(OutboundProtocol::Socks),
        Kind::Http => upstream::read_http(object, report).map(OutboundProtocol::Http),
        Kind::Shadowsocks => {
            tunnel::shadowsocks::read_outbound(object, report).map(OutboundProtocol::Shadowsocks)
        }
        Kind::Shadowsocks2022 => {
            tunnel::shadowsocks::read_outbound_2022(object, report).map(OutboundProtocol::Shadowsocks)
        }
        Kind::Vmess => tunnel::vmess::read_outbound(object, report).map(OutboundProtocol::Vmess),
        Kind::Vless => tunnel::vless::read_outbound(object, report).map(OutboundProtocol::Vless),
        Kind::Trojan => tunnel::trojan::read_outbound(object, report).map(OutboundProtocol::Trojan),
        Kind::Dns => Some(dns_outbound::read(object, report)),
        Kind::Group(kind) => {
            let settings = groups::settings(object, *kind, report)?;
            groups::read(&settings, *kind, tag, names, report)
        }
    }
}

fn read_freedom(object: &Object<'_>, report: &mut Report<'_>) -> OutboundProtocol {
    let settings = object.object("settings", &FREEDOM, report);
    let redirect = settings.as_ref().and_then(|settings| read_redirect(settings, report));
    let strategy = settings.and_then(|settings| settings.text("domainStrategy", report));
    let mut choices = vec![("AsIs", FreedomResolve::AsIs)];
    choices.extend(FAMILIES.map(|(word, family)| (word, FreedomResolve::Use(family))));
    let resolve = strategy
        .filter(|written| !written.value.is_empty())
        .and_then(|written| choose("domainStrategy", written, &choices, report));
    OutboundProtocol::Freedom { resolve: resolve.unwrap_or_default(), redirect }
}

fn read_redirect(settings: &Object<'_>, report: &mut Report<'_>) -> Option<Redirect> {
    let written = settings.text("redirect", report).filter(|written| !written.value.is_empty())?;
    let (host, port) = written.value.rsplit_once(':').unwrap_or((written.value, ""));
    let Some(port) = port.parse::<u16>().ok() else {
        let message = format!("not a target to go to instead: {}", quote(written.value));
        report.error(written.span, message).help("expected `HOST:PORT`, or `:PORT`");
        return None;
    };
    let host = match host {
        "" => None,
        _ => Some(host::read(Spanned::new(host, written.span), report)?),
    };
    Some(Redirect { host, port: Some(port).filter(|&port| port > 0) })
}

fn read_loopback(object: &Object<'_>, report: &mut Report<'_>) -> Option<OutboundProtocol> {
    let settings = object.object("settings", &LOOPBACK, report);
    let tag = settings.as_ref().and_then(|settings| settings.text("inboundTag", report));
    let Some(tag) = tag.filter(|tag| !tag.value.is_empty()) else {
        let brace = Span { start: object.span.start, end: object.span.start + 1 };
        report
            .error(brace, "a `loopback` outbound needs an `inboundTag`")
            .help("the rules see it the second time; add `\"settings\": {\"inboundTag\": \"…\"}`");
        return None;
    };
    Some(OutboundProtocol::Loopback { inbound: Tag::from(tag.value) })
}

fn read_blackhole(object: &Object<'_>, report: &mut Report<'_>) -> OutboundProtocol {
    let settings = object.object("settings", &BLACKHOLE, report);
    let response = settings.and_then(|settings| settings.object("response", &RESPONSE, report));
    let kind = response.and_then(|response| response.text("type", report));
    let choices = [("none", false), ("http", true)];
    let http_response = kind.and_then(|written| choose("type", written, &choices, report));
    OutboundProtocol::Blackhole { http_response: http_response.unwrap_or(false) }
}

/// Checks what is the same for every protocol, and not available in this version.
fn check_rest(object: &Object<'_>, report: &mut Report<'_>) {
    stream::check_mux(object, report);
    for name in ["targetStrategy", "domainStrategy"] {
        if let Some(strategy) = object.text(name, report) {
            check_strategy(name, strategy, report);
        }
    }
}

fn check_strategy(name: &str, strategy: Spanned<&str>, report: &mut Report<'_>) {
    if !strategy.value.is_empty() && !strategy.value.eq_ignore_ascii_case("AsIs") {
        report
            .error(
                strategy.span,
                format!("{} as `{name}` of an outbound is not supported", quote(strategy.value)),
            )
            .help("a `freedom` outbound has `domainStrategy` in its `settings`");
    }
}
