use std::{fmt, io, slice, sync::Arc};

use parking_lot::Mutex;
use rand::Rng;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use waypost_net::Target;
use waypost_wire::{Machine as _, Step};

use crate::{
    Accepted, Clock, Coded, Handshake, HandshakeError, KeyError, Method, Opener, Sealer, ServerDatagrams,
    client::thread_rng, key::Key, salts::Salts,
};

/// How much is read at once during the handshake.
const READ_BYTES: usize = 4096;

/// The server's side: the keys of one port, and what was used of them.
#[derive(Debug, Clone)]
pub struct Server(Arc<ServerState>);

pub(crate) struct ServerState {
    pub(crate) method: Method,
    /// The key of the server, which is the only user's if there are no others.
    pub(crate) own: User,
    pub(crate) users: Vec<User>,
    pub(crate) salts: Mutex<Salts>,
    pub(crate) clock: Clock,
}

/// Somebody with a key.
#[derive(Debug)]
pub(crate) struct User {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) key: Key,
    pub(crate) identity: [u8; 16],
}

/// A connection of a client.
#[derive(Debug)]
pub struct AcceptedStream<S> {
    /// The user's name, if the server has users.
    pub user: Option<Arc<str>>,
    /// Where the client wants to go.
    pub target: Target,
    /// The connection itself.
    pub stream: Coded<S, Sealer, Opener>,
}

/// A connection that is nobody's. Nothing has been answered; the caller reads on for a while before it
/// closes, so that how long it lasts tells nothing.
#[derive(Debug)]
pub struct Refused<S> {
    /// Why.
    pub reason: RefusedReason,
    /// What the connection came over.
    pub io: S,
}

/// Why a connection was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RefusedReason {
    /// The client did something wrong.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// The client closed before it had sent a request.
    #[error("closed before a whole request had come in")]
    Closed,
    /// The connection broke.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Server {
    /// Makes the keys of `password` and of the users. Of SIP004 only the users' keys count if there are
    /// users; of SIP022 a client then needs the keys of both.
    ///
    /// # Errors
    ///
    /// If a password is no key for the method, or the method cannot tell users apart.
    pub fn try_new<'a>(
        method: Method,
        password: &str,
        users: impl IntoIterator<Item = (Arc<str>, &'a str)>,
    ) -> Result<Self, KeyError> {
        let users = users
            .into_iter()
            .map(|(name, password)| Ok(User::new(Some(name), Key::try_new(method, password)?)))
            .collect::<Result<Vec<_>, KeyError>>()?;
        if !users.is_empty() && !method.has_users() {
            return Err(KeyError::Users { method });
        }
        let own = match users.first() {
            Some(user) if !method.is_2022() => user.key.clone(),
            Some(_) | None => Key::try_new(method, password)?,
        };
        let (own, salts) = (User::new(None, own), Mutex::new(Salts::new(method)));
        Ok(Self(Arc::new(ServerState { method, own, users, salts, clock: Clock::default() })))
    }

    /// Takes the time from another clock, and forgets all salts.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        let ServerState { method, own, users, .. } = &*self.0;
        let clone = |user: &User| User::new(user.name.clone(), user.key.clone());
        let (own, users) = (clone(own), users.iter().map(clone).collect());
        let salts = Mutex::new(Salts::new(*method));
        Self(Arc::new(ServerState { method: *method, own, users, salts, clock }))
    }

    /// The beginning of a connection. `rng` has to be unpredictable.
    #[must_use]
    pub fn handshake(&self, rng: &mut impl Rng) -> Handshake {
        Handshake::new(self.0.clone(), rng)
    }

    /// Reads a request from `io`. It has no deadline of its own.
    ///
    /// # Errors
    ///
    /// If it is not one of a client that is known; `io` comes back with it.
    pub async fn accept<S: AsyncRead + Unpin>(&self, mut io: S) -> Result<AcceptedStream<S>, Refused<S>> {
        let mut handshake = self.handshake(&mut thread_rng());
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let read = match io.read(&mut buffer).await {
                Ok(0) => return Err(Refused { reason: RefusedReason::Closed, io }),
                Ok(read) => read,
                Err(error) => return Err(Refused { reason: error.into(), io }),
            };
            match handshake.advance(buffer.get(..read).unwrap_or_default()) {
                // The handshake never sends.
                Step::NeedMore | Step::Send(_) => {}
                Step::Fail { error, .. } => return Err(Refused { reason: error.into(), io }),
                Step::Done { output, rest } => {
                    let Accepted { user, target, first, sealer, opener } = output;
                    let stream = Coded::new(io, sealer, opener).with_read(&first, &rest);
                    return Ok(AcceptedStream { user, target, stream });
                }
            }
        }
    }

    /// The datagrams of this port.
    #[must_use]
    pub fn datagrams(&self) -> ServerDatagrams {
        ServerDatagrams::new(self.0.clone())
    }
}

impl ServerState {
    /// The users, or the server's own key if there are none.
    pub(crate) fn users_or_own(&self) -> &[User] {
        if self.users.is_empty() { slice::from_ref(&self.own) } else { &self.users }
    }
}

impl fmt::Debug for ServerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.users.iter().map(|user| &user.name).collect();
        f.debug_struct("Server").field("method", &self.method).field("users", &names).finish_non_exhaustive()
    }
}
