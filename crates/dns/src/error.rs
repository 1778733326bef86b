use std::{fmt, io, net::IpAddr, sync::Arc};

use waypost_net::DomainName;

use crate::ServerError;

/// Which addresses are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Family {
    /// IPv4 and IPv6.
    #[default]
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

impl Family {
    /// What both want; `None` if that is nothing.
    #[must_use]
    pub fn intersect(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Any, family) | (family, Self::Any) => Some(family),
            (Self::V4, Self::V4) => Some(Self::V4),
            (Self::V6, Self::V6) => Some(Self::V6),
            (Self::V4, Self::V6) | (Self::V6, Self::V4) => None,
        }
    }

    /// Whether `address` is wanted.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::V4 => address.is_ipv4(),
            Self::V6 => address.is_ipv6(),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "ip",
            Self::V4 => "ipv4",
            Self::V6 => "ipv6",
        })
    }
}

/// Why a name has no address.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// The name is known, but has no address of the family that is wanted.
    #[error("`{name}` has no {family} address")]
    NoData {
        /// The name.
        name: DomainName,
        /// What is wanted.
        family: Family,
    },
    /// A rule says that nobody is asked.
    #[error("a rule refuses to resolve `{name}`")]
    Refused {
        /// The name.
        name: DomainName,
    },
    /// The name does not exist.
    #[error("`{name}` does not exist")]
    NoName {
        /// The name.
        name: DomainName,
    },
    /// No server has answered.
    #[error("the DNS server `{server}` has no answer for `{name}`")]
    Server {
        /// The name.
        name: DomainName,
        /// The server that was asked first.
        server: Box<str>,
        /// What is wrong with it.
        source: ServerError,
    },
    /// The system does not know the name, or cannot look it up.
    #[error("the system cannot resolve `{name}`")]
    System {
        /// The name.
        name: DomainName,
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// The system did not answer in time.
    #[error("the system did not resolve `{name}` in time")]
    Timeout {
        /// The name.
        name: DomainName,
    },
    /// The aliases in `hosts` go round in a circle, or are too many.
    #[error("the aliases of `{name}` in `hosts` go round in a circle or are more than 5")]
    Aliases {
        /// The name.
        name: DomainName,
    },
}
