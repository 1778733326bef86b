use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use crate::{DomainError, DomainName};

/// Where a connection is to go, without the port: a name or an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// A name that somebody has to resolve.
    Domain(DomainName),
    /// An address; never an IPv4-mapped IPv6 one (see [`canonical_ip`]).
    Ip(IpAddr),
}

/// Why a text is neither a host nor a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// The host part is neither an address nor a domain name.
    #[error(transparent)]
    Domain(#[from] DomainError),
    /// The text has brackets that hold no IPv6 address.
    #[error("not an IPv6 address in brackets: `{text}`")]
    Brackets {
        /// The text as given.
        text: Box<str>,
    },
    /// There is no `:port` at the end, or it is not a number from 0 to 65535.
    #[error("expected `HOST:PORT` with a port from 0 to 65535, found `{text}`")]
    Port {
        /// The text as given.
        text: Box<str>,
    },
}

impl Host {
    /// Reads an address (IPv6 with or without brackets) or a domain name.
    ///
    /// # Errors
    ///
    /// If the text is neither.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').unwrap_or(inner);
            return match inner.parse::<std::net::Ipv6Addr>() {
                Ok(address) if text.ends_with(']') => Ok(Self::from(IpAddr::V6(address))),
                Ok(_) | Err(_) => Err(AddressError::Brackets { text: text.into() }),
            };
        }
        match text.parse::<IpAddr>() {
            Ok(address) => Ok(Self::from(address)),
            Err(_not_an_address) => {
                let name = DomainName::new(text)?;
                // `127.0.0.1.`, or full-width digits: rules must not take an address for a name.
                let address = name.as_str().parse::<IpAddr>();
                Ok(address.map_or(Self::Domain(name), Self::from))
            }
        }
    }

    /// The name, if this is one.
    #[must_use]
    pub fn domain(&self) -> Option<&DomainName> {
        match self {
            Self::Domain(name) => Some(name),
            Self::Ip(_) => None,
        }
    }

    /// The address, if this is one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Domain(_) => None,
            Self::Ip(address) => Some(*address),
        }
    }
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Self {
        Self::Ip(canonical_ip(address))
    }
}

impl From<DomainName> for Host {
    fn from(name: DomainName) -> Self {
        Self::Domain(name)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(name) => name.fmt(f),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

/// Turns an IPv4-mapped IPv6 address (`::ffff:a.b.c.d`, RFC 4291 §2.5.5.2) into the IPv4 address.
#[must_use]
pub fn canonical_ip(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// The name or address.
    pub host: Host,
    /// The TCP or UDP port.
    pub port: u16,
}

impl Target {
    /// Joins a host and a port.
    #[must_use]
    pub fn new(host: Host, port: u16) -> Self {
        Self { host, port }
    }
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        Self::new(Host::from(address.ip()), address.port())
    }
}

impl FromStr for Target {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let no_port = || AddressError::Port { text: text.into() };
        let (host, port) = text.rsplit_once(':').ok_or_else(no_port)?;
        if !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(no_port());
        }
        let port = port.parse().map_err(|_out_of_range| no_port())?;
        // `::1:80` could be read two ways; an IPv6 address before a port needs brackets.
        if host.contains(':') && !host.starts_with('[') {
            return Err(no_port());
        }
        Ok(Self::new(Host::parse(host)?, port))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Domain(name) => write!(f, "{name}:{}", self.port),
            Host::Ip(address) => SocketAddr::new(*address, self.port).fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_are_told_apart() {
        assert_eq!(Host::parse("10.0.0.1"), Ok(Host::Ip([10, 0, 0, 1].into())));
        assert_eq!(Host::parse("::ffff:10.0.0.1"), Ok(Host::Ip([10, 0, 0, 1].into())));
        assert_eq!(Host::parse("[::1]").map(|host| host.to_string()), Ok("::1".to_owned()));
        assert_eq!(Host::parse("a.b").map(|host| host.domain().is_some()), Ok(true));
        for address in ["127.0.0.1.", "127.0.0.1..", "127。0。0。1", "１２７.0.0.1"] {
            assert_eq!(Host::parse(address), Ok(Host::Ip([127, 0, 0, 1].into())), "{address}");
        }
        assert!(matches!(Host::parse("[::1"), Err(AddressError::Brackets { .. })));
        assert!(matches!(Host::parse("[10.0.0.1]"), Err(AddressError::Brackets { .. })));
        assert!(matches!(Host::parse("fe80::1%eth0"), Err(AddressError::Domain(_))));
    }

    #[test]
    fn targets_need_a_port_and_brackets_around_ipv6() {
        assert_eq!(
            "[2001:db8::1]:80".parse::<Target>().map(|t| t.to_string()),
            Ok("[2001:db8::1]:80".to_owned())
        );
        for text in ["example.com", "example.com:", "example.com:+80", "example.com:65536", "::1:80"] {
            assert!(matches!(text.parse::<Target>(), Err(AddressError::Port { .. })), "{text}");
        }
    }
}
