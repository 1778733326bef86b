//! Shadowsocks, if this program was built with it.

#[cfg(not(feature = "shadowsocks"))]
mod absent;
#[cfg(feature = "shadowsocks")]
mod present;

use std::sync::Arc;

use waypost_net::Target;

#[cfg(not(feature = "shadowsocks"))]
pub(crate) use absent::{Client, ClientSession, HandshakeError, KeyError, Salts, Server, SessionId};
#[cfg(feature = "shadowsocks")]
pub(crate) use present::{Client, ClientSession, HandshakeError, KeyError, Salts, Server, SessionId};

use crate::Stream;

/// A client that has said where it wants to go.
#[derive(Debug)]
pub(crate) struct Entered {
    pub(crate) user: Option<Arc<str>>,
    pub(crate) target: Target,
    pub(crate) stream: Stream,
    /// What it has sent for the target already.
    pub(crate) first: Vec<u8>,
}

/// A datagram of a client.
#[derive(Debug)]
pub(crate) struct Received {
    /// What it belongs to.
    pub(crate) session: SessionId,
    pub(crate) user: Option<Arc<str>>,
    /// With the header of SOCKS5.
    pub(crate) datagram: Vec<u8>,
}
