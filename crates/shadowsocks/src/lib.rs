//! Shadowsocks, client and server side: SIP004 (AEAD), SIP022 (2022) and SIP023 (users of 2022).
//!
//! [`Client`] and [`Server`] hold keys and open no sockets. A connection comes to a sealer and an opener
//! (see [`waypost_wire::Seal`] and [`waypost_wire::Open`]), after a [`Handshake`] on the server's side;
//! datagrams go through [`ClientDatagrams`] and [`ServerDatagrams`]. Whatever a peer sends, nothing here
//! panics, and nothing takes more memory than the longest chunk or datagram, but for what tells a server
//! which salts, sessions and numbers there were: that is bounded, and only who has a key adds to it.
//! Randomness is an argument; the time of the day comes from a [`Clock`].
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod client;
mod clock;
mod datagram;
mod method;
mod server;

mod cipher;
mod handshake;
mod key;
mod opener;
mod salts;
mod sealer;

pub use client::Client;
pub use clock::Clock;
pub use datagram::{
    ClientDatagrams, DatagramError, MAX_DATAGRAM_BYTES, ReceivedDatagram, ServerDatagrams, SessionId,
};
pub use handshake::{Accepted, Handshake, HandshakeError};
pub use key::KeyError;
pub use method::{Method, UnknownMethod};
pub use opener::{OpenError, Opener};
pub use salts::Salts;
pub use sealer::Sealer;
pub use server::Server;
