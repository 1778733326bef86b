//! Keys of the configuration → clients and servers of `waypost-shadowsocks`.

use std::{net::SocketAddr, sync::Arc};

use parking_lot::Mutex;
use waypost_config::model::{ShadowsocksInbound, ShadowsocksKey, ShadowsocksMethod};
use waypost_net::Target;
use waypost_shadowsocks::{self as engine, Accepted, Method, ServerDatagrams};
use waypost_transport::{Coded, Io};
use waypost_wire::UdpDatagram;

use super::{Entered, Received};
use crate::{
    Stream,
    stream::{Base, Layered},
    system::{thread_rng, unix_seconds},
};

pub(crate) use waypost_shadowsocks::{
    ClientDatagrams as ClientSession, Handshake, HandshakeError, KeyError, Salts, SessionId,
};

/// The keys for a server.
#[derive(Debug)]
pub(crate) struct Client(engine::Client);

impl Client {
    /// # Errors
    ///
    /// If the password is no key for the method.
    pub(crate) fn try_new(key: &ShadowsocksKey) -> Result<Self, KeyError> {
        Ok(Self(engine::Client::try_new(method(key.method), key.password.expose(), clock())?))
    }

    /// A stream to `target` inside of one to the server.
    pub(crate) fn stream(&self, server: Base, target: &Target) -> impl Io + use<> {
        let (sealer, opener) = self.0.codec(target, &mut thread_rng());
        Coded::client(server, sealer, opener)
    }

    /// Datagrams to the server.
    pub(crate) fn session(&self) -> ClientSession {
        self.0.datagrams(&mut thread_rng())
    }
}

/// An inbound with its users.
#[derive(Debug)]
pub(crate) struct Server {
    server: engine::Server,
    /// Of the only user, who is not told from others.
    name: Option<Arc<str>>,
    datagrams: Mutex<ServerDatagrams>,
}

impl Server {
    /// # Errors
    ///
    /// If a password is no key for the method.
    pub(crate) fn try_new(inbound: &ShadowsocksInbound, salts: &Salts) -> Result<Self, KeyError> {
        let ShadowsocksInbound { password, name, users, .. } = inbound;
        // A user without a name is one all the same.
        let users = users
            .iter()
            .map(|user| (user.name.clone().unwrap_or_else(|| Arc::from("")), user.credential.expose()));
        let password = password.as_ref().map_or("", |password| password.expose());
        let server =
            engine::Server::try_new(method(inbound.method), password, users, salts.clone(), clock())?;
        let datagrams = Mutex::new(server.datagrams(&mut thread_rng()));
        Ok(Self { server, name: name.clone(), datagrams })
    }

    /// The begin of a connection.
    pub(crate) fn handshake(&self) -> Handshake {
        self.server.handshake(&mut thread_rng())
    }

    /// What a handshake on `stream` came to, with what was read beyond it.
    pub(crate) fn entered(&self, accepted: Accepted, stream: Stream, rest: Vec<u8>) -> Entered {
        let Accepted { user, target, first, sealer, opener } = accepted;
        let (base, abort) = Base::new(stream);
        let stream = Layered::new(Coded::server(base, sealer, opener, rest), abort).into();
        Entered { user: self.named(user), target, stream, first }
    }

    fn named(&self, user: Option<Arc<str>>) -> Option<Arc<str>> {
        user.filter(|name| !name.is_empty()).or_else(|| self.name.clone())
    }

    /// Opens a datagram; `None` if it is nobody's, or has come in before.
    pub(crate) fn open(&self, source: SocketAddr, sealed: &[u8]) -> Option<Received> {
        let mut packet = sealed.to_vec();
        let opened = self.datagrams.lock().open(source, &mut packet).ok()?;
        let mut datagram = UdpDatagram::header_to(&opened.target);
        datagram.extend_from_slice(packet.get(opened.payload)?);
        Some(Received { session: opened.session, user: self.named(opened.user), datagram })
    }

    /// Seals an answer, and says where it goes; `None` if the session is forgotten, or it is too long.
    pub(crate) fn seal(
        &self,
        session: SessionId,
        from: &Target,
        payload: &[u8],
    ) -> Option<(SocketAddr, Vec<u8>)> {
        let mut sealed = Vec::with_capacity(payload.len() + 128);
        let to = self.datagrams.lock().seal(session, from, payload, &mut sealed).ok()?;
        Some((to, sealed))
    }

    /// Forgets a session.
    pub(crate) fn forget(&self, session: SessionId) {
        self.datagrams.lock().forget(session);
    }
}

fn clock() -> engine::Clock {
    engine::Clock::new(unix_seconds)
}

fn method(method: ShadowsocksMethod) -> Method {
    match method {
        ShadowsocksMethod::Aes128Gcm => Method::Aes128Gcm,
        ShadowsocksMethod::Aes256Gcm => Method::Aes256Gcm,
        ShadowsocksMethod::Chacha20Poly1305 => Method::ChaCha20Poly1305,
        ShadowsocksMethod::Xchacha20Poly1305 => Method::XChaCha20Poly1305,
        ShadowsocksMethod::Blake3Aes128Gcm => Method::Blake3Aes128Gcm,
        ShadowsocksMethod::Blake3Aes256Gcm => Method::Blake3Aes256Gcm,
        ShadowsocksMethod::Blake3Chacha20Poly1305 => Method::Blake3ChaCha20Poly1305,
    }
}
