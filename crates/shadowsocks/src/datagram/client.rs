use std::{fmt, ops::Range, sync::Arc};

use rand::{Rng, RngExt as _, SeedableRng as _, rngs::StdRng};
use waypost_net::Target;

use super::{
    DatagramError,
    packet::{
        Content, Direction, Layout, Numbers, Outgoing, open_aead, open_aes, open_chacha, read_2022,
        read_numbers, seal_2022, seal_aead, sealed_start,
    },
    window::Window,
};
use crate::{Clock, Method, cipher::SessionCipher, client::ClientKeys, key::Key, method::Edition};

/// How long answers of a session that the server has replaced are taken, and how long it may not replace the
/// next one (SIP022 §3.2.2).
const OLD_SESSION_SECONDS: u64 = 60;

/// The datagrams of one association of a client with a server.
pub struct ClientDatagrams {
    method: Method,
    keys: Arc<ClientKeys>,
    clock: Clock,
    rng: StdRng,
    session: Option<Session>,
}

/// What SIP022 keeps of an association.
struct Session {
    id: u64,
    next_packet: u64,
    cipher: SessionCipher,
    request_layout: Layout,
    answer_layout: Layout,
    current: Option<ServerSession>,
    old: Option<ServerSession>,
}

/// A session as the server numbers it: it has a new one after a restart.
struct ServerSession {
    id: u64,
    cipher: SessionCipher,
    window: Window,
    /// Since when it is there or, if it is the old one, since when it is replaced.
    since: u64,
}

impl ClientDatagrams {
    pub(crate) fn new(method: Method, keys: Arc<ClientKeys>, clock: Clock, rng: &mut impl Rng) -> Self {
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        let mut rng = StdRng::from_seed(seed);
        let session = (method.edition() == Edition::Aead2022).then(|| {
            let id = rng.random();
            let ClientKeys { identities, key } = &*keys;
            Session {
                id,
                next_packet: 0,
                cipher: SessionCipher::new(method, key, id),
                request_layout: Layout::new(method, identities.first().unwrap_or(key)),
                answer_layout: Layout::new(method, key),
                current: None,
                old: None,
            }
        });
        Self { method, keys, clock, rng, session }
    }

    /// Appends the datagram that carries `payload` to `target`.
    ///
    /// # Errors
    ///
    /// If it would be longer than a datagram can be; nothing is appended then.
    pub fn seal(&mut self, target: &Target, payload: &[u8], out: &mut Vec<u8>) -> Result<(), DatagramError> {
        let ClientKeys { identities, key } = &*self.keys;
        let Some(session) = &mut self.session else {
            return seal_aead(self.method, key, target, payload, &mut self.rng, out);
        };
        let numbers = Numbers { session: session.id, packet: session.next_packet };
        session.next_packet += 1;
        let outgoing = Outgoing {
            layout: &session.request_layout,
            cipher: &session.cipher,
            numbers,
            direction: Direction::Request { identities, key },
            target,
            payload,
        };
        seal_2022(&outgoing, &self.clock, &mut self.rng, out)
    }

    /// Decrypts a datagram of the server in place, and says where it came from and where its payload lies.
    ///
    /// # Errors
    ///
    /// If it is not one of the server, or has come in before.
    pub fn open(&mut self, packet: &mut [u8]) -> Result<(Target, Range<usize>), DatagramError> {
        let key = &self.keys.key;
        let content = match &mut self.session {
            None => open_aead(self.method, key, packet)?,
            Some(session) => session.open(self.method, key, &self.clock, packet)?,
        };
        Ok((content.target, content.payload))
    }
}

impl Session {
    fn open(
        &mut self,
        method: Method,
        key: &Key,
        clock: &Clock,
        packet: &mut [u8],
    ) -> Result<Content, DatagramError> {
        let (numbers, start, plain) = match &self.answer_layout {
            Layout::Aes { header } => {
                let numbers = read_numbers(header, packet)?;
                let mut sessions = self.current.iter().chain(&self.old);
                let fresh;
                let cipher = match sessions.find(|session| session.id == numbers.session) {
                    Some(session) => &session.cipher,
                    None => {
                        fresh = SessionCipher::new(method, key, numbers.session);
                        &fresh
                    }
                };
                let start = sealed_start(false);
                (numbers, start, open_aes(cipher, numbers, start, packet)?)
            }
            Layout::ChaCha => open_chacha(&self.cipher, packet)?,
        };
        let content = read_2022(plain, start, Some(self.id), clock)?;
        let cipher = || SessionCipher::new(method, key, numbers.session);
        self.remember(numbers, clock.now(), cipher)?;
        Ok(content)
    }

    /// Lets each number of each session of the server in once.
    fn remember(
        &mut self,
        numbers: Numbers,
        now: u64,
        cipher: impl FnOnce() -> SessionCipher,
    ) -> Result<(), DatagramError> {
        let Self { current, old, .. } = self;
        let was_replaced_lately =
            old.as_ref().is_some_and(|old| now.saturating_sub(old.since) <= OLD_SESSION_SECONDS);
        let is_it = |session: &&mut ServerSession| session.id == numbers.session;
        if let Some(current) = current.as_mut().filter(is_it) {
            return current.insert(numbers);
        }
        if let Some(old) = old.as_mut().filter(is_it) {
            return if was_replaced_lately { old.insert(numbers) } else { Err(DatagramError::Other) };
        }
        if was_replaced_lately {
            return Err(DatagramError::Other);
        }
        let mut session =
            ServerSession { id: numbers.session, cipher: cipher(), window: Window::new(), since: now };
        session.insert(numbers)?;
        *old = current.replace(session).map(|replaced| ServerSession { since: now, ..replaced });
        Ok(())
    }
}

impl ServerSession {
    fn insert(&mut self, numbers: Numbers) -> Result<(), DatagramError> {
        if self.window.insert(numbers.packet) { Ok(()) } else { Err(DatagramError::Replayed) }
    }
}

impl fmt::Debug for ClientDatagrams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientDatagrams").field("method", &self.method).finish_non_exhaustive()
    }
}
