use httparse::{EMPTY_HEADER, Error, Header, Request, Status};

use crate::{
    AbsoluteUri, ServerError,
    answer::http_error,
    head::{MAX_HEADERS, describe},
    machine::Fault,
};

/// What follows a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes.
    Length(u64),
    Chunked,
    /// Whatever another protocol makes of it, or the next request.
    Upgrade,
    Connect,
}

/// Recognises what is no HTTP/1 request before its head ends, if it ever does.
pub(super) fn check_start(bytes: &[u8]) -> Result<(), Fault<ServerError>> {
    const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";
    if bytes.starts_with(HTTP2_PREFACE) {
        let reply = http_error("505 HTTP Version Not Supported", &[], "This proxy speaks HTTP/1.1.");
        return Err(Fault::new(reply, ServerError::Http2));
    }
    match bytes.first() {
        Some(first) if !first.is_ascii_alphabetic() => Err(bad_request("invalid start line")),
        Some(_) | None => Ok(()),
    }
}

/// Checks a whole head that is no CONNECT.
pub(super) fn check_head(head: &[u8]) -> Result<Framing, Fault<ServerError>> {
    if has_bare_line_feed(head) {
        return Err(bad_request("bare line feed"));
    }
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let mut request = Request::new(&mut headers);
    match request.parse(head) {
        Ok(Status::Complete(_)) => {}
        Ok(Status::Partial) => return Err(bad_request("no start line")),
        Err(Error::TooManyHeaders) => return Err(too_large()),
        Err(error) => return Err(bad_request(describe(error))),
    }
    let Some(uri) = request.path else {
        return Err(bad_request("no start line"));
    };
    AbsoluteUri::parse(uri).map_err(bad_target)?;
    let is_http10 = request.version == Some(0);
    let framing = framing(is_http10, request.headers)?;
    if named(request.headers, "host").nth(1).is_some() {
        return Err(bad_request("several host headers"));
    }
    let upgrades = !is_http10
        && framing == Framing::Length(0)
        && named(request.headers, "upgrade").next().is_some()
        && list(request.headers, "connection").any(|option| option.eq_ignore_ascii_case(b"upgrade"));
    Ok(if upgrades { Framing::Upgrade } else { framing })
}

/// Refuses whatever two servers could disagree about where the body ends (RFC 9112 §6).
fn framing(is_http10: bool, headers: &[Header<'_>]) -> Result<Framing, Fault<ServerError>> {
    let mut lengths = named(headers, "content-length");
    let length = match lengths.next() {
        Some(length) => {
            let digits = std::str::from_utf8(length).ok();
            let digits = digits.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            let number = digits.and_then(|digits| digits.parse::<u64>().ok());
            // Twice the largest signed number is what some programs cannot tell from a negative one.
            let number = number.filter(|&number| i64::try_from(number).is_ok());
            let number = number.ok_or_else(|| bad_request("invalid content-length"))?;
            if lengths.any(|other| other != length) {
                return Err(bad_request("different content-lengths"));
            }
            Some(number)
        }
        None => None,
    };
    let mut codings = named(headers, "transfer-encoding");
    let Some(coding) = codings.next() else { return Ok(Framing::Length(length.unwrap_or(0))) };
    if length.is_some() {
        return Err(bad_request("both content-length and transfer-encoding"));
    }
    if is_http10 || codings.next().is_some() || !coding.eq_ignore_ascii_case(b"chunked") {
        return Err(bad_request("invalid transfer-encoding"));
    }
    Ok(Framing::Chunked)
}

fn named<'a>(headers: &'a [Header<'a>], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
}

/// The elements of a header that is a list.
fn list<'a>(headers: &'a [Header<'a>], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    named(headers, name).flat_map(|value| value.split(|&byte| byte == b',')).map(<[u8]>::trim_ascii)
}

/// RFC 9112 §2.2 lets a server take a bare line feed for the end of a line; not all do.
pub(super) fn has_bare_line_feed(bytes: &[u8]) -> bool {
    bytes.iter().enumerate().any(|(at, &byte)| {
        byte == b'\n' && at.checked_sub(1).and_then(|before| bytes.get(before)) != Some(&b'\r')
    })
}

pub(crate) fn too_large() -> Fault<ServerError> {
    let reply =
        http_error("431 Request Header Fields Too Large", &[], "The head of the request is too large.");
    Fault::new(reply, ServerError::HttpHeadTooLarge)
}

fn bad_target(error: ServerError) -> Fault<ServerError> {
    if let ServerError::HttpSyntax { problem } = error {
        return bad_request(problem);
    }
    let text = if error == ServerError::OriginForm {
        "This is a proxy; it has no pages of its own."
    } else {
        "The target of the request is invalid, expected http://HOST[:PORT]/."
    };
    Fault::new(http_error("400 Bad Request", &[], text), error)
}

pub(crate) fn bad_request(problem: &'static str) -> Fault<ServerError> {
    let text = format!("The request is malformed: {problem}.");
    Fault::new(http_error("400 Bad Request", &[], &text), ServerError::HttpSyntax { problem })
}
