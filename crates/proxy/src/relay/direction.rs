use std::{
    cell::RefCell,
    io,
    os::fd::BorrowedFd,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

use super::pipe::Pipe;
use crate::Stream;

/// Large enough that transfers of middling size need few system calls; there is one buffer per thread.
pub(super) const SCRATCH_BYTES: usize = 64 * 1024;

/// From then on bytes are not copied any more: most connections carry less, and a pipe costs three
/// system calls before it saves any.
const SPLICE_AFTER: usize = 128 * 1024;

/// How much a direction carries, and how often it reads, before others on this thread get their turn.
const MAX_BYTES_PER_TURN: usize = 1 << 20;
const MAX_ROUNDS_PER_TURN: usize = 16;

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
    /// Held only while bytes move or are in it.
    pipe: Option<Pipe>,
    /// How much went through without a pipe.
    copied: usize,
    /// How much was carried since the last call of [`take_moved`](Self::take_moved).
    moved: usize,
    /// Whether the sink may hold something back that it was given.
    unflushed: bool,
    source_ended: bool,
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

/// What a direction goes between, and how.
pub(super) struct Course<'a> {
    pub(super) source: &'a mut Stream,
    pub(super) sink: &'a mut Stream,
    pub(super) counter: &'a AtomicU64,
    /// How much is read at once.
    pub(super) buffer: usize,
    /// Whether the other direction is over, so that the sink is closed anyway.
    pub(super) is_last: bool,
}

impl Direction {
    /// `rest` is carried first.
    pub(super) fn new(rest: Vec<u8>) -> Self {
        Self {
            kept: rest,
            written: 0,
            pipe: None,
            copied: 0,
            moved: 0,
            unflushed: false,
            source_ended: false,
            state: State::Open,
        }
    }

    /// Whether a byte moved since the last call.
    pub(super) fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved) > 0
    }

    /// Whether the sink has got everything and its end.
    pub(super) fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Carries what can be carried; if the direction stays open, the task is woken when there is more.
    pub(super) fn poll(&mut self, context: &mut Context<'_>, mut course: Course<'_>) -> State {
        if self.state != State::Open {
            return self.state;
        }
        let before = self.moved;
        for _ in 0..MAX_ROUNDS_PER_TURN {
            match self.poll_round(context, &mut course) {
                Poll::Ready(State::Open) => {}
                Poll::Ready(over) => {
                    self.state = over;
                    self.release_pipe();
                    return over;
                }
                Poll::Pending => {
                    self.release_pipe();
                    if let Poll::Ready(Err(error)) = self.poll_flush_sink(context, &mut course) {
                        self.state = State::SinkFailed(error.kind());
                    }
                    return self.state;
                }
            }
            if self.moved - before >= MAX_BYTES_PER_TURN {
                break;
            }
        }
        context.waker().wake_by_ref();
        self.state
    }

    /// Gives the pipe back unless something is in it.
    fn release_pipe(&mut self) {
        if let Some(pipe) = self.pipe.take_if(|pipe| pipe.is_empty() || self.state != State::Open) {
            pipe.give_back();
        }
    }

    /// Writes what is there to be written, or reads.
    fn poll_round(&mut self, context: &mut Context<'_>, course: &mut Course<'_>) -> Poll<State> {
        if let Err(error) = ready!(self.poll_write_out(context, course)) {
            return Poll::Ready(State::SinkFailed(error.kind()));
        }
        if self.source_ended {
            if let Err(error) = ready!(self.poll_flush_sink(context, course)) {
                return Poll::Ready(State::SinkFailed(error.kind()));
            }
            // Layers tell their end in words of their own, which closing a socket does not.
            if !course.is_last || course.sink.socket().is_none() {
                // A sink that is gone needs no telling.
                let _told = ready!(Pin::new(&mut *course.sink).poll_shutdown(context));
            }
            return Poll::Ready(State::Closed);
        }
        if self.copied >= SPLICE_AFTER
            && let (Some(source), Some(_)) = (course.source.socket(), course.sink.socket())
        {
            return self.poll_fill_pipe(context, source, course);
        }
        self.poll_copy(context, course)
    }

    /// Has a sink with layers send what it holds back. It holds little, so that the source is read on
    /// meanwhile.
    fn poll_flush_sink(
        &mut self,
        context: &mut Context<'_>,
        course: &mut Course<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unflushed {
            ready!(Pin::new(&mut *course.sink).poll_flush(context))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what is kept, and what is in the pipe.
    fn poll_write_out(&mut self, context: &mut Context<'_>, course: &mut Course<'_>) -> Poll<io::Result<()>> {
        while let Some(left) = self.kept.get(self.written..).filter(|left| !left.is_empty()) {
            let count = ready!(Pin::new(&mut *course.sink).poll_write(context, left))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += count;
            self.note(count, course);
        }
        // Gives the memory back: most directions wait far longer than they carry.
        self.kept = Vec::new();
        self.written = 0;
        while let Some(pipe) = self.pipe.as_mut().filter(|pipe| !pipe.is_empty()) {
            ready!(course.sink.poll_write_ready(context))?;
            let socket = course.sink.socket().ok_or(io::ErrorKind::Unsupported)?;
            match course.sink.try_io(Interest::WRITABLE, || pipe.drain(socket)) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => self.note(count, course),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads once and writes once; what the sink does not take is kept. Nothing is kept before.
    fn poll_copy(&mut self, context: &mut Context<'_>, course: &mut Course<'_>) -> Poll<State> {
        SCRATCH.with_borrow_mut(|scratch| {
            let end = course.buffer.min(scratch.len());
            let mut buffer = ReadBuf::new(scratch.get_mut(..end).unwrap_or_default());
            if let Err(error) = ready!(Pin::new(&mut *course.source).poll_read(context, &mut buffer)) {
                return Poll::Ready(State::SourceFailed(error.kind()));
            }
            let read = buffer.filled();
            if read.is_empty() {
                self.source_ended = true;
                return Poll::Ready(State::Open);
            }
            let count = match Pin::new(&mut *course.sink).poll_write(context, read) {
                Poll::Ready(Ok(count)) => count,
                Poll::Ready(Err(error)) => return Poll::Ready(State::SinkFailed(error.kind())),
                Poll::Pending => 0,
            };
            self.copied = self.copied.saturating_add(read.len());
            self.note(count, course);
            self.kept.extend_from_slice(read.get(count..).unwrap_or_default());
            Poll::Ready(State::Open)
        })
    }

    /// Reads into the pipe, which is empty before.
    fn poll_fill_pipe(
        &mut self,
        context: &mut Context<'_>,
        socket: BorrowedFd<'_>,
        course: &Course<'_>,
    ) -> Poll<State> {
        loop {
            if let Err(error) = ready!(course.source.poll_read_ready(context)) {
                return Poll::Ready(State::SourceFailed(error.kind()));
            }
            let Some(pipe) = self.pipe.take().or_else(Pipe::take) else {
                // Without descriptors it is copied, and tried again a while later.
                self.copied = 0;
                return Poll::Ready(State::Open);
            };
            let pipe = self.pipe.insert(pipe);
            match course.source.try_io(Interest::READABLE, || pipe.fill(socket)) {
                Ok(0) => self.source_ended = true,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Poll::Ready(State::SourceFailed(error.kind())),
            }
            return Poll::Ready(State::Open);
        }
    }

    /// Notes what has been written.
    fn note(&mut self, count: usize, course: &Course<'_>) {
        self.unflushed |= course.sink.socket().is_none();
        self.moved = self.moved.saturating_add(count);
        // A program without it is what the benchmark of its cost compares with.
        #[cfg(not(waypost_without_counters))]
        course.counter.fetch_add(count as u64, Ordering::Relaxed);
    }
}
