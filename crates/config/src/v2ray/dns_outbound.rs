use waypost_net::Network;

use super::host;
use crate::{
    keys::{Form, Key, KeyTable},
    model::{DnsOutbound, OtherQuestions, OutboundProtocol},
    object::{Object, choose, read_port},
    report::Report,
};

pub(super) static DNS_OUTBOUND: KeyTable = KeyTable {
    name: "DnsOutboundSettings",
    path: "the settings of a `dns` outbound",
    doc: "Settings of an outbound with the protocol `dns`, which answers DNS questions from the `dns` section.",
    keys: &[
        Key::new(
            "nonIPQuery",
            Form::Word(&["skip", "reject", "drop"]),
            "What becomes of questions that are not for addresses: passed on, refused, or left without answer.",
        ),
        Key::new(
            "address",
            Form::Text,
            "Who gets questions that are passed on, in place of who the client asked.",
        ),
        Key::new("port", Form::Port, "The port for questions that are passed on."),
        Key::new("network", Form::Word(&["udp", "tcp"]), "The network for questions that are passed on."),
        Key::new("blockTypes", Form::Any, "Types of questions that get no answer.")
            .only_off("it is not available in this version; `nonIPQuery` covers all types but A and AAAA"),
        Key::new("userLevel", Form::Number, "The policy level of connections.")
            .no_effect("there are no policies by user level"),
    ],
};

pub(super) fn read(outbound: &Object<'_>, report: &mut Report<'_>) -> OutboundProtocol {
    let mut dns = DnsOutbound { host: None, port: None, network: None, other_questions: Default::default() };
    let Some(settings) = outbound.object("settings", &DNS_OUTBOUND, report) else {
        return OutboundProtocol::Dns(Box::new(dns));
    };
    let choices = [
        ("skip", OtherQuestions::PassOn),
        ("reject", OtherQuestions::Refuse),
        ("drop", OtherQuestions::Drop),
    ];
    let written = settings.text("nonIPQuery", report).filter(|written| !written.value.is_empty());
    let chosen = written.and_then(|written| choose("nonIPQuery", written, &choices, report));
    dns.other_questions = chosen.unwrap_or_default();
    let address = settings.text("address", report).filter(|written| !written.value.is_empty());
    dns.host = address.and_then(|written| host::read(written, report));
    dns.port =
        settings.get("port").filter(|field| !field.value.is_off()).and_then(|field| read_port(field, report));
    let choices = [("udp", Network::Udp), ("tcp", Network::Tcp)];
    let written = settings.text("network", report).filter(|written| !written.value.is_empty());
    dns.network = written.and_then(|written| choose("network", written, &choices, report));
    OutboundProtocol::Dns(Box::new(dns))
}
