//! Datagrams that go to a server each by itself, encrypted.

use std::io;

use parking_lot::Mutex;
use waypost_wire::UdpDatagram;

use super::{
    batch::{Buffers, Outgoing, Socket},
    streamed::target_of,
};
use crate::shadowsocks::ClientSession;

/// A socket to a server.
#[derive(Debug)]
pub(super) struct Sealed {
    socket: Socket,
    session: Mutex<ClientSession>,
}

impl Sealed {
    pub(super) fn new(socket: Socket, session: ClientSession) -> Self {
        Self { socket, session: Mutex::new(session) }
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Sends datagrams whose headers are those of SOCKS5.
    pub(super) fn send(&self, datagrams: &[Outgoing<'_>]) -> Vec<(usize, io::Error)> {
        let mut session = self.session.lock();
        let sealed: Vec<Vec<u8>> = datagrams
            .iter()
            .map(|datagram| {
                let mut sealed = Vec::with_capacity(datagram.payload.len() + 128);
                // What cannot be sealed is too long for any path.
                if let Some(target) = target_of(datagram.header) {
                    let _too_long = session.seal(&target, datagram.payload, &mut sealed);
                }
                sealed
            })
            .collect();
        drop(session);
        let filled = sealed.iter().filter(|sealed| !sealed.is_empty());
        let outgoing: Vec<Outgoing<'_>> =
            filled.map(|payload| Outgoing { to: None, header: &[], payload }).collect();
        self.socket.send(&outgoing)
    }

    /// What came, with the header of SOCKS5. What cannot be opened is dropped.
    pub(super) fn receive(&self, buffers: &Buffers) -> Vec<Vec<u8>> {
        let mut came = Vec::new();
        buffers.with(|buffer| {
            let Ok(batch) = self.socket.receive(buffer) else { return };
            let mut session = self.session.lock();
            for (_, datagram) in batch.iter() {
                let mut sealed = datagram.to_vec();
                if let Ok((source, payload)) = session.open(&mut sealed) {
                    let mut opened = UdpDatagram::header_to(&source);
                    opened.extend_from_slice(sealed.get(payload).unwrap_or_default());
                    came.push(opened);
                }
            }
        });
        came
    }
}
