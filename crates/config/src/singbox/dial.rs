//! How an outbound dials.

use std::net::IpAddr;

use waypost_net::Tag;

use crate::{
    Spanned,
    json::Kind,
    keys::{Form, Key, KeyTable},
    model::{ResolveFamily, ResolveOptions, SocketOptions},
    object::{Object, choose},
    report::{Report, quote},
};

use super::names::Names;

/// A firewall mark.
pub(super) const MARK: Form = Form::OneOf(&[Form::up_to(u32::MAX as u64), Form::Text]);
/// Which addresses of a name are wanted.
pub(super) const STRATEGY: Form =
    Form::Word(&["", "as_is", "prefer_ipv4", "prefer_ipv6", "ipv4_only", "ipv6_only"]);
/// Who resolves names.
pub(super) const RESOLVER: Form = Form::OneOf(&[Form::Text, Form::Object("DomainResolver")]);

const NETWORKS: &str = "connections use the network that the system's routing tables say";
/// The longest name of an interface with its final zero (`IFNAMSIZ`, netdevice(7)) is 16 bytes.
const MAX_INTERFACE_BYTES: usize = 15;

/// What every outbound that dials has.
pub(super) const KEYS: &[Key] = &[
    Key::new("tag", Form::Text, "The name for rules and groups."),
    Key::new("bind_interface", Form::Text, "The network interface that is used."),
    Key::new("inet4_bind_address", Form::Text, "The local address of connections, if it is to be IPv4."),
    Key::new("inet6_bind_address", Form::Text, "The local address of connections, if it is to be IPv6."),
    Key::new(
        "routing_mark",
        MARK,
        "`SO_MARK`, for the firewall and for routing tables; needs `CAP_NET_ADMIN`.",
    ),
    Key::new("tcp_fast_open", Form::Flag, "Whether data may go with the first packet."),
    Key::new(
        "tcp_keep_alive",
        Form::Duration,
        "How long nothing moves before the system asks whether the other end lives.",
    ),
    Key::new("tcp_keep_alive_interval", Form::Duration, "The time between two such questions."),
    Key::new("domain_resolver", RESOLVER, "Who resolves the names that this outbound dials."),
    Key::new(
        "domain_strategy",
        STRATEGY,
        "Old form: which addresses of a name are dialled; use `domain_resolver`.",
    ),
    Key::new("detour", Form::Text, "The tag of another outbound that connections take."),
    Key::new("connect_timeout", Form::Duration, "How long connecting may take.")
        .no_effect("an attempt has its own limit, and the next one begins beside it before that"),
    Key::new("disable_tcp_keep_alive", Form::Flag, "Whether the system never asks.")
        .no_effect("an end that has vanished has to be noticed"),
    Key::new("bind_address_no_port", Form::Flag, "Takes the local port late.")
        .no_effect("the system's own choice is kept"),
    Key::new("reuse_addr", Form::Flag, "Whether the local port may be taken again at once.")
        .no_effect("the system's own choice is kept"),
    Key::new("tcp_multi_path", Form::Flag, "Several paths for one connection.")
        .no_effect("the system's own choice is kept"),
    Key::new("udp_fragment", Form::Flag, "Datagrams in pieces.").no_effect("the system's own choice is kept"),
    Key::new("fallback_delay", Form::Duration, "The pause before the other address family is tried.")
        .no_effect("addresses of both families are raced as RFC 8305 says"),
    Key::new("protect_path", Form::Text, "Belongs to Android.").only_off("it is for Android"),
    Key::new("netns", Form::Text, "The network namespace to dial in.")
        .only_off("there is one network namespace, that of the process"),
    Key::new("network_strategy", Form::Text, "Which networks are used.").only_off(NETWORKS),
    Key::new("network_type", Form::OneOrMany(&Form::Text), "Which networks are used.").only_off(NETWORKS),
    Key::new("fallback_network_type", Form::OneOrMany(&Form::Text), "Which networks are used otherwise.")
        .only_off(NETWORKS),
];

pub(super) static DOMAIN_RESOLVER: KeyTable = KeyTable {
    name: "DomainResolver",
    path: "domain_resolver",
    doc: "Who resolves names, and how.",
    keys: &[
        Key::new("server", Form::Text, "The DNS server, by its tag."),
        Key::new("strategy", STRATEGY, "Which addresses are wanted."),
        Key::new("disable_cache", Form::Flag, "Whether what is known already does not count."),
        Key::new(
            "client_subnet",
            Form::Text,
            "The network that the server is told the client to be in (RFC 7871).",
        ),
        Key::new("rewrite_ttl", Form::up_to(u32::MAX as u64), "How long answers count.")
            .no_effect("answers count as long as the server says"),
    ],
};

/// Reads which outbound connections take; whether it exists is checked at the end of the file.
pub(super) fn read_detour(object: &Object<'_>, report: &mut Report<'_>) -> Option<Spanned<Tag>> {
    let written = object.text("detour", report).filter(|tag| !tag.value.is_empty())?;
    Some(Spanned::new(Tag::from(written.value), written.span))
}

/// Reads what is set on the sockets of an outbound.
pub(super) fn read_socket(object: &Object<'_>, report: &mut Report<'_>) -> SocketOptions {
    let fast_open = object.flag("tcp_fast_open", report).is_some_and(|flag| flag.value);
    SocketOptions {
        send_through: read_bind_address(object, report),
        mark: read_mark(object, "routing_mark", report),
        interface: read_interface(object, "bind_interface", report),
        keep_alive_idle: object.duration("tcp_keep_alive", report),
        keep_alive_interval: object.duration("tcp_keep_alive_interval", report),
        fast_open: fast_open.then_some(1),
        ..SocketOptions::default()
    }
}

fn read_bind_address(object: &Object<'_>, report: &mut Report<'_>) -> Option<IpAddr> {
    let v4 = read_address(object, "inet4_bind_address", IpAddr::is_ipv4, report);
    let v6 = read_address(object, "inet6_bind_address", IpAddr::is_ipv6, report);
    if let (Some(_), Some(field)) = (v4, object.get("inet6_bind_address").filter(|_| v6.is_some())) {
        report
            .error(field.key_span, "one local address can be given in this version, not one of each kind")
            .help("remove one of the two, or make an outbound for each");
    }
    v4.or(v6)
}

fn read_address(
    object: &Object<'_>,
    name: &str,
    fits: impl Fn(&IpAddr) -> bool,
    report: &mut Report<'_>,
) -> Option<IpAddr> {
    let written = object.text(name, report).filter(|written| !written.value.is_empty())?;
    let address = written.value.parse::<IpAddr>().ok().filter(fits);
    if address.is_none() {
        report
            .error(written.span, format!("not an address for `{name}`: {}", quote(written.value)))
            .help("expected an address of this machine");
    }
    address.filter(|address| !address.is_unspecified())
}

/// A firewall mark: a number, or a string such as `0x1f`.
pub(super) fn read_mark(object: &Object<'_>, name: &str, report: &mut Report<'_>) -> Option<u32> {
    let field = object.get(name)?;
    if let Kind::String(text) = &field.value.kind {
        let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
        let mark = match digits {
            Some(digits) => u32::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        };
        if mark.is_none() {
            report
                .error(field.value.span, format!("not a mark: {}", quote(text)))
                .help("expected a number, or a string such as `0x1f`");
        }
        return mark.filter(|&mark| mark > 0);
    }
    field.count(0..=u32::MAX, report).filter(|&mark| mark > 0)
}

pub(super) fn read_interface(object: &Object<'_>, name: &str, report: &mut Report<'_>) -> Option<Box<str>> {
    let written = object.text(name, report).filter(|written| !written.value.is_empty())?;
    if written.value.len() > MAX_INTERFACE_BYTES || written.value.contains(['\0', '/', ' ']) {
        report
            .error(written.span, format!("{} cannot be the name of an interface", quote(written.value)))
            .help(format!("expected at most {MAX_INTERFACE_BYTES} bytes without spaces and slashes"));
        return None;
    }
    Some(written.value.into())
}

/// Reads `domain_resolver` or `default_domain_resolver`: a tag, or an object with more.
pub(super) fn read_resolver(
    object: &Object<'_>,
    name: &str,
    names: &mut Names,
    report: &mut Report<'_>,
) -> Option<ResolveOptions> {
    let field = object.get(name)?;
    if field.value.text().is_some() {
        let server = field.text(report).filter(|server| !server.value.is_empty())?;
        let server = names.dns_servers.find(server, "DNS server", report)?;
        return Some(ResolveOptions { server: Some(server), ..ResolveOptions::default() });
    }
    let resolver = object.object(name, &DOMAIN_RESOLVER, report)?;
    if !resolver.has("server") {
        report
            .error(resolver.span, format!("`{name}` needs a `server`"))
            .help("write the tag of a DNS server");
    }
    Some(read_resolve_options(&resolver, names, report))
}

/// Reads what look-ups have in common. The object has to have the keys of [`DOMAIN_RESOLVER`].
pub(super) fn read_resolve_options(
    object: &Object<'_>,
    names: &mut Names,
    report: &mut Report<'_>,
) -> ResolveOptions {
    let server = object.text("server", report).filter(|server| !server.value.is_empty());
    ResolveOptions {
        server: server.and_then(|server| names.dns_servers.find(server, "DNS server", report)),
        family: read_strategy(object, "strategy", report),
        disable_cache: object.flag("disable_cache", report).is_some_and(|flag| flag.value),
        client_ip: read_client_subnet(object, report),
    }
}

/// Which addresses of a name are wanted; `None` leaves it to others.
pub(super) fn read_strategy(
    object: &Object<'_>,
    name: &str,
    report: &mut Report<'_>,
) -> Option<ResolveFamily> {
    let written: Spanned<&str> = object.text(name, report).filter(|written| !written.value.is_empty())?;
    let choices = [
        ("prefer_ipv4", Some(ResolveFamily::PreferV4)),
        ("prefer_ipv6", Some(ResolveFamily::PreferV6)),
        ("ipv4_only", Some(ResolveFamily::OnlyV4)),
        ("ipv6_only", Some(ResolveFamily::OnlyV6)),
        ("as_is", None),
    ];
    choose(name, written, &choices, report)?
}

/// An address, or a prefix whose address counts.
pub(super) fn read_client_subnet(object: &Object<'_>, report: &mut Report<'_>) -> Option<IpAddr> {
    let written = object.text("client_subnet", report).filter(|written| !written.value.is_empty())?;
    let address = written.value.split_once('/').map_or(written.value, |(address, _)| address);
    let parsed = address.parse::<IpAddr>().ok();
    let is_prefix = !written.value.contains('/') || written.value.parse::<ipnet::IpNet>().is_ok();
    if parsed.is_none() || !is_prefix {
        report
            .error(written.span, format!("not an address and not a prefix: {}", quote(written.value)))
            .help("expected an address such as `203.0.113.7`, or a prefix");
        return None;
    }
    parsed
}
