//! The task of one client: reads what the client and the carriers bring, and passes it on.

mod downward;
mod upward;

use std::{
    collections::HashMap,
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use slab::Slab;
use tokio::{
    task::JoinSet,
    time::{Instant, Sleep, sleep_until},
};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tracing::debug;

use super::{
    Facts, MAX_SESSIONS_OF_ASSOCIATION,
    carrier::{Carrier, Carriers, LINGER},
    client::{Client, Framing},
    open::Opening,
    session::{Session, Standing, State},
    table::{SessionId, Table},
};
use crate::{EndReason, shared::Core, snapshot::Snapshot};

/// How long a target that nothing carries is not tried again.
const REFUSED_FOR: Duration = Duration::from_secs(5);
/// Far enough for a timer that nothing needs.
const FAR: Duration = Duration::from_secs(86_400);

/// One client and its sessions.
#[derive(Debug)]
pub(crate) struct Association {
    core: Arc<Core>,
    snapshot: Arc<Snapshot>,
    carriers: Arc<Carriers>,
    facts: Arc<Facts>,
    client: Client,
    sessions: Table<Session>,
    n_opening: usize,
    n_answering: usize,
    ways: Slab<Way>,
    tasks: JoinSet<TaskEnd>,
    timer: Pin<Box<Sleep>>,
    stopping: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

/// A carrier that sessions of this association use.
#[derive(Debug)]
struct Way {
    carrier: Arc<Carrier>,
    /// The sessions by the address that they send to.
    by_source: HashMap<SocketAddr, SessionId>,
    /// The one that sent last: what comes from an address that nobody has sent to belongs to it.
    latest: Option<SessionId>,
    last_used: Instant,
    /// Whether something was sent since errors were last looked for.
    unchecked: bool,
}

/// What a task of an association comes back with.
#[derive(Debug)]
enum TaskEnd {
    Opened(SessionId, Option<Opening>),
    Answer(SessionId, Option<Vec<u8>>),
    Closed(SessionId),
}

/// What there is to do.
#[derive(Debug, Default)]
struct Ready {
    is_gone: bool,
    client: bool,
    taken: Vec<(SocketAddr, Vec<u8>)>,
    ways: Vec<usize>,
    ended: Vec<TaskEnd>,
    tick: bool,
}

impl Association {
    pub(super) fn new(core: Arc<Core>, facts: Facts, client: Client) -> Self {
        let stopping = core.stopping.clone().cancelled_owned();
        Self {
            snapshot: core.snapshot.load_full(),
            core,
            carriers: Arc::default(),
            facts: Arc::new(facts),
            client,
            sessions: Table::new(MAX_SESSIONS_OF_ASSOCIATION),
            n_opening: 0,
            n_answering: 0,
            ways: Slab::new(),
            tasks: JoinSet::new(),
            timer: Box::pin(sleep_until(Instant::now() + FAR)),
            stopping: Some(Box::pin(stopping)),
        }
    }

    /// Carries until the client is gone.
    pub(crate) async fn run(mut self) {
        debug!(inbound = self.facts.inbound.as_deref(), source = ?self.facts.source, "association");
        loop {
            let ready = poll_fn(|context| self.poll(context)).await;
            if ready.is_gone {
                break;
            }
            for end in ready.ended {
                self.task_ended(end);
            }
            if ready.client {
                self.client_readable(&ready.taken);
            }
            for way in ready.ways {
                self.way_readable(way);
            }
            if ready.tick {
                self.tick(Instant::now());
            }
            let lasts = self.client.is_held() && self.stopping.is_some();
            if !lasts && self.sessions.is_empty() {
                break;
            }
        }
        for id in self.sessions.ids() {
            self.end(id, EndReason::Finished);
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Ready> {
        let mut ready = Ready { is_gone: self.client.poll_gone(context).is_ready(), ..Ready::default() };
        ready.client = self.client.poll_readable(context, &mut ready.taken);
        for (index, way) in &self.ways {
            if way.carrier.poll_readable(context) || way.carrier.is_over() {
                ready.ways.push(index);
            }
        }
        while let Poll::Ready(Some(ended)) = self.tasks.poll_join_next(context) {
            // A task that was aborted has nothing to tell.
            ready.ended.extend(ended.ok());
        }
        ready.tick = self.timer.as_mut().poll(context).is_ready();
        if self.stopping.as_mut().is_some_and(|stopping| stopping.as_mut().poll(context).is_ready()) {
            self.stopping = None;
            ready.tick = true;
        }
        let Ready { is_gone, client, ways, ended, tick, .. } = &ready;
        if *is_gone || *client || *tick || !ways.is_empty() || !ended.is_empty() {
            Poll::Ready(ready)
        } else {
            Poll::Pending
        }
    }

    fn task_ended(&mut self, end: TaskEnd) {
        let now = Instant::now();
        match end {
            TaskEnd::Closed(id) => self.end(id, EndReason::Closed),
            TaskEnd::Opened(id, opened) => {
                self.n_opening = self.n_opening.saturating_sub(1);
                let Some(session) = self.sessions.get_mut(id) else { return };
                match opened {
                    None => session.refuse(now + REFUSED_FOR),
                    Some(opening) => self.opened(id, opening, now),
                }
            }
            TaskEnd::Answer(id, answer) => {
                self.n_answering = self.n_answering.saturating_sub(1);
                self.send_answer(id, answer.as_deref(), now);
            }
        }
    }

    fn opened(&mut self, id: SessionId, opening: Opening, now: Instant) {
        let is_socks = matches!(self.client.framing, Framing::Socks);
        let state = match opening {
            Opening::Answered(answered) => State::Answered(answered),
            Opening::Carried(opened) => {
                let way = self.way_of(&opened.carrier, now);
                if let (Some(to), Some(way)) = (opened.to, self.ways.get_mut(way)) {
                    way.by_source.insert(to, id);
                }
                if let Some(limit) = opened.idle {
                    self.sessions.set_idle_limit(id, limit);
                    self.wake_at(now + limit);
                }
                let Some(session) = self.sessions.get(id) else { return };
                State::Open(Box::new(Standing::new(*opened, way, &session.target, is_socks)))
            }
        };
        let Some(session) = self.sessions.get_mut(id) else { return };
        let before = std::mem::replace(&mut session.state, state);
        let mut waiting = Vec::new();
        if let State::Opening { waiting: before } = before {
            (waiting, session.sniffed) = before.take();
        }
        if let (None, Some(guard)) = (&session.watch, session.guard()) {
            let connection = guard.connection().clone();
            session.watch = Some(self.tasks.spawn(async move {
                connection.conduit.close.cancelled().await;
                TaskEnd::Closed(id)
            }));
        }
        let mut upward = Vec::with_capacity(waiting.len());
        for payload in &waiting {
            self.hand_over(id, payload, now, &mut upward);
        }
        self.send_up(upward, now);
    }

    /// The place of a carrier, which it gets if it has none.
    fn way_of(&mut self, carrier: &Arc<Carrier>, now: Instant) -> usize {
        let known = self.ways.iter().find(|(_, way)| Arc::ptr_eq(&way.carrier, carrier));
        if let Some((index, _)) = known {
            return index;
        }
        self.wake_at(now + LINGER);
        self.ways.insert(Way {
            carrier: carrier.clone(),
            by_source: HashMap::new(),
            latest: None,
            last_used: now,
            unchecked: false,
        })
    }

    fn forget_source(&mut self, id: SessionId, standing: &Standing) {
        if let (Some(to), Some(way)) = (standing.opened.to, self.ways.get_mut(standing.way))
            && way.by_source.get(&to) == Some(&id)
        {
            way.by_source.remove(&to);
        }
    }

    /// Ends a session.
    fn end(&mut self, id: SessionId, reason: EndReason) {
        let Some(session) = self.sessions.remove(id) else { return };
        if let State::Open(standing) = &session.state {
            self.forget_source(id, standing);
        }
        session.end(reason);
    }

    /// Ends what has been idle for too long, and looks for errors.
    fn tick(&mut self, now: Instant) {
        for id in self.sessions.expired(now) {
            self.end(id, EndReason::Idle);
        }
        let unchecked: Vec<usize> = self
            .ways
            .iter()
            .filter(|(_, way)| way.unchecked && way.carrier.is_direct())
            .map(|(index, _)| index)
            .collect();
        for index in unchecked {
            self.check_errors(Some(index));
        }
        self.ways.retain(|_, way| {
            let lasts = now < way.last_used + LINGER && !way.carrier.is_over();
            if !lasts {
                way.carrier.end();
            }
            lasts
        });
        let lingering = self.ways.iter().map(|(_, way)| way.last_used + LINGER).min();
        let next = self.sessions.next_expiry().into_iter().chain(lingering).min();
        self.timer.as_mut().reset(next.unwrap_or(now + FAR));
    }

    fn wake_at(&mut self, at: Instant) {
        if at < self.timer.deadline() {
            self.timer.as_mut().reset(at);
        }
    }
}

fn is_too_long(error: &io::Error) -> bool {
    error.raw_os_error() == Some(nix::errno::Errno::EMSGSIZE as i32)
}
