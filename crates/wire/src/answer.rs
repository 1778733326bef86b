use std::{fmt, net::SocketAddr};

use crate::address::put_socket_addr;

/// Why a connection to the target did not come about, as far as a client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DialFailure {
    /// The target refused the connection.
    Refused,
    /// There is no route to the target's network.
    NetworkUnreachable,
    /// There is no way to the target, or its name does not resolve.
    HostUnreachable,
    /// The target or a proxy on the way did not answer in time.
    Timeout,
    /// A rule forbids the connection.
    NotAllowed,
    /// Nothing that could carry the connection is available.
    Unavailable,
    /// Anything else.
    General,
}

impl fmt::Display for DialFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "the connection was refused",
            Self::NetworkUnreachable => "the network is unreachable",
            Self::HostUnreachable => "the host is unreachable",
            Self::Timeout => "there was no answer in time",
            Self::NotAllowed => "a rule forbids it",
            Self::Unavailable => "nothing that could carry it is available",
            Self::General => "it failed",
        })
    }
}

/// How a client wants to be told whether the connection to its target came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// A SOCKS4 reply.
    Socks4,
    /// A SOCKS5 reply.
    Socks5,
    /// A response to CONNECT.
    HttpConnect,
}

impl Answer {
    /// What to send when the connection stands; `bound` is this host's end of it.
    #[must_use]
    pub fn success(self, bound: SocketAddr) -> Vec<u8> {
        match self {
            Self::Socks4 => socks4_reply(SOCKS4_GRANTED, bound),
            Self::Socks5 => socks5_reply(0, bound),
            Self::HttpConnect => b"HTTP/1.1 200 Connection established\r\n\r\n".to_vec(),
        }
    }

    /// What to send when there is no connection.
    #[must_use]
    pub fn failure(self, failure: DialFailure) -> Vec<u8> {
        match self {
            Self::Socks4 => socks4_failure(),
            Self::Socks5 => socks5_failure(socks5_code(failure)),
            Self::HttpConnect => {
                let (status, text) = failure.http();
                http_error(status, &[], text)
            }
        }
    }
}

/// RFC 1928 §6. A timeout is reported as an unreachable host, because `TTL expired` is about hops.
fn socks5_code(failure: DialFailure) -> u8 {
    match failure {
        DialFailure::General | DialFailure::Unavailable => 1,
        DialFailure::NotAllowed => 2,
        DialFailure::NetworkUnreachable => 3,
        DialFailure::HostUnreachable | DialFailure::Timeout => 4,
        DialFailure::Refused => 5,
    }
}

impl DialFailure {
    /// The status and the text of an HTTP response that tells it.
    #[must_use]
    pub fn http(self) -> (&'static str, &'static str) {
        match self {
            Self::Refused => ("502 Bad Gateway", "The target refused the connection."),
            Self::NetworkUnreachable => ("502 Bad Gateway", "The target's network is unreachable."),
            Self::HostUnreachable => ("502 Bad Gateway", "The target is unreachable."),
            Self::Timeout => ("504 Gateway Timeout", "The target did not answer in time."),
            Self::NotAllowed => ("403 Forbidden", "A rule of this proxy forbids the connection."),
            Self::Unavailable => ("503 Service Unavailable", "No way out is available."),
            Self::General => ("502 Bad Gateway", "The connection to the target failed."),
        }
    }
}

/// A whole HTTP response that closes the connection.
pub(crate) fn http_error(status: &str, headers: &[&str], text: &str) -> Vec<u8> {
    let mut response = format!("HTTP/1.1 {status}\r\n");
    for header in headers {
        response.push_str(header);
        response.push_str("\r\n");
    }
    response.push_str("Content-Type: text/plain; charset=utf-8\r\n");
    response.push_str(&format!("Content-Length: {}\r\nConnection: close\r\n\r\n{text}\n", text.len() + 1));
    response.into_bytes()
}

const SOCKS4_GRANTED: u8 = 90;
const SOCKS4_REJECTED: u8 = 91;
const UNSPECIFIED: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

pub(crate) fn socks5_failure(code: u8) -> Vec<u8> {
    socks5_reply(code, UNSPECIFIED)
}

fn socks5_reply(code: u8, bound: SocketAddr) -> Vec<u8> {
    let mut reply = vec![5, code, 0];
    put_socket_addr(&mut reply, bound);
    reply
}

pub(crate) fn socks4_failure() -> Vec<u8> {
    socks4_reply(SOCKS4_REJECTED, UNSPECIFIED)
}

/// SOCKS4 has no room for an IPv6 address; such a bound address is told as `0.0.0.0`.
fn socks4_reply(code: u8, bound: SocketAddr) -> Vec<u8> {
    let octets = match bound {
        SocketAddr::V4(bound) => bound.ip().octets(),
        SocketAddr::V6(_) => [0; 4],
    };
    let mut reply = vec![0, code];
    reply.extend_from_slice(&bound.port().to_be_bytes());
    reply.extend_from_slice(&octets);
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_is_told_in_the_clients_protocol() {
        let v4: SocketAddr = "10.1.2.3:258".parse().unwrap();
        let v6: SocketAddr = "[::1]:258".parse().unwrap();
        assert_eq!(Answer::Socks5.success(v4), [5, 0, 0, 1, 10, 1, 2, 3, 1, 2]);
        assert_eq!(
            Answer::Socks5.success(v6),
            [5, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2]
        );
        assert_eq!(Answer::Socks4.success(v4), [0, 90, 1, 2, 10, 1, 2, 3]);
        assert_eq!(Answer::Socks4.success(v6), [0, 90, 1, 2, 0, 0, 0, 0]);
        assert_eq!(Answer::HttpConnect.success(v4), b"HTTP/1.1 200 Connection established\r\n\r\n");
    }

    #[test]
    fn each_failure_has_its_code() {
        let cases = [
            (DialFailure::Refused, 5, "502"),
            (DialFailure::NetworkUnreachable, 3, "502"),
            (DialFailure::HostUnreachable, 4, "502"),
            (DialFailure::Timeout, 4, "504"),
            (DialFailure::NotAllowed, 2, "403"),
            (DialFailure::Unavailable, 1, "503"),
            (DialFailure::General, 1, "502"),
        ];
        for (failure, socks5, http) in cases {
            assert_eq!(Answer::Socks5.failure(failure), [5, socks5, 0, 1, 0, 0, 0, 0, 0, 0]);
            assert_eq!(Answer::Socks4.failure(failure), [0, 91, 0, 0, 0, 0, 0, 0]);
            let response = String::from_utf8(Answer::HttpConnect.failure(failure)).unwrap();
            assert!(response.starts_with(&format!("HTTP/1.1 {http} ")), "{response}");
            let (head, body) = response.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{response}");
            assert!(head.ends_with("Connection: close"), "{response}");
        }
    }
}
