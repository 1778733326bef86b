//! What is spoken in datagrams, as far as the first one tells.

use super::{Sniffed, dns};

/// QUIC version 1 (RFC 9000 §15) and version 2 (RFC 9369 §3.1), and what an Initial packet is there.
const QUIC_VERSIONS: [([u8; 4], u8); 2] =
    [([0, 0, 0, 1], 0b0000_0000), ([0x6b, 0x33, 0x43, 0xcf], 0b0001_0000)];
/// What a client pads its first datagram to (RFC 9000 §14.1).
const QUIC_LEAST_BYTES: usize = 1200;
const QUIC_MAX_ID_BYTES: u8 = 20;
/// RFC 8489 §5.
const STUN_HEADER_BYTES: usize = 20;
const STUN_MAGIC: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
/// Change cipher spec, alert, handshake, application data and heartbeat.
const DTLS_TYPES: [u8; 5] = [20, 21, 22, 23, 24];
const DTLS_HEADER_BYTES: usize = 13;
/// Without extensions and authentication (RFC 5905 §7.3).
const NTP_BYTES: usize = 48;
const NTP_CLIENT: u8 = 3;

/// Says what the first datagram of a client is: `dns`, `quic`, `stun`, `dtls` or `ntp`. Of QUIC the
/// server name is not read, because it is encrypted.
///
/// ```
/// use waypost_wire::sniff_datagram;
///
/// let question = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07example\x03com\0\0\x01\0\x01";
/// assert_eq!(sniff_datagram(question).unwrap().protocol, "dns");
/// assert_eq!(sniff_datagram(b"hello"), None);
/// ```
#[must_use]
pub fn sniff_datagram(datagram: &[u8]) -> Option<Sniffed> {
    let label = if dns::is_question(datagram) {
        "dns"
    } else if is_quic(datagram) {
        "quic"
    } else if is_stun(datagram) {
        "stun"
    } else if is_dtls(datagram) {
        "dtls"
    } else if is_ntp(datagram) {
        "ntp"
    } else {
        return None;
    };
    Some(Sniffed::new(label, None))
}

/// An Initial packet of a client (RFC 9000 §17.2.2).
fn is_quic(datagram: &[u8]) -> bool {
    let Some((&first, rest)) = datagram.split_first() else { return false };
    let Some((version, rest)) = rest.split_first_chunk::<4>() else { return false };
    let initial = QUIC_VERSIONS.iter().find(|(known, _)| known == version);
    let is_initial = initial.is_some_and(|(_, kind)| first & 0b0011_0000 == *kind);
    datagram.len() >= QUIC_LEAST_BYTES
        && first & 0b1100_0000 == 0b1100_0000
        && is_initial
        && rest.first().is_some_and(|&length| length <= QUIC_MAX_ID_BYTES)
}

fn is_stun(datagram: &[u8]) -> bool {
    let length = datagram.get(2..4).and_then(|bytes| bytes.first_chunk::<2>());
    datagram.first().is_some_and(|first| first & 0b1100_0000 == 0)
        && datagram.get(4..8) == Some(&STUN_MAGIC)
        && length.is_some_and(|length| {
            usize::from(u16::from_be_bytes(*length)) + STUN_HEADER_BYTES <= datagram.len()
        })
}

/// A record of DTLS 1.0 or 1.2 (RFC 6347 §4.1).
fn is_dtls(datagram: &[u8]) -> bool {
    datagram.len() >= DTLS_HEADER_BYTES
        && datagram.first().is_some_and(|kind| DTLS_TYPES.contains(kind))
        && matches!(datagram.get(1..3), Some([254, 253 | 255]))
}

/// A client's request of version 1 to 4.
fn is_ntp(datagram: &[u8]) -> bool {
    let Some(&first) = datagram.first() else { return false };
    let (version, mode) = ((first >> 3) & 0b111, first & 0b111);
    datagram.len() == NTP_BYTES && (1..=4).contains(&version) && mode == NTP_CLIENT
}
