//! Tells by the first bytes of a connection what is spoken in it, and with whom.

mod bittorrent;
mod datagram;
mod dns;
mod http;
mod protocols;
mod quic;
mod rdp;
mod ssh;
mod tls;

use waypost_net::{Attributes, Host};

use self::protocols::Protocol;
pub use self::{datagram::DatagramSniffer, protocols::Protocols};

use crate::client_hello::HANDSHAKE_RECORD;

/// More bytes than this are not looked at; V2Ray and Xray stop at 32 KiB, too. A ClientHello with
/// post-quantum key shares has 2 KiB.
pub const MAX_SNIFF_BYTES: usize = 32 * 1024;

/// What the first bytes of a connection say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sniff {
    /// It may become something; more bytes are needed to know.
    NeedMore,
    /// It is nothing that is known here, whatever follows.
    Unknown,
    /// It is known, and what follows changes nothing.
    Found(Sniffed),
}

/// A recognised protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sniffed {
    /// The label as V2Ray has it: `http1`, `tls`, `bittorrent` or `quic`; or as sing-box has it, `dns`,
    /// `ssh`, `rdp`, `stun`, `dtls` or `ntp`.
    pub protocol: &'static str,
    /// Whom the client talks to, by the `Host` header or by the server name of TLS or QUIC, if that
    /// is valid.
    pub host: Option<Host>,
    /// For HTTP `:method`, `:path` and the headers; empty otherwise.
    pub attributes: Attributes,
}

impl Sniffed {
    fn new(protocol: &'static str, host: Option<Host>) -> Self {
        Self { protocol, host, attributes: Attributes::default() }
    }
}

/// Says what `bytes`, all that a client has sent so far, begin.
///
/// - HTTP/1 (RFC 9112) with one of the methods of RFC 9110 §9.3 or PATCH: the name is that of the last
///   `Host` header. A request without one is HTTP all the same.
/// - TLS: a ClientHello (RFC 8446 §4.1.2) in one record or several, known as soon as its server name
///   (RFC 6066 §3) has come. A hello without a server name is known when it is whole. With ECH the
///   name is that of the outer hello.
/// - BitTorrent: the handshake of BEP 3.
///
/// Looks at no more than [`MAX_SNIFF_BYTES`]. Takes no memory before something is found. Never panics.
/// However a connection is cut into pieces, the first answer other than [`Sniff::NeedMore`] is the
/// same, and it stays. Each call reads from the beginning.
///
/// ```
/// use waypost_wire::{Sniff, sniff};
///
/// assert_eq!(sniff(b"GET / HTTP/1.1\r\nHost: Exa"), Sniff::NeedMore);
/// let Sniff::Found(found) = sniff(b"GET / HTTP/1.1\r\nHost: Example.com:80\r\n\r\n") else { panic!() };
/// assert_eq!(found.protocol, "http1");
/// assert_eq!(found.host.unwrap().to_string(), "example.com");
/// assert_eq!(sniff(b"SSH-2.0-OpenSSH"), Sniff::Unknown);
/// ```
#[must_use]
pub fn sniff(bytes: &[u8]) -> Sniff {
    sniff_widely(bytes, Protocols::V2RAY)
}

/// Says what `bytes` begin, as [`sniff`] does, of the protocols that are wanted, among which may be
/// DNS (RFC 7766), SSH (RFC 4253 §4.2) and RDP (MS-RDPBCGR §2.2.1.1) besides, by the labels `dns`,
/// `ssh` and `rdp`. What is not wanted is unknown from its first byte on.
#[must_use]
pub fn sniff_widely(bytes: &[u8], wanted: Protocols) -> Sniff {
    let looked_at = bytes.get(..MAX_SNIFF_BYTES).unwrap_or(bytes);
    match detect(looked_at, wanted) {
        Sniff::NeedMore if bytes.len() < MAX_SNIFF_BYTES => Sniff::NeedMore,
        Sniff::NeedMore | Sniff::Unknown => Sniff::Unknown,
        Sniff::Found(found) => Sniff::Found(found),
    }
}

/// Says what `bytes` begin when nothing more is waited for: as [`sniff_widely`], but for an HTTP request
/// the part of the head that has come is enough if a `Host` header is in it.
#[must_use]
pub fn sniff_so_far(bytes: &[u8], wanted: Protocols) -> Option<Sniffed> {
    let bytes = bytes.get(..MAX_SNIFF_BYTES).unwrap_or(bytes);
    match detect(bytes, wanted) {
        Sniff::Found(found) => Some(found),
        Sniff::NeedMore => http::sniff_part(bytes),
        Sniff::Unknown => None,
    }
}

/// No two of the protocols begin with the same byte.
fn detect(bytes: &[u8], wanted: Protocols) -> Sniff {
    let (protocol, sniff): (Protocol, fn(&[u8]) -> Sniff) = match bytes.first() {
        None => return Sniff::NeedMore,
        Some(&HANDSHAKE_RECORD) => (Protocol::Tls, tls::sniff),
        Some(&bittorrent::FIRST_BYTE) => (Protocol::BitTorrent, bittorrent::sniff),
        // The length of a question is below 512.
        Some(0 | 1) => (Protocol::Dns, dns::sniff_stream),
        Some(&ssh::FIRST_BYTE) => (Protocol::Ssh, ssh::sniff),
        Some(&rdp::FIRST_BYTE) => (Protocol::Rdp, rdp::sniff),
        Some(_) => (Protocol::Http, http::sniff),
    };
    if wanted.contains(protocol) { sniff(bytes) } else { Sniff::Unknown }
}
