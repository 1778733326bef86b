use std::fmt;

/// How a group chooses among its candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Strategy {
    /// At random, each as often as its weight says.
    #[default]
    Random,
    /// By the hash of a key, so that the same key finds the same member.
    ConsistentHash,
    /// One after the other, in the order of the configuration.
    RoundRobin,
    /// Of two random ones the one with fewer live connections for its weight ("power of two choices").
    LeastConn,
    /// The one whose probes are fastest, until another one is faster by more than the tolerance.
    LeastPing,
    /// One of those whose probes vary least, at random (V2Ray's `leastLoad`).
    LeastLoad,
    /// The first in the order of the configuration.
    Failover,
    /// The one that somebody chose, until somebody chooses another.
    Selector,
    /// Like [`LeastPing`](Self::LeastPing), with a tolerance that jitter does not widen.
    UrlTest,
}

impl Strategy {
    /// Every strategy there is.
    pub const ALL: [Self; 9] = [
        Self::Random,
        Self::ConsistentHash,
        Self::RoundRobin,
        Self::LeastConn,
        Self::LeastPing,
        Self::LeastLoad,
        Self::Failover,
        Self::Selector,
        Self::UrlTest,
    ];

    /// The name as configuration files write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::ConsistentHash => "consistent_hash",
            Self::RoundRobin => "round_robin",
            Self::LeastConn => "least_conn",
            Self::LeastPing => "least_ping",
            Self::LeastLoad => "least_load",
            Self::Failover => "failover",
            Self::Selector => "selector",
            Self::UrlTest => "urltest",
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
