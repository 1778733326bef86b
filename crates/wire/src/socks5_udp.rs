//! The datagrams of SOCKS5 (RFC 1928 §7).

use std::net::SocketAddr;

use waypost_net::{Host, Target};

use crate::{
    ServerError,
    address::{
        Cursor, TYPE_NAME, TYPE_V4, TYPE_V6, host_v4, host_v6, parse_name, put_socket_addr, put_target,
    },
};

/// The longest header of a SOCKS5 datagram: two reserved octets, the fragment, the type, a name of 255
/// octets with its length, and the port.
pub const MAX_UDP_HEADER_BYTES: usize = 2 + 1 + 1 + 1 + 255 + 2;

/// A datagram as a SOCKS5 client and a relay send it to each other, taken apart without copying.
///
/// ```
/// use waypost_wire::UdpDatagram;
///
/// let datagram = UdpDatagram::parse(b"\0\0\0\x01\x7f\0\0\x01\0\x35hello")?;
/// assert_eq!(datagram.target()?.to_string(), "127.0.0.1:53");
/// assert_eq!(datagram.payload, b"hello");
/// # Ok::<(), waypost_wire::UdpDatagramError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UdpDatagram<'a> {
    /// Type, address and port as they were sent. Equal octets name the same target.
    pub address: &'a [u8],
    /// What is meant for the target, or came from it.
    pub payload: &'a [u8],
}

/// Why a datagram is dropped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UdpDatagramError {
    /// The datagram ends within its header.
    #[error("the datagram is shorter than its header")]
    TooShort,
    /// The datagram is a piece of a longer one, which RFC 1928 §7 leaves to a server to take or drop.
    #[error("fragment {number} of a datagram, fragments are not put together")]
    Fragment {
        /// The `FRAG` octet.
        number: u8,
    },
    /// The address type does not exist.
    #[error("unknown address type {found}")]
    AddressType {
        /// What was sent.
        found: u8,
    },
    /// The target is not an address or a valid name.
    #[error(transparent)]
    Target(#[from] ServerError),
}

impl<'a> UdpDatagram<'a> {
    /// Takes a datagram apart. The reserved octets are not looked at.
    ///
    /// # Errors
    ///
    /// If it is too short, a fragment, or has an unknown address type. Whether a name is valid is found
    /// out by [`target`](Self::target).
    pub fn parse(bytes: &'a [u8]) -> Result<Self, UdpDatagramError> {
        let mut cursor = Cursor::new(bytes);
        let [_, _, fragment, address_type] = cursor.array().ok_or(UdpDatagramError::TooShort)?;
        if fragment != 0 {
            return Err(UdpDatagramError::Fragment { number: fragment });
        }
        let address = match address_type {
            TYPE_V4 => cursor.take(4),
            TYPE_V6 => cursor.take(16),
            TYPE_NAME => cursor.prefixed(),
            found => return Err(UdpDatagramError::AddressType { found }),
        };
        let end = address.and_then(|_| cursor.port()).map(|_| cursor.position());
        let (header, payload) =
            end.and_then(|end| bytes.split_at_checked(end)).ok_or(UdpDatagramError::TooShort)?;
        Ok(Self { address: header.get(3..).unwrap_or_default(), payload })
    }

    /// Where the datagram is to go, or where it came from.
    ///
    /// # Errors
    ///
    /// If the name is none.
    pub fn target(&self) -> Result<Target, UdpDatagramError> {
        let mut cursor = Cursor::new(self.address);
        let [address_type] = cursor.array().ok_or(UdpDatagramError::TooShort)?;
        let host = match address_type {
            TYPE_V4 => cursor.array().map(|octets| Ok(host_v4(octets))),
            TYPE_V6 => cursor.array().map(|octets| Ok(host_v6(octets))),
            TYPE_NAME => cursor.prefixed().map(parse_name),
            found => return Err(UdpDatagramError::AddressType { found }),
        };
        let host: Host = host.ok_or(UdpDatagramError::TooShort)??;
        Ok(Target::new(host, cursor.port().ok_or(UdpDatagramError::TooShort)?))
    }

    /// The header of a datagram to `target`.
    #[must_use]
    pub fn header_to(target: &Target) -> Vec<u8> {
        let mut header = vec![0; 3];
        put_target(&mut header, target);
        header
    }

    /// The header of a datagram that came from `source`.
    #[must_use]
    pub fn header_from(source: SocketAddr) -> Vec<u8> {
        let mut header = vec![0; 3];
        put_socket_addr(&mut header, source);
        header
    }
}
