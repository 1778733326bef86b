//! The handshake of peers over TCP (BEP 3).

use crate::sniff::{Sniff, Sniffed};

/// The length of the protocol's name, with which a handshake begins (BEP 3).
pub(in crate::sniff) const FIRST_BYTE: u8 = 19;

const HANDSHAKE: &[u8] = b"\x13BitTorrent protocol";

pub(in crate::sniff) fn sniff(bytes: &[u8]) -> Sniff {
    if bytes.starts_with(HANDSHAKE) {
        Sniff::Found(Sniffed::new("bittorrent", None))
    } else if HANDSHAKE.starts_with(bytes) {
        Sniff::NeedMore
    } else {
        Sniff::Unknown
    }
}
