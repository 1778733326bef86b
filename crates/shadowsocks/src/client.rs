use std::sync::Arc;

use rand::Rng;
use waypost_net::Target;

use crate::{ClientDatagrams, Clock, KeyError, Method, Opener, Sealer, key::Key, sealer::RequestKeys};

/// The client's side: the keys of one server.
#[derive(Debug, Clone)]
pub struct Client {
    method: Method,
    keys: Arc<ClientKeys>,
    clock: Clock,
}

/// The keys of a client.
#[derive(Debug)]
pub(crate) struct ClientKeys {
    /// Those of the servers on the way.
    pub(crate) identities: Vec<Key>,
    /// The client's own.
    pub(crate) key: Key,
}

impl Client {
    /// Makes the keys of `password`. For SIP022 it is the key in base64; where the server has users, the
    /// keys of the server and of the user with `:` between them.
    ///
    /// # Errors
    ///
    /// If the password is no key for the method.
    pub fn try_new(method: Method, password: &str, clock: Clock) -> Result<Self, KeyError> {
        let (identities, key) = Key::try_new_chain(method, password)?;
        Ok(Self { method, keys: Arc::new(ClientKeys { identities, key }), clock })
    }

    /// The two directions of a connection to `target`. `rng` has to be unpredictable.
    #[must_use]
    pub fn codec(&self, target: &Target, rng: &mut impl Rng) -> (Sealer, Opener) {
        let ClientKeys { identities, key } = &*self.keys;
        let keys = RequestKeys { method: self.method, identities, key };
        let (sealer, salt) = Sealer::of_request(&keys, target, self.clock.clone(), rng);
        (sealer, Opener::of_answer(self.method, key.clone(), salt, self.clock.clone()))
    }

    /// The datagrams of one association with the server. `rng` has to be unpredictable.
    #[must_use]
    pub fn datagrams(&self, rng: &mut impl Rng) -> ClientDatagrams {
        ClientDatagrams::new(self.method, self.keys.clone(), self.clock.clone(), rng)
    }
}
