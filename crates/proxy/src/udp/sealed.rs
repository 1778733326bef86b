//! Datagrams that go to a server each by itself, encrypted.

use std::io;

use nix::errno::Errno;
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

    /// Sends datagrams whose headers are those of SOCKS5. Yields which could not be sent.
    pub(super) fn send(&self, datagrams: &[Outgoing<'_>]) -> Vec<(usize, io::Error)> {
        let (mut failed, mut places, mut payloads) = (Vec::new(), Vec::new(), Vec::new());
        let mut session = self.session.lock();
        for (place, datagram) in datagrams.iter().enumerate() {
            let mut sealed = Vec::with_capacity(datagram.payload.len() + 128);
            let sealing =
                target_of(datagram.header).map(|target| session.seal(&target, datagram.payload, &mut sealed));
            if let Some(Ok(())) = sealing {
                places.push(place);
                payloads.push(sealed);
            } else {
                // It is too long for any path.
                failed.push((place, Errno::EMSGSIZE.into()));
            }
        }
        drop(session);
        let outgoing: Vec<_> =
            payloads.iter().map(|payload| Outgoing { to: None, header: &[], payload }).collect();
        let unsent = self.socket.send(&outgoing).into_iter();
        failed.extend(unsent.filter_map(|(index, error)| Some((*places.get(index)?, error))));
        failed
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

#[cfg(all(test, feature = "shadowsocks"))]
mod tests {
    use rand::{SeedableRng as _, rngs::StdRng};
    use waypost_config::model::SocketOptions;
    use waypost_net::Target;
    use waypost_shadowsocks::{Client, Clock, Method};

    use super::*;

    #[tokio::test]
    async fn what_is_too_long_is_told_with_its_place() {
        let server = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let socket = Socket::bind("127.0.0.1:0".parse().unwrap(), &SocketOptions::default()).unwrap();
        socket.connect(server.local_addr().unwrap()).await.unwrap();
        let client = Client::try_new(Method::Aes128Gcm, "x", Clock::new(|| 0)).unwrap();
        let sealed = Sealed::new(socket, client.datagrams(&mut StdRng::seed_from_u64(1)));
        let target: Target = "a.example:53".parse().unwrap();
        let header = UdpDatagram::header_to(&target);
        let (short, long) = (vec![1; 100], vec![1; 65_500]);
        let part = [&short, &long, &short].map(|payload| Outgoing { to: None, header: &header, payload });
        let failed = sealed.send(&part);
        let [(1, error)] = &*failed else { panic!("{failed:?}") };
        assert_eq!(error.raw_os_error(), Some(Errno::EMSGSIZE as i32), "{error}");
        for _datagram in 0..2 {
            let count = server.recv(&mut [0; 1024]).await.unwrap();
            assert!(count > short.len() && count < 200, "{count}");
        }
    }
}
