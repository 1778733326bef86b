//! A client and a server that know each other.

use std::sync::Arc;

use waypost_shadowsocks::{Client, Clock, Method, Salts, Server};

use crate::peer::NOW;

const USER: &str = "second";

/// A client and a server with the same key.
pub(crate) struct Parties {
    pub(crate) client: Client,
    pub(crate) server: Server,
    method: Method,
    has_users: bool,
}

impl Parties {
    /// Two of them, the server with three users if the method has any and `has_users`.
    pub(crate) fn try_new(method: Method, has_users: bool) -> Option<Self> {
        let has_users = has_users && method.has_users();
        let (own, keys) = (key(method, 0), [1, 2, 3].map(|number| key(method, number)));
        let [first, second, third] = &keys;
        let users = [("first", first), (USER, second), ("third", third)];
        let users = users.map(|(name, key)| (Arc::<str>::from(name), key.as_str()));
        let users = if has_users { &users[..] } else { &[] };
        let clock = Clock::new(|| NOW);
        let server =
            Server::try_new(method, &own, users.iter().cloned(), Salts::new(), clock.clone()).ok()?;
        let password = match (has_users, method.is_2022()) {
            (false, _) => own,
            (true, false) => second.clone(),
            (true, true) => format!("{own}:{second}"),
        };
        let client = Client::try_new(method, &password, clock).ok()?;
        Some(Self { client, server, method, has_users })
    }

    pub(crate) fn method(&self) -> Method {
        self.method
    }

    pub(crate) fn has_users(&self) -> bool {
        self.has_users
    }

    /// The name of the client's user.
    pub(crate) fn user(&self) -> Option<&'static str> {
        self.has_users.then_some(USER)
    }

    /// What the client shares with nobody but the server.
    pub(crate) fn secret(&self) -> Vec<u8> {
        let number = if self.has_users { 2 } else { 0 };
        if self.method.is_2022() {
            raw_key(self.method, number)
        } else {
            key(self.method, number).into_bytes()
        }
    }

    /// The key of the server, which is the client's if there are no users.
    pub(crate) fn server_secret(&self) -> Vec<u8> {
        raw_key(self.method, 0)
    }
}

/// A password, or a key in base64: zeros with a letter at the end of the first 16 bytes.
fn key(method: Method, number: u8) -> String {
    if !method.is_2022() {
        return format!("password {number}");
    }
    // 15 zeros are 20 digits, the next 3 bytes are 4.
    let letter = char::from(b'A' + number);
    if method.key_bytes() == 16 {
        format!("{}{letter}A==", "A".repeat(20))
    } else {
        format!("{}{letter}{}=", "A".repeat(20), "A".repeat(22))
    }
}

fn raw_key(method: Method, number: u8) -> Vec<u8> {
    let mut key = vec![0; method.key_bytes()];
    if let Some(byte) = key.get_mut(15) {
        *byte = number << 2;
    }
    key
}
