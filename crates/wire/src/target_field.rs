//! The target in a request of VMess, VLESS, Trojan and Shadowsocks, and in a datagram of the latter two.

use std::net::IpAddr;

use waypost_net::{AddressError, Host, Target};

use crate::address::{Cursor, TYPE_NAME, TYPE_V4, TYPE_V6, host_v4, host_v6, put_target};

/// Why a target in a request cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// The address type does not exist.
    #[error("unknown address type {found}")]
    Type {
        /// What the peer sent.
        found: u8,
    },
    /// The name is not text.
    #[error("a name that is not utf-8")]
    Encoding,
    /// The name is none.
    #[error(transparent)]
    Name(#[from] AddressError),
}

/// The numbers that a protocol gives to kinds of addresses.
#[derive(Clone, Copy)]
struct Types {
    v4: u8,
    name: u8,
    v6: u8,
}

const SOCKS: Types = Types { v4: TYPE_V4, name: TYPE_NAME, v6: TYPE_V6 };
const VMESS: Types = Types { v4: 1, name: 2, v6: 3 };

/// Reads a target as RFC 1928 §5 has it (type, address, port) from the front of `bytes`, with the number of
/// bytes that it takes; `None` means that more is needed.
///
/// # Errors
///
/// If it is not an address or a valid name.
pub fn read_socks_target(bytes: &[u8]) -> Result<Option<(Target, usize)>, TargetError> {
    let mut cursor = Cursor::new(bytes);
    let target = read_port_last(&mut cursor).transpose()?;
    Ok(target.map(|target| (target, cursor.position())))
}

/// Appends a target as RFC 1928 §5 has it: type, address, port.
pub fn put_socks_target(message: &mut Vec<u8>, target: &Target) {
    put_target(message, target);
}

/// Reads port, type and address (VMess and VLESS); `None` means that more is needed.
pub(crate) fn read_port_first(cursor: &mut Cursor<'_>) -> Option<Result<Target, TargetError>> {
    let port = cursor.port()?;
    let host = read_host(cursor, VMESS)?;
    Some(host.map(|host| Target::new(host, port)))
}

/// Reads type, address and port (Trojan); `None` means that more is needed.
pub(crate) fn read_port_last(cursor: &mut Cursor<'_>) -> Option<Result<Target, TargetError>> {
    match read_host(cursor, SOCKS)? {
        Ok(host) => cursor.port().map(|port| Ok(Target::new(host, port))),
        Err(error) => Some(Err(error)),
    }
}

fn read_host(cursor: &mut Cursor<'_>, types: Types) -> Option<Result<Host, TargetError>> {
    let found = cursor.byte()?;
    if found == types.v4 {
        cursor.array().map(|octets| Ok(host_v4(octets)))
    } else if found == types.v6 {
        cursor.array().map(|octets| Ok(host_v6(octets)))
    } else if found == types.name {
        cursor.prefixed().map(|name| {
            let name = std::str::from_utf8(name).map_err(|_invalid| TargetError::Encoding)?;
            Ok(Host::parse(name)?)
        })
    } else {
        Some(Err(TargetError::Type { found }))
    }
}

/// Appends port, type and address (VMess and VLESS).
pub(crate) fn put_port_first(message: &mut Vec<u8>, target: &Target) {
    message.extend_from_slice(&target.port.to_be_bytes());
    match &target.host {
        Host::Ip(IpAddr::V4(address)) => {
            message.push(VMESS.v4);
            message.extend_from_slice(&address.octets());
        }
        Host::Ip(IpAddr::V6(address)) => {
            message.push(VMESS.v6);
            message.extend_from_slice(&address.octets());
        }
        Host::Domain(name) => {
            // A domain name has at most 253 bytes.
            let name = name.as_str().as_bytes();
            let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
            message.extend_from_slice(&[VMESS.name, length]);
            message.extend(name.iter().take(length.into()));
        }
    }
}
