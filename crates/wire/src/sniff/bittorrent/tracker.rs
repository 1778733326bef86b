//! UDP trackers (BEP 15).

/// A number that every connection begins with, and the action `connect`.
const CONNECT: [u8; 12] = [0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0];
/// With the transaction id.
const CONNECT_BYTES: usize = 16;

/// Whether a datagram asks a tracker for a connection.
pub(super) fn is_connect(datagram: &[u8]) -> bool {
    datagram.len() >= CONNECT_BYTES && datagram.starts_with(&CONNECT)
}
