//! Carries bytes both ways between two streams.

mod direction;
mod pipe;

use std::{
    future::poll_fn,
    io,
    pin::pin,
    sync::atomic::{AtomicU64, Ordering},
    task::Poll,
    time::Duration,
};

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use waypost_config::model::Policy;

use self::direction::{Course, Direction, State};
use crate::Stream;

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

/// Bytes carried so far; a byte counts when it is written to the receiver's socket.
#[derive(Debug, Default)]
pub struct Counters {
    /// From the client to the target.
    pub up: AtomicU64,
    /// From the target to the client.
    pub down: AtomicU64,
}

impl Counters {
    /// Bytes up and bytes down.
    #[must_use]
    pub fn totals(&self) -> (u64, u64) {
        (self.up.load(Ordering::Relaxed), self.down.load(Ordering::Relaxed))
    }
}

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
    /// The connection to the client failed. The target sees a reset, unless it has all and its end.
    ClientFailed(io::ErrorKind),
    /// The connection to the target failed. The client sees a reset, unless it has all and its end.
    TargetFailed(io::ErrorKind),
}

/// Carries bytes both ways until both sides have closed, one of them fails, nothing moves for too
/// long, the time is up, or `close` is cancelled. When one side closes, the other is told so and may go
/// on sending.
///
/// No buffer is held while a side has nothing to say; what the receiver does not take at once is
/// kept, up to 64 KiB, and nothing more is read meanwhile. A direction that has carried 128 KiB goes
/// on through a pipe, without its bytes being copied.
pub async fn relay(
    client: Side,
    target: Side,
    counters: &Counters,
    terms: &Terms,
    close: &CancellationToken,
) -> RelayEnd {
    let Side { stream: mut client, rest } = client;
    let mut up = Direction::new(rest);
    let Side { stream: mut target, rest } = target;
    let mut down = Direction::new(rest);

    let mut clock = Clock::new(terms);
    let mut timer = pin!(sleep_until(clock.next_check()));
    let mut closed = pin!(close.cancelled());
    let reason = poll_fn(|context| {
        if closed.as_mut().poll(context).is_ready() {
            return Poll::Ready(EndReason::Closed);
        }
        let course = Course {
            source: &mut client,
            sink: &mut target,
            counter: &counters.up,
            buffer: terms.buffer,
            is_last: down.is_closed(),
        };
        let up_state = up.poll(context, course);
        let course = Course {
            source: &mut target,
            sink: &mut client,
            counter: &counters.down,
            buffer: terms.buffer,
            is_last: up.is_closed(),
        };
        let down_state = down.poll(context, course);
        if let Some(reason) = reason_to_end(up_state, down_state) {
            return Poll::Ready(reason);
        }
        if up.take_moved() | down.take_moved() {
            clock.last_move = Instant::now();
        }
        if clock.note(up_state, down_state) {
            timer.as_mut().reset(clock.next_check());
        }
        // The timer is set again only when it fires, not with every byte.
        while timer.as_mut().poll(context).is_ready() {
            if let Some(reason) = clock.reason_to_end() {
                return Poll::Ready(reason);
            }
            if let Some(reason) = reason_in_sockets(&client, &target) {
                return Poll::Ready(reason);
            }
            timer.as_mut().reset(clock.next_check());
        }
        Poll::Pending
    })
    .await;

    // Who was sent everything and its end must not lose that to a reset.
    match reason {
        EndReason::ClientFailed(_) if !up.is_closed() => target.reset_on_close(),
        EndReason::TargetFailed(_) if !down.is_closed() => client.reset_on_close(),
        EndReason::Finished
        | EndReason::Idle
        | EndReason::Expired
        | EndReason::Closed
        | EndReason::ClientFailed(_)
        | EndReason::TargetFailed(_) => {}
    }
    RelayEnd { up: counters.up.load(Ordering::Relaxed), down: counters.down.load(Ordering::Relaxed), reason }
}

/// When a relay ends by itself.
struct Clock<'t> {
    terms: &'t Terms,
    last_move: Instant,
    /// When it ends whatever moves, if ever.
    end: Option<Instant>,
    client_ended: bool,
    target_ended: bool,
}

impl<'t> Clock<'t> {
    fn new(terms: &'t Terms) -> Self {
        let now = Instant::now();
        let end = terms.total.and_then(|total| now.checked_add(total));
        Self { terms, last_move: now, end, client_ended: false, target_ended: false }
    }

    /// Notes which sides have ended; whether one of them has just now.
    fn note(&mut self, up: State, down: State) -> bool {
        let before = (self.client_ended, self.target_ended);
        self.client_ended = up != State::Open;
        self.target_ended = down != State::Open;
        before != (self.client_ended, self.target_ended)
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
