use waypost_net::Host;

use super::{Sniff, Sniffed};
use crate::head::MAX_HEADERS;

/// RFC 9110 §9.3, and PATCH (RFC 5789).
const METHODS: [&[u8]; 9] =
    [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH"];

pub(super) fn sniff(bytes: &[u8]) -> Sniff {
    if !begins_with_method(bytes) {
        return Sniff::Unknown;
    }
    let Some(end) = bytes.iter().position(|&byte| byte == b'\n') else { return Sniff::NeedMore };
    let (line, fields) = bytes.split_at_checked(end + 1).unwrap_or((bytes, &[]));
    let Some(line) = RequestLine::parse(line) else { return Sniff::Unknown };
    match head_end(fields) {
        Some(end) => Sniff::Found(describe(&line, fields.get(..end).unwrap_or(fields))),
        None => Sniff::NeedMore,
    }
}

/// What a head says that is not whole, if its `Host` is there.
pub(super) fn sniff_part(bytes: &[u8]) -> Option<Sniffed> {
    let last_line_end = bytes.iter().rposition(|&byte| byte == b'\n')?;
    let lines = bytes.get(..=last_line_end)?;
    let (line, fields) = lines.split_at_checked(lines.iter().position(|&byte| byte == b'\n')? + 1)?;
    if !begins_with_method(line) {
        return None;
    }
    Some(describe(&RequestLine::parse(line)?, fields)).filter(|found| found.host.is_some())
}

fn begins_with_method(bytes: &[u8]) -> bool {
    METHODS.iter().any(|method| {
        let same = bytes.iter().zip(*method).all(|(byte, expected)| byte.eq_ignore_ascii_case(expected));
        same && bytes.get(method.len()).is_none_or(|&byte| byte == b' ')
    })
}

struct RequestLine<'b> {
    method: &'b [u8],
    target: &'b [u8],
}

impl<'b> RequestLine<'b> {
    fn parse(line: &'b [u8]) -> Option<Self> {
        let mut parts = without_line_end(line).split(|&byte| byte == b' ');
        let (method, target, version) = (parts.next()?, parts.next()?, parts.next()?);
        (parts.next().is_none() && version.starts_with(b"HTTP/1.")).then_some(Self { method, target })
    }
}

/// Where the empty line begins that ends the head.
fn head_end(fields: &[u8]) -> Option<usize> {
    let mut at = 0;
    for line in fields.split_inclusive(|&byte| byte == b'\n') {
        if matches!(line, b"\n" | b"\r\n") {
            return Some(at);
        }
        at += line.len();
    }
    None
}

/// Reads whole lines.
fn describe(line: &RequestLine<'_>, fields: &[u8]) -> Sniffed {
    let mut found = Sniffed::new("http1", None);
    found.attributes.insert(":method", &text(&line.method.to_ascii_uppercase()));
    found.attributes.insert(":path", &text(line.target));
    for (index, field) in fields.split(|&byte| byte == b'\n').enumerate() {
        let Some(colon) = field.iter().position(|&byte| byte == b':') else { continue };
        let (name, value) = field.split_at_checked(colon).unwrap_or_default();
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"host") {
            found.host = host(value);
        }
        // As at an HTTP inbound, of a header that comes several times the first value counts.
        let name = text(name).to_ascii_lowercase();
        if index < MAX_HEADERS && found.attributes.get(&name).is_none() {
            found.attributes.insert(&name, &text(value));
        }
    }
    found
}

/// The host of a `Host` header, which may have a port (RFC 9110 §7.2).
fn host(value: &[u8]) -> Option<Host> {
    let value = std::str::from_utf8(value).ok()?;
    let bracket = value.strip_prefix('[').and_then(|_| value.find(']'));
    let host = match (bracket, value.split_once(':')) {
        (Some(end), _) => value.get(..=end)?,
        (None, Some((host, port))) if !port.contains(':') => host,
        (None, _) => value,
    };
    Host::parse(host).ok()
}

fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}
