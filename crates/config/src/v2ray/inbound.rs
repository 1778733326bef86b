use std::{collections::BTreeMap, net::IpAddr};

use waypost_net::PortRange;

use super::{accounts, names::Names, port, stream};
use crate::{
    Span, Spanned,
    json::Value,
    keys::{Form, Key, KeyTable},
    model::{Inbound, InboundProtocol},
    nearest,
    object::Object,
    report::{Report, all_of, one_of, quote},
};

/// Every port of a range is a listening socket.
const MAX_PORTS: u16 = 1024;

const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const EVERYWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

pub(super) static INBOUND: KeyTable = KeyTable {
    name: "Inbound",
    path: "inbounds[]",
    doc: "A place where clients come in.",
    keys: &[
        Key::new("tag", Form::Text, "The name for `inboundTag` conditions."),
        Key::new(
            "protocol",
            Form::Word(&["socks", "http", "mixed"]),
            "What clients speak; `mixed` is both on one port.",
        ),
        Key::new(
            "listen",
            Form::Text,
            "The address to listen on; without it every address if clients have to log in, else 127.0.0.1.",
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
        Key::new("settings", Form::Any, "Settings of the protocol, an object."),
        Key::new(
            "sniffing",
            Form::Object("Sniffing"),
            "Reading names from the first bytes; only switched off.",
        ),
        Key::new("streamSettings", Form::Object("StreamSettings"), "The transport; only plain TCP."),
        Key::new("allocate", Form::Object("Allocate"), "When ports are listened on; only `always`."),
        Key::new("domainOverride", Form::Strings, "Old form of `sniffing`.")
            .only_off("sniffing is not available in this version; remove it"),
        Key::new("remarks", Form::Text, "A note; not read."),
        Key::new("ps", Form::Text, "A note; not read."),
        Key::new("id", Form::Any, "The number that a graphical front end gave; not read."),
    ],
};

const PROTOCOLS: [(&str, InboundProtocol); 3] =
    [("socks", InboundProtocol::Socks), ("http", InboundProtocol::Http), ("mixed", InboundProtocol::Mixed)];

/// Protocols of V2Ray and Xray that do not exist here.
const FOREIGN: &[&str] = &[
    "dokodemo-door",
    "tunnel",
    "shadowsocks",
    "shadowsocks2022",
    "vmess",
    "vless",
    "vliteu",
    "trojan",
    "wireguard",
    "hysteria",
    "hysteria2",
    "mtproto",
    "tun",
];

pub(super) fn read_all(values: &[&Value], names: &mut Names, report: &mut Report<'_>) -> Vec<Inbound> {
    let inbounds: Vec<Inbound> = values.iter().filter_map(|value| read(value, names, report)).collect();
    find_port_conflicts(&inbounds, report);
    inbounds
}

fn read(value: &Value, names: &mut Names, report: &mut Report<'_>) -> Option<Inbound> {
    let object = Object::read(value, "inbounds[]", &INBOUND, report)?;
    let tag = names.inbounds.declare(&object, "inbound", report);
    stream::check_sniffing(&object, report);
    stream::check_stream(&object, report);
    stream::check_allocate(&object, report);
    let ports = read_ports(&object, report);
    let before = report.n_errors();
    let protocol = read_protocol(&object, report);
    let accounts =
        protocol.map(|protocol| accounts::read_settings(&object, protocol, report)).unwrap_or_default();
    let settings_known = report.n_errors() == before;
    // With an error in the settings nobody knows who may come in.
    let listen = read_listen(&object, settings_known.then_some(accounts.is_empty()), report);
    Some(Inbound { tag, listen: listen?, ports: ports?, protocol: protocol?, accounts, span: object.span })
}

fn read_protocol(object: &Object<'_>, report: &mut Report<'_>) -> Option<InboundProtocol> {
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

fn read_ports(object: &Object<'_>, report: &mut Report<'_>) -> Option<PortRange> {
    let Some(field) = object.get("port") else {
        let brace = Span { start: object.span.start, end: object.span.start + 1 };
        report.error(brace, "an inbound needs a `port`");
        return None;
    };
    let ports = port::read_range(field, report)?;
    if ports.last - ports.first >= MAX_PORTS {
        let n_ports = u32::from(ports.last - ports.first) + 1;
        let message = format!("{n_ports} ports in one inbound, at most {MAX_PORTS} are listened on");
        report.error(field.value.span, message);
        return None;
    }
    Some(ports)
}

/// Reads `listen`. `open` says whether anybody may come in, if that is known.
fn read_listen(object: &Object<'_>, open: Option<bool>, report: &mut Report<'_>) -> Option<IpAddr> {
    let allowed = object.flag("allow_open", report);
    let closed_or_allowed = open != Some(true) || allowed.is_some_and(|allowed| allowed.value);
    let Some(written) = object.get("listen") else {
        if closed_or_allowed {
            return Some(EVERYWHERE);
        }
        let place = object.get("port").map_or(object.span, |field| field.key_span);
        report
            .warning(
                place,
                "listens on 127.0.0.1 only, because anybody may come in; V2Ray listens on every address",
            )
            .help("write `\"listen\": \"127.0.0.1\"`, or ask for a password, or add `\"allow_open\": true`");
        return Some(LOOPBACK);
    };
    let written = written.text(report)?;
    let address = read_address(written, report)?;
    if !address.is_loopback() && !closed_or_allowed {
        report
            .error(
                written.span,
                format!(
                    "listens on {} and asks for no password, so anybody could use it",
                    quote(written.value)
                ),
            )
            .help(
                "listen on 127.0.0.1, or ask for a password, or add `\"allow_open\": true` to this inbound",
            );
        return None;
    }
    Some(address)
}

fn read_address(written: Spanned<&str>, report: &mut Report<'_>) -> Option<IpAddr> {
    let text = written.value;
    if text == "localhost" {
        return Some(LOOPBACK);
    }
    let unbracketed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = unbracketed.parse::<IpAddr>() {
        return Some(waypost_net::canonical_ip(address));
    }
    if text.starts_with(['/', '@', '.']) {
        report
            .error(written.span, "listening on a Unix socket is not supported yet")
            .help("write an IP address");
    } else {
        report
            .error(written.span, format!("not an address to listen on: {}", quote(text)))
            .help("expected an IP address such as `127.0.0.1`, or `localhost`");
    }
    None
}

/// Reports inbounds that would fight for a port.
fn find_port_conflicts(inbounds: &[Inbound], report: &mut Report<'_>) {
    let mut taken: BTreeMap<u16, Vec<&Inbound>> = BTreeMap::new();
    for inbound in inbounds {
        let mut ports = inbound.ports.first.max(1)..=inbound.ports.last;
        let conflict = ports.clone().find_map(|port| {
            let earlier = taken.get(&port)?.iter().find(|earlier| overlap(earlier.listen, inbound.listen))?;
            Some((port, *earlier))
        });
        if let Some((port, earlier)) = conflict {
            let line = report.line(earlier.span);
            let message =
                format!("port {port} of {} is already taken by the inbound on line {line}", inbound.listen);
            report.error(inbound.span, message);
        } else {
            ports.by_ref().for_each(|port| taken.entry(port).or_default().push(inbound));
        }
    }
}

/// Whether two listeners on the same port exclude each other.
fn overlap(left: IpAddr, right: IpAddr) -> bool {
    left == right || (left.is_ipv4() == right.is_ipv4() && (left.is_unspecified() || right.is_unspecified()))
}
