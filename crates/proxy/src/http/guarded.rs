//! A client's connection as the HTTP server sees it: behind a guard, and with deadlines.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};
use waypost_wire::{Guarded, Refusal, RequestGuard, ServerError, request_timeout};

use super::exchange::Exchange;
use crate::Stream;

/// How long a connection without a request is kept; nginx keeps one for 75 s.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// How much is read at once.
const READ_BYTES: usize = 16 * 1024;

pub(super) struct GuardedIo {
    stream: Stream,
    guard: RequestGuard,
    exchange: Exchange,
    /// What the guard has let through, and how much of that has been read.
    passed: Vec<u8>,
    taken: usize,
    next: Next,
    head_limit: Duration,
    deadline: Option<(Awaited, Pin<Box<Sleep>>)>,
}

/// What the next read does when nothing is left of what has passed.
enum Next {
    /// It feeds the guard with what was read before there was an HTTP server.
    Begin(Vec<u8>),
    Read,
    /// It waits for the answer to an upgrade.
    Upgrade,
    /// It finds the end.
    End(GuardedEnd),
}

/// How the reading of requests ended.
#[derive(Debug)]
pub(super) enum GuardedEnd {
    /// The client has closed its side, or was idle for too long.
    Closed,
    /// The client has to be turned away.
    Refused { reply: Vec<u8>, error: ServerError },
    /// A CONNECT came.
    Connect,
}

/// What a client may take its time with, but not too much.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Awaited {
    RestOfHead,
    NextRequest,
}

impl GuardedIo {
    /// `read` is what was read already; `head_limit` is how long one head may take.
    pub(super) fn new(stream: Stream, read: Vec<u8>, exchange: Exchange, head_limit: Duration) -> Self {
        Self {
            stream,
            guard: RequestGuard::default(),
            exchange,
            passed: Vec::new(),
            taken: 0,
            next: Next::Begin(read),
            head_limit,
            deadline: None,
        }
    }

    /// The connection, what was read of it and by nobody else, and how the requests ended.
    pub(super) fn into_parts(self) -> (Stream, Vec<u8>, GuardedEnd) {
        let mut read = self.passed;
        read.drain(..self.taken);
        let (held, end) = match self.next {
            Next::End(end) => (self.guard.into_held(), end),
            Next::Begin(held) => (held, GuardedEnd::Closed),
            Next::Read | Next::Upgrade => (self.guard.into_held(), GuardedEnd::Closed),
        };
        read.extend(held);
        (self.stream, read, end)
    }

    /// Gives the guard what was read.
    fn advance(&mut self, input: &[u8]) {
        self.next = match self.guard.advance(input, &mut self.passed) {
            Ok(Guarded::Open) => Next::Read,
            Ok(Guarded::Upgrade) => Next::Upgrade,
            Ok(Guarded::Connect) => Next::End(GuardedEnd::Connect),
            Err(Refusal { reply, error }) => Next::End(GuardedEnd::Refused { reply, error }),
        };
        if !self.passed.is_empty() {
            self.deadline = None;
        }
    }

    /// Reads from the client; ready when there is something new to look at.
    fn poll_more(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut space = [MaybeUninit::uninit(); READ_BYTES];
        let mut buffer = ReadBuf::uninit(&mut space);
        match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                self.next = Next::End(GuardedEnd::Closed);
            }
            Poll::Ready(Ok(())) => self.advance(buffer.filled()),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => {
                let end = ready!(self.poll_too_late(context));
                self.next = Next::End(end);
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Waits until the client has taken too long for what is awaited of it, if anything is.
    fn poll_too_late(&mut self, context: &mut Context<'_>) -> Poll<GuardedEnd> {
        let (awaited, limit) = if self.guard.is_in_head() {
            (Awaited::RestOfHead, self.head_limit)
        } else if self.guard.is_between_requests() && self.exchange.is_idle() {
            (Awaited::NextRequest, KEEP_ALIVE)
        } else {
            self.deadline = None;
            return Poll::Pending;
        };
        let (_, sleep) = match &mut self.deadline {
            Some(deadline) if deadline.0 == awaited => deadline,
            deadline => deadline.insert((awaited, Box::pin(sleep_until(Instant::now() + limit)))),
        };
        ready!(sleep.as_mut().poll(context));
        Poll::Ready(match awaited {
            Awaited::NextRequest => GuardedEnd::Closed,
            Awaited::RestOfHead => {
                let Refusal { reply, error } = request_timeout();
                GuardedEnd::Refused { reply, error }
            }
        })
    }
}

impl AsyncRead for GuardedIo {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let left = this.passed.get(this.taken..).unwrap_or_default();
            if !left.is_empty() {
                let count = left.len().min(buffer.remaining());
                buffer.put_slice(left.get(..count).unwrap_or_default());
                this.taken += count;
                return Poll::Ready(Ok(()));
            }
            this.passed.clear();
            this.taken = 0;
            match &mut this.next {
                Next::Begin(read) => {
                    let read = std::mem::take(read);
                    this.advance(&read);
                }
                Next::Read => ready!(this.poll_more(context))?,
                Next::Upgrade => {
                    ready!(this.exchange.poll_declined(context));
                    this.guard.decline_upgrade();
                    this.advance(&[]);
                }
                Next::End(_) => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl AsyncWrite for GuardedIo {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
