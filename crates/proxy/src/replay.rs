//! From the moment a connection stands until its first answer: a first flight that may be sent twice
//! is sent again through the next member while the one that has it says nothing.

mod streams;

use std::{future::poll_fn, io, sync::atomic::Ordering, time::Duration};

use tokio::time::{Instant, sleep_until};
use waypost_wire::{FirstFlight, first_flight};

use self::streams::{Event, Streams, Target};
use crate::{
    Conduit, Dialed, EndReason, Side,
    walk::{Attempts, Walk, WalkEnd},
};

/// How often a client that has closed its side is asked whether it still stands.
const HALF_CLOSED_CHECK: Duration = Duration::from_secs(10);

/// The attempts of a plan whose first flight may be sent again.
pub(crate) trait Replays: Attempts<Reached = Dialed> {
    /// How long a member may be silent before the next one gets the flight, too.
    fn delay(&self, number: usize) -> Duration;

    /// Is told what became known of a member.
    fn found(&self, evidence: Evidence);

    /// Is told that another member got the flight, too.
    fn replayed(&self) {}
}

/// What the wait for a first answer says about an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// The first answer to the flight came through it.
    FirstByte {
        /// The attempt.
        number: usize,
        /// How long it took from the moment it had the flight.
        took: Duration,
    },
    /// The answer came through another one that got the flight later.
    Silent {
        /// The attempt.
        number: usize,
        /// For how long it had the flight.
        after: Duration,
    },
    /// It closed or was reset without an answer.
    ClosedEarly {
        /// The attempt.
        number: usize,
        /// What a protocol on the way makes of that.
        fault: Option<Fault>,
    },
}

/// What a protocol on the way to a target says of an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) reason: Box<str>,
    /// Whether nothing behind the server can be the cause.
    pub(crate) is_certain: bool,
}

/// The terms of the wait for a first answer.
#[derive(Debug)]
pub(crate) struct ReplayTerms<'c> {
    /// How many members may have the flight at a time; at least 2.
    pub(crate) abreast: usize,
    /// How long others are tried, from the first repetition of what the client sent.
    pub(crate) limit: Duration,
    /// How long nothing may move.
    pub(crate) idle: Duration,
    /// Where bytes are counted, once each however often they are sent, and what ends the connection.
    pub(crate) conduit: &'c Conduit,
}

/// How the wait for a first answer ended.
#[derive(Debug)]
pub(crate) enum FirstAnswer {
    /// The rest is the relay's.
    Carry {
        /// The attempt that carries the connection.
        number: usize,
        /// The client, and what it sent that the target has not got.
        client: Side,
        /// The target, and what came from it.
        target: Side,
    },
    /// The connection is over.
    Ended(EndReason),
}

/// Carries what the client sends to `first` until the first answer comes from there or from a member
/// that was sent the same.
///
/// A flight is sent again when it may be ([`first_flight`]) and either its youngest target was silent
/// for [`Replays::delay`] or a target closed. The first to answer carries the connection, the others
/// are reset. A client that goes on before an answer stays with the oldest target. With nobody left to
/// try there is nothing to wait for, and a flight that may not be repeated is the relay's at once.
pub(crate) async fn first_answer<A: Replays>(
    client: Side,
    first: (usize, Dialed),
    mut walk: Walk<'_, A>,
    terms: &ReplayTerms<'_>,
) -> FirstAnswer {
    let (number, dialed) = first;
    let verdict = first_flight(&client.rest);
    if !walk.has_more() || !dialed.rest.is_empty() || verdict == FirstFlight::Unrepeatable {
        let target = Side { stream: dialed.stream, rest: dialed.rest };
        return FirstAnswer::Carry { number, client, target };
    }
    let mut race = Race::new(client, verdict, Target::new(number, dialed.stream), walk.attempts(), terms);
    loop {
        race.has_more = walk.has_more();
        let wake = race.wake();
        let happened = tokio::select! {
            biased;
            () = terms.conduit.close.cancelled() => return race.end(EndReason::Closed),
            event = poll_fn(|context| race.streams.poll_event(context)) => race.handle(event),
            end = walk.next(), if race.dialling => {
                race.has_more = walk.has_more();
                race.handle_dialled(end)
            }
            () = sleep_until(wake) => race.handle_timeout(),
        };
        match happened {
            Next::Wait => {}
            Next::Dial if race.dialling => {}
            Next::Dial => {
                let until = *race.until.get_or_insert_with(|| Instant::now() + terms.limit);
                walk.extend(until);
                race.dialling = true;
            }
            Next::Carry { target, answer } => return race.carry(target, answer),
            Next::End(reason) => return race.end(reason),
        }
    }
}

/// What follows from an event.
enum Next {
    Wait,
    /// The next member is to be dialled.
    Dial,
    Carry {
        target: Target,
        answer: Vec<u8>,
    },
    End(EndReason),
}

/// The targets of a flight that wait for the first answer.
struct Race<'r, A> {
    attempts: &'r A,
    terms: &'r ReplayTerms<'r>,
    streams: Streams,
    verdict: FirstFlight,
    /// When the client's last bytes came.
    last_sent: Instant,
    /// Whether the next member is being dialled.
    dialling: bool,
    /// When nobody else is tried any more; set by the first repetition.
    until: Option<Instant>,
    /// Whether the walk has more members to dial.
    has_more: bool,
    /// The first target that closed, and how.
    closed: Option<(Target, Option<io::ErrorKind>)>,
    /// Silent ones that made room, with the moment from which they had the flight.
    given_up: Vec<(usize, Instant)>,
}

impl<'r, A: Replays> Race<'r, A> {
    fn new(
        client: Side,
        verdict: FirstFlight,
        first: Target,
        attempts: &'r A,
        terms: &'r ReplayTerms<'r>,
    ) -> Self {
        Self {
            attempts,
            terms,
            streams: Streams::new(client, first),
            verdict,
            last_sent: Instant::now(),
            dialling: false,
            until: None,
            has_more: true,
            closed: None,
            given_up: Vec::new(),
        }
    }

    fn handle(&mut self, event: Event) -> Next {
        match event {
            Event::ClientSent => self.handle_sent(),
            Event::ClientEnded => {
                self.streams.reads_client = false;
                self.carry_what_is_settled()
            }
            Event::ClientFailed(kind) => Next::End(EndReason::ClientFailed(kind)),
            Event::Answered { target, answer } => self.win(target, answer),
            Event::TargetClosed { target, failure } => self.handle_closed(target, failure),
        }
    }

    fn handle_sent(&mut self) -> Next {
        self.last_sent = Instant::now();
        self.verdict = first_flight(&self.streams.flight);
        if !self.dialling {
            self.until = None;
        }
        if self.verdict != FirstFlight::Unrepeatable {
            return Next::Wait;
        }
        if !self.streams.targets.is_empty() {
            let target = self.streams.targets.remove(0);
            return Next::Carry { target, answer: Vec::new() };
        }
        let nobody_has_any = self.closed.as_ref().is_none_or(|(target, _)| target.sent == 0);
        if self.dialling && nobody_has_any {
            // The one that is being dialled will be the first to get it.
            self.streams.reads_client = false;
            return Next::Wait;
        }
        self.close_as_target()
    }

    fn handle_closed(&mut self, target: Target, failure: Option<io::ErrorKind>) -> Next {
        let number = target.number;
        let is_early = match self.verdict {
            FirstFlight::Repeatable(_) => true,
            // A server may close a connection on which nothing was asked for a while.
            FirstFlight::NeedMore => target.stood.elapsed() < self.attempts.delay(number),
            FirstFlight::Unrepeatable => false,
        };
        let fault = target.stream.fault().map(|reason| Fault {
            reason: reason.into(),
            is_certain: failure == Some(io::ErrorKind::InvalidData),
        });
        self.closed.get_or_insert((target, failure));
        if is_early {
            self.attempts.found(Evidence::ClosedEarly { number, fault });
            if self.dialling {
                return Next::Wait;
            }
            if self.may_dial() {
                return Next::Dial;
            }
        }
        if self.streams.targets.is_empty() { self.close_as_target() } else { self.carry_what_is_settled() }
    }

    fn handle_dialled(&mut self, end: WalkEnd<Dialed, A::Error>) -> Next {
        self.dialling = false;
        match end {
            WalkEnd::Reached(number, dialed) => {
                let target = Target::new(number, dialed.stream);
                if !dialed.rest.is_empty() {
                    return self.win(target, dialed.rest);
                }
                if self.verdict == FirstFlight::Unrepeatable {
                    return Next::Carry { target, answer: Vec::new() };
                }
                self.join(target);
                Next::Wait
            }
            WalkEnd::Failed(..) | WalkEnd::TooLate(_) | WalkEnd::NoneLeft => {
                if self.streams.targets.is_empty() {
                    self.close_as_target()
                } else {
                    self.carry_what_is_settled()
                }
            }
        }
    }

    /// Adds a target. If there are too many, the second one is given up: the first is kept, because
    /// it is the nearest to an answer if all are waiting for the same slow origin.
    fn join(&mut self, target: Target) {
        self.attempts.replayed();
        let targets = &mut self.streams.targets;
        targets.push(target);
        if targets.len() > self.terms.abreast.max(2) {
            let silent = targets.remove(1);
            silent.stream.reset_on_close();
            self.given_up.push((silent.number, self.had_flight(&silent)));
        }
    }

    fn handle_timeout(&mut self) -> Next {
        let now = Instant::now();
        if now >= self.last_sent + self.terms.idle {
            return Next::End(EndReason::Idle);
        }
        if let (false, Some(failure)) = (self.streams.reads_client, self.streams.client_failure()) {
            return Next::End(EndReason::ClientFailed(failure));
        }
        if self.next_replay().is_some_and(|at| at <= now) {
            return Next::Dial;
        }
        self.carry_what_is_settled()
    }

    /// When there is something to do though nothing happened.
    fn wake(&self) -> Instant {
        let mut wake = self.last_sent + self.terms.idle;
        if let Some(replay) = self.next_replay() {
            wake = wake.min(replay);
        }
        if !self.streams.reads_client {
            wake = wake.min(Instant::now() + HALF_CLOSED_CHECK);
        }
        wake
    }

    /// When the flight is sent again because its youngest target is silent.
    fn next_replay(&self) -> Option<Instant> {
        let is_repeatable = matches!(self.verdict, FirstFlight::Repeatable(_));
        if self.dialling || !is_repeatable || !self.may_dial() {
            return None;
        }
        let youngest = self.streams.targets.last()?;
        Some(self.had_flight(youngest) + self.attempts.delay(youngest.number))
    }

    fn may_dial(&self) -> bool {
        self.has_more && self.until.is_none_or(|until| Instant::now() < until)
    }

    /// From when on a target had the whole flight.
    fn had_flight(&self, target: &Target) -> Instant {
        target.stood.max(self.last_sent)
    }

    /// A target has answered.
    fn win(&mut self, winner: Target, answer: Vec<u8>) -> Next {
        if matches!(self.verdict, FirstFlight::Repeatable(_)) {
            let others = self.streams.targets.iter().filter(|other| other.stood < winner.stood);
            let others = others.map(|other| (other.number, self.had_flight(other)));
            let given_up = self.given_up.iter().copied();
            let silent: Vec<(usize, Instant)> =
                others.chain(given_up.filter(|&(_, since)| since < winner.stood)).collect();
            for (number, since) in silent {
                self.attempts.found(Evidence::Silent { number, after: since.elapsed() });
            }
            let (number, took) = (winner.number, self.had_flight(&winner).elapsed());
            self.attempts.found(Evidence::FirstByte { number, took });
        }
        Next::Carry { target: winner, answer }
    }

    /// Leaves a client that has closed its side to the relay, which tells the target, once there is
    /// one target only and no other is coming.
    fn carry_what_is_settled(&mut self) -> Next {
        let others_may_come = self.dialling || (self.until.is_some() && self.next_replay().is_some());
        if self.streams.reads_client || others_may_come || self.streams.targets.len() != 1 {
            return Next::Wait;
        }
        match self.streams.targets.pop() {
            Some(target) => Next::Carry { target, answer: Vec::new() },
            None => Next::Wait,
        }
    }

    /// Lets the client see what the first target that closed has done.
    fn close_as_target(&mut self) -> Next {
        if let Some((_, Some(failure))) = &self.closed {
            return Next::End(EndReason::TargetFailed(*failure));
        }
        match self.closed.take() {
            Some((target, _)) => Next::Carry { target, answer: Vec::new() },
            None => Next::End(EndReason::Finished),
        }
    }

    fn carry(self, target: Target, answer: Vec<u8>) -> FirstAnswer {
        let Streams { client, mut flight, targets, .. } = self.streams;
        let others = targets.iter().chain(self.closed.as_ref().map(|(closed, _)| closed));
        others.for_each(|other| other.stream.reset_on_close());
        self.terms.conduit.counters.up.fetch_add(target.sent as u64, Ordering::Relaxed);
        FirstAnswer::Carry {
            number: target.number,
            client: Side { stream: client, rest: flight.split_off(target.sent.min(flight.len())) },
            target: Side { stream: target.stream, rest: answer },
        }
    }

    fn end(self, reason: EndReason) -> FirstAnswer {
        let Streams { client, targets, .. } = self.streams;
        let sent =
            targets.iter().chain(self.closed.as_ref().map(|(closed, _)| closed)).map(|target| target.sent);
        self.terms.conduit.counters.up.fetch_add(sent.max().unwrap_or(0) as u64, Ordering::Relaxed);
        match reason {
            EndReason::ClientFailed(_) => targets.iter().for_each(|target| target.stream.reset_on_close()),
            EndReason::TargetFailed(_) => client.reset_on_close(),
            EndReason::Finished
            | EndReason::Idle
            | EndReason::Expired
            | EndReason::Closed
            | EndReason::MadeRoom => {}
        }
        FirstAnswer::Ended(reason)
    }
}

#[cfg(test)]
mod tests;
