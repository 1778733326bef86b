//! What was read and is not used up, and what is to be sent.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::io::poll_read_buf;

use super::buffers;

/// Bytes of the wire that are not used up.
#[derive(Debug, Default)]
pub(super) struct Unread {
    bytes: Vec<u8>,
    start: usize,
}

impl Unread {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, start: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start >= self.bytes.len()
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len().saturating_sub(self.start)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..).unwrap_or_default()
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count);
        if self.is_empty() {
            self.release();
        }
    }

    /// Gives the memory back.
    pub(super) fn release(&mut self) {
        self.start = 0;
        buffers::give_back(std::mem::take(&mut self.bytes));
    }

    /// Reads once, with room for `at_least` bytes in all; yields how many came.
    pub(super) fn poll_fill<S: AsyncRead + Unpin>(
        &mut self,
        context: &mut Context<'_>,
        stream: &mut S,
        at_least: usize,
    ) -> Poll<io::Result<usize>> {
        if self.bytes.capacity() == 0 {
            self.bytes = buffers::take();
        }
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        if self.bytes.capacity() < at_least.saturating_add(1) {
            self.bytes.reserve(at_least.saturating_sub(self.bytes.len()).saturating_add(1));
        }
        let read = poll_read_buf(Pin::new(stream), context, &mut self.bytes);
        if self.bytes.is_empty() {
            self.release();
        }
        read
    }
}

/// Bytes of the wire that are to be sent.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    pub(super) bytes: Vec<u8>,
    sent: usize,
}

impl Unsent {
    pub(super) fn len(&self) -> usize {
        self.bytes.len().saturating_sub(self.sent)
    }

    /// Makes room to write into.
    pub(super) fn reserve(&mut self) {
        if self.bytes.capacity() == 0 {
            self.bytes = buffers::take();
        }
        // No more is moved than was sent since, so that it costs little however often more is added.
        if self.sent > 0 && self.sent >= self.len() {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// Sends all of it.
    pub(super) fn poll_send<S: AsyncWrite + Unpin>(
        &mut self,
        context: &mut Context<'_>,
        stream: &mut S,
    ) -> Poll<io::Result<()>> {
        while let Some(left) = self.bytes.get(self.sent..).filter(|left| !left.is_empty()) {
            let count = ready!(Pin::new(&mut *stream).poll_write(context, left))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += count;
        }
        if self.bytes.capacity() > 0 {
            self.sent = 0;
            buffers::give_back(std::mem::take(&mut self.bytes));
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn what_was_sent_takes_no_memory_although_more_is_always_there() {
        let (mut near, mut far) = duplex(1000);
        let mut unsent = Unsent::default();
        let mut came = vec![0; 1000];
        for round in 0..=255 {
            tokio::task::yield_now().await;
            for _ in 0..if round == 0 { 10 } else { 1 } {
                unsent.reserve();
                unsent.bytes.extend([round; 1000]);
            }
            let is_pending =
                poll_fn(|context| Poll::Ready(unsent.poll_send(context, &mut near).is_pending()));
            assert!(is_pending.await);
            far.read_exact(&mut came).await.unwrap();
            assert_eq!(came, [round.saturating_sub(9); 1000]);
            assert!(unsent.bytes.len() <= 20_000, "{} bytes for {}", unsent.bytes.len(), unsent.len());
        }
    }
}
