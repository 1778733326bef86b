use std::sync::Arc;

use rand::Rng;
use waypost_net::Target;

use crate::{ClientDatagrams, Clock, Coded, KeyError, Method, Opener, Sealer, key::Key, sealer::RequestKeys};

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
    pub fn try_new(method: Method, password: &str) -> Result<Self, KeyError> {
        let (identities, key) = Key::try_new_chain(method, password)?;
        Ok(Self { method, keys: Arc::new(ClientKeys { identities, key }), clock: Clock::default() })
    }

    /// Takes the time from another clock.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// The two directions of a connection to `target`. `rng` has to be unpredictable.
    #[must_use]
    pub fn codec(&self, target: &Target, rng: &mut impl Rng) -> (Sealer, Opener) {
        let ClientKeys { identities, key } = &*self.keys;
        let keys = RequestKeys { method: self.method, identities, key };
        let (sealer, salt) = Sealer::of_request(&keys, target, self.clock.clone(), rng);
        (sealer, Opener::of_answer(self.method, key.clone(), salt, self.clock.clone()))
    }

    /// A connection to `target` over `io`, which is connected to the server. The request goes out with the
    /// first bytes that are written, or alone when it is flushed or read from before that.
    #[must_use]
    pub fn stream<S>(&self, io: S, target: &Target) -> Coded<S, Sealer, Opener> {
        let (sealer, opener) = self.codec(target, &mut thread_rng());
        Coded::new(io, sealer, opener)
    }

    /// The datagrams of one association with the server. `rng` has to be unpredictable.
    #[must_use]
    pub fn datagrams(&self, rng: &mut impl Rng) -> ClientDatagrams {
        ClientDatagrams::new(self.method, self.keys.clone(), self.clock.clone(), rng)
    }
}

#[expect(clippy::disallowed_methods, reason = "a connection takes its salt from where randomness comes from")]
pub(crate) fn thread_rng() -> impl Rng {
    rand::rng()
}
