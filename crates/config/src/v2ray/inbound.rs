use std::num::NonZeroU32;

use super::{accounts, checks, door, listen, names::Names, policy::Policies, sniffing, stream, tunnel};
use crate::{
    Span, Spanned,
    json::Value,
    keys::{Form, Key, KeyTable},
    model::{Account, ClientProtocol, Inbound, InboundProtocol, Limits, Policy, UdpInbound},
    nearest,
    object::Object,
    report::{Report, all_of, one_of, quote},
};

pub(super) static INBOUND: KeyTable = KeyTable {
    name: "Inbound",
    path: "inbounds[]",
    doc: "A place where clients come in.",
    keys: &[
        Key::new("tag", Form::Text, "The name for `inboundTag` conditions."),
        Key::new(
            "protocol",
            Form::Word(&[
                "socks",
                "http",
                "mixed",
                "dokodemo-door",
                "tunnel",
                "shadowsocks",
                "vmess",
                "vless",
                "trojan",
            ]),
            "What clients speak; `mixed` is `socks` and `http` on one port, `dokodemo-door` (or `tunnel`) takes all to one target.",
        ),
        Key::new(
            "listen",
            Form::Text,
            "The address to listen on, or the path of a Unix socket (`/path`, `/path,0660`, `@name`); without it every address if clients have to log in, else 127.0.0.1.",
        ),
        Key::new(
            "port",
            Form::Port,
            "A port, a range `A-B`, or `env:NAME`; 0 asks the system for a free one.",
        ),
        Key::new(
            "allow_open",
            Form::Flag,
            "Whether anybody may come in without login on an address that other machines reach.",
        )
        .alias(&["allowOpen"]),
        Key::new(
            "settings",
            Form::ByNeighbour {
                key: "protocol",
                tables: &[
                    ("socks", "SocksInboundSettings"),
                    ("mixed", "SocksInboundSettings"),
                    ("http", "HttpInboundSettings"),
                    ("dokodemo-door", "DoorSettings"),
                    ("tunnel", "DoorSettings"),
                    ("shadowsocks", "ShadowsocksInboundSettings"),
                    ("vmess", "VmessInboundSettings"),
                    ("vless", "VlessInboundSettings"),
                    ("trojan", "TrojanInboundSettings"),
                ],
            },
            "Settings of the protocol, an object.",
        ),
        Key::new(
            "sniffing",
            Form::Object("Sniffing"),
            "Reading protocol and name of the target from the first bytes.",
        ),
        Key::new(
            "maxConnections",
            Form::up_to(0xffff_ffff),
            "How many connections it takes at a time; further clients wait.",
        )
        .alias(&["max_connections"]),
        Key::new(
            "maxConnectionsPerSource",
            Form::up_to(0xffff_ffff),
            "How many connections of one address it takes at a time; further ones are closed.",
        )
        .alias(&["max_connections_per_source"]),
        Key::new(
            "streamSettings",
            Form::Object("StreamSettings"),
            "What carries the protocol: TLS, and what is laid over it.",
        ),
        Key::new("allocate", Form::Object("Allocate"), "When ports are listened on; only `always`."),
        Key::new("domainOverride", Form::Strings, "Old form of `sniffing`, with its `destOverride`."),
        Key::new("remarks", Form::Text, "A note; not read."),
        Key::new("ps", Form::Text, "A note; not read."),
        Key::new("id", Form::Any, "The number that a graphical front end gave; not read."),
    ],
};

#[derive(Clone, Copy)]
enum Kind {
    Client(ClientProtocol),
    Door,
    Shadowsocks,
    Vmess,
    Vless,
    Trojan,
}

const PROTOCOLS: [(&str, Kind); 9] = [
    ("socks", Kind::Client(ClientProtocol::Socks)),
    ("http", Kind::Client(ClientProtocol::Http)),
    ("mixed", Kind::Client(ClientProtocol::Mixed)),
    ("dokodemo-door", Kind::Door),
    ("tunnel", Kind::Door),
    ("shadowsocks", Kind::Shadowsocks),
    ("vmess", Kind::Vmess),
    ("vless", Kind::Vless),
    ("trojan", Kind::Trojan),
];

/// Protocols of V2Ray and Xray that do not exist here.
const FOREIGN: &[&str] =
    &["shadowsocks2022", "vliteu", "wireguard", "hysteria", "hysteria2", "mtproto", "tun"];

pub(super) fn read_all(
    values: &[&Value],
    policies: &Policies,
    names: &mut Names,
    report: &mut Report<'_>,
) -> Vec<Inbound> {
    let inbounds: Vec<Inbound> =
        values.iter().filter_map(|value| read(value, policies, names, report)).collect();
    checks::find_port_conflicts(&inbounds, report);
    checks::find_udp_port_conflicts(&inbounds, report);
    inbounds
}

fn read(value: &Value, policies: &Policies, names: &mut Names, report: &mut Report<'_>) -> Option<Inbound> {
    let object = Object::read(value, "inbounds[]", &INBOUND, report)?;
    let tag = names.inbounds.declare(&object, "inbound", report);
    let sniffing = sniffing::read(&object, report);
    names.sniffs |= sniffing.as_ref().is_some_and(|sniffing| !sniffing.metadata_only);
    let first = report.n_errors();
    let stream::Stream { socket, transport, dialer } = stream::read_inbound(&object, report);
    if let Some(dialer) = dialer {
        report.warning(dialer.span, "`dialerProxy` has no effect on an inbound, which dials nothing");
    }
    if let Some(field) = object.get("streamSettings").filter(|_| socket.fast_open.is_some()) {
        report.warning(
            field.key_span,
            "`tcpFastOpen` has no effect on an inbound: clients are accepted as usual",
        );
    }
    stream::check_allocate(&object, report);
    let limits = read_limits(&object, report);
    let before = report.n_errors();
    let settings = match read_protocol(&object, report) {
        Some(Kind::Client(protocol)) => {
            let (accounts, policy, udp) = accounts::read_settings(&object, protocol, policies, report);
            Some((InboundProtocol::Client(protocol), accounts, policy, udp))
        }
        Some(Kind::Door) => {
            let (door, policy) = door::read(&object, policies, report);
            door.map(|door| (InboundProtocol::Door(door), Vec::new(), policy, None))
        }
        Some(Kind::Shadowsocks) => tunnel::shadowsocks::read_inbound(&object, policies, report)
            .map(|(inbound, policy)| closed(InboundProtocol::Shadowsocks(Box::new(inbound)), policy)),
        Some(Kind::Vmess) => tunnel::vmess::read_inbound(&object, policies, report)
            .map(|(users, policy)| closed(InboundProtocol::Vmess(users), policy)),
        Some(Kind::Vless) => tunnel::vless::read_inbound(&object, policies, report)
            .map(|(users, policy)| closed(InboundProtocol::Vless(users), policy)),
        Some(Kind::Trojan) => tunnel::trojan::read_inbound(&object, policies, report)
            .map(|(inbound, policy)| closed(InboundProtocol::Trojan(Box::new(inbound)), policy)),
        None => None,
    };
    let open =
        settings.as_ref().map(|(protocol, accounts, ..)| accounts.is_empty() && !protocol.has_own_users());
    // With an error in the settings nobody knows who may come in.
    let listen = listen::read(&object, open.filter(|_| report.n_errors() == before), report);
    let (protocol, accounts, policy, udp) = settings?;
    if let Some(listen) = listen.as_ref().filter(|_| report.n_errors() == first) {
        let place = object.get("protocol").map_or(object.span, |field| field.value.span);
        checks::warn_of_open_inbound(&protocol, listen, transport.tls.is_some(), place, report);
    }
    Some(Inbound {
        tag,
        listen: listen?,
        protocol,
        accounts,
        udp,
        policy,
        limits,
        socket,
        transport,
        sniffing,
        span: object.span,
    })
}

/// An inbound whose protocol knows its users.
fn closed(
    protocol: InboundProtocol,
    policy: Policy,
) -> (InboundProtocol, Vec<Account>, Policy, Option<UdpInbound>) {
    (protocol, Vec::new(), policy, None)
}

fn read_limits(object: &Object<'_>, report: &mut Report<'_>) -> Limits {
    let mut limit = |name| object.count(name, 0..=u32::MAX, report).and_then(NonZeroU32::new);
    Limits { connections: limit("maxConnections"), per_source: limit("maxConnectionsPerSource") }
}

fn read_protocol(object: &Object<'_>, report: &mut Report<'_>) -> Option<Kind> {
    let choices = || PROTOCOLS.iter().map(|(name, _)| *name);
    if !object.has("protocol") {
        let brace = Span { start: object.span.start, end: object.span.start + 1 };
        report.error(brace, "an inbound needs a `protocol`").help(format!("expected {}", one_of(choices())));
        return None;
    }
    let written = object.text("protocol", report)?;
    let found = PROTOCOLS.iter().find(|(name, _)| written.value.eq_ignore_ascii_case(name));
    if found.is_none() {
        report_protocol("inbound", written, FOREIGN, choices(), report);
    }
    found.map(|(_, protocol)| *protocol)
}

/// Reports a protocol that is not among `choices`; `foreign` are those of other programs.
pub(super) fn report_protocol<'a>(
    what: &str,
    written: Spanned<&str>,
    foreign: &[&str],
    choices: impl Iterator<Item = &'a str> + Clone,
    report: &mut Report<'_>,
) {
    let quoted = quote(written.value);
    if foreign.iter().any(|name| written.value.eq_ignore_ascii_case(name)) {
        let message = format!("{what}s with the protocol {quoted} are not available in this version");
        report.error(written.span, message).help(format!("there are {}", all_of(choices)));
        return;
    }
    report.error(written.span, format!("unknown {what} protocol: {quoted}"));
    report.help(match nearest(written.value, choices.clone()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("there are {}", all_of(choices)),
    });
}
