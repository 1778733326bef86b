use std::sync::Arc;

use tokio::{sync::OwnedSemaphorePermit, task::AbortHandle, time::Instant};
use waypost_net::Target;
use waypost_wire::{Sniffed, UdpDatagram};

use super::{
    open::{Answered, Opened},
    stay::Tie,
    waiting::Waiting,
};
use crate::{ConnectionGuard, EndReason, RelayEnd};

/// What a client exchanges with one target.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) target: Target,
    pub(super) state: State,
    /// What was recognised when it was opened.
    pub(super) sniffed: Option<Sniffed>,
    /// Ends the session when the table of connections says so.
    pub(super) watch: Option<AbortHandle>,
    /// The room that it takes among all sessions.
    pub(super) _permit: OwnedSemaphorePermit,
}

#[derive(Debug)]
pub(super) enum State {
    /// Nothing carries it yet.
    Opening { waiting: Arc<Waiting> },
    /// A carrier carries it.
    Open(Box<Standing>),
    /// The outbound answers itself.
    Answered(Box<Answered>),
    /// Nothing carries it, and until then nobody is asked again.
    Refused { until: Instant },
}

/// A session that is carried.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) opened: Opened,
    /// The place of its carrier in the association.
    pub(super) way: usize,
    /// What goes before its datagrams on their way to a proxy server; nothing on a direct way.
    pub(super) header_up: Vec<u8>,
    /// What goes before its answers on their way to the client; nothing where the client needs none.
    pub(super) header_down: Vec<u8>,
    pub(super) tie: Tie,
}

impl Session {
    /// Notes that nothing carries it. What waited is lost.
    pub(super) fn refuse(&mut self, until: Instant) {
        if let State::Opening { waiting } = std::mem::replace(&mut self.state, State::Refused { until }) {
            self.sniffed = waiting.take().1;
        }
    }

    /// Begins to open it again, with this datagram. Yields what it was.
    pub(super) fn open_again(&mut self, payload: &[u8]) -> (Arc<Waiting>, State) {
        let waiting = Arc::new(Waiting::again(self.sniffed.take()));
        waiting.push(payload);
        let state = State::Opening { waiting: waiting.clone() };
        (waiting, std::mem::replace(&mut self.state, state))
    }

    /// Its entry in the table of connections.
    pub(super) fn guard(&self) -> Option<&ConnectionGuard> {
        match &self.state {
            State::Open(standing) => Some(&standing.opened.guard),
            State::Answered(answered) => Some(&answered.guard),
            State::Opening { .. } | State::Refused { .. } => None,
        }
    }

    /// Logs the end of the session.
    pub(super) fn end(self, reason: EndReason) {
        if let Some(watch) = self.watch {
            watch.abort();
        }
        let (guard, live, remark) = match self.state {
            State::Open(standing) => {
                let Opened { guard, live, remark, .. } = standing.opened;
                (guard, Some(live), remark)
            }
            State::Answered(answered) => {
                let Answered { guard, live, remark, .. } = *answered;
                (guard, live, remark)
            }
            State::Opening { .. } | State::Refused { .. } => return,
        };
        drop(live);
        if let Some(remark) = remark {
            let (up, down) = guard.connection().conduit.counters.totals();
            remark.log(&guard, RelayEnd { up, down, reason }, None);
        }
    }
}

impl Standing {
    /// `with_header` says whether the client is told where an answer came from.
    /// `target` is the one that the client sends to.
    pub(super) fn new(opened: Opened, way: usize, target: &Target, with_header: bool) -> Self {
        let is_changed = opened.target != *target;
        let header_up = if opened.to.is_some() { Vec::new() } else { UdpDatagram::header_to(&opened.target) };
        let header_down = match opened.to {
            // A rule has changed the target, which the client does not know.
            Some(_) if with_header && is_changed => UdpDatagram::header_to(target),
            Some(to) if with_header => UdpDatagram::header_from(to),
            Some(_) | None => Vec::new(),
        };
        Self { opened, way, header_up, header_down, tie: Tie::default() }
    }
}
