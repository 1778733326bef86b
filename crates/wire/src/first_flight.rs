use httparse::{EMPTY_HEADER, Header, Status};

use crate::{
    client_hello::{ClientHello, HANDSHAKE_RECORD, Stop as HelloStop},
    head::MAX_HEADERS,
};

/// The longest first flight that is looked at. A ClientHello with post-quantum key shares has 2 KiB.
pub const MAX_FIRST_FLIGHT_BYTES: usize = 64 * 1024;

/// The longest head of a request that may be repeated; RFC 9112 §3 asks for 8,000 octets at least for
/// the request line.
const MAX_REPEATABLE_HEAD_BYTES: usize = 16 * 1024;

/// The extension that announces 0-RTT data (RFC 8446 §4.2.10).
const EARLY_DATA: usize = 42;

/// What may be done with the first bytes that a client sends, while no answer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstFlight {
    /// It may become a repeatable flight; more bytes are needed to know.
    NeedMore,
    /// It is complete, and may be sent again over another connection.
    Repeatable(FlightKind),
    /// It must not be sent twice, whatever follows.
    Unrepeatable,
}

/// What a repeatable flight is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlightKind {
    /// A TLS ClientHello without early data.
    TlsClientHello,
    /// An HTTP/1 GET or HEAD request without a body.
    HttpRequest,
}

/// Why looking at a flight stopped before its end.
enum Stop {
    /// The bytes are at their end.
    Short,
    /// The flight is none that may be repeated.
    Unrepeatable,
}

/// Says whether `bytes`, all that a client has sent so far, may be sent a second time to the same
/// target over another connection while nothing has come back.
///
/// Two kinds may:
///
/// - A TLS ClientHello (RFC 8446 §4.1.2), in one record or several, without the `early_data` extension.
///   It asks for nothing yet. Early data may be replayed by anybody, which is why RFC 8446 §8 bounds it.
/// - An HTTP/1.0 or 1.1 request (RFC 9112) with the method GET or HEAD, which are safe and idempotent
///   (RFC 9110 §9.2), so that a client may repeat them by itself (RFC 9110 §9.2.2). It has no content
///   (neither `Transfer-Encoding` nor a `Content-Length` other than 0), asks for no `100 Continue`
///   (`Expect`) and for no other protocol (`Upgrade`). Its head has at most 16 KiB.
///
/// Nothing may follow. Everything else is unrepeatable from the first byte that shows it, and so is
/// what does not end within [`MAX_FIRST_FLIGHT_BYTES`]. Never panics. A part from the front of
/// a repeatable flight is always [`FirstFlight::NeedMore`].
///
/// ```
/// use waypost_wire::{FirstFlight, FlightKind, first_flight};
///
/// assert_eq!(first_flight(b"GET / HTTP/1.1\r\nHost: a"), FirstFlight::NeedMore);
/// let request = b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n";
/// assert_eq!(first_flight(request), FirstFlight::Repeatable(FlightKind::HttpRequest));
/// assert_eq!(first_flight(b"P"), FirstFlight::Unrepeatable);
/// ```
#[must_use]
pub fn first_flight(bytes: &[u8]) -> FirstFlight {
    let (kind, looked_at) = match bytes.first() {
        None => return FirstFlight::NeedMore,
        Some(&HANDSHAKE_RECORD) => (FlightKind::TlsClientHello, client_hello(bytes)),
        Some(_) => (FlightKind::HttpRequest, http_request(bytes)),
    };
    match looked_at {
        Ok(()) if bytes.len() <= MAX_FIRST_FLIGHT_BYTES => FirstFlight::Repeatable(kind),
        Err(Stop::Short) if bytes.len() < MAX_FIRST_FLIGHT_BYTES => FirstFlight::NeedMore,
        Ok(()) | Err(Stop::Short | Stop::Unrepeatable) => FirstFlight::Unrepeatable,
    }
}

fn http_request(bytes: &[u8]) -> Result<(), Stop> {
    let begins = |start: &[u8]| bytes.iter().zip(start).all(|(byte, expected)| byte == expected);
    if !begins(b"GET ") && !begins(b"HEAD ") {
        return Err(Stop::Unrepeatable);
    }
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(Status::Complete(length)) if length == bytes.len() && length <= MAX_REPEATABLE_HEAD_BYTES => {}
        Ok(Status::Partial) if bytes.len() < MAX_REPEATABLE_HEAD_BYTES => return Err(Stop::Short),
        Ok(Status::Complete(_) | Status::Partial) | Err(_) => return Err(Stop::Unrepeatable),
    }
    if request.headers.iter().all(allows_repeating) { Ok(()) } else { Err(Stop::Unrepeatable) }
}

fn allows_repeating(header: &Header<'_>) -> bool {
    if header.name.eq_ignore_ascii_case("content-length") {
        return header.value.trim_ascii() == b"0";
    }
    ["transfer-encoding", "expect", "upgrade"].iter().all(|name| !header.name.eq_ignore_ascii_case(name))
}

fn client_hello(bytes: &[u8]) -> Result<(), Stop> {
    let mut hello = ClientHello::begin(bytes)?;
    let mut end = hello;
    let whole = end.skip_message();
    if end.is_overfull() {
        return Err(Stop::Unrepeatable);
    }
    whole?;
    if !end.rest().is_empty() {
        return Err(Stop::Unrepeatable);
    }
    match announces_early_data(&mut hello) {
        Ok(false) => Ok(()),
        Ok(true) | Err(_) => Err(Stop::Unrepeatable),
    }
}

/// Whether a ClientHello has the extension `early_data`.
fn announces_early_data(hello: &mut ClientHello<'_>) -> Result<bool, HelloStop> {
    hello.enter_extensions()?;
    let mut found = false;
    while let Some(extension) = hello.next_extension()? {
        found |= extension.kind == EARLY_DATA;
        hello.skip(extension.length)?;
    }
    Ok(found)
}

impl From<HelloStop> for Stop {
    fn from(stop: HelloStop) -> Self {
        match stop {
            HelloStop::Short => Self::Short,
            HelloStop::Malformed => Self::Unrepeatable,
        }
    }
}

#[cfg(test)]
mod tests;
