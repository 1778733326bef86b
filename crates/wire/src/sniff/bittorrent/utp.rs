//! The transport protocol of BitTorrent (BEP 29).

const HEADER_BYTES: usize = 20;
/// The type `ST_SYN` and version 1.
const SYN: u8 = 0x41;
/// The type `ST_STATE` and version 1.
const STATE: u8 = 0x21;
/// Selective acknowledgements, and bits that old clients sent with the first packet.
const EXTENSIONS: [u8; 2] = [1, 2];
/// Windows are of this many bytes at most; clients have 1 MiB.
const MAX_WINDOW: u32 = 1 << 24;

/// Whether a datagram is the first that a peer sends: one that opens a connection, or the answer to
/// such a one. Neither carries anything, so that the extensions have to end where the datagram does.
///
/// The version and the type alone would fit one of fifty datagrams of anything else. That is why the
/// other fields count: a peer that opens a connection has received nothing, so that it has neither a
/// delay to tell nor a packet to acknowledge, and who acknowledges has both.
pub(super) fn is_first(datagram: &[u8]) -> bool {
    let Some((header, rest)) = datagram.split_first_chunk::<HEADER_BYTES>() else { return false };
    let [kind, extension, _, _, t0, t1, t2, t3, d0, d1, d2, d3, w0, w1, w2, w3, _, _, a0, a1] = *header;
    let sent_at = u32::from_be_bytes([t0, t1, t2, t3]);
    let delay = u32::from_be_bytes([d0, d1, d2, d3]);
    let acknowledged = u16::from_be_bytes([a0, a1]);
    let is_kind = match kind {
        SYN => delay == 0 && acknowledged == 0,
        STATE => delay != 0 && acknowledged != 0,
        _ => false,
    };
    is_kind
        && sent_at != 0
        && u32::from_be_bytes([w0, w1, w2, w3]) < MAX_WINDOW
        && ends_with_extensions(extension, rest)
}

/// Whether the extensions, of which the first is named before them, are all that follows.
fn ends_with_extensions(mut kind: u8, mut rest: &[u8]) -> bool {
    while kind != 0 {
        let [next, length, tail @ ..] = rest else { return false };
        let (true, Some(behind)) = (EXTENSIONS.contains(&kind), tail.get(usize::from(*length)..)) else {
            return false;
        };
        (kind, rest) = (*next, behind);
    }
    rest.is_empty()
}
