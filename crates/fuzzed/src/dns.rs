//! DNS: questions of clients, and the answers of servers over UDP and TCP.

use std::{
    io,
    sync::{Arc, Mutex},
};

use waypost_dns::{
    Carrier, Datagrams, Destination, Fallback, Family, Found, Hosts, LookupFuture, NamesBuilder, Network,
    NetworkFuture, Protocol, Reply, Resolver, ServerAddress, ServerSpec, ServersSpec, Stream, SystemLookup,
    Way, failure, refusal,
};
use waypost_net::{DomainName, Target};

use crate::{
    script::{Cuts, Script},
    stream::{Peer, run},
};

/// The longest datagram of UDP over IPv4 (RFC 768): 65535 bytes without the headers of IP and UDP.
const MAX_DATAGRAM_BYTES: usize = 65_535 - 20 - 8;
const NAME: &str = "name.example";
/// The most datagrams of a server.
const MAX_DATAGRAMS: usize = 8;

/// A question and how it comes, or the answers of a server to one.
pub fn dns(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let kind = script.byte();
    let carrier = if kind & 0x80 == 0 { Carrier::Datagram } else { Carrier::Stream };
    let family = if kind & 0x40 == 0 { Family::V4 } else { Family::V6 };
    match kind % 3 {
        0 => question(script.rest(), carrier),
        1 => drop(answers(&mut script, &Protocol::Udp, family)),
        _ => drop(answers(&mut script, &Protocol::Tcp, family)),
    }
}

fn question(query: &[u8], carrier: Carrier) {
    for answer in [refusal(query), failure(query)] {
        assert!(query.len() < 12 || answer.get(..2) == query.get(..2), "another id");
        assert!(answer.len() <= query.len().max(12) + 64, "{} bytes for {}", answer.len(), query.len());
    }
    let server = Server { protocol: Protocol::Udp, said: Vec::new(), cuts: Vec::new() };
    let Some(resolver) = resolver(server) else { return };
    let Some(reply) = run(async { resolver.answer(query, carrier).await }) else { return };
    if let (Reply::Answer(answer), Carrier::Datagram) = (&reply, carrier) {
        assert!(answer.len() <= MAX_DATAGRAM_BYTES, "an answer of {} bytes", answer.len());
    }
}

/// Looks a name up at a server that answers anything; where the script says so, with the right id and the
/// question.
fn answers(script: &mut Script<'_>, protocol: &Protocol, family: Family) -> Option<Found> {
    let cuts = script.prefixed().to_vec();
    let mut said = Vec::new();
    for _ in 0..script.byte() % 8 {
        said.push(Said { is_answer: script.is_set(), bytes: script.prefixed_and_drawn_out() });
    }
    said.push(Said { is_answer: script.is_set(), bytes: script.rest().to_vec() });
    said.truncate(MAX_DATAGRAMS);
    let server = Server { protocol: protocol.clone(), said, cuts };
    let (resolver, name) = (resolver(server)?, DomainName::new(NAME).ok()?);
    let found = run(async { resolver.find(&name, family).await });
    let Some(found) = found else { panic!("waits for a server that has closed") };
    let found = found.ok()?;
    let n_addresses = found.addresses.len();
    assert!((1..=128).contains(&n_addresses), "{n_addresses} addresses");
    Some(found)
}

fn resolver(server: Server) -> Option<Resolver> {
    let target: Target = "192.0.2.1:53".parse().ok()?;
    let address = ServerAddress::Remote { protocol: server.protocol.clone(), target, way: Way::Direct };
    let names = NamesBuilder::default().build().ok()?;
    let spec = ServersSpec {
        servers: vec![ServerSpec { cache: false, ..ServerSpec::new(address) }],
        names,
        fallback: Fallback::Always,
        chooser: None,
        network: Arc::new(server),
        roots: None,
    };
    Resolver::with_lookup(Hosts::default(), Arc::new(NoSystem)).with_servers(spec).ok()
}

/// A server with what it says.
#[derive(Debug)]
struct Server {
    protocol: Protocol,
    said: Vec<Said>,
    cuts: Vec<u8>,
}

/// A message of a server.
#[derive(Debug, Clone)]
struct Said {
    /// Whether it begins with the head and the question of the query, as a response.
    is_answer: bool,
    bytes: Vec<u8>,
}

impl Said {
    /// The first bytes are the flags and three of the counts; there are no additional records.
    fn message(&self, query: &[u8]) -> Vec<u8> {
        let Self { is_answer: true, bytes } = self else { return self.bytes.clone() };
        let (counts, records) = bytes.split_at(bytes.len().min(8));
        let mut head = query.get(..12).unwrap_or_default().to_vec();
        head.resize(12, 0);
        for (place, byte) in head.iter_mut().skip(2).zip(counts) {
            *place = *byte;
        }
        if let [_, _, flags, _, one, another, .., additional, more] = &mut *head {
            *flags |= 0x80;
            (*one, *another, *additional, *more) = (0, 1, 0, 0);
        }
        // The question ends with its first zero, a type and a class.
        let question = query.get(12..).unwrap_or_default();
        let end = question.iter().position(|byte| *byte == 0).map_or(0, |zero| zero + 5);
        [&head, question.get(..end).unwrap_or_default(), records].concat()
    }
}

impl Network for Server {
    fn stream<'a>(&'a self, _to: &'a Destination) -> NetworkFuture<'a, Box<dyn Stream>> {
        let said = self.said.clone();
        let answer = move |query: &[u8]| {
            let query = query.get(2..).unwrap_or_default();
            let mut wire = Vec::new();
            for said in said {
                let message = said.message(query);
                wire.extend_from_slice(&u16::try_from(message.len()).unwrap_or(u16::MAX).to_be_bytes());
                wire.extend_from_slice(&message);
            }
            wire
        };
        let peer = Peer::answering(answer, &self.cuts, Cuts::NONE);
        Box::pin(async move { Ok(Box::new(peer) as Box<dyn Stream>) })
    }

    fn datagrams<'a>(&'a self, _to: &'a Destination) -> NetworkFuture<'a, Option<Box<dyn Datagrams>>> {
        let mut left = self.said.clone();
        left.reverse();
        let socket = Socket { left: Mutex::new(left), query: Mutex::default() };
        Box::pin(async move { Ok(Some(Box::new(socket) as Box<dyn Datagrams>)) })
    }
}

#[derive(Debug)]
struct Socket {
    left: Mutex<Vec<Said>>,
    query: Mutex<Vec<u8>>,
}

impl Datagrams for Socket {
    fn send<'a>(&'a self, datagram: &'a [u8]) -> NetworkFuture<'a, ()> {
        if let Ok(mut query) = self.query.lock() {
            datagram.clone_into(&mut query);
        }
        Box::pin(async { Ok(()) })
    }

    fn receive<'a>(&'a self, buffer: &'a mut [u8]) -> NetworkFuture<'a, usize> {
        let query = self.query.lock().map(|query| query.clone()).unwrap_or_default();
        let said = self.left.lock().ok().and_then(|mut left| left.pop());
        let received = said.map(|said| said.message(&query)).map(|message| {
            let length = message.len().min(buffer.len());
            for (place, byte) in buffer.iter_mut().zip(&message) {
                *place = *byte;
            }
            length
        });
        Box::pin(async move { received.ok_or_else(|| io::ErrorKind::ConnectionRefused.into()) })
    }
}

/// Nobody is asked but the server.
#[derive(Debug)]
struct NoSystem;

impl SystemLookup for NoSystem {
    fn lookup<'a>(&'a self, _name: &'a str) -> LookupFuture<'a> {
        Box::pin(async { Err(io::ErrorKind::NotFound.into()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_servers_are_believed() {
        let address = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\0\0\x01";
        let answer = [&b"\0\0\x01\x81\x80\0\x01\0\x01\0\0"[..], address].concat();
        for protocol in [Protocol::Udp, Protocol::Tcp] {
            let found = answers(&mut Script::new(&answer), &protocol, Family::V4);
            let addresses = found.map(|found| found.addresses);
            assert_eq!(addresses, Some(vec![[10, 0, 0, 1].into()]), "{protocol:?}");
            assert_eq!(answers(&mut Script::new(b"\0\0\0trash"), &protocol, Family::V4), None);
        }
    }
}
