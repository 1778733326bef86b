use std::{
    collections::{HashMap, VecDeque},
    fmt,
    net::SocketAddr,
    ops::Range,
    sync::Arc,
};

use rand::{Rng, RngExt as _, SeedableRng as _, rngs::StdRng};
use waypost_net::Target;

use super::{
    DatagramError,
    packet::{
        Content, Direction, Layout, Numbers, Outgoing, open_aead, open_aes, open_chacha, read_2022,
        read_identity, read_numbers, seal_2022, seal_aead, sealed_start,
    },
    window::Window,
};
use crate::{
    cipher::SessionCipher,
    handshake::find_user,
    method::Edition,
    server::{ServerState, User},
};

/// How many sessions there can be at a time; each takes up to 2 KiB.
const MAX_SESSIONS: usize = 1 << 16;
/// A session that was silent for as long makes room for others, and one that is forgotten is remembered
/// for as long: until then its datagrams could be sent again (SIP022 §3.2.2).
const SILENT_SECONDS: u64 = 60;

/// The datagrams of one port.
///
/// A session is what SIP022 calls one, or all that comes from one address with one key of SIP004. The caller
/// [forgets](Self::forget) sessions; silent ones are forgotten by themselves only to make room.
pub struct ServerDatagrams {
    state: Arc<ServerState>,
    rng: StdRng,
    /// Of SIP022.
    request_layout: Option<Layout>,
    sessions: HashMap<SessionId, Session>,
    ids: HashMap<SessionKey, SessionId>,
    /// When sessions were forgotten.
    forgotten: VecDeque<(u64, SessionId)>,
    next_id: u64,
    scratch: Vec<u8>,
}

/// A session of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(u64);

/// A datagram of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedDatagram {
    /// The session that it belongs to.
    pub session: SessionId,
    /// The user's name, if the server has users.
    pub user: Option<Arc<str>>,
    /// Where it is to go.
    pub target: Target,
    /// Where its payload lies in the packet.
    pub payload: Range<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum SessionKey {
    Source { user: usize, source: SocketAddr },
    Numbered { user: usize, session: u64 },
}

struct Session {
    key: SessionKey,
    user: usize,
    source: SocketAddr,
    last_seen: u64,
    forgotten_at: Option<u64>,
    numbered: Option<Box<Numbered>>,
}

/// What SIP022 keeps of a session.
struct Numbered {
    client_session: u64,
    window: Window,
    cipher: SessionCipher,
    server_session: u64,
    next_packet: u64,
    answer_cipher: SessionCipher,
    answer_layout: Layout,
}

impl ServerDatagrams {
    pub(crate) fn new(state: Arc<ServerState>, rng: &mut impl Rng) -> Self {
        let request_layout = match state.method.edition() {
            Edition::Aead => None,
            Edition::Aead2022 => Some(Layout::new(state.method, &state.own.key)),
        };
        let rng = StdRng::from_rng(rng);
        Self {
            state,
            rng,
            request_layout,
            sessions: HashMap::new(),
            ids: HashMap::new(),
            forgotten: VecDeque::new(),
            next_id: 0,
            scratch: Vec::new(),
        }
    }

    /// Decrypts a datagram that came from `source` in place.
    ///
    /// # Errors
    ///
    /// If it is not one of a client that is known, or has come in before.
    pub fn open(&mut self, source: SocketAddr, packet: &mut [u8]) -> Result<ReceivedDatagram, DatagramError> {
        let (session, content) = match self.request_layout.take() {
            None => self.open_by_trial(source, packet)?,
            Some(layout) => {
                let opened = self.open_2022(&layout, source, packet);
                self.request_layout = Some(layout);
                opened?
            }
        };
        let user = self.sessions.get(&session).and_then(|session| self.user(session.user)?.name.clone());
        Ok(ReceivedDatagram { session, user, target: content.target, payload: content.payload })
    }

    /// Appends the datagram that carries `payload` from `target` to a client, and says where the client is.
    ///
    /// # Errors
    ///
    /// If the session is not there, or the datagram would be longer than one can be; nothing is appended
    /// then.
    pub fn seal(
        &mut self,
        session: SessionId,
        target: &Target,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<SocketAddr, DatagramError> {
        let Self { state, rng, sessions, .. } = self;
        let session = sessions
            .get_mut(&session)
            .filter(|session| session.forgotten_at.is_none())
            .ok_or(DatagramError::UnknownSession)?;
        let source = session.source;
        let Some(numbered) = &mut session.numbered else {
            let user = state.users_or_own().get(session.user).ok_or(DatagramError::UnknownSession)?;
            return seal_aead(state.method, &user.key, target, payload, rng, out).map(|()| source);
        };
        let numbers = Numbers { session: numbered.server_session, packet: numbered.next_packet };
        numbered.next_packet += 1;
        let outgoing = Outgoing {
            layout: &numbered.answer_layout,
            cipher: &numbered.answer_cipher,
            numbers,
            direction: Direction::Answer { client_session: numbered.client_session },
            target,
            payload,
        };
        seal_2022(&outgoing, &state.clock, rng, out).map(|()| source)
    }

    /// Forgets a session. A new datagram of it begins it again; one that has come in before does not.
    pub fn forget(&mut self, session: SessionId) {
        let now = self.state.clock.now();
        if let Some(found) = self.sessions.get_mut(&session).filter(|found| found.forgotten_at.is_none()) {
            found.forgotten_at = Some(now);
            self.forgotten.push_back((now, session));
        }
        self.drop_forgotten(now);
    }

    /// Where the last datagram of a session came from.
    #[must_use]
    pub fn source(&self, session: SessionId) -> Option<SocketAddr> {
        let session = self.sessions.get(&session).filter(|session| session.forgotten_at.is_none())?;
        Some(session.source)
    }

    /// How many sessions there are.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "a number has no order")]
    pub fn n_sessions(&self) -> usize {
        self.sessions.values().filter(|session| session.forgotten_at.is_none()).count()
    }

    fn user(&self, user: usize) -> Option<&User> {
        self.state.users_or_own().get(user)
    }

    /// Tries the keys of SIP004, first the ones that were used from this address before.
    fn open_by_trial(
        &mut self,
        source: SocketAddr,
        packet: &mut [u8],
    ) -> Result<(SessionId, Content), DatagramError> {
        let state = self.state.clone();
        let (method, users) = (state.method, state.users_or_own());
        let (user, content) = match users {
            [only] => (0, open_aead(method, &only.key, packet)?),
            several => {
                let is_known = |user: usize| self.ids.contains_key(&SessionKey::Source { user, source });
                let (known, others): (Vec<usize>, Vec<usize>) =
                    (0..several.len()).partition(|user| is_known(*user));
                let scratch = &mut self.scratch;
                let mut outcomes = known.into_iter().chain(others).filter_map(|user| {
                    scratch.clear();
                    scratch.extend_from_slice(packet);
                    match open_aead(method, &several.get(user)?.key, scratch) {
                        Err(DatagramError::NotAuthentic) => None,
                        outcome => Some((user, outcome)),
                    }
                });
                let (user, outcome) = outcomes.next().ok_or(DatagramError::NotAuthentic)?;
                let content = outcome?;
                drop(outcomes);
                packet.copy_from_slice(&self.scratch);
                (user, content)
            }
        };
        let key = SessionKey::Source { user, source };
        let now = self.state.clock.now();
        let id = match self.ids.get(&key) {
            Some(id) => *id,
            None => self.begin(key, user, source, now, None)?,
        };
        self.touch(id, source, now);
        Ok((id, content))
    }

    fn open_2022(
        &mut self,
        layout: &Layout,
        source: SocketAddr,
        packet: &mut [u8],
    ) -> Result<(SessionId, Content), DatagramError> {
        let state = self.state.clone();
        let (numbers, user, opened) = match layout {
            Layout::Aes { header } => {
                let numbers = read_numbers(header, packet)?;
                let has_identity = !state.users.is_empty();
                let user = if has_identity {
                    let identity = read_identity(header, numbers, packet)?;
                    let user = find_user(&state.users, &identity).ok_or(DatagramError::NotAuthentic)?;
                    state.users.iter().position(|other| std::ptr::eq(other, user)).unwrap_or_default()
                } else {
                    0
                };
                let key = &self.user(user).ok_or(DatagramError::NotAuthentic)?.key;
                let fresh;
                let cipher = match self.numbered(user, numbers) {
                    Some(numbered) => &numbered.cipher,
                    None => {
                        fresh = SessionCipher::new(state.method, key, numbers.session);
                        &fresh
                    }
                };
                let start = sealed_start(has_identity);
                (numbers, user, (start, open_aes(cipher, numbers, start, packet)?))
            }
            Layout::ChaCha => {
                let cipher = SessionCipher::new(state.method, &state.own.key, 0);
                let (numbers, start, plain) = open_chacha(&cipher, packet)?;
                (numbers, 0, (start, plain))
            }
        };
        let (start, plain) = opened;
        let content = read_2022(plain, start, None, &state.clock)?;
        let now = state.clock.now();
        let key = SessionKey::Numbered { user, session: numbers.session };
        let id = match self.ids.get(&key) {
            Some(id) => *id,
            None => {
                let numbered = self.number(user, numbers).ok_or(DatagramError::UnknownSession)?;
                self.begin(key, user, source, now, Some(Box::new(numbered)))?
            }
        };
        let numbered = self.sessions.get_mut(&id).and_then(|session| session.numbered.as_mut());
        if !numbered.is_some_and(|numbered| numbered.window.insert(numbers.packet)) {
            return Err(DatagramError::Replayed);
        }
        self.touch(id, source, now);
        Ok((id, content))
    }

    fn numbered(&self, user: usize, numbers: Numbers) -> Option<&Numbered> {
        let id = self.ids.get(&SessionKey::Numbered { user, session: numbers.session })?;
        self.sessions.get(id)?.numbered.as_deref()
    }

    /// What a new session of SIP022 is.
    fn number(&mut self, user: usize, numbers: Numbers) -> Option<Numbered> {
        let server_session = self.rng.random();
        let (method, key) = (self.state.method, &self.user(user)?.key);
        Some(Numbered {
            client_session: numbers.session,
            window: Window::new(),
            cipher: SessionCipher::new(method, key, numbers.session),
            server_session,
            next_packet: 0,
            answer_cipher: SessionCipher::new(method, key, server_session),
            answer_layout: Layout::new(method, key),
        })
    }

    fn begin(
        &mut self,
        key: SessionKey,
        user: usize,
        source: SocketAddr,
        now: u64,
        numbered: Option<Box<Numbered>>,
    ) -> Result<SessionId, DatagramError> {
        self.drop_forgotten(now);
        if self.sessions.len() >= MAX_SESSIONS {
            let is_silent = |session: &Session| now.saturating_sub(session.last_seen) > SILENT_SECONDS;
            self.sessions.retain(|_, session| !is_silent(session));
            let Self { sessions, ids, .. } = self;
            ids.retain(|_, id| sessions.contains_key(id));
        }
        if self.sessions.len() >= MAX_SESSIONS {
            return Err(DatagramError::TooManySessions);
        }
        let id = SessionId(self.next_id);
        self.next_id += 1;
        self.ids.insert(key, id);
        let session = Session { key, user, source, last_seen: now, forgotten_at: None, numbered };
        self.sessions.insert(id, session);
        Ok(id)
    }

    /// Drops the sessions that were forgotten long ago and have not begun again.
    fn drop_forgotten(&mut self, now: u64) {
        let Self { sessions, ids, forgotten, .. } = self;
        while let Some(&(at, id)) = forgotten.front()
            && now.saturating_sub(at) > SILENT_SECONDS
        {
            forgotten.pop_front();
            if sessions.get(&id).is_some_and(|session| session.forgotten_at == Some(at))
                && let Some(session) = sessions.remove(&id)
            {
                ids.remove(&session.key);
            }
        }
    }

    fn touch(&mut self, id: SessionId, source: SocketAddr, now: u64) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.last_seen = now;
            session.forgotten_at = None;
            session.source = source;
        }
    }
}

impl fmt::Debug for ServerDatagrams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerDatagrams")
            .field("state", &self.state)
            .field("n_sessions", &self.sessions.len())
            .finish_non_exhaustive()
    }
}
