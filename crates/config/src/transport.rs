//! Parts of transports that both dialects read in the same way.

use waypost_net::Secret;

use crate::{
    Span, Spanned,
    json::{Kind, Value},
    model::{Layer, Pem, TlsVersion, TlsVersions},
    object::{Field, Object, read_map},
    report::{Report, one_of, quote},
};

/// RFC 7301 §3.1.
const MAX_ALPN_BYTES: usize = 255;
/// The header that `ed` in a path means (Xray).
pub(crate) const EARLY_HEADER: &str = "Sec-WebSocket-Protocol";
/// What servers usually take of a request.
const MAX_PATH_BYTES: usize = 4096;
/// Headers that belong to the handshake itself (RFC 6455 §4.1, RFC 9110 §7.8).
const OWN_HEADERS: [&str; 8] = [
    "connection",
    "upgrade",
    "content-length",
    "transfer-encoding",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-accept",
    "sec-websocket-extensions",
];

/// The transports that there are, for help.
pub(crate) const LAYERS: [&str; 4] = ["tcp", "ws", "grpc", "httpupgrade"];

/// Headers of a request, with `Host` on its own.
#[derive(Default)]
pub(crate) struct Headers<'a> {
    pub(crate) host: Option<Spanned<&'a str>>,
    pub(crate) others: Vec<(Box<str>, Box<str>)>,
}

/// Reads headers: an object with a string for each name, or several if there may be.
pub(crate) fn read_headers<'a>(
    object: &Object<'a>,
    name: &str,
    several: bool,
    report: &mut Report<'_>,
) -> Headers<'a> {
    let mut headers = Headers::default();
    let Some(field) = object.get(name) else { return headers };
    for member in read_map(field, report) {
        let key = &*member.key;
        if key.is_empty() || !key.bytes().all(is_token) {
            report.error(member.key_span, format!("not the name of a header: {}", quote(key)));
            continue;
        }
        if OWN_HEADERS.iter().any(|own| key.eq_ignore_ascii_case(own)) {
            report
                .error(member.key_span, format!("the handshake has its own header {}", quote(key)))
                .help("remove it");
            continue;
        }
        let values =
            member.value.items().filter(|_| several).unwrap_or_else(|| std::slice::from_ref(&member.value));
        for value in values {
            let Some(text) = read_header_value(value, key, report) else { continue };
            if key.eq_ignore_ascii_case("host") {
                headers.host = Some(Spanned::new(text, value.span)).filter(|host| !host.value.is_empty());
            } else {
                headers.others.push((key.into(), text.into()));
            }
        }
    }
    headers
}

fn read_header_value<'a>(value: &'a Value, key: &str, report: &mut Report<'_>) -> Option<&'a str> {
    let Some(text) = value.text() else {
        let message = format!("expected a string for the header {}, found {}", quote(key), value.found());
        report.error(value.span, message);
        return None;
    };
    if text.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
        report.error(value.span, "a header cannot have control characters");
        return None;
    }
    Some(text)
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Reads the `Host` header, which is `host` or else that of the headers.
pub(crate) fn read_host_header(
    host: Option<Spanned<&str>>,
    headers: &Headers<'_>,
    report: &mut Report<'_>,
) -> Option<Box<str>> {
    let host = host.filter(|host| !host.value.is_empty()).or(headers.host)?;
    if host.value.bytes().any(|byte| !byte.is_ascii_graphic() || b"/?#@,".contains(&byte)) {
        report
            .error(host.span, format!("not a host: {}", quote(host.value)))
            .help("expected one name, with a port behind it if need be, such as `example.com`");
        return None;
    }
    Some(host.value.into())
}

/// Reads the path of a request; `/` if absent or empty, and one that does not begin with `/` gets one.
pub(crate) fn read_path(written: Option<Spanned<&str>>, report: &mut Report<'_>) -> Option<Box<str>> {
    let Some(written) = written.filter(|written| !written.value.is_empty()) else { return Some("/".into()) };
    if written.value.len() > MAX_PATH_BYTES {
        report.error(written.span, "this path is too long").help(format!("at most {MAX_PATH_BYTES} bytes"));
        return None;
    }
    if written.value.bytes().any(|byte| !byte.is_ascii_graphic() || byte == b'#') {
        report
            .error(
                written.span,
                format!("this path has a character that cannot be sent: {}", quote(written.value)),
            )
            .help("write spaces and other special characters in the form `%20`");
        return None;
    }
    let slash = if written.value.starts_with('/') { "" } else { "/" };
    Some(format!("{slash}{}", written.value).into())
}

/// Reads a name that goes into a request as it is; `what` says whose it is.
pub(crate) fn read_request_text(
    written: Option<Spanned<&str>>,
    what: &str,
    report: &mut Report<'_>,
) -> Option<Box<str>> {
    let written = written.filter(|written| !written.value.is_empty())?;
    if written.value.bytes().any(|byte| !(b' '..=b'~').contains(&byte)) {
        let message = format!("{what} cannot have this: {}", quote(written.value));
        report.error(written.span, message).help("expected ASCII letters, digits and punctuation");
        return None;
    }
    Some(written.value.into())
}

/// Reads the name of the header that carries early data.
pub(crate) fn read_early_header(written: Spanned<&str>, report: &mut Report<'_>) -> Option<Box<str>> {
    let is_own = OWN_HEADERS.iter().any(|own| written.value.eq_ignore_ascii_case(own));
    if is_own || !written.value.bytes().all(is_token) {
        report
            .error(written.span, format!("not a header for early data: {}", quote(written.value)))
            .help("expected a name such as `Sec-WebSocket-Protocol`");
        return None;
    }
    Some(written.value.into())
}

/// The path without `ed`, and the value of `ed` with where it begins, in the query of a path (V2Ray and Xray).
pub(crate) fn split_early_data(path: &str) -> (String, Option<(usize, &str)>) {
    let Some((before, query)) = path.split_once('?') else { return (path.to_owned(), None) };
    let mut early = None;
    let mut others = Vec::new();
    let mut at = before.len() + 1;
    for part in query.split('&') {
        match part.strip_prefix("ed=") {
            Some(bytes) => early = Some((at + "ed=".len(), bytes)),
            None => others.push(part),
        }
        at += part.len() + 1;
    }
    let mark = if others.is_empty() { "" } else { "?" };
    (format!("{before}{mark}{}", others.join("&")), early)
}

/// Reads the protocols that are offered in TLS; `words` are those of the file.
pub(crate) fn read_alpn(words: Option<Vec<Spanned<&str>>>, report: &mut Report<'_>) -> Vec<Box<str>> {
    let mut alpn = Vec::new();
    for word in words.into_iter().flatten().filter(|word| !word.value.is_empty()) {
        if word.value.len() > MAX_ALPN_BYTES || word.value.bytes().any(|byte| !byte.is_ascii_graphic()) {
            let message = format!("not the name of a protocol of TLS: {}", quote(word.value));
            report.error(word.span, message).help("expected a word such as `h2` or `http/1.1`");
        } else {
            alpn.push(word.value.into());
        }
    }
    alpn
}

/// Checks that what is laid over TLS can be agreed on there. `place` is that of the protocols.
pub(crate) fn check_alpn(layer: &Layer, alpn: &[Box<str>], place: Option<Span>, report: &mut Report<'_>) {
    let Some(place) = place.filter(|_| !alpn.is_empty()) else { return };
    let offers = |name: &str| alpn.iter().any(|offered| **offered == *name);
    match layer {
        Layer::Raw => {}
        Layer::Grpc(_) if offers("h2") => {}
        Layer::Grpc(_) => {
            report.error(place, "gRPC needs `h2` among these").help("add `h2`, or remove `alpn`");
        }
        Layer::WebSocket(_) | Layer::HttpUpgrade(_) if !offers("h2") => {}
        Layer::WebSocket(_) | Layer::HttpUpgrade(_) => {
            report
                .warning(
                    place,
                    "with `h2` among these the other end may choose HTTP/2, in which nothing is upgraded",
                )
                .help("write `\"alpn\": [\"http/1.1\"]`, or remove `alpn`");
        }
    }
}

/// Reads the oldest and the newest version of TLS from these two keys.
pub(crate) fn read_versions(
    object: &Object<'_>,
    [least, most]: [&str; 2],
    report: &mut Report<'_>,
) -> TlsVersions {
    let mut versions = TlsVersions::default();
    let words =
        [("1.0", None), ("1.1", None), ("1.2", Some(TlsVersion::V1_2)), ("1.3", Some(TlsVersion::V1_3))];
    let read = |name: &str, report: &mut Report<'_>| {
        let written = object.text(name, report).filter(|written| !written.value.is_empty())?;
        let Some((_, version)) = words.iter().find(|(word, _)| *word == written.value) else {
            report
                .error(written.span, format!("not a version of TLS: {}", quote(written.value)))
                .help(format!("expected {}", one_of(["1.2", "1.3"])));
            return None;
        };
        Some(Spanned::new(*version, written.span))
    };
    match read(least, report) {
        Some(Spanned { value: Some(version), .. }) => versions.least = version,
        Some(Spanned { value: None, span }) => {
            report.warning(span, "older versions than TLS 1.2 are not spoken").help("write `1.2`");
        }
        None => {}
    }
    match read(most, report) {
        Some(Spanned { value: Some(version), span }) if version < versions.least => {
            report.error(span, format!("`{most}` is older than `{least}`"));
        }
        Some(Spanned { value: Some(version), .. }) => versions.most = version,
        Some(Spanned { value: None, span }) => {
            report.error(span, "older versions than TLS 1.2 are not spoken").help("write `1.2` or `1.3`");
        }
        None => {}
    }
    versions
}

/// What kind of PEM is expected.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum PemKind {
    Certificate,
    Key,
}

/// Reads PEM from the key of a path or from the key of the text itself, which is a string or its lines.
pub(crate) fn read_pem(
    object: &Object<'_>,
    [path, text]: [&str; 2],
    kind: PemKind,
    report: &mut Report<'_>,
) -> Option<Pem> {
    let file = object.text(path, report).filter(|file| !file.value.is_empty());
    let inline = object.get(text).filter(|field| !field.value.is_off());
    match (file, inline) {
        (Some(_), Some(field)) => {
            report.error(field.key_span, format!("`{path}` and `{text}` exclude each other"));
            None
        }
        (Some(file), None) => Some(Pem::File(Spanned::new(file.value.into(), file.span))),
        (None, Some(field)) => read_inline(field, kind, report),
        (None, None) => None,
    }
}

pub(crate) fn read_inline(field: Field<'_>, kind: PemKind, report: &mut Report<'_>) -> Option<Pem> {
    let lines: Option<Vec<&str>> = match &field.value.kind {
        Kind::String(text) => Some(vec![text]),
        Kind::Array(items) => items.iter().map(Value::text).collect(),
        Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Object(_) => None,
    };
    let Some(lines) = lines else {
        let message = format!("expected the lines of a PEM text as strings for `{}`", field.name);
        report.error(field.key_span, message);
        return None;
    };
    let text = lines.join("\n");
    let (is_it, what) = match kind {
        PemKind::Certificate => (text.contains("-----BEGIN CERTIFICATE"), "certificate"),
        PemKind::Key => (text.contains("PRIVATE KEY-----"), "private key"),
    };
    if !is_it {
        report
            .error(field.key_span, format!("there is no {what} in `{}`", field.name))
            .help("expected a text in PEM, which begins with `-----BEGIN`");
        return None;
    }
    Some(Pem::Inline(Spanned::new(Secret::new(text), field.key_span)))
}

/// Warns that any certificate will do, unless one of those that are known has to be shown.
pub(crate) fn warn_insecure(flag: Span, name: &str, pin: &str, report: &mut Report<'_>) {
    report
        .warning(
            flag,
            format!(
                "`{name}` lets anybody on the way pretend to be the server, and read and change everything"
            ),
        )
        .help(format!("if the server's certificate is its own, write its hash as `{pin}` instead"));
}

/// Refuses something that a key with an object `enabled` switches on.
pub(crate) fn check_disabled(
    object: &Object<'_>,
    name: &str,
    reason: &str,
    help: &str,
    report: &mut Report<'_>,
) {
    let Some(field) = object.get(name) else { return };
    if field.value.members().is_none() && !field.value.is_off() {
        field.expected("an object", report);
        return;
    }
    let Some(enabled) = field.value.member("enabled") else { return };
    if !enabled.value.is_off() {
        report.error(field.key_span, reason).help(help);
    }
}

/// Warns of keys that say nothing here.
pub(crate) fn warn_without_effect(
    object: &Object<'_>,
    names: &[&str],
    reason: &str,
    report: &mut Report<'_>,
) {
    for name in names {
        if let Some(field) = object.get(name).filter(|field| !field.value.is_off()) {
            report.warning(field.key_span, format!("`{name}` has no effect: {reason}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn early_data_is_taken_out_of_a_path() {
        for (path, rest, early) in [
            ("/a", "/a", None),
            ("/a?ed=2048", "/a", Some((6, "2048"))),
            ("/a?b=c&ed=2048&d", "/a?b=c&d", Some((10, "2048"))),
            ("/a?bed=1", "/a?bed=1", None),
            ("/speed=1?bed=1&ed=x", "/speed=1?bed=1", Some((18, "x"))),
        ] {
            assert_eq!(split_early_data(path), (rest.to_owned(), early));
        }
    }
}
