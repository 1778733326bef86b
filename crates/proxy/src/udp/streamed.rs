//! Datagrams that travel in a stream: to a server, or from a client.

use std::{
    io,
    task::{Context, Poll},
};

use tracing::debug;
use waypost_net::Target;
use waypost_transport::Datagrams;
use waypost_wire::UdpDatagram;

use super::{batch::Outgoing, client::Framing};

/// Datagrams that wait to be passed on. Who takes no more is not read from.
const MAX_WAITING: usize = 256;

/// A stream of datagrams.
#[derive(Debug)]
pub(super) struct Streamed {
    datagrams: Box<dyn Datagrams>,
    /// The only target, unless each datagram has one.
    target: Target,
    /// Whether what came has a header of SOCKS5.
    has_headers: bool,
    came: Vec<Vec<u8>>,
}

impl Streamed {
    /// A stream to a server, whose datagrams are given out with the header of SOCKS5.
    pub(super) fn to_server(datagrams: Box<dyn Datagrams>, target: Target) -> Self {
        Self { datagrams, target, has_headers: true, came: Vec::new() }
    }

    /// A stream from a client. Its datagrams have headers if they have targets.
    pub(super) fn from_client(datagrams: Box<dyn Datagrams>, target: Target) -> Self {
        let has_headers = datagrams.carries_targets();
        Self { datagrams, target, has_headers, came: Vec::new() }
    }

    /// How they look: with a header each, or for one target.
    pub(super) fn framing(&self) -> Framing {
        if self.has_headers { Framing::Socks } else { Framing::Fixed(self.target.clone()) }
    }

    /// Sends datagrams whose headers are those of SOCKS5; what finds no room is lost.
    pub(super) fn queue(&mut self, outgoing: &[Outgoing<'_>]) {
        for Outgoing { header, payload, .. } in outgoing {
            if !self.datagrams.carries_targets() {
                self.datagrams.queue(&self.target, payload);
            } else if let Some(target) = target_of(header) {
                self.datagrams.queue(&target, payload);
            }
        }
    }

    /// Sends and receives what there is; `Err` at the end of the stream.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(Err(error)) = self.datagrams.poll_send(context) {
            return Poll::Ready(Err(error));
        }
        while self.came.len() < MAX_WAITING {
            let Self { datagrams, target, has_headers, came } = self;
            let mut take = |named: Option<Target>, payload: &[u8]| {
                let header = || UdpDatagram::header_to(named.as_ref().unwrap_or(target));
                let mut datagram = if *has_headers { header() } else { Vec::new() };
                datagram.extend_from_slice(payload);
                came.push(datagram);
            };
            match datagrams.poll_receive(context, &mut take) {
                Poll::Pending if came.is_empty() => return Poll::Pending,
                Poll::Pending => break,
                Poll::Ready(Ok(true)) => {}
                // What came before is passed on first.
                Poll::Ready(Ok(false) | Err(_)) if !came.is_empty() => break,
                Poll::Ready(Ok(false)) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Poll::Ready(Err(error)) => {
                    debug!(%target, %error, "a stream of datagrams failed");
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// What came.
    pub(super) fn take(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.came)
    }
}

/// What a header of SOCKS5 says.
pub(super) fn target_of(header: &[u8]) -> Option<Target> {
    UdpDatagram { address: header.get(3..)?, payload: &[] }.target().ok()
}
