use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use crate::{Side, Stream};

/// What is read at once; a first flight is rarely longer, nor is the first piece of an answer.
const READ_BYTES: usize = 16 * 1024;

/// A connection to a target that has, or will have, the flight.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) number: usize,
    pub(super) stream: Stream,
    /// When the connection stood.
    pub(super) stood: Instant,
    /// How much of the flight was sent.
    pub(super) sent: usize,
    /// Whether the stream may hold something of it back.
    unflushed: bool,
}

/// A client and the targets that are sent what it sends.
#[derive(Debug)]
pub(super) struct Streams {
    pub(super) client: Stream,
    /// Whether the client is listened to: not once it has closed its side.
    pub(super) reads_client: bool,
    /// What the client sent.
    pub(super) flight: Vec<u8>,
    /// Oldest first.
    pub(super) targets: Vec<Target>,
}

/// What can happen to them.
#[derive(Debug)]
pub(super) enum Event {
    /// There is more in the flight.
    ClientSent,
    /// The client closed its side.
    ClientEnded,
    /// The client cannot be read.
    ClientFailed(io::ErrorKind),
    /// The first bytes came from a target.
    Answered { target: Target, answer: Vec<u8> },
    /// A target closed, or failed, without an answer.
    TargetClosed { target: Target, failure: Option<io::ErrorKind> },
}

impl Target {
    pub(super) fn new(number: usize, stream: Stream) -> Self {
        Self { number, stream, stood: Instant::now(), sent: 0, unflushed: false }
    }

    /// Sends what is left of the flight.
    fn poll_send(&mut self, context: &mut Context<'_>, flight: &[u8]) -> Poll<io::Result<()>> {
        while let Some(left) = flight.get(self.sent..).filter(|left| !left.is_empty()) {
            let count = ready!(Pin::new(&mut self.stream).poll_write(context, left))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += count;
            self.unflushed = self.stream.socket().is_none();
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(context))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Sends, and waits for an answer, which is empty at the end of the stream. What came before the
    /// target could not be written to any more is an answer, too.
    fn poll_answer(&mut self, context: &mut Context<'_>, flight: &[u8]) -> Poll<io::Result<Vec<u8>>> {
        let sent = self.poll_send(context, flight);
        match (poll_take(&mut self.stream, context), sent) {
            (Poll::Pending, Poll::Ready(Err(error))) => Poll::Ready(Err(error)),
            (taken, _) => taken,
        }
    }
}

impl Streams {
    pub(super) fn new(client: Side, first: Target) -> Self {
        Self { client: client.stream, reads_client: true, flight: client.rest, targets: vec![first] }
    }

    /// Sends the flight to each target that lacks some of it, and waits for an event.
    pub(super) fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        for index in 0..self.targets.len() {
            let Some(target) = self.targets.get_mut(index) else { break };
            let Poll::Ready(taken) = target.poll_answer(context, &self.flight) else { continue };
            let target = self.targets.remove(index);
            return Poll::Ready(match taken {
                Ok(answer) if answer.is_empty() => Event::TargetClosed { target, failure: None },
                Ok(answer) => Event::Answered { target, answer },
                Err(error) => Event::TargetClosed { target, failure: Some(error.kind()) },
            });
        }
        if !self.reads_client {
            return Poll::Pending;
        }
        Poll::Ready(match ready!(poll_take(&mut self.client, context)) {
            Ok(sent) if sent.is_empty() => Event::ClientEnded,
            Ok(sent) => {
                self.flight.extend(sent);
                Event::ClientSent
            }
            Err(error) => Event::ClientFailed(error.kind()),
        })
    }

    /// What is wrong with the client's connection, asked of one that is not read.
    pub(super) fn client_failure(&self) -> Option<io::ErrorKind> {
        match self.client.take_error() {
            Ok(found) => found.map(|error| error.kind()),
            Err(error) => Some(error.kind()),
        }
    }
}

/// Reads what is there; nothing at the end of the stream. No buffer is held while there is nothing.
fn poll_take(stream: &mut Stream, context: &mut Context<'_>) -> Poll<io::Result<Vec<u8>>> {
    let mut space = [MaybeUninit::uninit(); READ_BYTES];
    let mut buffer = ReadBuf::uninit(&mut space);
    ready!(Pin::new(stream).poll_read(context, &mut buffer))?;
    Poll::Ready(Ok(buffer.filled().to_vec()))
}
