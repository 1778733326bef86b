//! The way to the remote control of this program, as an outbound.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    os::unix::net::UnixStream,
    sync::OnceLock,
};

use tokio::sync::mpsc;

use super::{DialError, Dialed};
use crate::Stream;

/// Where connections to the remote control are served, once that is known.
#[derive(Debug, Default)]
pub(super) struct ApiDoor(OnceLock<mpsc::Sender<UnixStream>>);

impl ApiDoor {
    pub(super) fn open(&self, streams: &mpsc::Sender<UnixStream>) {
        // A snapshot serves one proxy only.
        let _first_wins = self.0.set(streams.clone());
    }

    /// Hands one end of a socket pair over.
    pub(super) fn dial(&self) -> Result<Dialed, DialError> {
        let lost = |error: io::Error| DialError::Lost { kind: error.kind() };
        // Nobody serves it: the program runs without it.
        let closed = DialError::Blackholed { http_response: false };
        let Some(streams) = self.0.get() else { return Err(closed) };
        let (near, far) = UnixStream::pair().map_err(lost)?;
        near.set_nonblocking(true).map_err(lost)?;
        far.set_nonblocking(true).map_err(lost)?;
        let near = tokio::net::UnixStream::from_std(near).map_err(lost)?;
        streams.try_send(far).map_err(|_full_or_closed| closed)?;
        let bound = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        Ok(Dialed { stream: Stream::Unix(near), rest: Vec::new(), bound })
    }
}
