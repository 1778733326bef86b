//! Clients and servers with keys, and a clock that stands still.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use rand::{SeedableRng as _, rngs::StdRng};
use waypost_net::Target;
use waypost_shadowsocks::{Client, Clock, Method, Salts, Server};

pub(crate) const NOW: u64 = 1_700_000_000;

/// A clock that tests set.
#[derive(Debug, Clone)]
pub(crate) struct Hand(Arc<AtomicU64>);

impl Hand {
    pub(crate) fn at(now: u64) -> Self {
        Self(Arc::new(AtomicU64::new(now)))
    }

    pub(crate) fn set(&self, now: u64) {
        self.0.store(now, Ordering::Relaxed);
    }

    pub(crate) fn clock(&self) -> Clock {
        let hand = self.clone();
        Clock::new(move || hand.0.load(Ordering::Relaxed))
    }
}

/// A password by number: text for SIP004, a key for SIP022.
pub(crate) fn password(method: Method, number: u8) -> String {
    let digit = char::from(b'A' + number % 26);
    match (method.is_2022(), method.key_bytes()) {
        (false, _) => format!("password {number}"),
        (true, 16) => format!("{}A==", digit.to_string().repeat(21)),
        (true, _) => format!("{}A=", digit.to_string().repeat(42)),
    }
}

pub(crate) const NAMES: [&str; 3] = ["anna", "ben", "carla"];

/// A server without users, or with those of [`NAMES`], whose passwords have the numbers from 1.
pub(crate) fn server(method: Method, has_users: bool, clock: Clock) -> Server {
    let passwords: Vec<_> = (1..).zip(NAMES).map(|(number, name)| (name, password(method, number))).collect();
    let users =
        passwords.iter().filter(|_| has_users).map(|(name, password)| (Arc::from(*name), password.as_str()));
    Server::try_new(method, &password(method, 0), users, Salts::new(), clock).unwrap()
}

/// The client with a password, for a server with or without users.
pub(crate) fn client(method: Method, user: Option<u8>, clock: Clock) -> Client {
    let password = match user {
        Some(number) if method.is_2022() => format!("{}:{}", password(method, 0), password(method, number)),
        Some(number) => password(method, number),
        None => password(method, 0),
    };
    Client::try_new(method, &password, clock).unwrap()
}

/// Every method, without users and, where there can be some, with them.
pub(crate) fn all() -> Vec<(Method, Option<u8>)> {
    let without = Method::ALL.into_iter().map(|method| (method, None));
    let with = Method::ALL.into_iter().filter(|method| method.has_users()).map(|method| (method, Some(2)));
    without.chain(with).collect()
}

pub(crate) fn target() -> Target {
    "example.com:443".parse().unwrap()
}

pub(crate) fn rng() -> StdRng {
    StdRng::seed_from_u64(11)
}
