//! Questions to DNS servers (RFC 1035 §4.1), in datagrams and in streams (RFC 7766 §8).

use super::{Sniff, Sniffed};

const HEADER_BYTES: usize = 12;
/// A name has at most 255 bytes, and behind it are its type and class.
const MAX_QUESTION_BYTES: usize = 255 + 4;
const CLASS_INTERNET: [u8; 2] = [0, 1];
const MAX_LABEL_BYTES: u8 = 63;

/// Whether a datagram is one question.
pub(super) fn is_question(message: &[u8]) -> bool {
    begins_like_question(message)
        && message.get(HEADER_BYTES..).is_some_and(|rest| question(rest) == Some(true))
}

/// A question behind its length.
pub(super) fn sniff_stream(bytes: &[u8]) -> Sniff {
    let Some((length, message)) = bytes.split_first_chunk::<2>() else { return Sniff::NeedMore };
    let length = usize::from(u16::from_be_bytes(*length));
    let message = message.get(..length).unwrap_or(message);
    // An additional record, as for EDNS (RFC 6891), may come behind it.
    if length < HEADER_BYTES + 5 || !begins_like_question(message) {
        return Sniff::Unknown;
    }
    match message.get(HEADER_BYTES..).and_then(question) {
        Some(true) => Sniff::Found(Sniffed::new("dns", None)),
        Some(false) => Sniff::Unknown,
        None if message.len() == length => Sniff::Unknown,
        None => Sniff::NeedMore,
    }
}

/// Whether as much of a header as is there is that of one plain question.
fn begins_like_question(message: &[u8]) -> bool {
    // QR, opcode, AA, TC and RCODE are zero; of the counts all but that of additional records are fixed.
    let expected: [(usize, u8, u8); 9] = [
        (2, 0b1111_1110, 0),
        (3, 0b0000_1111, 0),
        (4, 0xff, 0),
        (5, 0xff, 1),
        (6, 0xff, 0),
        (7, 0xff, 0),
        (8, 0xff, 0),
        (9, 0xff, 0),
        (10, 0xff, 0),
    ];
    expected.iter().all(|(at, mask, value)| message.get(*at).is_none_or(|byte| byte & mask == *value))
}

/// Whether a question is well-formed; `None` if it is not all there.
fn question(bytes: &[u8]) -> Option<bool> {
    let mut at = 0;
    loop {
        match *bytes.get(at)? {
            0 => break,
            length if length <= MAX_LABEL_BYTES => at += 1 + usize::from(length),
            _ => return Some(false),
        }
        if at > MAX_QUESTION_BYTES {
            return Some(false);
        }
    }
    Some(bytes.get(at + 3..at + 5)? == CLASS_INTERNET)
}
