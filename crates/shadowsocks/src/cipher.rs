//! What is used of `shadowsocks-crypto`: deriving keys, and encryption with a counter of nonces.

use std::fmt;

use aes::{
    Aes128, Aes256, Block,
    cipher::{BlockCipherDecrypt as _, BlockCipherEncrypt as _, KeyInit as _},
};
use shadowsocks_crypto::{
    v1,
    v2::{tcp::TcpCipher, udp::UdpCipher},
};

use crate::{Method, key::Key, method::Edition};

/// The bytes that show that nothing was changed.
pub(crate) const TAG_BYTES: usize = 16;

/// The context of the key that encrypts the identity of a user (SIP023).
const IDENTITY_CONTEXT: &str = "shadowsocks 2022 identity subkey";

/// What was encrypted with another key, or was changed on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotAuthentic;

/// One direction of a connection, or one datagram of SIP004.
pub(crate) struct StreamCipher(Kind);

enum Kind {
    Aead(Box<v1::Cipher>),
    Aead2022(Box<TcpCipher>),
}

impl StreamCipher {
    pub(crate) fn new(method: Method, key: &Key, salt: &[u8]) -> Self {
        let key = key.as_bytes();
        Self(match method.edition() {
            Edition::Aead => Kind::Aead(Box::new(v1::Cipher::new(method.kind(), key, salt))),
            Edition::Aead2022 => Kind::Aead2022(Box::new(TcpCipher::new(method.kind(), key, salt))),
        })
    }

    /// Encrypts what is in `message` from `start` on, and appends the tag.
    pub(crate) fn seal_from(&mut self, start: usize, message: &mut Vec<u8>) {
        message.resize(message.len() + TAG_BYTES, 0);
        let sealed = message.get_mut(start..).unwrap_or_default();
        match &mut self.0 {
            Kind::Aead(cipher) => cipher.encrypt_packet(sealed),
            Kind::Aead2022(cipher) => cipher.encrypt_packet(sealed),
        }
    }

    /// Decrypts `message` in place and returns what was encrypted, without the tag.
    pub(crate) fn open<'a>(&mut self, message: &'a mut [u8]) -> Result<&'a mut [u8], NotAuthentic> {
        let length = message.len().checked_sub(TAG_BYTES).ok_or(NotAuthentic)?;
        let is_authentic = match &mut self.0 {
            Kind::Aead(cipher) => cipher.decrypt_packet(message),
            Kind::Aead2022(cipher) => cipher.decrypt_packet(message),
        };
        if is_authentic { message.get_mut(..length).ok_or(NotAuthentic) } else { Err(NotAuthentic) }
    }
}

impl fmt::Debug for StreamCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[cipher]")
    }
}

/// The datagrams of a session of SIP022 in one direction.
pub(crate) struct SessionCipher(UdpCipher);

impl SessionCipher {
    pub(crate) fn new(method: Method, key: &Key, session: u64) -> Self {
        Self(UdpCipher::new(method.kind(), key.as_bytes(), session))
    }

    /// Encrypts what is in `packet` from `start` on, and appends the tag.
    pub(crate) fn seal_from(&self, nonce: &[u8], start: usize, packet: &mut Vec<u8>) {
        packet.resize(packet.len() + TAG_BYTES, 0);
        self.0.encrypt_packet(nonce, packet.get_mut(start..).unwrap_or_default());
    }

    /// Decrypts `packet` in place; the tag stays at its end.
    pub(crate) fn open(&self, nonce: &[u8], packet: &mut [u8]) -> Result<(), NotAuthentic> {
        let is_authentic = packet.len() >= TAG_BYTES && self.0.decrypt_packet(nonce, packet);
        if is_authentic { Ok(()) } else { Err(NotAuthentic) }
    }
}

impl fmt::Debug for SessionCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[cipher]")
    }
}

/// AES of single blocks: identities, and the first bytes of a datagram of SIP022.
pub(crate) enum BlockCipher {
    Aes128(Box<Aes128>),
    Aes256(Box<Aes256>),
}

impl BlockCipher {
    /// `None` if the key is no key of AES, which no method of SIP022 with AES has.
    pub(crate) fn new(key: &[u8]) -> Option<Self> {
        match key.len() {
            16 => Aes128::new_from_slice(key).ok().map(|cipher| Self::Aes128(Box::new(cipher))),
            32 => Aes256::new_from_slice(key).ok().map(|cipher| Self::Aes256(Box::new(cipher))),
            _ => None,
        }
    }

    /// The cipher of identities on a connection.
    pub(crate) fn of_identity(key: &Key, salt: &[u8]) -> Option<Self> {
        let derived = blake3::derive_key(IDENTITY_CONTEXT, &[key.as_bytes(), salt].concat());
        Self::new(derived.get(..key.as_bytes().len())?)
    }

    pub(crate) fn encrypt(&self, block: [u8; 16]) -> [u8; 16] {
        let mut block = Block::from(block);
        match self {
            Self::Aes128(cipher) => cipher.encrypt_block(&mut block),
            Self::Aes256(cipher) => cipher.encrypt_block(&mut block),
        }
        block.into()
    }

    pub(crate) fn decrypt(&self, block: [u8; 16]) -> [u8; 16] {
        let mut block = Block::from(block);
        match self {
            Self::Aes128(cipher) => cipher.decrypt_block(&mut block),
            Self::Aes256(cipher) => cipher.decrypt_block(&mut block),
        }
        block.into()
    }
}

impl fmt::Debug for BlockCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[cipher]")
    }
}

/// What a key is recognised by: the first half of its hash (SIP023).
pub(crate) fn identity_of(key: &Key) -> [u8; 16] {
    let hash = blake3::hash(key.as_bytes());
    hash.as_bytes().first_chunk().copied().unwrap_or_default()
}

/// Applies one block to another, bit by bit.
pub(crate) fn xor(a: [u8; 16], b: [u8; 16]) -> [u8; 16] {
    (u128::from_ne_bytes(a) ^ u128::from_ne_bytes(b)).to_ne_bytes()
}
