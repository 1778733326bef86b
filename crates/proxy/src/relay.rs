//! Carries bytes both ways between two streams.

mod direction;

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

use self::direction::{Direction, State};
use crate::Stream;

/// V2Ray's `connIdle`.
///
/// V2Ray cuts a connection one second after one side closed (`uplinkOnly`, `downlinkOnly`), which
/// loses slow answers; here a half-closed connection may be idle as long as any other.
pub const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(300);

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
    /// The relay was told to close.
    Closed,
    /// The connection to the client failed. The target sees a reset, unless it has all and its end.
    ClientFailed(io::ErrorKind),
    /// The connection to the target failed. The client sees a reset, unless it has all and its end.
    TargetFailed(io::ErrorKind),
}

/// Carries bytes both ways until both sides have closed, one of them fails, nothing moves for
/// `idle`, or `close` is cancelled. When one side closes, the other is told so and may go on sending.
///
/// No buffer is held while a side has nothing to say; what the receiver does not take at once is
/// kept, up to 64 KiB, and nothing more is read meanwhile.
pub async fn relay(
    client: Side,
    target: Side,
    counters: &Counters,
    idle: Duration,
    close: &CancellationToken,
) -> RelayEnd {
    let Side { stream: mut client, rest } = client;
    let mut up = Direction::new(rest);
    let Side { stream: mut target, rest } = target;
    let mut down = Direction::new(rest);

    let mut last_move = Instant::now();
    let mut half_closed = false;
    let mut timer = pin!(sleep_until(last_move + idle));
    let mut closed = pin!(close.cancelled());
    let reason = poll_fn(|context| {
        if closed.as_mut().poll(context).is_ready() {
            return Poll::Ready(EndReason::Closed);
        }
        let up_state = up.poll(context, &mut client, &mut target, &counters.up);
        let down_state = down.poll(context, &mut target, &mut client, &counters.down);
        if let Some(reason) = reason_to_end(up_state, down_state) {
            return Poll::Ready(reason);
        }
        if up.take_moved() | down.take_moved() {
            last_move = Instant::now();
        }
        if !half_closed && (up_state != State::Open || down_state != State::Open) {
            half_closed = true;
            timer.as_mut().reset(next_check(last_move, idle, half_closed));
        }
        // The timer is set again only when it fires, not with every byte.
        while timer.as_mut().poll(context).is_ready() {
            if Instant::now() >= last_move + idle {
                return Poll::Ready(EndReason::Idle);
            }
            if let Some(reason) = reason_in_sockets(&client, &target) {
                return Poll::Ready(reason);
            }
            timer.as_mut().reset(next_check(last_move, idle, half_closed));
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
        | EndReason::Closed
        | EndReason::ClientFailed(_)
        | EndReason::TargetFailed(_) => {}
    }
    RelayEnd { up: counters.up.load(Ordering::Relaxed), down: counters.down.load(Ordering::Relaxed), reason }
}

/// When to look whether the relay is idle. A side that has closed is not read from any more, so that
/// a reset that it sends later is seen by asking only.
fn next_check(last_move: Instant, idle: Duration, half_closed: bool) -> Instant {
    let idle_at = last_move + idle;
    if half_closed { idle_at.min(Instant::now() + HALF_CLOSED_CHECK) } else { idle_at }
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
