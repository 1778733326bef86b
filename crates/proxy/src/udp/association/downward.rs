//! From targets to the client.

use std::{io, net::SocketAddr, sync::atomic::Ordering};

use tokio::time::Instant;
use waypost_wire::UdpDatagram;

use super::{Association, is_too_long};
use crate::{
    EndReason,
    udp::{
        batch::{MAX_DATAGRAM_BYTES, Outgoing},
        client::Framing,
        drops::Reason,
        session::State,
        table::SessionId,
    },
};

impl Association {
    /// Reads what a carrier has received.
    pub(super) fn way_readable(&mut self, index: usize) {
        let Some(way) = self.ways.get(index) else { return };
        let (carrier, core) = (way.carrier.clone(), self.core.clone());
        if carrier.is_over() {
            self.ways.remove(index);
            return;
        }
        if let Some(opened) = carrier.take_opened(&core.udp.buffers) {
            return self.take_relayed(index, opened.iter().map(Vec::as_slice));
        }
        for socket in carrier.sockets() {
            core.udp.buffers.with(|buffer| match socket.receive(buffer) {
                Ok(batch) if carrier.is_direct() => self.take_answers(index, batch.iter()),
                Ok(batch) => self.take_relayed(index, batch.iter().map(|(_, datagram)| datagram)),
                Err(_about_earlier) => self.check_errors(Some(index)),
            });
        }
    }

    /// Passes answers to the client that came from targets, or from anybody.
    fn take_answers<'b>(&mut self, index: usize, datagrams: impl Iterator<Item = (SocketAddr, &'b [u8])>) {
        let now = Instant::now();
        let mut downward: Vec<(SocketAddr, Option<SessionId>, &'b [u8])> = Vec::new();
        for (source, payload) in datagrams {
            let known = downward.last().filter(|(last, _, _)| *last == source).map(|(_, id, _)| *id);
            let Some(way) = self.ways.get_mut(index) else { return };
            way.last_used = now;
            let id = known.unwrap_or_else(|| way.by_source.get(&source).copied());
            let counted = id.or(way.latest);
            self.count_down(counted, payload, now);
            downward.push((source, id, payload));
        }
        let is_socks = matches!(self.client.framing, Framing::Socks);
        let strangers: Vec<(SocketAddr, Vec<u8>)> = downward
            .chunk_by(|a, b| a.0 == b.0)
            .filter_map(|run| run.first().filter(|(_, id, _)| id.is_none()))
            .map(|(source, _, _)| (*source, UdpDatagram::header_from(*source)))
            .collect();
        let mut outgoing = Vec::with_capacity(downward.len());
        for (source, id, payload) in &downward {
            let session = id.and_then(|id| self.sessions.get(id)).map(|session| &session.state);
            let header = match session {
                Some(State::Open(standing)) => standing.header_down.as_slice(),
                Some(State::Opening { .. } | State::Answered(_) | State::Refused { .. }) | None => {
                    let header = strangers.iter().find(|(stranger, _)| stranger == source);
                    match header.filter(|_| is_socks) {
                        Some((_, header)) => header,
                        // Without headers a client takes everything for the answer of its target.
                        None => continue,
                    }
                }
            };
            outgoing.push(Outgoing { to: self.client.sender.address(), header, payload });
        }
        self.send_down(&outgoing);
    }

    /// Passes on what came from a proxy server, whose header is the one that the client wants.
    fn take_relayed<'b>(&mut self, index: usize, datagrams: impl Iterator<Item = &'b [u8]>) {
        let now = Instant::now();
        let is_socks = matches!(self.client.framing, Framing::Socks);
        let mut outgoing = Vec::new();
        for datagram in datagrams {
            let UdpDatagram { address, payload } = match UdpDatagram::parse(datagram) {
                Ok(parsed) => parsed,
                Err(error) => {
                    self.drop_malformed(&error);
                    continue;
                }
            };
            let Some(way) = self.ways.get_mut(index) else { return };
            way.last_used = now;
            let latest = way.latest;
            self.count_down(self.sessions.find(address).or(latest), payload, now);
            let header = datagram.get(..datagram.len() - payload.len()).filter(|_| is_socks);
            let header = header.unwrap_or_default();
            outgoing.push(Outgoing { to: self.client.sender.address(), header, payload });
        }
        self.send_down(&outgoing);
    }

    /// Sends what the outbound itself answered to a datagram of a session, as if it came from the target.
    pub(super) fn send_answer(&mut self, id: SessionId, answer: Option<&[u8]>, now: Instant) {
        let (Some(payload), Some(session)) = (answer, self.sessions.get(id)) else { return };
        let header = match self.client.framing {
            Framing::Socks => UdpDatagram::header_to(&session.target),
            Framing::Fixed(_) => Vec::new(),
        };
        self.count_down(Some(id), payload, now);
        self.send_down(&[Outgoing { to: self.client.sender.address(), header: &header, payload }]);
    }

    fn send_down(&self, outgoing: &[Outgoing<'_>]) {
        let fits =
            |datagram: &Outgoing<'_>| datagram.header.len() + datagram.payload.len() <= MAX_DATAGRAM_BYTES;
        let n_oversized = if outgoing.iter().all(fits) {
            self.client.send(outgoing);
            0
        } else {
            let fitting: Vec<Outgoing<'_>> = outgoing.iter().copied().filter(fits).collect();
            self.client.send(&fitting);
            outgoing.len() - fitting.len()
        };
        for _ in 0..n_oversized {
            self.core.udp.drops.count(Reason::Oversized);
        }
    }

    /// Notes that a session was answered.
    fn count_down(&mut self, id: Option<SessionId>, payload: &[u8], now: Instant) {
        let Some(id) = id else { return };
        self.sessions.touch(id, now);
        let Some(session) = self.sessions.get_mut(id) else { return };
        if let State::Open(standing) = &mut session.state {
            standing.tie.last_reply = Some(now);
        }
        if let Some(guard) = session.guard() {
            let counters = &guard.connection().conduit.counters;
            counters.down.fetch_add(payload.len() as u64, Ordering::Relaxed);
        }
    }

    /// Ends the sessions whose datagrams met an error on their way.
    pub(super) fn check_errors(&mut self, way: Option<usize>) {
        let Some(way) = way.and_then(|index| self.ways.get_mut(index)) else { return };
        way.unchecked = false;
        if !way.carrier.is_direct() {
            // The proxy server does not take datagrams where it said it would.
            way.carrier.end();
            return;
        }
        let errors: Vec<(SocketAddr, io::Error)> =
            way.carrier.sockets().flat_map(|socket| socket.take_errors()).collect();
        let concerned: Vec<(SessionId, io::ErrorKind)> = errors
            .iter()
            .filter(|(_, error)| !is_too_long(error))
            .filter_map(|(target, error)| Some((*way.by_source.get(target)?, error.kind())))
            .collect();
        for (id, kind) in concerned {
            self.end(id, EndReason::TargetFailed(kind));
        }
    }
}
