use std::{fmt, str::FromStr};

/// The transport that a flow uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Network {
    /// A byte stream.
    Tcp,
    /// Datagrams.
    Udp,
}

/// A word that names no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown network `{0}`, expected `tcp` or `udp`")]
pub struct UnknownNetwork(pub Box<str>);

impl Network {
    /// The name as configuration files write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Network {
    type Err = UnknownNetwork;

    /// Reads `tcp` or `udp` in any case.
    fn from_str(word: &str) -> Result<Self, UnknownNetwork> {
        if word.eq_ignore_ascii_case("tcp") {
            Ok(Self::Tcp)
        } else if word.eq_ignore_ascii_case("udp") {
            Ok(Self::Udp)
        } else {
            Err(UnknownNetwork(word.into()))
        }
    }
}

/// A set of networks; may be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Networks {
    /// Whether TCP is in the set.
    pub tcp: bool,
    /// Whether UDP is in the set.
    pub udp: bool,
}

impl Networks {
    /// Both networks.
    pub const ALL: Self = Self { tcp: true, udp: true };

    /// Whether `network` is in the set.
    #[must_use]
    pub fn contains(self, network: Network) -> bool {
        match network {
            Network::Tcp => self.tcp,
            Network::Udp => self.udp,
        }
    }

    /// Adds `network`.
    pub fn insert(&mut self, network: Network) {
        match network {
            Network::Tcp => self.tcp = true,
            Network::Udp => self.udp = true,
        }
    }
}

impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.tcp, self.udp) {
            (true, true) => "tcp,udp",
            (true, false) => "tcp",
            (false, true) => "udp",
            (false, false) => "none",
        })
    }
}
