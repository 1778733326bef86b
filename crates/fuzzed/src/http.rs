//! Requests of HTTP/1 that are forwarded, their targets, and first flights that may be sent again.

use waypost_wire::{
    AbsoluteUri, FirstFlight, Guarded, MAX_HTTP_HEAD_BYTES, Refusal, RequestGuard, first_flight,
};

use crate::script::{Cuts, Script};

/// What is read, how it is cut, and bytes.
pub fn http(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let kind = script.byte();
    let cuts = script.cuts();
    match kind % 3 {
        0 => requests(script.rest(), cuts, kind & 0x80 != 0),
        1 => absolute_uri(script.rest()),
        _ => flight(script.rest(), cuts),
    }
}

/// What a guard does with all that it is fed.
#[derive(Debug, PartialEq)]
struct Read {
    passed: Vec<u8>,
    /// What is held, and what was not fed any more.
    left: Vec<u8>,
    end: Result<Guarded, Refusal>,
}

fn requests(bytes: &[u8], cuts: Cuts<'_>, declines: bool) {
    let whole = read(bytes, Cuts::NONE, declines);
    assert_eq!(read(bytes, cuts, declines), whole, "in pieces");
    assert_eq!(read(bytes, Cuts::BYTES, declines), whole, "byte by byte");
    match &whole.end {
        Ok(_) => {
            let after = after(bytes, &[whole.passed, whole.left].concat());
            assert_eq!(after.map(<[u8]>::is_empty), Some(true), "bytes were lost");
        }
        Err(refusal) => {
            assert!(after(bytes, &whole.passed).is_some(), "other bytes were passed on");
            assert!(refusal.reply.starts_with(b"HTTP/1.1 "), "no response");
        }
    }
}

/// What comes after `passed` in `bytes`, if nothing but line ends was left out: those before a request are
/// (RFC 9112 §2.2).
fn after<'a>(bytes: &'a [u8], passed: &[u8]) -> Option<&'a [u8]> {
    let mut rest = bytes;
    for byte in passed {
        let place = rest.iter().position(|other| other == byte)?;
        let (skipped, found) = rest.split_at(place);
        if !skipped.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
            return None;
        }
        rest = found.get(1..)?;
    }
    let n_line_ends = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    rest.get(n_line_ends..)
}

fn read(bytes: &[u8], cuts: Cuts<'_>, declines: bool) -> Read {
    let mut guard = RequestGuard::default();
    let mut passed = Vec::new();
    let mut left = Vec::new();
    let mut end = Ok(Guarded::Open);
    for mut piece in cuts.pieces(bytes) {
        if end != Ok(Guarded::Open) {
            left.extend_from_slice(piece);
            continue;
        }
        let length = piece.len();
        let before = passed.len();
        loop {
            end = guard.advance(piece, &mut passed);
            if !declines || end != Ok(Guarded::Upgrade) {
                break;
            }
            guard.decline_upgrade();
            piece = &[];
        }
        assert!(passed.len() - before <= length + MAX_HTTP_HEAD_BYTES, "more was held than it may");
    }
    // What is held comes before what was not fed.
    let held = if end.is_ok() { guard.into_held() } else { Vec::new() };
    if end.is_err() {
        left.clear();
    }
    left.splice(..0, held);
    Read { passed, left, end }
}

fn absolute_uri(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(uri) = AbsoluteUri::parse(&text) else { return };
    assert!(uri.path.starts_with('/') || uri.path == "*", "a path without a slash: {}", uri.path);
    let _text = uri.decoded_path();
    let again = AbsoluteUri::parse(&format!("http://{}{}", uri.host(), uri.path));
    assert_eq!(again.as_ref(), Ok(&uri), "written and read again");
}

/// A part of a flight that may be sent again wants more, and what may not stays so.
fn flight(bytes: &[u8], cuts: Cuts<'_>) {
    let whole = first_flight(bytes);
    let mut length = 0;
    for piece in cuts.pieces(bytes).chain(Cuts::BYTES.pieces(&[])) {
        length += piece.len();
        let part = bytes.get(..length).unwrap_or_default();
        match first_flight(part) {
            FirstFlight::NeedMore => {}
            FirstFlight::Unrepeatable => assert_eq!(whole, FirstFlight::Unrepeatable, "a part is not"),
            FirstFlight::Repeatable(_) if length == bytes.len() => {}
            FirstFlight::Repeatable(_) => {
                assert_eq!(whole, FirstFlight::Unrepeatable, "something follows after {length} bytes");
            }
        }
    }
}
