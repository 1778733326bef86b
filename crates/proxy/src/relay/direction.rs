use std::{
    cell::RefCell,
    io,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Large enough that bulk transfers need few system calls; there is one buffer per thread.
const SCRATCH_BYTES: usize = 64 * 1024;

/// How often one direction reads in a row before the other one gets its turn. Both together stay
/// within tokio's budget of 128 operations per poll, or the second would find nothing left of it.
const MAX_ROUNDS: usize = 16;

thread_local! {
    /// Used within one poll only, so that no connection holds a buffer while it waits.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice());
}

/// One direction of a relay.
#[derive(Debug)]
pub(super) struct Direction {
    /// What was read and is not written yet begins at `written`.
    kept: Vec<u8>,
    written: usize,
    source_ended: bool,
    moved: bool,
    state: State,
}

/// How far a direction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// There may be more to carry.
    Open,
    /// The source ended, and the sink knows.
    Closed,
    /// The source cannot be read.
    SourceFailed(io::ErrorKind),
    /// The sink cannot be written.
    SinkFailed(io::ErrorKind),
}

impl Direction {
    /// `rest` is carried first.
    pub(super) fn new(rest: Vec<u8>) -> Self {
        Self { kept: rest, written: 0, source_ended: false, moved: false, state: State::Open }
    }

    /// Whether a byte moved since the last call.
    pub(super) fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    /// Whether the sink has got everything and its end.
    pub(super) fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Carries what can be carried; if the direction stays open, the task is woken when there is more.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        source: &mut (impl AsyncRead + Unpin),
        sink: &mut (impl AsyncWrite + Unpin),
        counter: &AtomicU64,
    ) -> State {
        for _ in 0..MAX_ROUNDS {
            if self.state != State::Open {
                return self.state;
            }
            let carried = match self.poll_kept(context, sink, counter) {
                Poll::Ready(Ok(())) if self.source_ended => {
                    Pin::new(&mut *sink).poll_shutdown(context).map(|shut| {
                        // A sink that is gone needs no telling.
                        let _told = shut;
                        State::Closed
                    })
                }
                Poll::Ready(Ok(())) => self.poll_carry(context, source, sink, counter),
                Poll::Ready(Err(error)) => Poll::Ready(State::SinkFailed(error.kind())),
                Poll::Pending => Poll::Pending,
            };
            match carried {
                Poll::Ready(state) => self.state = state,
                Poll::Pending => return self.state,
            }
        }
        context.waker().wake_by_ref();
        self.state
    }

    /// Writes what is kept.
    fn poll_kept(
        &mut self,
        context: &mut Context<'_>,
        sink: &mut (impl AsyncWrite + Unpin),
        counter: &AtomicU64,
    ) -> Poll<io::Result<()>> {
        while let Some(left) = self.kept.get(self.written..).filter(|left| !left.is_empty()) {
            let count = ready!(Pin::new(&mut *sink).poll_write(context, left))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += count;
            self.moved = true;
            counter.fetch_add(count as u64, Ordering::Relaxed);
        }
        // Gives the memory back: most directions wait far longer than they carry.
        self.kept = Vec::new();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    /// Reads once and writes once; what the sink does not take is kept. Nothing is kept before.
    fn poll_carry(
        &mut self,
        context: &mut Context<'_>,
        source: &mut (impl AsyncRead + Unpin),
        sink: &mut (impl AsyncWrite + Unpin),
        counter: &AtomicU64,
    ) -> Poll<State> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            if let Err(error) = ready!(Pin::new(source).poll_read(context, &mut buffer)) {
                return Poll::Ready(State::SourceFailed(error.kind()));
            }
            let read = buffer.filled();
            if read.is_empty() {
                self.source_ended = true;
                return Poll::Ready(State::Open);
            }
            self.moved = true;
            let count = match Pin::new(sink).poll_write(context, read) {
                Poll::Ready(Ok(count)) => count,
                Poll::Ready(Err(error)) => return Poll::Ready(State::SinkFailed(error.kind())),
                Poll::Pending => 0,
            };
            counter.fetch_add(count as u64, Ordering::Relaxed);
            self.kept.extend_from_slice(read.get(count..).unwrap_or_default());
            Poll::Ready(State::Open)
        })
    }
}
