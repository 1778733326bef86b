use std::{fmt, slice, sync::Arc};

use rand::Rng;

use crate::{Clock, Handshake, KeyError, Method, ServerDatagrams, key::Key, salts::Salts};

/// The server's side: the keys of one port, and what was used of them.
#[derive(Debug, Clone)]
pub struct Server(Arc<ServerState>);

pub(crate) struct ServerState {
    pub(crate) method: Method,
    /// The key of the server, which is the only user's if there are no others.
    pub(crate) own: User,
    pub(crate) users: Vec<User>,
    pub(crate) salts: Salts,
    pub(crate) clock: Clock,
}

/// Somebody with a key.
#[derive(Debug)]
pub(crate) struct User {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) key: Key,
    pub(crate) identity: [u8; 16],
}

impl Server {
    /// Makes the keys of `password` and of the users. Of SIP004 only the users' keys count if there are
    /// users; of SIP022 a client then needs the keys of both. `salts` are those that were used before.
    ///
    /// # Errors
    ///
    /// If a password is no key for the method, or the method cannot tell users apart.
    pub fn try_new<'a>(
        method: Method,
        password: &str,
        users: impl IntoIterator<Item = (Arc<str>, &'a str)>,
        salts: Salts,
        clock: Clock,
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
        let own = User::new(None, own);
        Ok(Self(Arc::new(ServerState { method, own, users, salts, clock })))
    }

    /// The beginning of a connection. `rng` has to be unpredictable.
    #[must_use]
    pub fn handshake(&self, rng: &mut impl Rng) -> Handshake {
        Handshake::new(self.0.clone(), rng)
    }

    /// The datagrams of this port. `rng` has to be unpredictable.
    #[must_use]
    pub fn datagrams(&self, rng: &mut impl Rng) -> ServerDatagrams {
        ServerDatagrams::new(self.0.clone(), rng)
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
