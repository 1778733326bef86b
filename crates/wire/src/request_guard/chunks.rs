use httparse::{EMPTY_HEADER, Status};

use super::head::{bad_request, has_bare_line_feed};
use crate::{ServerError, machine::Fault};

/// The digits of 2^60 - 1; no body is longer.
const MAX_SIZE_DIGITS: u8 = 15;
/// Nobody is known to use chunk extensions at all.
const MAX_EXTENSION_BYTES: u16 = 1024;
/// Trailers are few: a checksum, a signature.
const MAX_TRAILER_BYTES: usize = 8 * 1024;
const MAX_TRAILERS: usize = 32;

/// Follows a body in chunks (RFC 9112 §7.1).
#[derive(Debug, Default)]
pub(super) struct Chunks(Place);

/// What is expected next.
#[derive(Debug, Clone, Copy)]
enum Place {
    Size { size: u64, digits: u8 },
    Extension { size: u64, length: u16 },
    SizeEnd { size: u64 },
    Data { left: u64 },
    DataReturn,
    DataEnd,
    Trailers,
    Whole,
}

impl Default for Place {
    fn default() -> Self {
        Self::Size { size: 0, digits: 0 }
    }
}

impl Chunks {
    /// How many of `bytes` are right, and whether the body is over with them. What is not counted is to
    /// be given again, with what follows.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> (usize, Result<bool, Fault<ServerError>>) {
        let mut at = 0;
        loop {
            let left = bytes.get(at..).unwrap_or_default();
            match self.step(left) {
                Ok(0) => return (at, Ok(matches!(self.0, Place::Whole))),
                Ok(count) => at += count,
                Err(fault) => return (at, Err(fault)),
            }
        }
    }

    /// Takes a few bytes, or none if more are needed or none are left to take.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, Fault<ServerError>> {
        match self.0 {
            Place::Whole => Ok(0),
            Place::Trailers => {
                let length = trailers(bytes)?;
                if length.is_some() {
                    self.0 = Place::Whole;
                }
                Ok(length.unwrap_or(0))
            }
            Place::Data { left } => {
                let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                let left = left - here as u64;
                self.0 = if left == 0 { Place::DataReturn } else { Place::Data { left } };
                Ok(here)
            }
            Place::Size { .. }
            | Place::Extension { .. }
            | Place::SizeEnd { .. }
            | Place::DataReturn
            | Place::DataEnd => {
                let Some(&byte) = bytes.first() else { return Ok(0) };
                self.0 = next(self.0, byte).ok_or_else(|| bad_request("invalid chunk"))?;
                Ok(1)
            }
        }
    }
}

/// Where one byte leads, if it is right there.
fn next(place: Place, byte: u8) -> Option<Place> {
    match (place, byte) {
        (Place::Size { size, digits }, b'\r') if digits > 0 => Some(Place::SizeEnd { size }),
        (Place::Size { size, digits }, b';') if digits > 0 => Some(Place::Extension { size, length: 0 }),
        (Place::Size { size, digits }, _) if digits < MAX_SIZE_DIGITS => {
            let digit = char::from(byte).to_digit(16)?;
            Some(Place::Size { size: size << 4 | u64::from(digit), digits: digits + 1 })
        }
        (Place::Extension { size, .. }, b'\r') => Some(Place::SizeEnd { size }),
        (Place::Extension { size, length }, b'\t' | b' '..=b'~' | 0x80..) if length < MAX_EXTENSION_BYTES => {
            Some(Place::Extension { size, length: length + 1 })
        }
        (Place::SizeEnd { size: 0 }, b'\n') => Some(Place::Trailers),
        (Place::SizeEnd { size }, b'\n') => Some(Place::Data { left: size }),
        (Place::DataReturn, b'\r') => Some(Place::DataEnd),
        (Place::DataEnd, b'\n') => Some(Place::default()),
        (_, _) => None,
    }
}

/// How long the trailers are, the empty line at their end included, if that has come.
fn trailers(bytes: &[u8]) -> Result<Option<usize>, Fault<ServerError>> {
    let mut length = 0;
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        length += line.len();
        if length > MAX_TRAILER_BYTES {
            return Err(bad_request("trailers too large"));
        }
        if line == b"\r\n" {
            return check_trailers(bytes.get(..length).unwrap_or(bytes)).map(|()| Some(length));
        }
        if line == b"\n" {
            return Err(bad_request("bare line feed"));
        }
    }
    Ok(None)
}

fn check_trailers(bytes: &[u8]) -> Result<(), Fault<ServerError>> {
    const FORBIDDEN: [&str; 3] = ["content-length", "transfer-encoding", "host"];
    if has_bare_line_feed(bytes) {
        return Err(bad_request("bare line feed"));
    }
    let mut headers = [EMPTY_HEADER; MAX_TRAILERS];
    let Ok(Status::Complete((_, trailers))) = httparse::parse_headers(bytes, &mut headers) else {
        return Err(bad_request("invalid trailers"));
    };
    let is_forbidden = |name: &str| FORBIDDEN.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden));
    // What frames or routes a message may not come behind it (RFC 9110 §6.5.1).
    if trailers.iter().any(|trailer| is_forbidden(trailer.name)) {
        return Err(bad_request("invalid trailers"));
    }
    Ok(())
}
