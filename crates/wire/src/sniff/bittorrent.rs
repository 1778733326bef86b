//! What BitTorrent peers send to each other, to trackers and to the nodes of the DHT.

mod dht;
mod stream;
mod tracker;
mod utp;

pub(super) use self::stream::{FIRST_BYTE, sniff};

/// Whether a datagram is one of uTP, of a tracker or of the DHT.
pub(super) fn is_datagram(datagram: &[u8]) -> bool {
    tracker::is_connect(datagram) || utp::is_first(datagram) || dht::is_message(datagram)
}
