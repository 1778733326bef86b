//! Rewrites a request in absolute form to one in origin form (RFC 9112 §3.2, RFC 9110 §7.6).

use std::borrow::Cow;

use httparse::Header;
use waypost_net::{Attributes, Host, Target};

use crate::{
    ServerError,
    answer::http_error,
    http_server::{bad_request, bad_target},
    machine::Fault,
};

pub(crate) struct Forwarded {
    pub(crate) target: Target,
    pub(crate) head: Vec<u8>,
    pub(crate) attributes: Attributes,
}

/// `http10` says that the client speaks HTTP/1.0, and so must the request, or the origin server could
/// answer with a framing that the client does not know.
pub(crate) fn forward(
    method: &str,
    uri: &str,
    http10: bool,
    headers: &[Header<'_>],
) -> Result<Forwarded, Fault<ServerError>> {
    check_framing(http10, headers)?;
    let (target, path) = split_uri(method, uri)?;
    let version = if http10 { "HTTP/1.0" } else { "HTTP/1.1" };
    let host = host_header(&target);

    let mut head = format!("{method} {path} {version}\r\nHost: {host}\r\n").into_bytes();
    let mut attributes = Attributes::default();
    attributes.insert(":method", &method.to_ascii_uppercase());
    attributes.insert(":path", &decoded_path(&path));
    attributes.insert("host", &host);
    let mut content_length_sent = false;
    for header in headers.iter().filter(|header| is_end_to_end(header.name, headers)) {
        if header.name.eq_ignore_ascii_case("content-length")
            && std::mem::replace(&mut content_length_sent, true)
        {
            continue;
        }
        head.extend_from_slice(header.name.as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(header.value);
        head.extend_from_slice(b"\r\n");
        // Of a header that comes several times, V2Ray's attribute has the first value.
        let name = header.name.to_ascii_lowercase();
        if attributes.get(&name).is_none() {
            attributes.insert(&name, &String::from_utf8_lossy(header.value));
        }
    }
    head.extend_from_slice(b"Connection: close\r\n\r\n");
    Ok(Forwarded { target, head, attributes })
}

fn named<'a>(headers: &'a [Header<'a>], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
}

/// Refuses whatever two servers could disagree about where the body ends (RFC 9112 §6).
fn check_framing(http10: bool, headers: &[Header<'_>]) -> Result<(), Fault<ServerError>> {
    let mut lengths = named(headers, "content-length");
    let first_length = lengths.next();
    if let Some(length) = first_length {
        if length.is_empty() || !length.iter().all(u8::is_ascii_digit) {
            return Err(bad_request("invalid content-length"));
        }
        if lengths.any(|other| other != length) {
            return Err(bad_request("different content-lengths"));
        }
    }
    let codings: Vec<&[u8]> = named(headers, "transfer-encoding")
        .flat_map(|value| value.split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .collect();
    if let Some((last, earlier)) = codings.split_last() {
        if first_length.is_some() {
            return Err(bad_request("both content-length and transfer-encoding"));
        }
        let is_chunked = |coding: &&[u8]| coding.eq_ignore_ascii_case(b"chunked");
        if http10 || !is_chunked(last) || earlier.iter().any(is_chunked) {
            return Err(bad_request("invalid transfer-encoding"));
        }
    }
    if named(headers, "host").nth(1).is_some() {
        return Err(bad_request("several host headers"));
    }
    Ok(())
}

/// The target, and path and query for the origin server.
fn split_uri<'a>(method: &str, uri: &'a str) -> Result<(Target, Cow<'a, str>), Fault<ServerError>> {
    if uri.starts_with('/') || uri == "*" {
        let text = "This is a proxy; it has no pages of its own.";
        return Err(Fault::new(http_error("400 Bad Request", &[], text), ServerError::OriginForm));
    }
    let (scheme, rest) = uri.split_once("://").ok_or_else(|| bad_request("no absolute uri"))?;
    if !scheme.eq_ignore_ascii_case("http") {
        return Err(bad_request("only http uris are forwarded, use connect for others"));
    }
    if uri.contains('#') {
        return Err(bad_request("fragment in the uri"));
    }
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    // `host:` with an empty port means the default one (RFC 3986 §3.2.3).
    let authority = authority.strip_suffix(':').unwrap_or(authority);
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    let target =
        if has_port { authority.parse() } else { Host::parse(authority).map(|host| Target::new(host, 80)) };
    let target = target.map_err(|error| bad_target(ServerError::Target(error), "http://HOST[:PORT]/"))?;
    let path = match path.as_bytes().first() {
        Some(b'/') => Cow::Borrowed(path),
        None if method == "OPTIONS" => Cow::Borrowed("*"),
        Some(_) | None => Cow::Owned(format!("/{path}")),
    };
    Ok((target, path))
}

fn host_header(target: &Target) -> String {
    match (&target.host, target.port) {
        (Host::Ip(std::net::IpAddr::V6(address)), 80) => format!("[{address}]"),
        (host, 80) => host.to_string(),
        _ => target.to_string(),
    }
}

/// The path without the query and with its escapes decoded, as V2Ray has it.
fn decoded_path(path: &str) -> String {
    let path = path.split_once('?').map_or(path, |(path, _query)| path);
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escape = if first == b'%' { tail.split_at_checked(2) } else { None };
        let value = escape.and_then(|(digits, after)| {
            // `from_str_radix` takes a sign, too.
            let digits = std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'))?;
            Some((u8::from_str_radix(digits, 16).ok()?, after))
        });
        let (byte, after) = value.unwrap_or((first, tail));
        decoded.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Whether a header is passed on. What frames the body is, whatever `Connection` says of it.
fn is_end_to_end(name: &str, headers: &[Header<'_>]) -> bool {
    const FRAMING: [&str; 2] = ["content-length", "transfer-encoding"];
    // Host is here because it is made anew from the URI.
    const HOP_BY_HOP: [&str; 6] = ["connection", "keep-alive", "te", "trailer", "upgrade", "host"];
    if FRAMING.iter().any(|framing| name.eq_ignore_ascii_case(framing)) {
        return true;
    }
    let is_proxy = name.get(..6).is_some_and(|prefix| prefix.eq_ignore_ascii_case("proxy-"));
    let is_named = || {
        named(headers, "connection")
            .flat_map(|value| value.split(|&byte| byte == b','))
            .any(|option| option.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
    };
    !is_proxy && !HOP_BY_HOP.iter().any(|hop| name.eq_ignore_ascii_case(hop)) && !is_named()
}
