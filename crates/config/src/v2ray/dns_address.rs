//! How the address of a DNS server is written.

use waypost_net::{Host, Target};

use super::host;
use crate::{
    Spanned,
    model::{DnsProtocol, DnsServerAddress, DnsWay},
    nearest,
    report::{Report, one_of, quote},
};

const SCHEMES: [(&str, Scheme); 8] = [
    ("udp", Scheme { protocol: Protocol::Udp, local: false }),
    ("tcp", Scheme { protocol: Protocol::Tcp, local: false }),
    ("tls", Scheme { protocol: Protocol::Tls, local: false }),
    ("https", Scheme { protocol: Protocol::Https, local: false }),
    ("udp+local", Scheme { protocol: Protocol::Udp, local: true }),
    ("tcp+local", Scheme { protocol: Protocol::Tcp, local: true }),
    ("tls+local", Scheme { protocol: Protocol::Tls, local: true }),
    ("https+local", Scheme { protocol: Protocol::Https, local: true }),
];

/// What V2Ray, Xray and sing-box have besides, and what to write instead.
const FOREIGN: [(&str, &str); 8] = [
    ("quic", "DNS over QUIC does not exist in this version; most of its servers also speak `tls://`"),
    (
        "quic+local",
        "DNS over QUIC does not exist in this version; most of its servers also speak `tls+local://`",
    ),
    ("h3", "DNS over HTTP/3 does not exist in this version; its servers also speak `https://`"),
    ("h2c", "DNS over HTTP without TLS does not exist in this version; write `tcp://` or `https://`"),
    ("http", "DNS over HTTP without TLS does not exist in this version; write `tcp://` or `https://`"),
    ("dhcp", "servers are not taken from DHCP in this version; `localhost` asks the resolver of the system"),
    ("rcode", "fixed answers do not exist in this version; route the name to a `blackhole` outbound"),
    ("fakedns", "made-up addresses do not exist in this version"),
];

#[derive(Clone, Copy)]
struct Scheme {
    protocol: Protocol,
    local: bool,
}

#[derive(Clone, Copy)]
enum Protocol {
    Udp,
    Tcp,
    Tls,
    Https,
}

impl Protocol {
    fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 53,
            Self::Tls => 853,
            Self::Https => 443,
        }
    }
}

/// Reads an address or a URL. `port` is what stands beside it, with the place of its key.
pub(crate) fn read(
    text: Spanned<&str>,
    port: Option<Spanned<u16>>,
    report: &mut Report<'_>,
) -> Option<DnsServerAddress> {
    if text.value.eq_ignore_ascii_case("localhost") {
        return Some(DnsServerAddress::System);
    }
    if text.value.eq_ignore_ascii_case("fakedns") {
        report_foreign("fakedns", text, report);
        return None;
    }
    let Some((scheme, rest)) = text.value.split_once("://") else {
        let port_beside = port.map(|port| port.value);
        let target = read_target(text.value, port_beside.unwrap_or(53), text, report)?;
        return Some(DnsServerAddress::Remote { protocol: DnsProtocol::Udp, target, way: DnsWay::Routed });
    };
    let Scheme { protocol, local } = read_scheme(scheme, text, report)?;
    if let Some(port) = port {
        report
            .warning(port.span, "`port` has no effect: `address` is a URL")
            .help("write the port into the URL, as in `tcp://192.0.2.1:5353`");
    }
    let (host, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let target = read_target(host, protocol.default_port(), text, report)?;
    let no_path = |report: &mut Report<'_>| {
        if !matches!(path, "" | "/") {
            report.error(text.span, format!("only `https://` has a path, found {}", quote(path)));
            return None;
        }
        Some(())
    };
    let protocol = match protocol {
        Protocol::Udp => no_path(report).map(|()| DnsProtocol::Udp),
        Protocol::Tcp => no_path(report).map(|()| DnsProtocol::Tcp),
        Protocol::Tls => no_path(report).map(|()| DnsProtocol::Tls),
        Protocol::Https => read_path(path, text, report).map(|path| DnsProtocol::Https { path }),
    }?;
    let way = if local { DnsWay::Direct } else { DnsWay::Routed };
    Some(DnsServerAddress::Remote { protocol, target, way })
}

fn read_scheme(scheme: &str, text: Spanned<&str>, report: &mut Report<'_>) -> Option<Scheme> {
    let lower = scheme.to_ascii_lowercase();
    if let Some((_, scheme)) = SCHEMES.iter().find(|(word, _)| *word == lower) {
        return Some(*scheme);
    }
    if FOREIGN.iter().any(|(word, _)| *word == lower) {
        report_foreign(&lower, text, report);
        return None;
    }
    report.error(text.span, format!("unknown scheme of a DNS server: {}", quote(scheme)));
    let words = || SCHEMES.iter().map(|(word, _)| *word);
    report.help(match nearest(&lower, words()) {
        Some(word) => format!("did you mean `{word}://`?"),
        None => format!("expected {}", one_of(words())),
    });
    None
}

fn report_foreign(word: &str, text: Spanned<&str>, report: &mut Report<'_>) {
    let reason = FOREIGN.iter().find(|(known, _)| *known == word).map_or("", |(_, reason)| *reason);
    let (reason, help) = reason.split_once("; ").unwrap_or((reason, ""));
    report.error(text.span, format!("{} is not supported: {reason}", quote(text.value)));
    if !help.is_empty() {
        report.help(help);
    }
}

/// Reads `HOST` or `HOST:PORT`.
fn read_target(
    written: &str,
    default_port: u16,
    text: Spanned<&str>,
    report: &mut Report<'_>,
) -> Option<Target> {
    if written.contains('@') {
        report
            .error(text.span, "a DNS server has no user in its address")
            .help("remove what is before the `@`");
        return None;
    }
    if let Ok(target) = written.parse::<Target>() {
        if target.port == 0 {
            report.error(text.span, "expected a port from 1 to 65535, found 0");
            return None;
        }
        return Some(target);
    }
    if let Ok(host) = Host::parse(written) {
        return Some(Target::new(host, default_port));
    }
    if written.is_empty() {
        report.error(text.span, format!("there is no address in {}", quote(text.value)));
        return None;
    }
    match written.rsplit_once(':') {
        Some((before, port)) if Host::parse(before).is_ok() => {
            report.error(text.span, format!("expected a port from 1 to 65535, found {}", quote(port)));
        }
        _ => {
            let _none = host::read(Spanned::new(written, text.span), report);
        }
    }
    None
}

/// A path as RFC 3986 allows it; `/dns-query` is what RFC 8484 uses in all its examples.
fn read_path(path: &str, text: Spanned<&str>, report: &mut Report<'_>) -> Option<Box<str>> {
    if path.contains('#') {
        report
            .error(text.span, "the URL of a DNS server has no fragment")
            .help("remove the `#` and what follows");
        return None;
    }
    if let Some(character) =
        path.chars().find(|c| !c.is_ascii_graphic() || matches!(c, '"' | '<' | '>' | '\\'))
    {
        report
            .error(text.span, format!("{character:?} cannot stand in a URL"))
            .help("write it as `%` and two digits");
        return None;
    }
    if path.contains('{') {
        report.error(text.span, format!("a URL without variables is needed, found {}", quote(path)));
        report.help("write it without `{?dns}`");
        return None;
    }
    Some(match path {
        "" => "/dns-query".into(),
        query if query.starts_with('?') => format!("/{query}").into(),
        path => path.into(),
    })
}
