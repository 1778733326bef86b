use httparse::{EMPTY_HEADER, Header, Status};

use crate::head::MAX_HEADERS;

/// The longest first flight that is looked at. A ClientHello with post-quantum key shares has 2 KiB.
pub const MAX_FIRST_FLIGHT_BYTES: usize = 64 * 1024;

/// The longest head of a request that may be repeated; RFC 9112 §3 asks for 8,000 octets at least for
/// the request line.
const MAX_REPEATABLE_HEAD_BYTES: usize = 16 * 1024;

/// The head of a TLS record: type, version and length (RFC 8446 §5.1).
const RECORD_HEAD_BYTES: usize = 5;
/// The most that a record carries (RFC 8446 §5.1).
const MAX_RECORD_BYTES: usize = 1 << 14;
/// The content type `handshake` (RFC 8446 §5.1).
const HANDSHAKE_RECORD: u8 = 22;
/// The head of a handshake message: type and length (RFC 8446 §4).
const MESSAGE_HEAD_BYTES: usize = 4;
/// The message type `client_hello` (RFC 8446 §4).
const CLIENT_HELLO: u8 = 1;
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
    let message = handshake_message(bytes)?;
    match announces_early_data(&message) {
        Ok(false) => Ok(()),
        // A message that is whole and ends too early is malformed.
        Ok(true) | Err(Stop::Short | Stop::Unrepeatable) => Err(Stop::Unrepeatable),
    }
}

/// The body of the ClientHello that the records hold, if nothing else is in them and nothing follows.
fn handshake_message(bytes: &[u8]) -> Result<Vec<u8>, Stop> {
    let mut fragments = Vec::new();
    let mut head = Vec::with_capacity(MESSAGE_HEAD_BYTES);
    let mut carried = 0;
    let mut left = Reader(bytes);
    loop {
        let length = record_length(&mut left)?;
        let fragment = left.0.get(..length).unwrap_or(left.0);
        left.0 = left.0.get(length..).unwrap_or_default();
        head.extend(fragment.iter().take(MESSAGE_HEAD_BYTES - head.len()));
        fragments.push(fragment);
        carried += length;
        let expected = message_length(&head)?;
        if expected.is_some_and(|expected| carried > expected) {
            return Err(Stop::Unrepeatable);
        }
        if fragment.len() < length {
            return Err(Stop::Short);
        }
        if Some(carried) == expected {
            break;
        }
    }
    if !left.0.is_empty() {
        return Err(Stop::Unrepeatable);
    }
    let mut message = fragments.concat();
    message.drain(..MESSAGE_HEAD_BYTES);
    Ok(message)
}

/// Reads the head of a record; yields how many bytes follow in it.
fn record_length(bytes: &mut Reader<'_>) -> Result<usize, Stop> {
    let head = bytes.0.get(..RECORD_HEAD_BYTES).unwrap_or(bytes.0);
    // The version is 3.1 or 3.3, and 3.0 from clients of long ago; it says nothing (RFC 8446 §5.1).
    let fits = |at: usize, fits: fn(u8) -> bool| head.get(at).is_none_or(|&byte| fits(byte));
    let is_handshake = fits(0, |kind| kind == HANDSHAKE_RECORD)
        && fits(1, |major| major == 3)
        && fits(2, |minor| minor <= 4)
        && fits(3, |high| usize::from(high) <= MAX_RECORD_BYTES >> 8);
    if !is_handshake {
        return Err(Stop::Unrepeatable);
    }
    bytes.take(3)?;
    let length = bytes.number(2)?;
    // An empty handshake record is not allowed (RFC 8446 §5.1).
    if (1..=MAX_RECORD_BYTES).contains(&length) { Ok(length) } else { Err(Stop::Unrepeatable) }
}

/// How long the message with this head is, its head included, as far as the head is there.
fn message_length(head: &[u8]) -> Result<Option<usize>, Stop> {
    if head.first().is_some_and(|&kind| kind != CLIENT_HELLO) {
        return Err(Stop::Unrepeatable);
    }
    let mut head = Reader(head.get(1..).unwrap_or_default());
    let Ok(length) = head.number(MESSAGE_HEAD_BYTES - 1) else { return Ok(None) };
    if length > MAX_FIRST_FLIGHT_BYTES {
        Err(Stop::Unrepeatable)
    } else {
        Ok(Some(MESSAGE_HEAD_BYTES + length))
    }
}

/// Whether the body of a ClientHello has the extension `early_data`.
fn announces_early_data(message: &[u8]) -> Result<bool, Stop> {
    let mut message = Reader(message);
    // The version and the random; then the session id, cipher suites and compression methods.
    message.take(2 + 32)?;
    for length_bytes in [1, 2, 1] {
        message.vector(length_bytes)?;
    }
    // TLS 1.2 has hellos without extensions (RFC 5246 §7.4.1.2).
    if message.0.is_empty() {
        return Ok(false);
    }
    let mut extensions = Reader(message.vector(2)?);
    let mut found = false;
    while !extensions.0.is_empty() {
        found |= extensions.number(2)? == EARLY_DATA;
        extensions.vector(2)?;
    }
    if message.0.is_empty() { Ok(found) } else { Err(Stop::Unrepeatable) }
}

/// Takes bytes from the front.
struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take(&mut self, count: usize) -> Result<&'b [u8], Stop> {
        let (taken, left) = self.0.split_at_checked(count).ok_or(Stop::Short)?;
        self.0 = left;
        Ok(taken)
    }

    /// A number of so many bytes, the highest first.
    fn number(&mut self, bytes: usize) -> Result<usize, Stop> {
        Ok(self.take(bytes)?.iter().fold(0, |number, &byte| number << 8 | usize::from(byte)))
    }

    /// Bytes with their length in front, which has so many bytes itself (RFC 8446 §3.4).
    fn vector(&mut self, length_bytes: usize) -> Result<&'b [u8], Stop> {
        let length = self.number(length_bytes)?;
        self.take(length)
    }
}

#[cfg(test)]
mod tests;
