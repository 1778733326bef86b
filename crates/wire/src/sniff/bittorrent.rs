use super::{Sniff, Sniffed};

/// The length of the protocol's name, with which a handshake begins (BEP 3).
pub(super) const FIRST_BYTE: u8 = 19;

const HANDSHAKE: &[u8] = b"\x13BitTorrent protocol";

pub(super) fn sniff(bytes: &[u8]) -> Sniff {
    if bytes.starts_with(HANDSHAKE) {
        Sniff::Found(Sniffed::new("bittorrent", None))
    } else if HANDSHAKE.starts_with(bytes) {
        Sniff::NeedMore
    } else {
        Sniff::Unknown
    }
}
