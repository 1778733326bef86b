/// A protocol that is recognised by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Protocol {
    Http,
    Tls,
    BitTorrent,
    Quic,
    Dns,
    Ssh,
    Rdp,
    Stun,
    Dtls,
    Ntp,
}

/// All of them, by the names that sing-box has for them.
const NAMES: [(&str, Protocol); 10] = [
    ("http", Protocol::Http),
    ("tls", Protocol::Tls),
    ("bittorrent", Protocol::BitTorrent),
    ("quic", Protocol::Quic),
    ("dns", Protocol::Dns),
    ("ssh", Protocol::Ssh),
    ("rdp", Protocol::Rdp),
    ("stun", Protocol::Stun),
    ("dtls", Protocol::Dtls),
    ("ntp", Protocol::Ntp),
];

/// Which protocols are looked for.
///
/// ```
/// use waypost_wire::{Protocols, Sniff, sniff_widely};
///
/// let wanted = Protocols::named(["tls", "ssh"]);
/// assert_eq!(sniff_widely(b"GET / HTTP/1.1\r\n\r\n", wanted), Sniff::Unknown);
/// assert!(matches!(sniff_widely(b"SSH-2.0-OpenSSH_9.6\r\n", wanted), Sniff::Found(_)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocols(u16);

impl Protocols {
    /// What V2Ray and Xray look for: HTTP, TLS, BitTorrent and QUIC.
    pub const V2RAY: Self =
        Self(Protocol::Http.bit() | Protocol::Tls.bit() | Protocol::BitTorrent.bit() | Protocol::Quic.bit());
    /// What sing-box looks for: DNS, SSH, RDP, STUN, DTLS and NTP besides.
    pub const ALL: Self = Self((1 << NAMES.len()) - 1);

    /// Those that have these names in sing-box: `http`, `tls`, `bittorrent`, `quic`, `dns`, `ssh`,
    /// `rdp`, `stun`, `dtls` and `ntp`. A name that is none of them stands for nothing.
    #[must_use]
    pub fn named<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let bit =
            |name: &str| NAMES.iter().find(|(known, _)| *known == name).map_or(0, |(_, found)| found.bit());
        Self(names.into_iter().fold(0, |bits, name| bits | bit(name)))
    }

    pub(super) const fn contains(self, protocol: Protocol) -> bool {
        self.0 & protocol.bit() != 0
    }
}

impl Protocol {
    const fn bit(self) -> u16 {
        1 << self as u8
    }
}
