//! Where an inbound listens.

use std::net::{IpAddr, Ipv4Addr};

use waypost_net::PortRange;

use crate::{
    Span,
    keys::{Form, Key},
    model::{Listen, SocketOptions},
    object::Object,
    report::{Report, quote},
};

use super::dial;

/// What every inbound has.
pub(super) const KEYS: &[Key] = &[
    Key::new("tag", Form::Text, "The name for `inbound` conditions."),
    Key::new("listen", Form::Text, "The address to listen on; `127.0.0.1` without it."),
    Key::new("listen_port", Form::up_to(65_535), "The port to listen on; 0 takes any that is free."),
    Key::new(
        "allow_open",
        Form::Flag,
        "Whether anybody may come in from other machines; otherwise an inbound without `users` is for this machine only.",
    ),
    Key::new("bind_interface", Form::Text, "The network interface that clients come in by."),
    Key::new(
        "tcp_keep_alive",
        Form::Duration,
        "How long nothing moves before the system asks whether the client lives.",
    ),
    Key::new("tcp_keep_alive_interval", Form::Duration, "The time between two such questions."),
    Key::new(
        "routing_mark",
        dial::MARK,
        "`SO_MARK`, for the firewall and for routing tables; needs `CAP_NET_ADMIN`.",
    ),
    Key::new("disable_tcp_keep_alive", Form::Flag, "Whether the system never asks.")
        .no_effect("a client that has vanished has to be noticed"),
    Key::new("reuse_addr", Form::Flag, "Whether the port may be taken again at once.")
        .no_effect("it always may"),
    Key::new("tcp_fast_open", Form::Flag, "Data in the first packet.")
        .no_effect("clients are accepted as usual"),
    Key::new("tcp_multi_path", Form::Flag, "Several paths for one connection.")
        .no_effect("clients are accepted as usual"),
    Key::new("udp_fragment", Form::Flag, "Datagrams in pieces.").no_effect("the system's own choice is kept"),
    Key::new(
        "udp_timeout",
        Form::OneOf(&[Form::Duration, Form::Number]),
        "How long an association lives without datagrams.",
    )
    .no_effect("it lives as long as the connection that it belongs to, or five minutes"),
    Key::new("netns", Form::Text, "The network namespace to listen in.")
        .only_off("there is one network namespace, that of the process"),
    Key::new("detour", Form::Text, "Another inbound that takes over.")
        .only_off("it is not available in this version"),
    Key::new("proxy_protocol", Form::Flag, "Whether clients announce their address first.")
        .only_off("it is not available in this version"),
    Key::new("proxy_protocol_accept_no_header", Form::Flag, "Belongs to `proxy_protocol`.")
        .only_off("it is not available in this version"),
    Key::new(
        "sniff",
        Form::Flag,
        "Old form: whether first bytes are looked at; use the rule action `sniff`.",
    ),
    Key::new(
        "sniff_override_destination",
        Form::Flag,
        "Old form: whether the name that is found takes the place of the target.",
    ),
    Key::new("sniff_timeout", Form::Duration, "Old form: how long first bytes are waited for.")
        .no_effect("they are waited for as for every inbound"),
    Key::new(
        "domain_strategy",
        dial::STRATEGY,
        "Old form: names are resolved before rules are tried; use the rule action `resolve`.",
    ),
    Key::new("udp_disable_domain_unmapping", Form::Flag, "Old form: belongs to fake addresses.")
        .no_effect("there are no fake addresses"),
];

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Reads where an inbound listens. `open` says whether anybody may come in, if that is known.
pub(super) fn read(object: &Object<'_>, open: Option<bool>, report: &mut Report<'_>) -> Option<Listen> {
    let port = match object.get("listen_port") {
        Some(field) => field.count(0..=u16::MAX, report),
        None => {
            let brace = Span { start: object.span.start, end: object.span.start + 1 };
            report.error(brace, "an inbound needs a `listen_port`");
            None
        }
    };
    let ip = read_address(object, open, report);
    let port = port?;
    Some(Listen::Ports { ip: ip?, ports: PortRange { first: port, last: port } })
}

fn read_address(object: &Object<'_>, open: Option<bool>, report: &mut Report<'_>) -> Option<IpAddr> {
    let allowed = object.flag("allow_open", report).is_some_and(|allowed| allowed.value);
    let Some(written) = object.text("listen", report).filter(|written| !written.value.is_empty()) else {
        return (!object.has("listen") || object.text("listen", report).is_some()).then_some(LOOPBACK);
    };
    let Ok(address) = written.value.parse::<IpAddr>() else {
        report
            .error(written.span, format!("not an address to listen on: {}", quote(written.value)))
            .help("expected an IP address such as `127.0.0.1` or `::`");
        return None;
    };
    let address = waypost_net::canonical_ip(address);
    if !address.is_loopback() && open == Some(true) && !allowed {
        report
            .error(
                written.span,
                format!(
                    "listens on {} and asks for no password, so anybody could use it",
                    quote(written.value)
                ),
            )
            .help("listen on 127.0.0.1, or add `users`, or add `\"allow_open\": true` to this inbound");
        return None;
    }
    Some(address)
}

/// Reads what is set on the sockets of an inbound.
pub(super) fn read_socket(object: &Object<'_>, report: &mut Report<'_>) -> SocketOptions {
    SocketOptions {
        mark: dial::read_mark(object, "routing_mark", report),
        interface: dial::read_interface(object, "bind_interface", report),
        keep_alive_idle: object.duration("tcp_keep_alive", report),
        keep_alive_interval: object.duration("tcp_keep_alive_interval", report),
        ..SocketOptions::default()
    }
}
