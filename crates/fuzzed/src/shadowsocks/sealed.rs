//! What somebody with a key can send, whatever is in it.

use aes::{
    Aes128, Aes256, Block,
    cipher::{BlockCipherEncrypt as _, KeyInit as _},
};
use shadowsocks_crypto::{
    CipherKind,
    v1::{self, openssl_bytes_to_key},
    v2::{tcp::TcpCipher, udp::UdpCipher},
};
use waypost_shadowsocks::Method;

use super::Parties;
use crate::peer::NOW;

const TAG_BYTES: usize = 16;

fn kind(method: Method) -> CipherKind {
    match method {
        Method::Aes128Gcm => CipherKind::AES_128_GCM,
        Method::Aes256Gcm => CipherKind::AES_256_GCM,
        Method::ChaCha20Poly1305 => CipherKind::CHACHA20_POLY1305,
        Method::XChaCha20Poly1305 => CipherKind::XCHACHA20_POLY1305,
        Method::Blake3Aes128Gcm => CipherKind::AEAD2022_BLAKE3_AES_128_GCM,
        Method::Blake3Aes256Gcm => CipherKind::AEAD2022_BLAKE3_AES_256_GCM,
        Method::Blake3ChaCha20Poly1305 => CipherKind::AEAD2022_BLAKE3_CHACHA20_POLY1305,
    }
}

fn aead_key(parties: &Parties) -> Vec<u8> {
    let mut key = vec![0; parties.method().key_bytes()];
    openssl_bytes_to_key(&parties.secret(), &mut key);
    key
}

/// One direction of a connection. `fixed` is what SIP022 has before the first chunk: if its time is 0 it
/// becomes the right one.
pub(crate) fn stream(parties: &Parties, fixed: &[u8], chunks: &[Vec<u8>]) -> Option<Vec<u8>> {
    let method = parties.method();
    let salt = vec![7; method.key_bytes()];
    let mut wire = salt.clone();
    if !method.is_2022() {
        let mut cipher = v1::Cipher::new(kind(method), &aead_key(parties), &salt);
        for chunk in chunks {
            let length = u16::try_from(chunk.len()).unwrap_or(u16::MAX).to_be_bytes();
            seal(&mut wire, &length, |sealed| cipher.encrypt_packet(sealed));
            seal(&mut wire, chunk, |sealed| cipher.encrypt_packet(sealed));
        }
        return Some(wire);
    }
    if parties.has_users() {
        let server_secret = [parties.server_secret(), salt.clone()].concat();
        let key = blake3::derive_key("shadowsocks 2022 identity subkey", &server_secret);
        wire.extend_from_slice(&encrypt(key.get(..method.key_bytes())?, identity(parties))?);
    }
    let mut cipher = TcpCipher::new(kind(method), &parties.secret(), &salt);
    let mut fixed = fixed.to_vec();
    set_time(&mut fixed);
    let (first, others) = chunks.split_first()?;
    if let (Some([0, 0]), Ok(length)) = (fixed.get(9..), u16::try_from(first.len())) {
        fixed.truncate(9);
        fixed.extend_from_slice(&length.to_be_bytes());
    }
    seal(&mut wire, &fixed, |sealed| cipher.encrypt_packet(sealed));
    seal(&mut wire, first, |sealed| cipher.encrypt_packet(sealed));
    for chunk in others {
        let length = u16::try_from(chunk.len()).unwrap_or(u16::MAX).to_be_bytes();
        seal(&mut wire, &length, |sealed| cipher.encrypt_packet(sealed));
        seal(&mut wire, chunk, |sealed| cipher.encrypt_packet(sealed));
    }
    Some(wire)
}

/// A datagram of SIP004.
pub(crate) fn datagram_aead(parties: &Parties, plain: &[u8]) -> Vec<u8> {
    let method = parties.method();
    let salt = vec![7; method.key_bytes()];
    let mut cipher = v1::Cipher::new(kind(method), &aead_key(parties), &salt);
    let mut packet = salt;
    seal(&mut packet, plain, |sealed| cipher.encrypt_packet(sealed));
    packet
}

/// What a datagram of SIP022 says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Datagram2022<'a> {
    pub(crate) session: u64,
    pub(crate) number: u64,
    /// What is behind the numbers; if its time is 0 it becomes the right one.
    pub(crate) plain: &'a [u8],
    /// Whether it is one of a client.
    pub(crate) is_request: bool,
}

/// A datagram of SIP022.
pub(crate) fn datagram_2022(parties: &Parties, datagram: Datagram2022<'_>) -> Option<Vec<u8>> {
    let method = parties.method();
    let Datagram2022 { session, number, plain, is_request } = datagram;
    let block = (u128::from(session) << 64 | u128::from(number)).to_be_bytes();
    let mut plain = plain.to_vec();
    set_time(&mut plain);
    let cipher = UdpCipher::new(kind(method), &parties.secret(), session);
    if !method.has_users() {
        let nonce = [3; 24];
        let mut packet = nonce.to_vec();
        seal(&mut packet, &[&block[..], &plain].concat(), |sealed| cipher.encrypt_packet(&nonce, sealed));
        return Some(packet);
    }
    let header_key = if is_request { parties.server_secret() } else { parties.secret() };
    let mut packet = encrypt(&header_key, block)?.to_vec();
    if is_request && parties.has_users() {
        let mut identity = identity(parties);
        identity.iter_mut().zip(block).for_each(|(byte, other)| *byte ^= other);
        packet.extend_from_slice(&encrypt(&header_key, identity)?);
    }
    seal(&mut packet, &plain, |sealed| cipher.encrypt_packet(block.get(4..).unwrap_or_default(), sealed));
    Some(packet)
}

fn seal(wire: &mut Vec<u8>, plain: &[u8], encrypt: impl FnOnce(&mut [u8])) {
    let mut sealed = plain.to_vec();
    sealed.resize(plain.len() + TAG_BYTES, 0);
    encrypt(&mut sealed);
    wire.append(&mut sealed);
}

/// Type and time come first.
fn set_time(plain: &mut [u8]) {
    if let Some(time) = plain.get_mut(1..9).filter(|time| time.iter().all(|byte| *byte == 0)) {
        time.copy_from_slice(&NOW.to_be_bytes());
    }
}

fn identity(parties: &Parties) -> [u8; 16] {
    blake3::hash(&parties.secret()).as_bytes().first_chunk().copied().unwrap_or_default()
}

fn encrypt(key: &[u8], block: [u8; 16]) -> Option<[u8; 16]> {
    let mut block = Block::from(block);
    match key.len() {
        16 => Aes128::new_from_slice(key).ok()?.encrypt_block(&mut block),
        _ => Aes256::new_from_slice(key).ok()?.encrypt_block(&mut block),
    }
    Some(block.into())
}
