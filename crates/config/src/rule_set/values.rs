//! Single values of headless rules.

use std::net::IpAddr;

use ipnet::IpNet;
use waypost_geodata::rule_set::{NetworkType, QUERY_TYPES, parse_port_range};

use crate::{
    Spanned,
    json::{Kind, Number, Value},
    object::{Object, choose, read_map},
    report::{Report, quote},
};

const NETWORKS: [(&str, &str); 3] = [("tcp", "tcp"), ("udp", "udp"), ("icmp", "icmp")];

/// Reads a value or an array of values; those with an error are left out.
pub(super) fn list<'a, T>(
    object: &Object<'a>,
    name: &'static str,
    report: &mut Report<'_>,
    read: impl FnMut(&'static str, &'a Value, &mut Report<'_>) -> Option<T>,
) -> Vec<T> {
    object.get(name).map_or_else(Vec::new, |field| list_of(name, field.value, report, read))
}

fn list_of<'a, T>(
    name: &'static str,
    value: &'a Value,
    report: &mut Report<'_>,
    mut read: impl FnMut(&'static str, &'a Value, &mut Report<'_>) -> Option<T>,
) -> Vec<T> {
    let items = value.items().unwrap_or_else(|| std::slice::from_ref(value));
    items.iter().filter_map(|item| read(name, item, report)).collect()
}

/// A string that is not empty.
pub(super) fn text(name: &'static str, value: &Value, report: &mut Report<'_>) -> Option<Box<str>> {
    let text = written(name, value, report)?;
    if text.value.is_empty() {
        report.error(value.span, format!("an empty string in `{name}`")).help("remove it");
        return None;
    }
    Some(text.value.into())
}

pub(super) fn query_type(name: &'static str, value: &Value, report: &mut Report<'_>) -> Option<u16> {
    if let Kind::String(text) = &value.kind {
        return choose(name, Spanned::new(text, value.span), &QUERY_TYPES, report);
    }
    number(name, value, "the name or the number of a DNS record type", report)
}

pub(super) fn port(name: &'static str, value: &Value, report: &mut Report<'_>) -> Option<u16> {
    number(name, value, "a port from 0 to 65535", report)
}

pub(super) fn network(name: &'static str, value: &Value, report: &mut Report<'_>) -> Option<Box<str>> {
    choose(name, written(name, value, report)?, &NETWORKS, report).map(Into::into)
}

pub(super) fn network_type(
    name: &'static str,
    value: &Value,
    report: &mut Report<'_>,
) -> Option<NetworkType> {
    choose(name, written(name, value, report)?, &NetworkType::WORDS, report)
}

pub(super) fn port_range(name: &'static str, value: &Value, report: &mut Report<'_>) -> Option<Box<str>> {
    let text = written(name, value, report)?.value;
    let Some((first, last)) = parse_port_range(text) else {
        report
            .error(value.span, format!("not a range of ports: {}", quote(text)))
            .help("expected `1000:2000`, `:3000` or `4000:`");
        return None;
    };
    if first > last {
        report.warning(value.span, format!("the range {} holds no port", quote(text)));
    }
    Some(text.into())
}

/// A prefix, or an address, which is a prefix of full length.
pub(super) fn prefix(name: &'static str, value: &Value, report: &mut Report<'_>) -> Option<IpNet> {
    let text = written(name, value, report)?.value;
    let net = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    if net.is_none() {
        report
            .error(value.span, format!("not an address and not a prefix: {}", quote(text)))
            .help("expected an address, or a prefix such as `10.0.0.0/8`");
    }
    net
}

pub(super) fn interface_addresses(
    rule: &Object<'_>,
    report: &mut Report<'_>,
) -> Vec<(NetworkType, Vec<IpNet>)> {
    const NAME: &str = "network_interface_address";
    let Some(field) = rule.get(NAME) else { return Vec::new() };
    let mut addresses = Vec::new();
    for member in read_map(field, report) {
        let key = Spanned::new(&*member.key, member.key_span);
        let kind = choose(NAME, key, &NetworkType::WORDS, report);
        let prefixes = list_of(NAME, &member.value, report, prefix);
        if prefixes.is_empty() && kind.is_some() {
            report.error(member.value.span, "no prefix for this type of network").help("remove the type");
        }
        addresses.extend(kind.map(|kind| (kind, prefixes)));
    }
    addresses
}

fn written<'a>(name: &str, value: &'a Value, report: &mut Report<'_>) -> Option<Spanned<&'a str>> {
    let text = value.text();
    if text.is_none() {
        report.error(value.span, format!("expected a string in `{name}`, found {}", value.found()));
    }
    text.map(|text| Spanned::new(text, value.span))
}

fn number(name: &str, value: &Value, expected: &str, report: &mut Report<'_>) -> Option<u16> {
    let number = match value.kind {
        Kind::Number(Number::Unsigned(number)) => u16::try_from(number).ok(),
        Kind::Null
        | Kind::Bool(_)
        | Kind::Number(Number::Signed(_) | Number::Float(_))
        | Kind::String(_)
        | Kind::Array(_)
        | Kind::Object(_) => None,
    };
    if number.is_none() {
        report.error(value.span, format!("expected {expected} in `{name}`, found {}", value.found()));
    }
    number
}
