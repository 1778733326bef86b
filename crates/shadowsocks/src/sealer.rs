use std::fmt;

use rand::{Rng, RngExt as _};
use waypost_net::Target;
use waypost_wire::{Seal, put_socks_target};

use crate::{
    Clock, Method,
    cipher::{BlockCipher, StreamCipher, identity_of},
    key::Key,
    method::Edition,
};

pub(crate) const REQUEST: u8 = 0;
pub(crate) const ANSWER: u8 = 1;
/// The longest chunk of SIP004.
pub(crate) const MAX_AEAD_CHUNK: usize = 0x3fff;
/// How much a chunk of SIP022 carries here; up to 65535 are allowed, but half of it lets 64 KiB go into two
/// equal chunks.
const AEAD_2022_CHUNK: usize = 0x8000;
/// The most padding of a request without a payload (SIP022 §3.1.5).
const MAX_PADDING: u16 = 900;

/// Writes a connection in one direction, with the request or the answer in front.
///
/// The answer has no use without a payload: on the server's side nothing goes out before there is some.
pub struct Sealer {
    method: Method,
    cipher: StreamCipher,
    head: Option<Head>,
}

/// What goes out with the first bytes.
enum Head {
    Request {
        /// The salt, and the identities of SIP023.
        salt: Vec<u8>,
        target: Vec<u8>,
        /// How long the padding is where there is no payload.
        padding: u16,
        clock: Clock,
    },
    Answer {
        salt: Vec<u8>,
        request_salt: Vec<u8>,
        clock: Clock,
    },
}

/// What a client seals its requests with.
pub(crate) struct RequestKeys<'a> {
    pub(crate) method: Method,
    pub(crate) identities: &'a [Key],
    pub(crate) key: &'a Key,
}

impl Sealer {
    /// A sealer of a request, and its salt.
    pub(crate) fn of_request(
        keys: &RequestKeys<'_>,
        target: &Target,
        clock: Clock,
        rng: &mut impl Rng,
    ) -> (Self, Vec<u8>) {
        let RequestKeys { method, identities, key } = *keys;
        let salt = random_salt(method, rng);
        let cipher = StreamCipher::new(method, key, &salt);
        let mut target_field = Vec::with_capacity(32);
        put_socks_target(&mut target_field, target);
        let mut front = salt.clone();
        let next_keys = identities.iter().skip(1).chain([key]);
        for (identity, next) in identities.iter().zip(next_keys) {
            if let Some(cipher) = BlockCipher::of_identity(identity, &salt) {
                front.extend_from_slice(&cipher.encrypt(identity_of(next)));
            }
        }
        let padding = rng.random_range(1..=MAX_PADDING);
        let head = Some(Head::Request { salt: front, target: target_field, padding, clock });
        (Self { method, cipher, head }, salt)
    }

    /// A sealer of the answer to the request with this salt, and its own salt.
    pub(crate) fn of_answer(
        method: Method,
        key: &Key,
        request_salt: &[u8],
        clock: Clock,
        rng: &mut impl Rng,
    ) -> (Self, Vec<u8>) {
        let salt = random_salt(method, rng);
        let cipher = StreamCipher::new(method, key, &salt);
        let head = Head::Answer { salt: salt.clone(), request_salt: request_salt.to_vec(), clock };
        (Self { method, cipher, head: Some(head) }, salt)
    }

    /// Appends the head with as much of `plain` as goes with it, and returns the rest.
    fn seal_head<'a>(&mut self, head: Head, plain: &'a [u8], wire: &mut Vec<u8>) -> &'a [u8] {
        match (head, self.method.edition()) {
            (Head::Request { salt, target, .. }, Edition::Aead) => {
                wire.extend_from_slice(&salt);
                let (first, rest) = split(plain, MAX_AEAD_CHUNK.saturating_sub(target.len()));
                self.seal_length(target.len() + first.len(), wire);
                self.seal_parts(&[&target, first], wire);
                rest
            }
            (Head::Answer { salt, .. }, Edition::Aead) => {
                wire.extend_from_slice(&salt);
                plain
            }
            (Head::Request { salt, target, padding, clock }, Edition::Aead2022) => {
                wire.extend_from_slice(&salt);
                let padding = if plain.is_empty() { padding } else { 0 };
                let (first, rest) = split(plain, AEAD_2022_CHUNK);
                let padding_field = [&padding.to_be_bytes()[..], &vec![0; padding.into()]].concat();
                let length = target.len() + padding_field.len() + first.len();
                let time = clock.now().to_be_bytes();
                self.seal_parts(&[&[REQUEST], &time, &length_field(length)], wire);
                self.seal_parts(&[&target, &padding_field, first], wire);
                rest
            }
            (Head::Answer { salt, request_salt, clock }, Edition::Aead2022) => {
                wire.extend_from_slice(&salt);
                let (first, rest) = split(plain, AEAD_2022_CHUNK);
                let time = clock.now().to_be_bytes();
                self.seal_parts(&[&[ANSWER], &time, &request_salt, &length_field(first.len())], wire);
                self.seal_parts(&[first], wire);
                rest
            }
        }
    }

    fn seal_length(&mut self, length: usize, wire: &mut Vec<u8>) {
        self.seal_parts(&[&length_field(length)], wire);
    }

    fn seal_parts(&mut self, parts: &[&[u8]], wire: &mut Vec<u8>) {
        let start = wire.len();
        parts.iter().for_each(|part| wire.extend_from_slice(part));
        self.cipher.seal_from(start, wire);
    }
}

impl Seal for Sealer {
    fn seal(&mut self, plain: &[u8], wire: &mut Vec<u8>) {
        let overhead = 2 + 2 * crate::cipher::TAG_BYTES;
        wire.reserve(plain.len() + overhead * (2 + plain.len() / self.piece_bytes()));
        let mut rest = plain;
        match self.head.take() {
            Some(head @ Head::Answer { .. }) if plain.is_empty() => self.head = Some(head),
            Some(head) => rest = self.seal_head(head, plain, wire),
            None => {}
        }
        for piece in rest.chunks(self.piece_bytes()) {
            self.seal_length(piece.len(), wire);
            self.seal_parts(&[piece], wire);
        }
    }

    fn finish(&mut self, wire: &mut Vec<u8>) {
        self.seal(&[], wire);
    }

    fn piece_bytes(&self) -> usize {
        match self.method.edition() {
            Edition::Aead => MAX_AEAD_CHUNK,
            Edition::Aead2022 => AEAD_2022_CHUNK,
        }
    }

    fn is_plain(&self) -> bool {
        false
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("method", &self.method).finish_non_exhaustive()
    }
}

fn random_salt(method: Method, rng: &mut impl Rng) -> Vec<u8> {
    let mut salt = vec![0; method.key_bytes()];
    rng.fill_bytes(&mut salt);
    salt
}

/// Every length that is written here is below 64 KiB.
fn length_field(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes()
}

fn split(plain: &[u8], at: usize) -> (&[u8], &[u8]) {
    plain.split_at_checked(at).unwrap_or((plain, &[]))
}
