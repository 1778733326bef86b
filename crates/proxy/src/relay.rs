//! Carries bytes both ways between two streams.

mod direction;
mod pipe;

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use waypost_config::model::Policy;

use self::direction::{Course, Direction, State};
use crate::{Conduit, Stream};

/// Less would cost a system call for every segment.
const MIN_BUFFER_BYTES: usize = 4096;

/// V2Ray's `connIdle`.
///
/// V2Ray cuts a connection one second after one side closed (`uplinkOnly`, `downlinkOnly`), which
/// loses slow answers; here a half-closed connection may be idle as long as any other.
pub const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// What a connection is carried under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How long nothing may move.
    pub idle: Duration,
    /// How long nothing may move once the target has closed; no longer than `idle`.
    pub uplink_only: Option<Duration>,
    /// How long nothing may move once the client has closed; no longer than `idle`.
    pub downlink_only: Option<Duration>,
    /// How long it may last, whatever moves.
    pub total: Option<Duration>,
    /// How much is read at once, in bytes.
    pub buffer: usize,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            idle: DEFAULT_IDLE_TIMEOUT,
            uplink_only: None,
            downlink_only: None,
            total: None,
            buffer: direction::SCRATCH_BYTES,
        }
    }
}

impl Terms {
    /// The terms of a policy.
    pub(crate) fn new(policy: &Policy) -> Self {
        let default = Self::default();
        Self {
            idle: policy.idle.unwrap_or(default.idle),
            uplink_only: policy.uplink_only,
            downlink_only: policy.downlink_only,
            total: policy.total,
            buffer: policy.buffer.unwrap_or(default.buffer).clamp(MIN_BUFFER_BYTES, default.buffer),
        }
    }
}

/// How often a half-closed relay asks its sockets whether they still stand.
const HALF_CLOSED_CHECK: Duration = Duration::from_secs(10);

/// One end of a relay.
#[derive(Debug)]
pub struct Side {
    /// The stream.
    pub stream: Stream,
    /// What was read from it already and belongs to the other end.
    pub rest: Vec<u8>,
}

/// How a relay went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayEnd {
    /// Bytes from the client to the target.
    pub up: u64,
    /// Bytes from the target to the client.
    pub down: u64,
    /// Why it ended.
    pub reason: EndReason,
}

/// Why a relay ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// Both sides closed.
    Finished,
    /// No byte went either way for too long.
    Idle,
    /// Its time was up, whatever moved.
    Expired,
    /// The relay was told to close.
    Closed,
    /// Others needed its room. Only sessions of datagrams end so.
    MadeRoom,
    /// The connection to the client failed. The target sees a reset, unless it has all and its end.
    ClientFailed(io::ErrorKind),
    /// The connection to the target failed. The client sees a reset, unless it has all and its end.
    TargetFailed(io::ErrorKind),
}

pin_project! {
    /// Carries bytes both ways until both sides have closed, one of them fails, nothing moves for too
    /// long, the time is up, or it is asked to close. When one side closes, the other is told so and
    /// may go on sending.
    ///
    /// No buffer is held while a side has nothing to say; what the receiver does not take at once is
    /// kept, up to 64 KiB, and nothing more is read meanwhile. A direction that has carried 128 KiB
    /// goes on through a pipe, without its bytes being copied.
    #[derive(Debug)]
    pub struct Relay<C> {
        client: Stream,
        target: Stream,
        up: Direction,
        down: Direction,
        clock: Clock,
        conduit: C,
        waits: bool,
        #[pin]
        timer: Sleep,
    }
}

impl<C: AsRef<Conduit>> Relay<C> {
    /// A relay between two streams, which begins with what was read from them already.
    pub fn new(client: Side, target: Side, terms: Arc<Terms>, conduit: C) -> Self {
        let clock = Clock::new(terms);
        Self {
            client: client.stream,
            target: target.stream,
            up: Direction::new(client.rest),
            down: Direction::new(target.rest),
            timer: sleep_until(clock.next_check()),
            clock,
            conduit,
            waits: false,
        }
    }

    /// What a protocol on the way to the target said when that failed.
    pub(crate) fn fault(&self) -> Option<&str> {
        self.target.fault()
    }

    /// What the world outside sees of it.
    pub fn conduit(&self) -> &C {
        &self.conduit
    }
}

impl<C: AsRef<Conduit>> Future for Relay<C> {
    type Output = RelayEnd;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<RelayEnd> {
        let mut this = self.project();
        let Conduit { counters, close } = (*this.conduit).as_ref();
        let is_closed = if *this.waits {
            close.is_cancelled()
        } else {
            // Its task stays the same to the end.
            *this.waits = true;
            close.poll_cancelled(context).is_ready()
        };
        let reason = if is_closed {
            EndReason::Closed
        } else {
            let (up, down) = (&mut *this.up, &mut *this.down);
            let (client, target) = (&mut *this.client, &mut *this.target);
            let buffer = this.clock.terms.buffer;
            let is_last = down.is_closed();
            let course = Course { source: client, sink: target, counter: &counters.up, buffer, is_last };
            let up_state = up.poll(context, course);
            let is_last = up.is_closed();
            let course = Course { source: target, sink: client, counter: &counters.down, buffer, is_last };
            let down_state = down.poll(context, course);
            let moved = up.take_moved() | down.take_moved();
            match reason_to_end(up_state, down_state) {
                Some(reason) => reason,
                None => {
                    let (client, target) = (&*client, &*target);
                    this.clock.note(moved, up_state, down_state, this.timer.as_mut());
                    ready!(this.clock.poll(context, this.timer, || reason_in_sockets(client, target)))
                }
            }
        };
        // Who was sent everything and its end must not lose that to a reset.
        match reason {
            EndReason::ClientFailed(_) if !this.up.is_closed() => this.target.reset_on_close(),
            EndReason::TargetFailed(_) if !this.down.is_closed() => this.client.reset_on_close(),
            EndReason::Finished
            | EndReason::Idle
            | EndReason::Expired
            | EndReason::Closed
            | EndReason::MadeRoom
            | EndReason::ClientFailed(_)
            | EndReason::TargetFailed(_) => {}
        }
        let (up, down) = counters.totals();
        Poll::Ready(RelayEnd { up, down, reason })
    }
}

/// When a relay ends by itself.
#[derive(Debug)]
struct Clock {
    terms: Arc<Terms>,
    last_move: Instant,
    /// When it ends whatever moves, if ever.
    end: Option<Instant>,
    client_ended: bool,
    target_ended: bool,
}

impl Clock {
    fn new(terms: Arc<Terms>) -> Self {
        let now = Instant::now();
        let end = terms.total.and_then(|total| now.checked_add(total));
        Self { terms, last_move: now, end, client_ended: false, target_ended: false }
    }

    /// Notes what has happened. The timer is set again only when a side has ended, not with every byte.
    fn note(&mut self, moved: bool, up: State, down: State, timer: Pin<&mut Sleep>) {
        if moved {
            self.last_move = Instant::now();
        }
        let ended = (up != State::Open, down != State::Open);
        if ended != (self.client_ended, self.target_ended) {
            (self.client_ended, self.target_ended) = ended;
            timer.reset(self.next_check());
        }
    }

    /// Waits until there is a reason to end.
    fn poll(
        &self,
        context: &mut Context<'_>,
        mut timer: Pin<&mut Sleep>,
        failure: impl Fn() -> Option<EndReason>,
    ) -> Poll<EndReason> {
        while timer.as_mut().poll(context).is_ready() {
            if let Some(reason) = self.reason_to_end().or_else(&failure) {
                return Poll::Ready(reason);
            }
            timer.as_mut().reset(self.next_check());
        }
        Poll::Pending
    }

    /// How long nothing may move.
    fn idle(&self) -> Duration {
        let of = |ended: bool, limit: Option<Duration>| limit.filter(|_| ended).unwrap_or(Duration::MAX);
        let Terms { idle, uplink_only, downlink_only, .. } = *self.terms;
        idle.min(of(self.target_ended, uplink_only)).min(of(self.client_ended, downlink_only))
    }

    /// When to look. A side that has closed is not read from any more, so that a reset that it sends
    /// later is seen by asking only.
    fn next_check(&self) -> Instant {
        let mut next = self.last_move + self.idle();
        if self.client_ended || self.target_ended {
            next = next.min(Instant::now() + HALF_CLOSED_CHECK);
        }
        self.end.map_or(next, |end| end.min(next))
    }

    fn reason_to_end(&self) -> Option<EndReason> {
        let now = Instant::now();
        if self.end.is_some_and(|end| now >= end) {
            return Some(EndReason::Expired);
        }
        (now >= self.last_move + self.idle()).then_some(EndReason::Idle)
    }
}

fn reason_in_sockets(client: &Stream, target: &Stream) -> Option<EndReason> {
    let failure = |stream: &Stream| match stream.take_error() {
        Ok(found) => found.map(|error| error.kind()),
        Err(error) => Some(error.kind()),
    };
    failure(client).map(EndReason::ClientFailed).or_else(|| failure(target).map(EndReason::TargetFailed))
}

/// A side that cannot be read from is gone. One that cannot be written to may have sent something
/// before, which is carried first.
fn reason_to_end(up: State, down: State) -> Option<EndReason> {
    match (up, down) {
        (State::SourceFailed(kind), _) => Some(EndReason::ClientFailed(kind)),
        (_, State::SourceFailed(kind)) => Some(EndReason::TargetFailed(kind)),
        (State::Open, _) | (_, State::Open) => None,
        (State::SinkFailed(kind), _) => Some(EndReason::TargetFailed(kind)),
        (_, State::SinkFailed(kind)) => Some(EndReason::ClientFailed(kind)),
        (State::Closed, State::Closed) => Some(EndReason::Finished),
    }
}
