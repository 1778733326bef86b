//! Datagrams over a stream.

use std::{
    error::Error,
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite};
use waypost_net::Target;
use waypost_wire::{OpenDatagrams, OpenedDatagram, SealDatagrams};

use super::{
    cut,
    halves::{Unread, Unsent},
    invalid,
};

/// What may wait to be sent; what finds no room is lost, as on any path.
const MAX_UNSENT_BYTES: usize = 256 * 1024;

/// Datagrams that travel in a stream.
pub trait Datagrams: fmt::Debug + Send {
    /// Hands all that is there to `take`, each with where it came from or goes to, if the protocol says
    /// so. Yields `false` at the end of the stream.
    ///
    /// # Errors
    ///
    /// If the stream fails, or the peer does not keep to the protocol.
    fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
        take: &mut dyn FnMut(Option<Target>, &[u8]),
    ) -> Poll<io::Result<bool>>;

    /// Puts a datagram among those that are to be sent; `false` if there is no room for it, or it is too
    /// long.
    fn queue(&mut self, target: &Target, payload: &[u8]) -> bool;

    /// Sends what is to be sent, as far as that goes without waiting; the task is woken when it may go on.
    ///
    /// # Errors
    ///
    /// If the stream fails.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Whether each datagram says where it goes; otherwise all go to one target.
    fn carries_targets(&self) -> bool;
}

/// Datagrams in a stream, as a protocol frames them.
pub struct DatagramStream<S, K, O> {
    stream: S,
    sealer: K,
    opener: O,
    unread: Unread,
    unsent: Unsent,
}

impl<S, K: SealDatagrams, O> DatagramStream<S, K, O> {
    /// The side that asks: its head goes out at once.
    pub fn client(stream: S, mut sealer: K, opener: O) -> Self {
        let mut unsent = Unsent::default();
        sealer.seal_head(&mut unsent.bytes);
        Self { stream, sealer, opener, unread: Unread::default(), unsent }
    }

    /// The side that answers. `read` was read already.
    pub fn server(stream: S, sealer: K, opener: O, read: Vec<u8>) -> Self {
        Self { stream, sealer, opener, unread: Unread::new(read), unsent: Unsent::default() }
    }
}

impl<S: fmt::Debug, K, O> fmt::Debug for DatagramStream<S, K, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatagramStream").field("stream", &self.stream).finish_non_exhaustive()
    }
}

impl<S, K, O> Datagrams for DatagramStream<S, K, O>
where
    S: AsyncRead + AsyncWrite + fmt::Debug + Send + Unpin,
    K: SealDatagrams + Send,
    O: OpenDatagrams + Send,
    O::Error: Error + Send + Sync + 'static,
{
    fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
        take: &mut dyn FnMut(Option<Target>, &[u8]),
    ) -> Poll<io::Result<bool>> {
        let mut has_taken = false;
        loop {
            let opened = self.opener.open_datagram(self.unread.bytes_mut()).map_err(invalid)?;
            let at_least = match opened {
                OpenedDatagram::NeedMore { at_least } => at_least,
                OpenedDatagram::Skip { consumed } => {
                    self.unread.consume(consumed);
                    continue;
                }
                OpenedDatagram::Datagram { target, payload, consumed } => {
                    take(target, self.unread.bytes().get(payload).unwrap_or_default());
                    self.unread.consume(consumed);
                    has_taken = true;
                    continue;
                }
                OpenedDatagram::Ended { .. } => return Poll::Ready(Ok(false)),
            };
            if has_taken {
                return Poll::Ready(Ok(true));
            }
            if ready!(self.unread.poll_fill(context, &mut self.stream, at_least))? == 0 {
                self.opener.close_datagrams(self.unread.len()).map_err(cut)?;
                return Poll::Ready(Ok(false));
            }
        }
    }

    fn queue(&mut self, target: &Target, payload: &[u8]) -> bool {
        if self.unsent.len() > MAX_UNSENT_BYTES {
            return false;
        }
        self.unsent.reserve();
        self.sealer.seal_datagram(target, payload, &mut self.unsent.bytes).is_ok()
    }

    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.unsent.poll_send(context, &mut self.stream))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn carries_targets(&self) -> bool {
        self.sealer.carries_targets()
    }
}
