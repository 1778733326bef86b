//! What a server answers: the bytes of the target, unless it took this end for a stranger.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::{Open, Opened, PlainSealer, Seal, codec::open_plain};

/// What a web site begins its answer with.
const SITE: &[u8] = b"HTTP/1.";
/// What a ClientHello begins with: a handshake record (RFC 8446 §5.1).
const TLS: u8 = 0x16;

/// Writes the request and what follows.
#[derive(Debug)]
pub struct TrojanSealer {
    plain: PlainSealer,
    has_begun: bool,
    may_ask_a_site: Arc<AtomicBool>,
}

/// Reads what the server answers.
#[derive(Debug)]
pub struct TrojanOpener {
    is_settled: bool,
    /// Whether something was asked that a web site would answer.
    may_ask_a_site: Arc<AtomicBool>,
}

/// Why an answer is none of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrojanOpenError {
    /// A web site answered to the begin of TLS, or to nothing: the server takes strangers there.
    #[error("the trojan server answered as a web site: it does not know the password")]
    Site,
    /// The server closed before it could be told whether a web site answered.
    #[error("closed in the middle of what may be the answer of a web site")]
    Cut,
}

/// Both directions of a byte stream, the first of which begins with `plain`.
pub(super) fn both(plain: PlainSealer) -> (TrojanSealer, TrojanOpener) {
    let may_ask_a_site = Arc::<AtomicBool>::default();
    let sealer = TrojanSealer { plain, has_begun: false, may_ask_a_site: may_ask_a_site.clone() };
    (sealer, TrojanOpener { is_settled: false, may_ask_a_site })
}

impl Seal for TrojanSealer {
    fn seal(&mut self, plain: &[u8], wire: &mut Vec<u8>) {
        if let (false, Some(first)) = (self.has_begun, plain.first()) {
            self.has_begun = true;
            self.may_ask_a_site.store(*first != TLS, Ordering::Relaxed);
        }
        self.plain.seal(plain, wire);
    }

    fn finish(&mut self, wire: &mut Vec<u8>) {
        self.plain.finish(wire);
    }

    fn piece_bytes(&self) -> usize {
        self.plain.piece_bytes()
    }

    fn is_plain(&self) -> bool {
        self.has_begun && self.plain.is_plain()
    }
}

impl Open for TrojanOpener {
    type Error = TrojanOpenError;

    fn open(&mut self, wire: &mut [u8]) -> Result<Opened, TrojanOpenError> {
        if !self.is_settled && !self.may_ask_a_site.load(Ordering::Relaxed) && !wire.is_empty() {
            if SITE.starts_with(wire) && wire.len() < SITE.len() {
                return Ok(Opened::NeedMore { at_least: SITE.len() });
            }
            if wire.starts_with(SITE) {
                return Err(TrojanOpenError::Site);
            }
        }
        self.is_settled |= !wire.is_empty();
        Ok(open_plain(wire))
    }

    fn close(&self, unread: usize) -> Result<(), TrojanOpenError> {
        if unread == 0 { Ok(()) } else { Err(TrojanOpenError::Cut) }
    }

    fn is_plain(&self) -> bool {
        self.is_settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sent: &[u8], answer: &[u8], expected: &Result<Opened, TrojanOpenError>) {
        let (mut sealer, mut opener) = both(PlainSealer::new(b"head".to_vec()));
        let mut wire = Vec::new();
        sealer.seal(sent, &mut wire);
        assert_eq!(wire, [b"head", sent].concat());
        assert_eq!(&opener.open(&mut answer.to_vec()), expected);
    }

    #[test]
    fn a_web_site_that_answers_to_tls_is_told_from_the_target() {
        let all = |answer: &[u8]| Ok(Opened::Piece { plain: 0..answer.len(), consumed: answer.len() });
        check(b"\x16\x03\x01", b"HTTP/1.1 400 Bad Request\r\n", &Err(TrojanOpenError::Site));
        check(b"\x16\x03\x01", b"HTT", &Ok(Opened::NeedMore { at_least: 7 }));
        for answer in [&b"\x16\x03\x03"[..], b"HTTPS", b"H2"] {
            check(b"\x16\x03\x01", answer, &all(answer));
        }
        check(b"GET / HTTP/1.1\r\n", b"HTTP/1.1 200 OK\r\n", &all(b"HTTP/1.1 200 OK\r\n"));
        check(b"", b"HTTP/1.1 400 Bad Request\r\n", &Err(TrojanOpenError::Site));
        check(b"", b"220 mail.example.com ESMTP\r\n", &all(b"220 mail.example.com ESMTP\r\n"));
    }

    #[test]
    fn what_is_held_back_is_not_lost_without_a_word() {
        let (_, mut opener) = both(PlainSealer::default());
        assert_eq!(opener.close(0), Ok(()));
        assert_eq!(opener.open(&mut b"HTTP".to_vec()), Ok(Opened::NeedMore { at_least: 7 }));
        assert_eq!(opener.close(4), Err(TrojanOpenError::Cut));
    }
}
