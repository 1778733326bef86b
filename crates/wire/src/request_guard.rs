//! Reads along with an HTTP/1 server, and lets nothing through that two servers could read differently.

mod chunks;
mod head;

use crate::{
    MAX_HTTP_HEAD_BYTES, ServerError,
    answer::http_error,
    head::{HeadEnd, HeadScanner},
    machine::Fault,
};
use chunks::Chunks;
use head::{Framing, check_head, check_start};
pub(crate) use head::{bad_request, too_large};

/// Checks the requests of a client before a server for them reads a byte.
///
/// The bytes of a head are held back until the head is whole and right; those of a body are passed on
/// as they come. What RFC 9112 leaves to the tolerance of a server is refused: a line feed without
/// carriage return, a folded header, whitespace before a colon, `Content-Length` beside
/// `Transfer-Encoding`, several lengths that differ, any coding but one `chunked`, a chunk size that is
/// no plain hexadecimal number. So is what is no request to a proxy: anything but CONNECT and `http`
/// URIs in absolute form.
///
/// Holds at most [`MAX_HTTP_HEAD_BYTES`] and the last piece it was fed. Never panics.
#[derive(Debug, Default)]
pub struct RequestGuard {
    state: State,
    /// What is not passed on yet.
    held: Vec<u8>,
}

#[derive(Debug)]
enum State {
    Head(HeadScanner),
    Body { left: u64 },
    Chunks(Chunks),
    Upgrade,
    Connect,
    Over,
}

impl Default for State {
    fn default() -> Self {
        Self::Head(HeadScanner::default())
    }
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guarded {
    /// More of the same.
    Open,
    /// The last request that was passed on asks for another protocol. What follows is held back until
    /// [`RequestGuard::decline_upgrade`].
    Upgrade,
    /// A CONNECT begins what is held; it is not passed on.
    Connect,
}

/// Why a client was turned away, and what it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// A whole HTTP response that closes the connection.
    pub reply: Vec<u8>,
    /// Why.
    pub error: ServerError,
}

/// What a client is told that does not come to the end of a head.
#[must_use]
pub fn request_timeout() -> Refusal {
    let reply = http_error("408 Request Timeout", &[], "The request took too long.");
    Refusal { reply, error: ServerError::HttpHeadTimeout }
}

impl RequestGuard {
    /// Takes what was read, and puts what may be passed on behind `passed`.
    ///
    /// # Errors
    ///
    /// If the client is to be turned away. What was passed on before stays right; nothing is any more.
    pub fn advance(&mut self, input: &[u8], passed: &mut Vec<u8>) -> Result<Guarded, Refusal> {
        self.held.extend_from_slice(input);
        let turned = self.turn(passed);
        if turned.is_err() {
            self.state = State::Over;
            self.held = Vec::new();
        }
        turned.map_err(|Fault { reply, error }| Refusal { reply, error })
    }

    /// Whether a head has begun and is not whole.
    #[must_use]
    pub fn is_in_head(&self) -> bool {
        matches!(self.state, State::Head(_)) && !self.held.is_empty()
    }

    /// Whether the last request has been passed on, and none has begun.
    #[must_use]
    pub fn is_between_requests(&self) -> bool {
        matches!(self.state, State::Head(_)) && self.held.is_empty()
    }

    /// Goes on with requests, because the other protocol was declined.
    pub fn decline_upgrade(&mut self) {
        if matches!(self.state, State::Upgrade) {
            self.state = State::default();
        }
    }

    /// What was read and not passed on.
    #[must_use]
    pub fn into_held(self) -> Vec<u8> {
        self.held
    }

    /// Passes on what can be.
    fn turn(&mut self, passed: &mut Vec<u8>) -> Result<Guarded, Fault<ServerError>> {
        loop {
            let next = match &mut self.state {
                State::Over => {
                    self.held.clear();
                    return Ok(Guarded::Open);
                }
                State::Upgrade => return Ok(Guarded::Upgrade),
                State::Connect => return Ok(Guarded::Connect),
                State::Body { left } => {
                    let here = usize::try_from(*left).unwrap_or(usize::MAX).min(self.held.len());
                    passed.extend(self.held.drain(..here));
                    *left -= here as u64;
                    if *left > 0 {
                        return Ok(Guarded::Open);
                    }
                    State::default()
                }
                State::Chunks(chunks) => {
                    let (here, whole) = chunks.advance(&self.held);
                    passed.extend(self.held.drain(..here));
                    if !whole? {
                        return Ok(Guarded::Open);
                    }
                    State::default()
                }
                State::Head(scanner) => match scan_head(scanner, &mut self.held)? {
                    None => return Ok(Guarded::Open),
                    Some((framing, length)) => {
                        passed.extend(self.held.drain(..length));
                        match framing {
                            Framing::Length(0) => State::default(),
                            Framing::Length(left) => State::Body { left },
                            Framing::Chunked => State::Chunks(Chunks::default()),
                            Framing::Upgrade => State::Upgrade,
                            Framing::Connect => State::Connect,
                        }
                    }
                },
            };
            self.state = next;
        }
    }
}

/// How the body of a whole head is framed, and how long the head is; nothing is passed on of a CONNECT.
fn scan_head(
    scanner: &mut HeadScanner,
    held: &mut Vec<u8>,
) -> Result<Option<(Framing, usize)>, Fault<ServerError>> {
    // A server may skip empty lines before a request (RFC 9112 §2.2).
    while held.starts_with(b"\r\n") {
        held.drain(..2);
        *scanner = HeadScanner::default();
    }
    if held.is_empty() || held == b"\r" {
        return Ok(None);
    }
    check_start(held)?;
    if held.starts_with(b"CONNECT ") {
        return Ok(Some((Framing::Connect, 0)));
    }
    match scanner.scan(held) {
        HeadEnd::NotYet => Ok(None),
        HeadEnd::TooFar => Err(too_large()),
        HeadEnd::At(length) => {
            let head = held.get(..length).unwrap_or(held);
            debug_assert!(head.len() <= MAX_HTTP_HEAD_BYTES);
            check_head(head).map(|framing| Some((framing, length)))
        }
    }
}
