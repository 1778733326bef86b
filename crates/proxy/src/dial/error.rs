use std::{io, net::SocketAddr, time::Duration};

use waypost_dns::ResolveError;
use waypost_net::{Host, Tag};
use waypost_transport::TransportError;
use waypost_wire::{ClientError, DialFailure};

/// Why there is no connection to the target.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// A name has no address.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The deadline came before a name was resolved.
    #[error("no address was found in time")]
    ResolveTimeout,
    /// There is nothing to connect to: a resolver gave an empty answer.
    #[error("there is no address to connect to")]
    NoAddress,
    /// The target or the proxy refused the connection.
    #[error("`{address}` refused the connection")]
    Refused {
        /// Who.
        address: SocketAddr,
    },
    /// There is no route to the network of the target or the proxy.
    #[error("the network of `{address}` is unreachable")]
    NetworkUnreachable {
        /// Who.
        address: SocketAddr,
    },
    /// There is no way to the target or the proxy.
    #[error("`{address}` is unreachable")]
    HostUnreachable {
        /// Who.
        address: SocketAddr,
    },
    /// The target or the proxy did not answer in time.
    #[error("`{address}` did not answer in time")]
    ConnectTimeout {
        /// Who, or the first of several.
        address: SocketAddr,
    },
    /// The connection failed for another reason.
    #[error("cannot connect to `{address}`: {kind}")]
    Connect {
        /// Who.
        address: SocketAddr,
        /// What the system says.
        kind: io::ErrorKind,
    },
    /// The connection was lost as soon as it stood.
    #[error("the connection was lost: {kind}")]
    Lost {
        /// What the system says.
        kind: io::ErrorKind,
    },
    /// The proxy took the connection and did not finish its handshake in time.
    #[error("the proxy `{proxy}` did not finish the handshake in time")]
    HandshakeTimeout {
        /// The proxy.
        proxy: Host,
    },
    /// The proxy closed or lost the connection during the handshake.
    #[error("the proxy `{proxy}` closed the connection during the handshake")]
    HandshakeClosed {
        /// The proxy.
        proxy: Host,
    },
    /// The proxy wants other credentials.
    #[error("the proxy `{proxy}` rejected the credentials")]
    CredentialsRejected {
        /// The proxy.
        proxy: Host,
    },
    /// The proxy said no, or talked nonsense.
    #[error("the proxy `{proxy}` failed")]
    Proxy {
        /// The proxy.
        proxy: Host,
        /// What it said.
        source: ClientError,
    },
    /// The outbound carries no datagrams: HTTP has none.
    #[error("the outbound carries no datagrams")]
    NoDatagrams,
    /// So many connections are open that there is no room for another descriptor.
    #[error("there is no room for another connection")]
    NoRoom,
    /// No outbound of a plan had connected when the time was up.
    #[error("nothing was connected within {limit:?}")]
    TooLate {
        /// What all attempts had together.
        limit: Duration,
    },
    /// The outbound swallows connections; see
    /// [`ClientStream::answer_blackhole`](crate::ClientStream::answer_blackhole).
    #[error("the outbound is a blackhole")]
    Blackholed {
        /// Whether the client is to find an HTTP 403.
        http_response: bool,
    },
    /// The outbound sends connections through the rules again, which it can do for the whole
    /// connection only, not in place of another member.
    #[error("the outbound is a loopback to the inbound `{inbound}`, which cannot stand in for another one")]
    Loopback {
        /// What the rules would see.
        inbound: Tag,
    },
    /// TLS or a transport failed on the way to a proxy.
    #[error("the proxy `{proxy}`: {problem}")]
    Transport {
        /// The proxy.
        proxy: Host,
        /// What is wrong.
        problem: TransportError,
    },
    /// The outbound that leads to a proxy does not.
    #[error("no connection to the proxy by the outbound `{outbound}`: {problem}")]
    Detour {
        /// The outbound on the way.
        outbound: Tag,
        /// What became of it.
        problem: Box<str>,
    },
    /// What the configuration sets on the socket cannot be set.
    #[error("no socket to `{address}`: {problem}")]
    Socket {
        /// The address.
        address: SocketAddr,
        /// What cannot be set, and why.
        problem: Box<str>,
    },
}

impl DialError {
    pub(crate) fn connect(address: SocketAddr, error: &io::Error) -> Self {
        if error.raw_os_error().is_none() {
            return Self::Socket { address, problem: error.to_string().into() };
        }
        let kind = error.kind();
        // One variant per kind that a client can be told; the rest keeps the kind.
        if kind == io::ErrorKind::ConnectionRefused {
            Self::Refused { address }
        } else if kind == io::ErrorKind::NetworkUnreachable {
            Self::NetworkUnreachable { address }
        } else if kind == io::ErrorKind::HostUnreachable {
            Self::HostUnreachable { address }
        } else if kind == io::ErrorKind::TimedOut {
            Self::ConnectTimeout { address }
        } else {
            Self::Connect { address, kind }
        }
    }

    /// Whether nobody answered, and nobody said no.
    pub(crate) fn is_timeout(&self) -> bool {
        matches!(self, Self::ResolveTimeout | Self::ConnectTimeout { .. } | Self::HandshakeTimeout { .. })
    }

    /// Whether a proxy that works said no, which may be the target's fault.
    pub(crate) fn is_answer(&self) -> bool {
        let Self::Proxy { source, .. } = self else { return false };
        matches!(source, ClientError::Socks5(_) | ClientError::HttpStatus { .. })
    }

    /// What the client is told.
    #[must_use]
    pub fn failure(&self) -> DialFailure {
        match self {
            Self::Refused { .. } => DialFailure::Refused,
            Self::NetworkUnreachable { .. } => DialFailure::NetworkUnreachable,
            Self::HostUnreachable { .. } | Self::Resolve(_) | Self::NoAddress => DialFailure::HostUnreachable,
            Self::ResolveTimeout
            | Self::ConnectTimeout { .. }
            | Self::HandshakeTimeout { .. }
            | Self::TooLate { .. } => DialFailure::Timeout,
            Self::Blackholed { .. } => DialFailure::NotAllowed,
            Self::Proxy { source, .. } => proxy_failure(source),
            Self::Connect { .. }
            | Self::Socket { .. }
            | Self::Loopback { .. }
            | Self::Transport { .. }
            | Self::Detour { .. }
            | Self::Lost { .. }
            | Self::HandshakeClosed { .. }
            | Self::CredentialsRejected { .. }
            | Self::NoDatagrams
            | Self::NoRoom => DialFailure::General,
        }
    }
}

/// What the proxy said of the target is passed on.
fn proxy_failure(error: &ClientError) -> DialFailure {
    if let ClientError::Socks5(reply) = error {
        return match reply.0 {
            2 => DialFailure::NotAllowed,
            3 => DialFailure::NetworkUnreachable,
            4 => DialFailure::HostUnreachable,
            5 => DialFailure::Refused,
            6 => DialFailure::Timeout,
            _ => DialFailure::General,
        };
    }
    if let ClientError::HttpStatus { status } = error {
        return match status {
            403 => DialFailure::NotAllowed,
            504 => DialFailure::Timeout,
            _ => DialFailure::General,
        };
    }
    DialFailure::General
}

#[cfg(test)]
mod tests {
    use waypost_wire::Socks5Reply;

    use super::*;

    #[test]
    fn what_a_proxy_says_of_the_target_is_passed_on() {
        for (source, expected) in [
            (ClientError::Socks5(Socks5Reply(2)), DialFailure::NotAllowed),
            (ClientError::Socks5(Socks5Reply(5)), DialFailure::Refused),
            (ClientError::Socks5(Socks5Reply(77)), DialFailure::General),
            (ClientError::HttpStatus { status: 504 }, DialFailure::Timeout),
            (ClientError::HttpStatus { status: 502 }, DialFailure::General),
            (ClientError::Version { found: 4 }, DialFailure::General),
        ] {
            let proxy = Host::parse("proxy").unwrap();
            assert_eq!(DialError::Proxy { proxy, source }.failure(), expected);
        }
    }
}
