//! The address fields of SOCKS messages (RFC 1928 §5) and a cursor to read them with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use waypost_net::{Host, Target};

use crate::ServerError;

pub(crate) const TYPE_V4: u8 = 1;
pub(crate) const TYPE_NAME: u8 = 3;
pub(crate) const TYPE_V6: u8 = 4;

/// Reads from the front of a slice; `None` means that the slice is too short so far.
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    pub(crate) fn position(&self) -> usize {
        self.position
    }

    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.position.checked_add(count)?;
        let taken = self.bytes.get(self.position..end)?;
        self.position = end;
        Some(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn port(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// A field with its length in front.
    pub(crate) fn prefixed(&mut self) -> Option<&'a [u8]> {
        let length = self.byte()?;
        self.take(length.into())
    }

    /// A field that ends with a zero byte, at most 255 bytes long without it.
    pub(crate) fn terminated(&mut self) -> Option<Result<&'a [u8], ServerError>> {
        let left = self.bytes.get(self.position..)?;
        match left.iter().take(256).position(|&byte| byte == 0) {
            Some(length) => {
                let field = self.take(length)?;
                self.byte()?;
                Some(Ok(field))
            }
            None if left.len() > 255 => Some(Err(ServerError::FieldTooLong)),
            None => None,
        }
    }
}

/// Reads a name that a client sent; an address written as a name is that address.
pub(crate) fn parse_name(name: &[u8]) -> Result<Host, ServerError> {
    let name = std::str::from_utf8(name).map_err(|_invalid| ServerError::TargetEncoding)?;
    Ok(Host::parse(name)?)
}

/// Appends type, address and port.
pub(crate) fn put_target(message: &mut Vec<u8>, target: &Target) {
    match &target.host {
        Host::Ip(address) => put_ip(message, *address),
        Host::Domain(name) => {
            // A domain name has at most 253 bytes; were it longer, the length would say so and no
            // server would take the rest for anything else.
            let name = name.as_str().as_bytes();
            let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
            message.extend_from_slice(&[TYPE_NAME, length]);
            message.extend(name.iter().take(length.into()));
        }
    }
    message.extend_from_slice(&target.port.to_be_bytes());
}

/// Appends type, address and port.
pub(crate) fn put_socket_addr(message: &mut Vec<u8>, address: SocketAddr) {
    put_ip(message, address.ip());
    message.extend_from_slice(&address.port().to_be_bytes());
}

fn put_ip(message: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            message.push(TYPE_V4);
            message.extend_from_slice(&address.octets());
        }
        IpAddr::V6(address) => {
            message.push(TYPE_V6);
            message.extend_from_slice(&address.octets());
        }
    }
}

pub(crate) fn host_v4(octets: [u8; 4]) -> Host {
    Host::from(IpAddr::V4(Ipv4Addr::from(octets)))
}

pub(crate) fn host_v6(octets: [u8; 16]) -> Host {
    Host::from(IpAddr::V6(Ipv6Addr::from(octets)))
}
