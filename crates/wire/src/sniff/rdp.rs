//! The request that an RDP connection begins with: an X.224 Connection Request in a TPKT
//! (MS-RDPBCGR §2.2.1.1, RFC 1006 §6, RFC 2126 §4.3).

use super::{Sniff, Sniffed};

/// The version of a TPKT.
pub(super) const FIRST_BYTE: u8 = 3;

const TPKT_BYTES: usize = 4;
/// The length, the type, both references and the class.
const FIXED_BYTES: usize = 7;
/// What the length of an X.224 header can say, and the byte that says it.
const MAX_REQUEST_BYTES: usize = TPKT_BYTES + 1 + 254;
const CONNECTION_REQUEST: u8 = 0xe0;
/// What a routing token and a cookie begin with.
const COOKIE: &[u8] = b"Cookie: mst";
/// The negotiation request: its type, then the flags, then the length of it all.
const NEGOTIATION: u8 = 1;
const NEGOTIATION_BYTES: usize = 8;
/// A request that says which account is used has this behind it.
const CORRELATION: u8 = 6;

pub(super) fn sniff(bytes: &[u8]) -> Sniff {
    let expected = |at: usize, value: u8| bytes.get(at).is_none_or(|&byte| byte == value);
    if !expected(0, FIRST_BYTE) || !expected(1, 0) || !expected(5, CONNECTION_REQUEST) {
        return Sniff::Unknown;
    }
    let Some(&[high, low]) = bytes.get(2..4).and_then(|length| length.first_chunk()) else {
        return if expected(2, 0) || expected(2, 1) { Sniff::NeedMore } else { Sniff::Unknown };
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    let is_length = (TPKT_BYTES + FIXED_BYTES + 1..=MAX_REQUEST_BYTES).contains(&length)
        && bytes.get(TPKT_BYTES).is_none_or(|&inner| usize::from(inner) + TPKT_BYTES + 1 == length);
    // Both references and the class are zero.
    if !is_length || !(6..TPKT_BYTES + FIXED_BYTES).all(|at| expected(at, 0)) {
        return Sniff::Unknown;
    }
    match bytes.get(TPKT_BYTES + FIXED_BYTES..length) {
        Some(variable) if is_rdp(variable) => Sniff::Found(Sniffed::new("rdp", None)),
        Some(_) => Sniff::Unknown,
        None => Sniff::NeedMore,
    }
}

/// Whether what follows the fixed part is a cookie or a negotiation: others speak X.224, too.
fn is_rdp(variable: &[u8]) -> bool {
    if variable.starts_with(COOKIE) {
        return true;
    }
    match variable.split_first_chunk::<NEGOTIATION_BYTES>() {
        Some(([NEGOTIATION, _flags, 8, 0, ..], rest)) => matches!(rest, [] | [CORRELATION, ..]),
        Some(_) | None => false,
    }
}
