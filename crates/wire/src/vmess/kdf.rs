//! The key derivation of VMess: HMAC-SHA-256 whose hash is an HMAC again, once for each part of a path.

use sha2::{Digest as _, Sha256};

const BLOCK_BYTES: usize = 64;
/// The key of the innermost HMAC.
const ROOT: &[u8] = b"VMess AEAD KDF";

/// What a key is for: the first part of the path.
pub(super) const AUTH_ID: &[u8] = b"AES Auth ID Encryption";
pub(super) const HEADER_LENGTH_KEY: &[u8] = b"VMess Header AEAD Key_Length";
pub(super) const HEADER_LENGTH_NONCE: &[u8] = b"VMess Header AEAD Nonce_Length";
pub(super) const HEADER_KEY: &[u8] = b"VMess Header AEAD Key";
pub(super) const HEADER_NONCE: &[u8] = b"VMess Header AEAD Nonce";
pub(super) const ANSWER_LENGTH_KEY: &[u8] = b"AEAD Resp Header Len Key";
pub(super) const ANSWER_LENGTH_NONCE: &[u8] = b"AEAD Resp Header Len IV";
pub(super) const ANSWER_KEY: &[u8] = b"AEAD Resp Header Key";
pub(super) const ANSWER_NONCE: &[u8] = b"AEAD Resp Header IV";
pub(super) const CHUNK_LENGTH_KEY: &[u8] = b"auth_len";

/// A message in pieces, so that putting one in front copies nothing.
#[derive(Clone, Copy)]
struct Message<'a> {
    front: &'a [u8],
    rest: Option<&'a Message<'a>>,
}

/// Derives 32 bytes from `key`. No part of `path` is longer than 64 bytes.
pub(super) fn derive(key: &[u8], path: &[&[u8]]) -> [u8; 32] {
    nested(path, Message { front: key, rest: None })
}

/// The first bytes of what is derived: a key of 16 or a nonce of 12.
pub(super) fn derive_array<const N: usize>(key: &[u8], path: &[&[u8]]) -> [u8; N] {
    first(&derive(key, path))
}

/// The first bytes of a hash that is longer.
pub(super) fn first<const N: usize>(hash: &[u8; 32]) -> [u8; N] {
    std::array::from_fn(|index| hash.get(index).copied().unwrap_or_default())
}

fn nested(path: &[&[u8]], message: Message<'_>) -> [u8; 32] {
    match path.split_last() {
        Some((part, inner)) => hmac(part, message, |message| nested(inner, message)),
        None => hmac(ROOT, message, sha256),
    }
}

/// RFC 2104 over any hash with blocks of 64 bytes.
fn hmac(key: &[u8], message: Message<'_>, hash: impl Fn(Message<'_>) -> [u8; 32]) -> [u8; 32] {
    let mut block = [0x36; BLOCK_BYTES];
    block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
    let inner = hash(Message { front: &block, rest: Some(&message) });
    block.iter_mut().for_each(|byte| *byte ^= 0x36 ^ 0x5c);
    hash(Message { front: &block, rest: Some(&Message { front: &inner, rest: None }) })
}

fn sha256(message: Message<'_>) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut next = Some(&message);
    while let Some(Message { front, rest }) = next {
        hash.update(front);
        next = *rest;
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derives_what_v2ray_derives() {
        let path: [&[u8]; 3] = [
            b"Demo Path for KDF Value Test",
            b"Demo Path for KDF Value Test2",
            b"Demo Path for KDF Value Test3",
        ];
        let derived = derive(b"Demo Key for KDF Value Test", &path);
        let hex: String = derived.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "53e9d7e1bd7bd25022b71ead07d8a596efc8a845c7888652fd684b4903dc8892");
        assert_eq!(derive_array::<12>(b"Demo Key for KDF Value Test", &path), derived[..12]);
    }
}
