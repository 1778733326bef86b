//! Proxy handshakes as byte machines: SOCKS4, SOCKS4a, SOCKS5 and HTTP on the server side, SOCKS5 and
//! HTTP CONNECT on the client side.
//!
//! A machine does no IO, reads no clock and spawns nothing: it is fed what was read from a socket and
//! says in a [`Step`] what to do next. Whatever a peer sends, a machine never panics and never holds
//! more than its handshake can be long plus the last piece it was fed. Deadlines are the caller's.
//! Start from [`Server`], which recognises the protocol by its first byte, and from [`Machine`].
//!
//! ```
//! use waypost_wire::{Accept, Accounts, Machine, Server, Step};
//!
//! let mut server = Server::new(Accept::Mixed, Accounts::default());
//! assert_eq!(server.advance(b"\x05\x01"), Step::NeedMore);
//! assert_eq!(server.advance(b"\x00"), Step::Send(vec![5, 0]));
//! assert_eq!(server.advance(b""), Step::NeedMore);
//! let step = server.advance(b"\x05\x01\x00\x03\x0bexample.com\x01\xbbhello");
//! let Step::Done { output: request, rest } = step else { panic!("{step:?}") };
//! assert_eq!(request.target.to_string(), "example.com:443");
//! assert_eq!(rest, b"hello");
//! ```
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod machine;
mod server;

mod accounts;
mod answer;
mod http_server;
mod socks4_server;
mod socks5_server;

mod http_client;
mod socks5_client;
mod socks5_udp;

mod address;
mod first_flight;
mod forward;
mod head;

pub use accounts::{Accounts, AccountsError, Credentials};
pub use answer::{Answer, DialFailure};
pub use first_flight::{FirstFlight, FlightKind, MAX_FIRST_FLIGHT_BYTES, first_flight};
pub use http_client::HttpConnectClient;
pub use http_server::HttpServer;
pub use machine::{ClientError, Machine, ServerError, Socks5Reply, Step};
pub use server::{Accept, Command, Request, Server};
pub use socks4_server::Socks4Server;
pub use socks5_client::{Socks5AssociateClient, Socks5Client};
pub use socks5_server::Socks5Server;
pub use socks5_udp::{MAX_UDP_HEADER_BYTES, UdpDatagram, UdpDatagramError};

/// The longest HTTP head (start line and headers) that is read; Apache and nginx stop at 8 to 32 KiB.
pub const MAX_HTTP_HEAD_BYTES: usize = 64 * 1024;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
