//! How one datagram is written and read.

use std::ops::Range;

use rand::{Rng, RngExt as _};
use waypost_net::Target;
use waypost_wire::{TargetError, put_socks_target, read_socks_target};

use crate::{
    Clock, Method,
    cipher::{BlockCipher, NotAuthentic, SessionCipher, StreamCipher, TAG_BYTES, identity_of, xor},
    key::Key,
    opener::read_fixed,
    sealer::{ANSWER, REQUEST},
};

/// The longest datagram of UDP over IPv4 (RFC 768): 65535 bytes without the headers of IP and UDP.
pub const MAX_DATAGRAM_BYTES: usize = 65_535 - 20 - 8;
/// Queries to name servers are padded, because their lengths tell much (SIP022 §3.2.3).
const PADDED_PORT: u16 = 53;
/// The most padding.
const MAX_PADDING: u16 = 900;
/// The nonce of a datagram of ChaCha20 in SIP022.
const NONCE_BYTES: usize = 24;
/// The numbers of the session and the datagram.
const NUMBERS_BYTES: usize = 16;

/// Why a datagram is dropped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DatagramError {
    /// It was encrypted with another key, or is none of Shadowsocks.
    #[error("the datagram cannot be authenticated: wrong password or method")]
    NotAuthentic,
    /// It ends within what each one has.
    #[error("the datagram is too short")]
    TooShort,
    /// It goes the other way, or belongs to another session.
    #[error("the datagram belongs to something else")]
    Other,
    /// Its time differs too much from the time here.
    #[error("the clock of the peer is off by {seconds} seconds, at most 30 are allowed")]
    Clock {
        /// How many seconds the peer is ahead.
        seconds: i64,
    },
    /// It has come in before, or is much older than others.
    #[error("a datagram was sent again")]
    Replayed,
    /// The target is not an address or a valid name.
    #[error("bad target: {0}")]
    Target(#[from] TargetError),
    /// There are too many sessions at a time.
    #[error("too many sessions")]
    TooManySessions,
    /// The session is none or has been forgotten.
    #[error("no such session")]
    UnknownSession,
    /// It would be longer than a datagram can be.
    #[error("a datagram of {length} bytes, at most {MAX_DATAGRAM_BYTES} can be sent")]
    TooLong {
        /// Its length, encrypted.
        length: usize,
    },
}

/// What a datagram says of itself in SIP022.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub(crate) session: u64,
    pub(crate) packet: u64,
}

/// What is inside of a datagram.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) target: Target,
    pub(crate) payload: Range<usize>,
}

impl Numbers {
    pub(crate) fn to_block(self) -> [u8; NUMBERS_BYTES] {
        (u128::from(self.session) << 64 | u128::from(self.packet)).to_be_bytes()
    }

    pub(crate) fn from_block(block: [u8; NUMBERS_BYTES]) -> Self {
        let [a, b, c, d, e, f, g, h, packet @ ..] = block;
        Self { session: u64::from_be_bytes([a, b, c, d, e, f, g, h]), packet: u64::from_be_bytes(packet) }
    }
}

/// Drops what was appended if it is too long.
pub(crate) fn checked(out: &mut Vec<u8>, start: usize) -> Result<(), DatagramError> {
    let length = out.len().saturating_sub(start);
    if length <= MAX_DATAGRAM_BYTES {
        return Ok(());
    }
    out.truncate(start);
    Err(DatagramError::TooLong { length })
}

/// Appends a datagram of SIP004.
pub(crate) fn seal_aead(
    method: Method,
    key: &Key,
    target: &Target,
    payload: &[u8],
    rng: &mut impl Rng,
    out: &mut Vec<u8>,
) -> Result<(), DatagramError> {
    let start = out.len();
    let salt_end = start + method.key_bytes();
    out.reserve(method.key_bytes() + 32 + payload.len() + TAG_BYTES);
    out.resize(salt_end, 0);
    let salt = out.get_mut(start..).unwrap_or_default();
    rng.fill_bytes(salt);
    let mut cipher = StreamCipher::new(method, key, salt);
    put_socks_target(out, target);
    out.extend_from_slice(payload);
    cipher.seal_from(salt_end, out);
    checked(out, start)
}

/// Decrypts a datagram of SIP004 in place.
pub(crate) fn open_aead(method: Method, key: &Key, packet: &mut [u8]) -> Result<Content, DatagramError> {
    let salt_bytes = method.key_bytes();
    let (salt, sealed) = packet.split_at_mut_checked(salt_bytes).ok_or(DatagramError::TooShort)?;
    let plain = StreamCipher::new(method, key, salt)
        .open(sealed)
        .map_err(|NotAuthentic| DatagramError::NotAuthentic)?;
    read_content(plain, salt_bytes)
}

/// Reads the target of what was decrypted, which begins at `offset` of the datagram.
fn read_content(plain: &[u8], offset: usize) -> Result<Content, DatagramError> {
    let (target, target_bytes) = read_socks_target(plain)?.ok_or(DatagramError::TooShort)?;
    Ok(Content { target, payload: offset + target_bytes..offset + plain.len() })
}

/// How the datagrams of SIP022 in one direction are encrypted.
#[derive(Debug)]
pub(crate) enum Layout {
    /// The numbers are encrypted as a block, and are the nonce of the rest.
    Aes { header: BlockCipher },
    /// A nonce comes first, and all of the rest is encrypted.
    ChaCha,
}

impl Layout {
    /// `header` is the key of the numbers: the server's as far as a client sends, else the client's.
    pub(crate) fn new(method: Method, header: &Key) -> Self {
        match BlockCipher::new(header.as_bytes()) {
            Some(header) if method.has_users() => Self::Aes { header },
            Some(_) | None => Self::ChaCha,
        }
    }
}

/// Who a datagram of SIP022 is from, and for whom.
#[derive(Clone, Copy)]
pub(crate) enum Direction<'a> {
    /// To a server, with the keys on the way and the own one behind them.
    Request { identities: &'a [Key], key: &'a Key },
    /// To the client of this session.
    Answer { client_session: u64 },
}

/// What a datagram of SIP022 is made of.
pub(crate) struct Outgoing<'a> {
    pub(crate) layout: &'a Layout,
    pub(crate) cipher: &'a SessionCipher,
    pub(crate) numbers: Numbers,
    pub(crate) direction: Direction<'a>,
    pub(crate) target: &'a Target,
    pub(crate) payload: &'a [u8],
}

/// Appends a datagram of SIP022.
pub(crate) fn seal_2022(
    outgoing: &Outgoing<'_>,
    clock: &Clock,
    rng: &mut impl Rng,
    out: &mut Vec<u8>,
) -> Result<(), DatagramError> {
    let Outgoing { layout, cipher, numbers, direction, target, payload } = *outgoing;
    let start = out.len();
    out.reserve(128 + payload.len());
    let block = numbers.to_block();
    let mut nonce = [0; NONCE_BYTES];
    match layout {
        Layout::Aes { header } => {
            out.extend_from_slice(&header.encrypt(block));
            if let Direction::Request { identities, key } = direction {
                let next_keys = identities.iter().skip(1).chain([key]);
                for (identity, next) in identities.iter().zip(next_keys) {
                    let cipher = BlockCipher::new(identity.as_bytes()).ok_or(DatagramError::Other)?;
                    out.extend_from_slice(&cipher.encrypt(xor(identity_of(next), block)));
                }
            }
        }
        Layout::ChaCha => {
            rng.fill_bytes(&mut nonce);
            out.extend_from_slice(&nonce);
        }
    }
    let sealed_start = out.len();
    if let Layout::ChaCha = layout {
        out.extend_from_slice(&block);
    }
    out.push(match direction {
        Direction::Request { .. } => REQUEST,
        Direction::Answer { .. } => ANSWER,
    });
    out.extend_from_slice(&clock.now().to_be_bytes());
    if let Direction::Answer { client_session } = direction {
        out.extend_from_slice(&client_session.to_be_bytes());
    }
    let padding = padding_of(target, payload, rng);
    out.extend_from_slice(&padding.to_be_bytes());
    out.resize(out.len() + usize::from(padding), 0);
    put_socks_target(out, target);
    out.extend_from_slice(payload);
    cipher.seal_from(nonce_of(layout, &block, &nonce), sealed_start, out);
    checked(out, start)
}

fn nonce_of<'a>(layout: &Layout, block: &'a [u8; NUMBERS_BYTES], nonce: &'a [u8]) -> &'a [u8] {
    match layout {
        Layout::Aes { .. } => block.get(4..).unwrap_or_default(),
        Layout::ChaCha => nonce,
    }
}

fn padding_of(target: &Target, payload: &[u8], rng: &mut impl Rng) -> u16 {
    let is_padded = target.port == PADDED_PORT && payload.len() < usize::from(MAX_PADDING);
    if is_padded { rng.random_range(1..=MAX_PADDING) } else { 0 }
}

/// Reads the numbers of a datagram of AES, and the block that a client's identity comes in.
pub(crate) fn read_numbers(header: &BlockCipher, packet: &[u8]) -> Result<Numbers, DatagramError> {
    let block = packet.first_chunk().ok_or(DatagramError::TooShort)?;
    Ok(Numbers::from_block(header.decrypt(*block)))
}

/// The identity in a datagram of a client to a server with users.
pub(crate) fn read_identity(
    header: &BlockCipher,
    numbers: Numbers,
    packet: &[u8],
) -> Result<[u8; 16], DatagramError> {
    let identity =
        packet.get(NUMBERS_BYTES..).and_then(|rest| rest.first_chunk()).ok_or(DatagramError::TooShort)?;
    Ok(xor(header.decrypt(*identity), numbers.to_block()))
}

/// Where the encrypted part of a datagram of AES begins.
pub(crate) fn sealed_start(has_identity: bool) -> usize {
    if has_identity { NUMBERS_BYTES + 16 } else { NUMBERS_BYTES }
}

/// Decrypts a datagram of AES in place, and returns what is inside after the numbers.
pub(crate) fn open_aes<'a>(
    cipher: &SessionCipher,
    numbers: Numbers,
    start: usize,
    packet: &'a mut [u8],
) -> Result<&'a [u8], DatagramError> {
    let block = numbers.to_block();
    let sealed = packet.get_mut(start..).ok_or(DatagramError::TooShort)?;
    cipher
        .open(block.get(4..).unwrap_or_default(), sealed)
        .map_err(|NotAuthentic| DatagramError::NotAuthentic)?;
    Ok(without_tag(sealed))
}

/// Decrypts a datagram of ChaCha20 in place, and returns its numbers, where the rest begins, and the rest.
pub(crate) fn open_chacha<'a>(
    cipher: &SessionCipher,
    packet: &'a mut [u8],
) -> Result<(Numbers, usize, &'a [u8]), DatagramError> {
    let (nonce, sealed) = packet.split_at_mut_checked(NONCE_BYTES).ok_or(DatagramError::TooShort)?;
    cipher.open(nonce, sealed).map_err(|NotAuthentic| DatagramError::NotAuthentic)?;
    let (block, rest) = without_tag(sealed).split_first_chunk().ok_or(DatagramError::TooShort)?;
    Ok((Numbers::from_block(*block), NONCE_BYTES + NUMBERS_BYTES, rest))
}

fn without_tag(opened: &[u8]) -> &[u8] {
    opened.get(..opened.len().saturating_sub(TAG_BYTES)).unwrap_or_default()
}

/// Reads what was decrypted, which begins at `offset` of the datagram: type, time, session, padding, target.
pub(crate) fn read_2022(
    plain: &[u8],
    offset: usize,
    client_session: Option<u64>,
    clock: &Clock,
) -> Result<Content, DatagramError> {
    let wanted = if client_session.is_some() { ANSWER } else { REQUEST };
    let (time, mut rest) = read_fixed(plain, wanted).ok_or(DatagramError::Other)?;
    clock.check(time).map_err(|seconds| DatagramError::Clock { seconds })?;
    if let Some(wanted) = client_session {
        let (session, after) = rest.split_first_chunk().ok_or(DatagramError::TooShort)?;
        if u64::from_be_bytes(*session) != wanted {
            return Err(DatagramError::Other);
        }
        rest = after;
    }
    let (padding, rest) = rest.split_first_chunk().ok_or(DatagramError::TooShort)?;
    let rest = rest.get(usize::from(u16::from_be_bytes(*padding))..).ok_or(DatagramError::TooShort)?;
    read_content(rest, offset + plain.len() - rest.len())
}
