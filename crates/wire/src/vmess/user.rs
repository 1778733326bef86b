use std::fmt;

use aes::{
    Aes128, Block,
    cipher::{BlockCipherDecrypt as _, BlockCipherEncrypt as _, KeyInit as _},
};
use md5::{Digest as _, Md5};
use rand::Rng;

use super::kdf;
use crate::Uuid;

/// Hashed behind the id of a user to give the key of its requests.
const COMMAND_KEY_SALT: &[u8] = b"c48619fe-8f02-49e0-b9e9-edf763e17e21";

/// A user with the keys that follow from its id. Nothing of it shows in debug output.
#[derive(Clone)]
pub struct VmessUser {
    command_key: [u8; 16],
    auth_id_cipher: Aes128,
}

impl VmessUser {
    /// Derives the keys of the user with this id.
    #[must_use]
    pub fn new(id: &Uuid) -> Self {
        let command_key: [u8; 16] =
            Md5::new().chain_update(id.as_bytes()).chain_update(COMMAND_KEY_SALT).finalize().into();
        let key: [u8; 16] = kdf::derive_array(&command_key, &[kdf::AUTH_ID]);
        Self { command_key, auth_id_cipher: Aes128::new(&key.into()) }
    }

    pub(super) fn command_key(&self) -> &[u8; 16] {
        &self.command_key
    }

    /// The first 16 bytes of a request: the time in seconds, 4 random bytes and a checksum, encrypted.
    pub(super) fn auth_id(&self, now: u64, rng: &mut impl Rng) -> [u8; 16] {
        let [t0, t1, t2, t3, t4, t5, t6, t7] = now.to_be_bytes();
        let mut random = [0; 4];
        rng.fill_bytes(&mut random);
        let [r0, r1, r2, r3] = random;
        let content = [t0, t1, t2, t3, t4, t5, t6, t7, r0, r1, r2, r3];
        let [c0, c1, c2, c3] = crc32fast::hash(&content).to_be_bytes();
        let mut block = Block::from([t0, t1, t2, t3, t4, t5, t6, t7, r0, r1, r2, r3, c0, c1, c2, c3]);
        self.auth_id_cipher.encrypt_block(&mut block);
        block.into()
    }

    /// The time in an auth id, if this user has made it.
    pub(super) fn read_auth_id(&self, auth_id: &[u8; 16]) -> Option<i64> {
        let mut block = Block::from(*auth_id);
        self.auth_id_cipher.decrypt_block(&mut block);
        let block: [u8; 16] = block.into();
        let (content, checksum) = block.split_last_chunk()?;
        let time = block.first_chunk().map(|time| i64::from_be_bytes(*time))?;
        (crc32fast::hash(content) == u32::from_be_bytes(*checksum)).then_some(time)
    }
}

impl fmt::Debug for VmessUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[vmess user]")
    }
}
