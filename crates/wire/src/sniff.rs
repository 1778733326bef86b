//! Tells by the first bytes of a connection what is spoken in it, and with whom.

mod bittorrent;
mod datagram;
mod dns;
mod http;
mod tls;

use waypost_net::{Attributes, Host};

pub use self::datagram::sniff_datagram;

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
    /// The label as V2Ray has it: `http1`, `tls` or `bittorrent`; or as sing-box has it, `dns` and so on.
    pub protocol: &'static str,
    /// Whom the client talks to, by the `Host` header or by the server name of TLS, if that is valid.
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
/// same, and it stays.
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
    let looked_at = bytes.get(..MAX_SNIFF_BYTES).unwrap_or(bytes);
    match detect(looked_at) {
        Sniff::NeedMore if bytes.len() < MAX_SNIFF_BYTES => Sniff::NeedMore,
        Sniff::NeedMore | Sniff::Unknown => Sniff::Unknown,
        Sniff::Found(found) => Sniff::Found(found),
    }
}

/// Says what `bytes` begin when nothing more is waited for: as [`sniff`], but for an HTTP request the
/// part of the head that has come is enough if a `Host` header is in it.
#[must_use]
pub fn sniff_so_far(bytes: &[u8]) -> Option<Sniffed> {
    let bytes = bytes.get(..MAX_SNIFF_BYTES).unwrap_or(bytes);
    match detect(bytes) {
        Sniff::Found(found) => Some(found),
        Sniff::NeedMore => http::sniff_part(bytes),
        Sniff::Unknown => None,
    }
}

/// Says what `bytes` begin, as [`sniff`] does, and knows DNS (RFC 7766) and SSH (RFC 4253 §4.2)
/// besides, by the labels `dns` and `ssh`.
#[must_use]
pub fn sniff_widely(bytes: &[u8]) -> Sniff {
    match bytes.first() {
        Some(0 | 1) => dns::sniff_stream(bytes),
        Some(b'S') if bytes.starts_with(SSH) => Sniff::Found(Sniffed::new("ssh", None)),
        Some(b'S') if SSH.starts_with(bytes) => Sniff::NeedMore,
        Some(_) | None => sniff(bytes),
    }
}

const SSH: &[u8] = b"SSH-";

/// No two of the protocols begin with the same byte.
fn detect(bytes: &[u8]) -> Sniff {
    match bytes.first() {
        None => Sniff::NeedMore,
        Some(&HANDSHAKE_RECORD) => tls::sniff(bytes),
        Some(&bittorrent::FIRST_BYTE) => bittorrent::sniff(bytes),
        Some(_) => http::sniff(bytes),
    }
}
