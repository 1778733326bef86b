//! From the client to its targets.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::Instant;
use tracing::trace;
use waypost_net::Target;
use waypost_wire::{UdpDatagram, UdpDatagramError};

use super::{Association, TaskEnd, is_too_long};
use crate::{
    ConnectionGuard, EndReason,
    udp::{
        batch::Outgoing,
        client::{Framing, Link},
        dns::Answering,
        drops::Reason,
        idle::idle_limit,
        open::{Order, open},
        session::{Session, State},
        table::SessionId,
        waiting::Waiting,
    },
};

/// Sessions of one association that are being opened at the same time.
const MAX_OPENING: usize = 128;
/// Datagrams of one association that outbounds are finding answers to.
const MAX_ANSWERING: usize = 64;
/// How soon after a datagram is looked whether it met an error.
const ERROR_CHECK: Duration = Duration::from_secs(1);

/// A datagram of the client that a session carries.
#[derive(Debug, Clone, Copy)]
pub(super) struct Upward<'b> {
    way: usize,
    is_ipv4: bool,
    id: SessionId,
    payload: &'b [u8],
}

impl Association {
    /// Reads what the client has sent.
    pub(super) fn client_readable(&mut self, taken: &[(SocketAddr, Vec<u8>)]) {
        let core = self.core.clone();
        let now = Instant::now();
        core.udp.buffers.with(|buffer| {
            let received = match &self.client.link {
                Link::Own(socket) => socket.receive(buffer),
                Link::Shared { .. } | Link::Sealed { .. } | Link::Stream(_) => {
                    let datagrams = taken.iter().map(|(source, datagram)| (*source, datagram.as_slice()));
                    return self.take_from_client(datagrams, now);
                }
            };
            match received {
                Ok(batch) => self.take_from_client(batch.iter(), now),
                Err(error) => trace!(%error, "reading from a client failed"),
            }
        });
    }

    fn take_from_client<'b>(
        &mut self,
        datagrams: impl Iterator<Item = (SocketAddr, &'b [u8])>,
        now: Instant,
    ) {
        let fixed = match &self.client.framing {
            Framing::Socks => None,
            Framing::Fixed(target) => Some(target.clone()),
        };
        let mut upward = Vec::new();
        let mut last: Option<(&[u8], SessionId)> = None;
        for (source, datagram) in datagrams {
            if !self.client.sender.admits(source) {
                self.core.udp.drops.count(Reason::Spoofed);
                continue;
            }
            let parsed = match &fixed {
                Some(_) => Ok(UdpDatagram { address: &[], payload: datagram }),
                None => UdpDatagram::parse(datagram),
            };
            let UdpDatagram { address, payload } = match parsed {
                Ok(parsed) => parsed,
                Err(error) => {
                    self.drop_malformed(&error);
                    continue;
                }
            };
            let known = last.filter(|(key, _)| *key == address).map(|(_, id)| id);
            let found = known
                .or_else(|| self.sessions.find(address))
                .or_else(|| self.begin(address, fixed.as_ref(), now));
            let Some(id) = found else { continue };
            last = Some((address, id));
            self.hand_over(id, payload, now, &mut upward);
        }
        self.send_up(upward, now);
    }

    pub(super) fn drop_malformed(&self, error: &UdpDatagramError) {
        let is_fragment = matches!(error, UdpDatagramError::Fragment { .. });
        self.core.udp.drops.count(if is_fragment { Reason::Fragment } else { Reason::Malformed });
        trace!(source = ?self.facts.source, %error, "a datagram was dropped");
    }

    /// Begins a session, if there is room for it.
    fn begin(&mut self, key: &[u8], fixed: Option<&Target>, now: Instant) -> Option<SessionId> {
        let target = match fixed {
            Some(target) => target.clone(),
            None => match (UdpDatagram { address: key, payload: &[] }).target() {
                Ok(target) => target,
                Err(error) => {
                    self.drop_malformed(&error);
                    return None;
                }
            },
        };
        if self.n_opening >= MAX_OPENING || self.stopping.is_none() {
            self.core.udp.drops.count(Reason::NoRoom);
            return None;
        }
        if self.sessions.is_full() {
            self.make_room();
        }
        let permit = self.core.udp.session_permit().or_else(|| {
            self.make_room();
            self.core.udp.session_permit()
        });
        let Some(permit) = permit else {
            self.core.udp.drops.count(Reason::NoRoom);
            return None;
        };
        let limit = idle_limit(target.port, self.facts.idle);
        let waiting = Arc::<Waiting>::default();
        let state = State::Opening { waiting: waiting.clone() };
        let session = Session { target: target.clone(), state, sniffed: None, watch: None, _permit: permit };
        let id = self.sessions.insert(key, limit, now, session);
        self.wake_at(now + limit);
        self.spawn_open(id, target, waiting, None);
        Some(id)
    }

    fn make_room(&mut self) {
        if let Some(id) = self.sessions.least_used() {
            self.end(id, EndReason::MadeRoom);
        }
    }

    fn spawn_open(
        &mut self,
        id: SessionId,
        target: Target,
        waiting: Arc<Waiting>,
        standing: Option<ConnectionGuard>,
    ) {
        let current = self.core.snapshot.load_full();
        if !Arc::ptr_eq(&current, &self.snapshot) {
            // Members have other numbers now.
            (self.snapshot, self.carriers) = (current, Arc::default());
        }
        self.n_opening += 1;
        let order = Order {
            core: self.core.clone(),
            snapshot: self.snapshot.clone(),
            carriers: self.carriers.clone(),
            facts: self.facts.clone(),
            source: self.client.sender.address().or(self.facts.source),
            target,
            waiting,
            standing,
        };
        self.tasks.spawn(async move { TaskEnd::Opened(id, open(order).await) });
    }

    /// Has a datagram carried by its session, or lets it wait for that.
    pub(super) fn hand_over<'b>(
        &mut self,
        id: SessionId,
        payload: &'b [u8],
        now: Instant,
        upward: &mut Vec<Upward<'b>>,
    ) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let target = session.target.clone();
        match &mut session.state {
            State::Opening { waiting } => {
                if !waiting.push(payload) {
                    self.core.udp.drops.count(Reason::NoRoom);
                }
            }
            State::Answered(answered) => {
                let answering = answered.answering.clone();
                self.question(id, answering, payload, now);
            }
            State::Refused { until } => {
                if now >= *until {
                    let waiting = session.open_again(payload).0;
                    self.spawn_open(id, target, waiting, None);
                }
            }
            State::Open(standing) => {
                let leaves = standing.opened.carrier.is_over()
                    || (standing.opened.is_member && standing.tie.breaks(standing.opened.live.stands(), now));
                if !leaves {
                    let is_ipv4 = standing.opened.to.is_none_or(|to| to.is_ipv4());
                    upward.push(Upward { way: standing.way, is_ipv4, id, payload });
                    return;
                }
                let (waiting, State::Open(standing)) = session.open_again(payload) else { return };
                self.forget_source(id, &standing);
                self.spawn_open(id, target, waiting, Some(standing.opened.guard));
            }
        }
    }

    /// Has a datagram answered by the outbound itself.
    fn question(&mut self, id: SessionId, answering: Answering, payload: &[u8], now: Instant) {
        if self.n_answering >= MAX_ANSWERING {
            return self.core.udp.drops.count(Reason::NoRoom);
        }
        self.n_answering += 1;
        self.sessions.touch(id, now);
        if let Some(guard) = self.sessions.get(id).and_then(Session::guard) {
            let counters = &guard.connection().conduit.counters;
            counters.up.fetch_add(payload.len() as u64, Ordering::Relaxed);
        }
        let datagram = payload.to_vec();
        self.tasks.spawn(async move { TaskEnd::Answer(id, answering.answer(datagram).await) });
    }

    /// Sends datagrams of the client by their carriers, those of a session one after the other.
    pub(super) fn send_up(&mut self, mut upward: Vec<Upward<'_>>, now: Instant) {
        upward.sort_by_key(|datagram| (datagram.way, datagram.is_ipv4, datagram.id));
        let is_same = |a: &Upward<'_>, b: &Upward<'_>| (a.way, a.is_ipv4) == (b.way, b.is_ipv4);
        for part in upward.chunk_by(is_same) {
            let mut failed = self.send_by_way(part, now);
            // An error that is kept for a socket is told once, and the datagram has to be sent again.
            if failed.iter().any(|(_, error)| is_about_earlier(error)) {
                let again: Vec<Upward<'_>> = failed
                    .iter()
                    .filter(|(_, error)| is_about_earlier(error))
                    .filter_map(|(index, _)| part.get(*index).copied())
                    .collect();
                failed.retain(|(_, error)| !is_about_earlier(error));
                self.fail_up(part, failed);
                self.check_errors(part.first().map(|datagram| datagram.way));
                let failed = self.send_by_way(&again, now);
                self.fail_up(&again, failed);
            } else {
                self.fail_up(part, failed);
            }
        }
    }

    fn send_by_way(&mut self, part: &[Upward<'_>], now: Instant) -> Vec<(usize, io::Error)> {
        let mut outgoing = Vec::with_capacity(part.len());
        for datagram in part {
            let session = self.sessions.get(datagram.id);
            let Some(State::Open(standing)) = session.map(|session| &session.state) else { continue };
            let to = standing.opened.to;
            outgoing.push(Outgoing { to, header: &standing.header_up, payload: datagram.payload });
        }
        let Some(first) = part.first() else { return Vec::new() };
        let Some(way) = self.ways.get_mut(first.way) else { return Vec::new() };
        let to = outgoing.first().and_then(|datagram| datagram.to);
        // Sessions that ended meanwhile would shift the numbers.
        let is_whole = outgoing.len() == part.len();
        let failed = if is_whole { way.carrier.send(to, &outgoing) } else { Vec::new() };
        way.last_used = now;
        let is_unchecked = !std::mem::replace(&mut way.unchecked, true);
        for (index, datagram) in part.iter().enumerate() {
            way.latest = Some(datagram.id);
            self.sessions.touch(datagram.id, now);
            if failed.iter().all(|(failed, _)| *failed != index)
                && let Some(State::Open(standing)) =
                    self.sessions.get(datagram.id).map(|session| &session.state)
            {
                let counters = &standing.opened.guard.connection().conduit.counters;
                counters.up.fetch_add(datagram.payload.len() as u64, Ordering::Relaxed);
            }
        }
        if is_unchecked {
            self.wake_at(now + ERROR_CHECK);
        }
        failed
    }

    fn fail_up(&mut self, part: &[Upward<'_>], failed: Vec<(usize, io::Error)>) {
        for (index, error) in failed {
            let Some(datagram) = part.get(index) else { continue };
            if is_too_long(&error) {
                self.core.udp.drops.count(Reason::Oversized);
            } else {
                self.end(datagram.id, EndReason::TargetFailed(error.kind()));
            }
        }
    }
}

/// Whether the error is one that an earlier datagram met, which the kernel tells with the next call.
fn is_about_earlier(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable
    )
}
