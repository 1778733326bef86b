//! Listening sockets that somebody else opened.

use std::{
    net::{SocketAddr, TcpListener},
    os::unix::net::UnixListener,
};

use socket2::Socket;
use waypost_net::canonical_ip;

use crate::BoundAddress;

/// Listening sockets that the service manager opened, for inbounds that listen at the same addresses. They
/// stay open when the program is started anew, so that clients who come meanwhile only wait.
#[derive(Debug, Default)]
pub struct Inherited(Vec<(BoundAddress, Socket)>);

impl Inherited {
    /// Adds a TCP socket; one whose address cannot be told is of no use.
    pub fn add_tcp(&mut self, listener: TcpListener) {
        if let Ok(address) = listener.local_addr() {
            let address = SocketAddr::new(canonical_ip(address.ip()), address.port());
            self.0.push((BoundAddress::Ip(address), listener.into()));
        }
    }

    /// Adds a Unix socket; one without a path is of no use.
    pub fn add_unix(&mut self, listener: UnixListener) {
        let address = listener.local_addr().ok();
        if let Some(path) = address.and_then(|address| Some(address.as_pathname()?.to_str()?.to_owned())) {
            self.0.push((BoundAddress::Unix(path.into()), listener.into()));
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The socket of an address, which is no longer here then.
    pub(crate) fn take(&mut self, address: &BoundAddress) -> Option<Socket> {
        let place = self.0.iter().position(|(known, _)| known == address)?;
        Some(self.0.swap_remove(place).1)
    }
}
