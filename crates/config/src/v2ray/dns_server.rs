use std::{net::IpAddr, time::Duration};

use waypost_net::{Tag, canonical_ip};

use super::{
    dns::FAMILIES,
    dns_address,
    domain::{self, Plain},
    ip,
    names::Names,
};
use crate::{
    Span, Spanned,
    json::{Kind, Value},
    keys::{Form, Key, KeyTable},
    model::{AddressFamily, AddressFilter, DnsServer, DnsServerAddress, DomainEntry},
    object::{Object, choose, read_port},
    report::{Report, quote},
};

pub(super) static SERVER: KeyTable = KeyTable {
    name: "DnsServer",
    path: "dns.servers[]",
    doc: "A server that names are asked of. What it does not say is as in `dns`.",
    keys: &[
        Key::new(
            "address",
            Form::Text,
            "An address, `localhost` (the system), or `udp://`, `tcp://`, `tls://` or `https://`, with `+local` past the rules.",
        ),
        Key::new("port", Form::Port, "The port, if `address` is no URL; 53 unless given."),
        Key::new("domains", Form::Strings, "Names for which this server comes first, as in rules.")
            .alias(&["domain"]),
        Key::new(
            "expectedIPs",
            Form::Strings,
            "Addresses that an answer may have, as in rules; with `*` the others are used if nothing else is left.",
        )
        .alias(&["expectIPs"]),
        Key::new("unexpectedIPs", Form::Strings, "Addresses that an answer may not have; `*` as above."),
        Key::new("skipFallback", Form::Flag, "Asks this server only for its `domains`."),
        Key::new("finalQuery", Form::Flag, "Asks no other server after this one."),
        Key::new(
            "queryStrategy",
            Form::Word(&["UseIP", "UseIPv4", "UseIPv6"]),
            "Which address families this server is asked for.",
        ),
        Key::new("tag", Form::Text, "The inbound tag that rules see on its queries."),
        Key::new("clientIp", Form::Text, "An address that this server is told, cut to its network."),
        Key::new("timeoutMs", Form::up_to(60_000), "How long an answer may take, in milliseconds; 4000 unless given."),
        Key::new("disableCache", Form::Flag, "Asks this server again every time."),
        Key::new("cacheStrategy", Form::Word(&["cacheEnabled", "cacheDisabled"]), "V2Ray 5's `disableCache`."),
        Key::new("serveStale", Form::Flag, "Answers from the cache after the time is up, and asks behind that."),
        Key::new("serveExpiredTTL", Form::up_to(0xffff_ffff), "For how many seconds stale answers are used; 0 without end."),
        Key::new("fallbackStrategy", Form::Text, "V2Ray 5's form of `disableFallback` in a server.")
            .only_off("it is for the whole section; write it in `dns`, or `skipFallback` here"),
        Key::new("fakedns", Form::Any, "Made-up addresses that stand for names.")
            .only_off("made-up addresses do not exist in this version"),
    ],
};

/// V2Ray gives a server this long.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(4);
/// No client waits longer.
const MAX_TIMEOUT_MS: u64 = 60_000;
/// For how long a stale answer is kept if the file gives no end; the cache is bounded besides.
const STALE_WITHOUT_END: Duration = Duration::from_secs(7 * 86_400);

/// What `dns` says for all servers.
pub(super) struct Defaults {
    pub(super) tag: Option<Spanned<Tag>>,
    client_ip: Option<IpAddr>,
    cache: bool,
    stale: Stale,
}

#[derive(Clone, Copy)]
struct Stale {
    is_on: bool,
    limit: Duration,
}

pub(super) fn read_defaults(dns: &Object<'_>, report: &mut Report<'_>) -> Defaults {
    Defaults {
        tag: read_tag(dns, report),
        client_ip: read_client_ip(dns, report),
        cache: read_cache(dns, report).unwrap_or(true),
        stale: read_stale(dns, Stale { is_on: false, limit: STALE_WITHOUT_END }, report),
    }
}

/// Reads an entry of `servers`. Its tag is made known as one that rules may name.
pub(super) fn read(
    value: &Value,
    defaults: &Defaults,
    names: &mut Names,
    report: &mut Report<'_>,
) -> Option<DnsServer> {
    let server = DnsServer {
        address: DnsServerAddress::System,
        name: None,
        tag: defaults.tag.as_ref().map(|tag| tag.value.clone()),
        domains: Vec::new(),
        expected: None,
        unexpected: None,
        client_ip: defaults.client_ip,
        family: AddressFamily::Any,
        skip_fallback: false,
        is_final: false,
        timeout: DEFAULT_TIMEOUT,
        cache: defaults.cache,
        stale: defaults.stale.is_on.then_some(defaults.stale.limit),
        span: value.span,
    };
    match &value.kind {
        Kind::String(text) => {
            let address = dns_address::read(Spanned::new(text, value.span), None, report)?;
            Some(DnsServer { address, ..server })
        }
        Kind::Object(_) => read_object(value, server, defaults, names, report),
        Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Array(_) => {
            report
                .error(value.span, format!("expected a DNS server, found {}", value.found()))
                .help("write its address, or an object with `address`");
            None
        }
    }
}

fn read_object(
    value: &Value,
    server: DnsServer,
    defaults: &Defaults,
    names: &mut Names,
    report: &mut Report<'_>,
) -> Option<DnsServer> {
    let object = Object::read(value, "dns.servers[]", &SERVER, report)?;
    let tag = read_tag(&object, report);
    if let Some(tag) = &tag {
        names.inbounds.declare_for_queries(tag);
    }
    let flag = |name: &str, report: &mut Report<'_>| object.flag(name, report).is_some_and(|flag| flag.value);
    let strategy = object.text("queryStrategy", report).filter(|written| !written.value.is_empty());
    let family = strategy.and_then(|written| choose("queryStrategy", written, &FAMILIES, report));
    let timeout = object.get("timeoutMs").filter(|field| !field.value.is_off());
    let timeout = timeout.and_then(|field| field.count(1..=MAX_TIMEOUT_MS, report));
    let stale = read_stale(&object, defaults.stale, report);
    let server = DnsServer {
        tag: tag.map(|tag| tag.value).or(server.tag),
        domains: read_domains(&object, report),
        expected: read_filter(&object, "expectedIPs", report),
        unexpected: read_filter(&object, "unexpectedIPs", report),
        client_ip: read_client_ip(&object, report).or(server.client_ip),
        family: family.unwrap_or_default(),
        skip_fallback: flag("skipFallback", report),
        is_final: flag("finalQuery", report),
        timeout: timeout.map_or(server.timeout, Duration::from_millis),
        cache: read_cache(&object, report).unwrap_or(server.cache),
        stale: stale.is_on.then_some(stale.limit),
        ..server
    };
    if !object.has("address") {
        let brace = Span { start: object.span.start, end: object.span.start + 1 };
        report
            .error(brace, "a DNS server needs an `address`")
            .help("such as `\"1.1.1.1\"` or `\"localhost\"`");
        return None;
    }
    let port = object.get("port").filter(|field| !field.value.is_off());
    let port = port.and_then(|field| Some(Spanned::new(read_port(field, report)?, field.key_span)));
    let address = dns_address::read(object.text("address", report)?, port, report)?;
    Some(DnsServer { address, ..server })
}

fn read_tag(object: &Object<'_>, report: &mut Report<'_>) -> Option<Spanned<Tag>> {
    let text = object.text("tag", report).filter(|text| !text.value.is_empty())?;
    Some(Spanned::new(Tag::from(text.value), text.span))
}

fn read_client_ip(object: &Object<'_>, report: &mut Report<'_>) -> Option<IpAddr> {
    let text = object.text("clientIp", report).filter(|text| !text.value.is_empty())?;
    match text.value.parse::<IpAddr>() {
        Ok(address) => Some(canonical_ip(address)),
        Err(_not_an_address) => {
            report
                .error(text.span, format!("not an address: {}", quote(text.value)))
                .help("write the public address that answers should fit to, such as `198.51.100.7`");
            None
        }
    }
}

fn read_cache(object: &Object<'_>, report: &mut Report<'_>) -> Option<bool> {
    let written = object.text("cacheStrategy", report).filter(|written| !written.value.is_empty());
    let choices = [("cacheEnabled", true), ("cacheDisabled", false)];
    let chosen = written.and_then(|written| choose("cacheStrategy", written, &choices, report));
    object.flag("disableCache", report).map(|flag| !flag.value).or(chosen)
}

fn read_stale(object: &Object<'_>, default: Stale, report: &mut Report<'_>) -> Stale {
    let longest = STALE_WITHOUT_END.as_secs();
    let limit = object.count("serveExpiredTTL", 0..=longest, report).map(|seconds| match seconds {
        0 => STALE_WITHOUT_END,
        seconds => Duration::from_secs(seconds),
    });
    let is_on = object.flag("serveStale", report).map_or(default.is_on, |flag| flag.value);
    Stale { is_on, limit: limit.unwrap_or(default.limit) }
}

fn read_domains(object: &Object<'_>, report: &mut Report<'_>) -> Vec<Spanned<DomainEntry>> {
    let written = object.strings("domains", report).unwrap_or_default().into_iter();
    let entry = |text: Spanned<&str>| {
        let entry = domain::read(text, Plain::Keyword, report)?;
        Some(Spanned::new(entry, text.span))
    };
    written.filter_map(entry).collect()
}

fn read_filter(object: &Object<'_>, name: &str, report: &mut Report<'_>) -> Option<AddressFilter> {
    let mut filter = AddressFilter::default();
    for text in object.strings(name, report)? {
        if text.value.trim() == "*" {
            filter.only_prefer = true;
        } else if let Some(entry) = ip::read(text, report) {
            filter.entries.push(Spanned::new(entry, text.span));
        }
    }
    (!filter.entries.is_empty()).then_some(filter)
}
