//! Headers as a client with an id can make them, whatever is in them.

use md5::{Digest as _, Md5};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sha2::Sha256;
use waypost_net::Network;
use waypost_wire::{Seal as _, Uuid, VmessClient, VmessRequest, VmessSecurity, VmessUser};

use crate::peer::{NOW, rng};

/// Hashed behind an id to give its key.
const COMMAND_KEY_SALT: &[u8] = b"c48619fe-8f02-49e0-b9e9-edf763e17e21";
const NONCE: [u8; 8] = *b"a nonce.";

/// Seals `plain`, with a right checksum behind it if `is_checked`; the length in front is `said_length`, if
/// that is not the right one.
pub(super) fn sealed_header(
    id: &[u8; 16],
    plain: &[u8],
    is_checked: bool,
    said_length: Option<u16>,
) -> Option<Vec<u8>> {
    let auth_id = auth_id(id)?;
    let key: [u8; 16] = Md5::new().chain_update(id).chain_update(COMMAND_KEY_SALT).finalize().into();
    let mut header = plain.to_vec();
    if is_checked {
        let hash = plain
            .iter()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
        header.extend_from_slice(&hash.to_be_bytes());
    }
    let length = said_length.or_else(|| header.len().try_into().ok()).unwrap_or(u16::MAX);
    let seal = |message: &mut Vec<u8>, key_salt: &[u8], nonce_salt: &[u8]| {
        let sealing_key = derive(&key, &[key_salt, &auth_id, &NONCE]);
        let nonce = derive(&key, &[nonce_salt, &auth_id, &NONCE]);
        let sealing_key = UnboundKey::new(&AES_128_GCM, sealing_key.get(..16)?).ok()?;
        let nonce = Nonce::try_assume_unique_for_key(nonce.get(..12)?).ok()?;
        LessSafeKey::new(sealing_key).seal_in_place_append_tag(nonce, Aad::from(auth_id), message).ok()
    };
    let mut sealed_length = length.to_be_bytes().to_vec();
    seal(&mut sealed_length, b"VMess Header AEAD Key_Length", b"VMess Header AEAD Nonce_Length")?;
    seal(&mut header, b"VMess Header AEAD Key", b"VMess Header AEAD Nonce")?;
    Some([&auth_id[..], &sealed_length, &NONCE, &header].concat())
}

/// The first 16 bytes of any request of the user.
fn auth_id(id: &[u8; 16]) -> Option<[u8; 16]> {
    let request = VmessRequest {
        security: VmessSecurity::None,
        network: Network::Tcp,
        target: &"a:1".parse().ok()?,
        is_padded: false,
        is_length_sealed: false,
    };
    let mut client = VmessClient::new(&VmessUser::new(&Uuid::from_bytes(*id)), &request, NOW, &mut rng(0));
    let mut wire = Vec::new();
    client.sealer.seal(&[], &mut wire);
    wire.first_chunk().copied()
}

/// HMAC-SHA-256 whose hash is an HMAC again, once for each part of a path.
fn derive(key: &[u8], path: &[&[u8]]) -> [u8; 32] {
    match path.split_last() {
        Some((part, outer)) => hmac(part, key, |message| derive(message, outer)),
        None => hmac(b"VMess AEAD KDF", key, |message| Sha256::digest(message).into()),
    }
}

fn hmac(key: &[u8], message: &[u8], hash: impl Fn(&[u8]) -> [u8; 32]) -> [u8; 32] {
    let padded = |pad: u8| -> Vec<u8> {
        (0..64).map(|index| key.get(index).copied().unwrap_or_default() ^ pad).collect()
    };
    let inner = hash(&[&padded(0x36), message].concat());
    hash(&[&padded(0x5c)[..], &inner].concat())
}
