//! Proxy protocols as byte machines: SOCKS4, SOCKS4a, SOCKS5, HTTP, VMess, VLESS and Trojan, client and
//! server side. Also says what the first bytes of a connection are ([`sniff`]), and whether they may be
//! sent twice ([`first_flight`]).
//!
//! A machine does no IO, reads no clock and spawns nothing: it is fed what was read from a socket and
//! says in a [`Step`] what to do next. Whatever a peer sends, a machine never panics and never holds
//! more than its handshake can be long plus the last piece it was fed. Deadlines are the caller's.
//! Start from [`Server`], which recognises the protocol by its first byte, and from [`Machine`].
//!
//! Where bytes look different on the wire than to the user, [`Seal`] and [`Open`] turn the ones into the
//! others, and [`SealDatagrams`] and [`OpenDatagrams`] do so for datagrams over a stream. Of what they
//! take from a peer nothing is kept: the caller holds the bytes, at most 64 KiB at a time.
//!
//! ```
//! use waypost_wire::{Accept, Accounts, Machine, Opening, Server, Step};
//!
//! let mut server = Server::new(Accept::Mixed, Accounts::default());
//! assert_eq!(server.advance(b"\x05\x01"), Step::NeedMore);
//! assert_eq!(server.advance(b"\x00"), Step::Send(vec![5, 0]));
//! assert_eq!(server.advance(b""), Step::NeedMore);
//! let step = server.advance(b"\x05\x01\x00\x03\x0bexample.com\x01\xbbhello");
//! let Step::Done { output: Opening::Tunnel(request), rest } = step else { panic!("{step:?}") };
//! assert_eq!(request.target.to_string(), "example.com:443");
//! assert_eq!(rest, b"hello");
//! ```
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod machine;
mod server;

mod accounts;
mod answer;
mod basic_auth;
mod http_server;
mod request_guard;
mod socks4_server;
mod socks5_server;

mod http_client;
mod socks5_client;
mod socks5_udp;

mod codec;
mod target_field;
mod trojan;
mod uuid;
mod vless;
mod vmess;

mod absolute_uri;
mod address;
mod client_hello;
mod constant_time;
mod first_flight;
mod head;
mod sniff;

pub use absolute_uri::AbsoluteUri;
pub use accounts::{Accounts, AccountsError, Credentials};
pub use answer::{Answer, DialFailure};
pub use basic_auth::BASIC_CHALLENGE;
pub use codec::{
    DatagramTooLong, Open, OpenDatagrams, Opened, OpenedDatagram, PlainOpener, PlainSealer, Seal,
    SealDatagrams,
};
pub use first_flight::{FirstFlight, FlightKind, MAX_FIRST_FLIGHT_BYTES, first_flight};
pub use http_client::HttpConnectClient;
pub use http_server::HttpServer;
pub use machine::{ClientError, Machine, ServerError, Socks5Reply, Step};
pub use request_guard::{Guarded, Refusal, RequestGuard, request_timeout};
pub use server::{Accept, Command, Opening, Request, Server};
pub use sniff::{
    DatagramSniffer, MAX_SNIFF_BYTES, Protocols, Sniff, Sniffed, sniff, sniff_so_far, sniff_widely,
};
pub use socks4_server::Socks4Server;
pub use socks5_client::{Socks5AssociateClient, Socks5Client};
pub use socks5_server::Socks5Server;
pub use socks5_udp::{MAX_UDP_HEADER_BYTES, UdpDatagram, UdpDatagramError};
pub use target_field::{TargetError, put_socks_target, read_socks_target};
pub use trojan::{
    MAX_TROJAN_DATAGRAM_BYTES, TrojanAccepted, TrojanDatagramError, TrojanDatagramOpener,
    TrojanDatagramSealer, TrojanFallback, TrojanOpenError, TrojanOpener, TrojanOpening, TrojanSealer,
    TrojanServer, TrojanUser, trojan_client, trojan_datagram_client,
};
pub use uuid::{Uuid, UuidError};
pub use vless::{
    MAX_VLESS_DATAGRAM_BYTES, VlessAccepted, VlessDatagramOpener, VlessDatagramSealer, VlessOpenError,
    VlessOpener, VlessServer, VlessServerError, vless_client, vless_datagram_client,
};
pub use vmess::{
    MAX_VMESS_DATAGRAM_BYTES, ReplayFilter, UnknownSecurity, VmessAccepted, VmessClient, VmessOpenError,
    VmessOpener, VmessRequest, VmessSealer, VmessSecurity, VmessServer, VmessServerError, VmessUser,
};

/// The longest HTTP head (start line and headers) that is read; Apache and nginx stop at 8 to 32 KiB.
pub const MAX_HTTP_HEAD_BYTES: usize = 64 * 1024;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
