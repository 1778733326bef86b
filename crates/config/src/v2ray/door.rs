use waypost_net::Networks;

use super::{host, policy::Policies};
use crate::{
    Span, Spanned,
    keys::{Form, Key, KeyTable},
    model::{Door, Policy},
    object::{Object, choose, read_port, split},
    report::Report,
};

pub(super) static DOOR: KeyTable = KeyTable {
    name: "DoorSettings",
    path: "the settings of a `dokodemo-door` inbound",
    doc: "Settings of an inbound with the protocol `dokodemo-door` or `tunnel`, whose clients all go to one target.",
    keys: &[
        Key::new("address", Form::Text, "The address or name that clients are taken to.")
            .alias(&["rewriteAddress"]),
        Key::new("port", Form::Port, "The port there; without it the port that the client came in on.")
            .alias(&["rewritePort"]),
        Key::new("network", Form::Strings, "`tcp`, `udp`, or `tcp,udp`; `tcp` without it.")
            .alias(&["allowedNetwork"]),
        Key::new(
            "followRedirect",
            Form::Flag,
            "Takes clients where they were going before the firewall redirected them here (TCP).",
        ),
        Key::new("userLevel", Form::up_to(0xffff_ffff), "The policy level of clients."),
        Key::new("timeout", Form::Number, "How long an idle connection lives.")
            .no_effect("old and ignored by V2Ray too"),
        Key::new("portMap", Form::Map, "Other targets by port.")
            .only_off("it is not available in this version; write an inbound for each port"),
    ],
};

/// Reads `settings` of a `dokodemo-door` inbound.
pub(super) fn read(
    inbound: &Object<'_>,
    policies: &Policies,
    report: &mut Report<'_>,
) -> (Option<Door>, Policy) {
    let settings = inbound.object("settings", &DOOR, report);
    let policy = policies.of(settings.as_ref(), report);
    let door = match settings {
        Some(settings) => read_door(&settings, report),
        None => {
            if !inbound.has("settings") {
                report_no_address(inbound.span, report);
            }
            None
        }
    };
    (door, policy)
}

fn read_door(settings: &Object<'_>, report: &mut Report<'_>) -> Option<Door> {
    let follow = settings.flag("followRedirect", report);
    let follow_redirect = follow.is_some_and(|follow| follow.value);
    let before = report.n_errors();
    let host = settings.text("address", report).filter(|address| !address.value.is_empty());
    let host = host.and_then(|address| host::read(address, report));
    let port = settings.get("port").filter(|field| !field.value.is_off());
    let port = port.and_then(|field| read_port(field, report));
    let networks = read_networks(settings, report);
    if host.is_none() && !follow_redirect && report.n_errors() == before {
        report_no_address(settings.span, report);
    }
    if let Some(follow) = follow.filter(|follow| follow.value && networks.udp) {
        report
            .error(follow.span, "datagrams that were redirected cannot be followed in this version")
            .help("write `\"network\": \"tcp\"`; transparent proxying of datagrams (TPROXY) is later work");
    }
    (report.n_errors() == before).then_some(Door { host, port, networks, follow_redirect })
}

pub(super) fn read_networks(settings: &Object<'_>, report: &mut Report<'_>) -> Networks {
    let mut networks = Networks { tcp: false, udp: false };
    let Some(words) = settings.strings("network", report) else {
        return Networks { tcp: true, udp: false };
    };
    let words = words.iter().flat_map(|word| split(word.value, word.span));
    for word in words {
        let word = Spanned::new(word.value.trim(), word.span);
        match choose("network", word, &[("tcp", true), ("udp", false)], report) {
            Some(true) => networks.tcp = true,
            Some(false) => networks.udp = true,
            None => {}
        }
    }
    networks
}

fn report_no_address(span: Span, report: &mut Report<'_>) {
    let brace = Span { start: span.start, end: span.start + 1 };
    report
        .error(brace, "nothing says where clients of this inbound go")
        .help("add `\"address\"` to its settings, or `\"followRedirect\": true`");
}
