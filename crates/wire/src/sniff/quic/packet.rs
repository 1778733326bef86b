//! Packets with long headers, of which a datagram may carry several (RFC 9000 §12.2, §17.2).

use rustls::quic::Version;

/// RFC 9000 §17.2, and the same in version 2.
const MAX_ID_BYTES: usize = 20;
/// The bits of the first byte that say that the header is long and the packet is one of QUIC.
const LONG_AND_FIXED: u8 = 0b1100_0000;
const TYPE: u8 = 0b0011_0000;

/// The versions: 1 (RFC 9000 §15), 2 (RFC 9369 §3.1) and the drafts that were in use, 29 to 32.
const VERSIONS: [(u32, Version); 6] = [
    (0x0000_0001, Version::V1),
    (0x6b33_43cf, Version::V2),
    (0xff00_001d, Version::V1Draft),
    (0xff00_001e, Version::V1Draft),
    (0xff00_001f, Version::V1Draft),
    (0xff00_0020, Version::V1Draft),
];

/// What a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Initial,
    /// What a client sends before it has an answer; it is of no use here.
    EarlyData,
    /// What a client sends later, and what only servers send.
    Other,
}

/// Where the parts of a packet are in its datagram, as far as they can be read without keys.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packet<'b> {
    pub(super) version: Version,
    pub(super) kind: Kind,
    pub(super) destination: &'b [u8],
    /// The packet number begins here.
    pub(super) number_at: usize,
    /// The packet ends here.
    pub(super) end: usize,
}

impl<'b> Packet<'b> {
    /// Reads the packet that `bytes` begin with; `None` if it is none that is known.
    pub(super) fn read(bytes: &'b [u8]) -> Option<Self> {
        let mut reader = Reader { bytes, at: 0 };
        let [first] = reader.array()?;
        let version = u32::from_be_bytes(reader.array()?);
        let (_, version) = *VERSIONS.iter().find(|(number, _)| *number == version)?;
        if first & LONG_AND_FIXED != LONG_AND_FIXED {
            return None;
        }
        let kind = match (version, (first & TYPE) >> 4) {
            (Version::V1 | Version::V1Draft, 0) | (Version::V2, 1) => Kind::Initial,
            (Version::V1 | Version::V1Draft, 1) | (Version::V2, 2) => Kind::EarlyData,
            (_, _) => Kind::Other,
        };
        let destination = reader.id()?;
        reader.id()?;
        if kind == Kind::Initial {
            let token_bytes = reader.short_number()?;
            reader.take(token_bytes)?;
        }
        let rest_bytes = reader.short_number()?;
        let number_at = reader.at;
        reader.take(rest_bytes)?;
        Some(Self { version, kind, destination, number_at, end: reader.at })
    }
}

/// Takes one field after the other.
#[derive(Debug)]
pub(super) struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Reader<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    pub(super) fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let end = self.at.checked_add(length)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.first_chunk().copied()
    }

    fn id(&mut self) -> Option<&'b [u8]> {
        let [length] = self.array()?;
        let length = usize::from(length);
        if length <= MAX_ID_BYTES { self.take(length) } else { None }
    }

    /// A number of variable length (RFC 9000 §16).
    pub(super) fn number(&mut self) -> Option<u64> {
        let [first] = self.array()?;
        let rest = self.take((1_usize << (first >> 6)) - 1)?;
        let highest = u64::from(first & 0b0011_1111);
        Some(rest.iter().fold(highest, |number, &byte| number << 8 | u64::from(byte)))
    }

    pub(super) fn short_number(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }
}
