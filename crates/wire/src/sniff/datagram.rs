//! What is spoken in the datagrams that a client sends to one target.

use super::{
    Protocols, Sniff, Sniffed, bittorrent, dns,
    protocols::Protocol,
    quic::{self, QuicSniffer},
};

/// RFC 8489 §5.
const STUN_HEADER_BYTES: usize = 20;
const STUN_MAGIC: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
/// Change cipher spec, alert, handshake, application data, heartbeat, connection id and acknowledgement
/// (RFC 9147 §4).
const DTLS_TYPES: std::ops::RangeInclusive<u8> = 20..=26;
const DTLS_HEADER_BYTES: usize = 13;
/// Without extensions and authentication (RFC 5905 §7.3).
const NTP_BYTES: usize = 48;
const NTP_CLIENT: u8 = 3;
/// RFC 5905 §7.3: 16 is a clock that is not synchronised.
const NTP_MAX_STRATUM: u8 = 16;
/// Clients ask every 2⁻⁷ to 2²⁴ seconds; what the poll exponents beyond that would be others have flags at.
const NTP_POLLS: std::ops::RangeInclusive<i8> = -7..=24;
/// Delays from the root are below 16 s (RFC 5905 §7.2), in units of 2⁻¹⁶ s.
const NTP_MAX_DELAY: u32 = 16 << 16;

/// Looks at the datagrams that a client sends to one target, one after the other, to know what they are.
///
/// All but QUIC is known by the first. The name that a QUIC client asks for may take several, whose
/// order does not matter; no more than [`super::MAX_SNIFF_BYTES`] of them are looked at, and no more
/// memory is taken than twice that. Each datagram reads the hello from its beginning again, as far as it
/// has come. Never panics. Once an answer is not [`Sniff::NeedMore`], nothing more is to be fed.
///
/// - QUIC: Initial packets (RFC 9000 §17.2.2) of version 1, version 2 (RFC 9369) or the last drafts that
///   their keys open; with the server name of the hello in them. A version of which nothing is known is
///   not QUIC.
/// - BitTorrent: the first packet of uTP (BEP 29), a connection to a tracker (BEP 15), or a message of
///   the DHT (BEP 5).
/// - DNS (RFC 1035), STUN (RFC 8489), DTLS (RFC 6347, RFC 9147) and NTP (RFC 5905).
///
/// ```
/// use waypost_wire::{DatagramSniffer, Protocols, Sniff};
///
/// let question = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07example\x03com\0\0\x01\0\x01";
/// let Sniff::Found(found) = DatagramSniffer::new(Protocols::ALL).feed(question) else { panic!() };
/// assert_eq!(found.protocol, "dns");
/// assert_eq!(DatagramSniffer::new(Protocols::V2RAY).feed(question), Sniff::Unknown);
/// assert_eq!(DatagramSniffer::new(Protocols::ALL).feed(b"hello"), Sniff::Unknown);
/// ```
#[derive(Debug)]
pub struct DatagramSniffer {
    wanted: Protocols,
    /// What has been read of QUIC, if that is what it may be.
    quic: Option<Box<QuicSniffer>>,
}

impl DatagramSniffer {
    /// Looks for what is wanted.
    #[must_use]
    pub fn new(wanted: Protocols) -> Self {
        Self { wanted, quic: None }
    }

    /// Takes the next datagram and says what is known with it.
    #[must_use]
    pub fn feed(&mut self, datagram: &[u8]) -> Sniff {
        if let Some(quic) = &mut self.quic {
            return quic.feed(datagram);
        }
        // What is not wanted is looked for as well, because less strict detectors would take it for theirs.
        let (protocol, label) = if dns::is_question(datagram) {
            (Protocol::Dns, "dns")
        } else if quic::begins(datagram) {
            if !self.wanted.contains(Protocol::Quic) {
                return Sniff::Unknown;
            }
            return self.quic.insert(Box::default()).feed(datagram);
        } else if is_stun(datagram) {
            (Protocol::Stun, "stun")
        } else if is_dtls(datagram) {
            (Protocol::Dtls, "dtls")
        } else if is_ntp(datagram) {
            (Protocol::Ntp, "ntp")
        } else if bittorrent::is_datagram(datagram) {
            (Protocol::BitTorrent, "bittorrent")
        } else {
            return Sniff::Unknown;
        };
        if self.wanted.contains(protocol) { Sniff::Found(Sniffed::new(label, None)) } else { Sniff::Unknown }
    }

    /// What is known if nothing more is waited for: a connection of QUIC whose name has not come.
    #[must_use]
    pub fn so_far(&self) -> Option<Sniffed> {
        self.quic.as_ref()?.so_far()
    }
}

fn is_stun(datagram: &[u8]) -> bool {
    let Some((header, attributes)) = datagram.split_first_chunk::<STUN_HEADER_BYTES>() else { return false };
    let [kind, _, high, low, magic @ ..] = header;
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    // Attributes are padded to four bytes (RFC 8489 §14).
    kind & 0b1100_0000 == 0 && magic.starts_with(&STUN_MAGIC) && length % 4 == 0 && length <= attributes.len()
}

/// Records of DTLS 1.0, 1.2 or 1.3 as they begin a connection, with nothing behind them (RFC 6347 §4.1).
fn is_dtls(datagram: &[u8]) -> bool {
    let mut rest = datagram;
    while let Some((header, behind)) = rest.split_first_chunk::<DTLS_HEADER_BYTES>() {
        let [kind, major, minor, .., high, low] = header;
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if !DTLS_TYPES.contains(kind) || *major != 254 || !matches!(minor, 253 | 255) || length == 0 {
            return false;
        }
        let Some(behind) = behind.get(length..) else { return false };
        rest = behind;
    }
    rest.is_empty() && !datagram.is_empty()
}

/// A client's request of version 1 to 4.
fn is_ntp(datagram: &[u8]) -> bool {
    let Some((header, extensions)) = datagram.split_first_chunk::<NTP_BYTES>() else { return false };
    let [first, stratum, poll, _, d0, d1, d2, d3, s0, s1, s2, s3, ..] = *header;
    let (version, mode) = ((first >> 3) & 0b111, first & 0b111);
    let (delay, dispersion) = (u32::from_be_bytes([d0, d1, d2, d3]), u32::from_be_bytes([s0, s1, s2, s3]));
    mode == NTP_CLIENT
        && (1..=4).contains(&version)
        && stratum <= NTP_MAX_STRATUM
        && NTP_POLLS.contains(&poll.cast_signed())
        && delay <= NTP_MAX_DELAY
        && dispersion <= NTP_MAX_DELAY
        && extensions.len() % 4 == 0
}
