//! Trojan: a header with a hashed password, and then the bytes as they are. TLS around it is the caller's.

mod answer;
mod client;
mod datagrams;
mod server;

pub use answer::{TrojanOpenError, TrojanOpener, TrojanSealer};
pub use client::{trojan_client, trojan_datagram_client};
pub use datagrams::{
    MAX_TROJAN_DATAGRAM_BYTES, TrojanDatagramError, TrojanDatagramOpener, TrojanDatagramSealer,
};
pub use server::{TrojanAccepted, TrojanFallback, TrojanOpening, TrojanServer};

use std::fmt;

use sha2::{Digest as _, Sha224};
use subtle::{Choice, ConstantTimeEq as _};

const CRLF: [u8; 2] = *b"\r\n";
const CONNECT: u8 = 1;
const UDP_ASSOCIATE: u8 = 3;
/// SHA-224 in hexadecimal digits.
const HASH_BYTES: usize = 56;

/// A hashed password. It does not show in debug output.
#[derive(Clone)]
pub struct TrojanUser([u8; HASH_BYTES]);

impl TrojanUser {
    /// Hashes a password.
    #[must_use]
    pub fn new(password: &str) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digest = Sha224::digest(password);
        let mut hash = [0; HASH_BYTES];
        let nibbles = digest.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]);
        hash.iter_mut().zip(nibbles).for_each(|(digit, nibble)| {
            *digit = DIGITS.get(usize::from(nibble)).copied().unwrap_or_default();
        });
        Self(hash)
    }

    fn is(&self, hash: &[u8; HASH_BYTES]) -> Choice {
        self.0.ct_eq(hash)
    }
}

impl fmt::Debug for TrojanUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[trojan user]")
    }
}
