//! Encryption of headers and chunks.

use std::fmt;

use md5::{Digest as _, Md5};
use ring::aead::{AES_128_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

/// The bytes that show that nothing was changed.
pub(super) const TAG_BYTES: usize = 16;

/// What was encrypted with another key, or was changed on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotAuthentic;

/// A key of AES-128-GCM or ChaCha20-Poly1305.
pub(super) struct Key(Option<LessSafeKey>);

impl Key {
    pub(super) fn aes(key: [u8; 16]) -> Self {
        Self(UnboundKey::new(&AES_128_GCM, &key).ok().map(LessSafeKey::new))
    }

    /// ChaCha20 wants 32 bytes of key, where VMess has 16.
    pub(super) fn chacha(key: [u8; 16]) -> Self {
        let low: [u8; 16] = Md5::digest(key).into();
        let high: [u8; 16] = Md5::digest(low).into();
        let mut bytes = [0; 32];
        bytes.iter_mut().zip(low.into_iter().chain(high)).for_each(|(byte, hashed)| *byte = hashed);
        Self(UnboundKey::new(&CHACHA20_POLY1305, &bytes).ok().map(LessSafeKey::new))
    }

    /// Encrypts what is in `message` from `start` on, and appends the tag.
    pub(super) fn seal_from(&self, start: usize, nonce: [u8; 12], aad: &[u8], message: &mut Vec<u8>) {
        let plain = message.get_mut(start..).unwrap_or_default();
        let tag = self.0.as_ref().and_then(|key| {
            key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), plain).ok()
        });
        match tag {
            Some(tag) => message.extend_from_slice(tag.as_ref()),
            // Only a message of 64 GiB or a key of another length fails, neither of which is made here.
            // Were it otherwise, nothing must go out unencrypted.
            None => message.truncate(start),
        }
    }

    /// Decrypts `message` in place and returns what was encrypted, without the tag.
    pub(super) fn open<'a>(
        &self,
        nonce: [u8; 12],
        aad: &[u8],
        message: &'a mut [u8],
    ) -> Result<&'a mut [u8], NotAuthentic> {
        let key = self.0.as_ref().ok_or(NotAuthentic)?;
        key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(aad), message)
            .map_err(|_unspecified| NotAuthentic)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[key]")
    }
}

/// A key with the nonces of one direction: a counter of 16 bits, then the bytes 3 to 12 of the vector.
///
/// The counter starts again from 0 after 65535, as every implementation has it: a connection that carries
/// more than 1 GiB in one direction uses nonces again, which is a weakness of VMess itself.
pub(super) struct CountedKey {
    key: Key,
    vector: [u8; 16],
    count: u16,
}

impl CountedKey {
    pub(super) fn new(key: Key, vector: [u8; 16]) -> Self {
        Self { key, vector, count: 0 }
    }

    fn next_nonce(&mut self) -> [u8; 12] {
        let [_, _, a, b, c, d, e, f, g, h, i, j, ..] = self.vector;
        let [high, low] = self.count.to_be_bytes();
        self.count = self.count.wrapping_add(1);
        [high, low, a, b, c, d, e, f, g, h, i, j]
    }

    pub(super) fn seal_from(&mut self, start: usize, message: &mut Vec<u8>) {
        let nonce = self.next_nonce();
        self.key.seal_from(start, nonce, &[], message);
    }

    pub(super) fn open<'a>(&mut self, message: &'a mut [u8]) -> Result<&'a mut [u8], NotAuthentic> {
        let nonce = self.next_nonce();
        self.key.open(nonce, &[], message)
    }
}

impl fmt::Debug for CountedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CountedKey").field("count", &self.count).finish_non_exhaustive()
    }
}
