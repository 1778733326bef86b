//! The chunks of a body: a length, encrypted bytes with their tag, and padding.

use std::{fmt, ops::Range};

use rand::{Rng, SeedableRng as _, rngs::StdRng};
use sha2::{Digest as _, Sha256};

use super::{
    cryption::{CountedKey, Key, NotAuthentic, TAG_BYTES},
    header::{Options, VmessSecurity},
    kdf,
    lengths::{Lengths, PADDING_BOUND},
};

/// The most bytes in a chunk with its tag and without padding: sing-box reads chunks into 16 KiB, V2Ray
/// takes any.
const MAX_CHUNK_BYTES: usize = 16 * 1024;

/// The longest datagram that a chunk can carry. V2Ray 4 drops one that does not fit into 2 KiB with length,
/// tag and padding.
pub const MAX_VMESS_DATAGRAM_BYTES: usize = 65_535 - TAG_BYTES - PADDING_BOUND as usize;

/// The keys of one direction of a connection.
#[derive(Clone)]
pub(super) struct BodyKeys {
    pub(super) key: [u8; 16],
    pub(super) vector: [u8; 16],
}

/// The keys of both directions.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) request: BodyKeys,
    pub(super) answer: BodyKeys,
}

/// How a body is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct BodyForm {
    pub(super) security: VmessSecurity,
    pub(super) options: Options,
}

/// Writes chunks.
pub(super) struct ChunkSealer {
    lengths: Lengths,
    key: Option<CountedKey>,
    padding: StdRng,
}

/// Reads chunks.
#[derive(Debug)]
pub(super) struct ChunkOpener {
    lengths: Lengths,
    key: Option<CountedKey>,
    /// Of the chunk whose length has been read.
    pending: Option<Chunk>,
    is_over: bool,
}

#[derive(Debug, Clone, Copy)]
struct Chunk {
    length: usize,
    padding: usize,
}

/// The chunk at the front of the wire.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum OpenedChunk {
    NeedMore { at_least: usize },
    Chunk { plain: Range<usize>, consumed: usize },
    Ended { consumed: usize },
}

/// Why a chunk cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ChunkError {
    NotAuthentic,
    TooShort { length: usize, expected: usize },
}

impl Session {
    pub(super) fn new(key: [u8; 16], vector: [u8; 16]) -> Self {
        let hashed = |bytes: [u8; 16]| kdf::first(&Sha256::digest(bytes).into());
        let answer = BodyKeys { key: hashed(key), vector: hashed(vector) };
        Self { request: BodyKeys { key, vector }, answer }
    }
}

impl fmt::Debug for BodyKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[keys]")
    }
}

impl BodyForm {
    fn lengths(self, session: &Session, direction: &BodyKeys) -> Lengths {
        let sealed = || {
            // The key of the request serves both directions, as V2Ray and sing-box have it.
            let key = kdf::derive_array(&session.request.key, &[kdf::CHUNK_LENGTH_KEY]);
            let key = key_of(self.security, key)?;
            Some(CountedKey::new(key, session.request.vector))
        };
        let sealed = if self.options.is_length_sealed { sealed() } else { None };
        Lengths::new(self.options, direction.vector, sealed)
    }

    fn key(self, direction: &BodyKeys) -> Option<CountedKey> {
        Some(CountedKey::new(key_of(self.security, direction.key)?, direction.vector))
    }

    pub(super) fn sealer(self, session: &Session, direction: &BodyKeys, rng: &mut impl Rng) -> ChunkSealer {
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        let padding = StdRng::from_seed(seed);
        ChunkSealer { lengths: self.lengths(session, direction), key: self.key(direction), padding }
    }

    pub(super) fn opener(self, session: &Session, direction: &BodyKeys) -> ChunkOpener {
        let lengths = self.lengths(session, direction);
        ChunkOpener { lengths, key: self.key(direction), pending: None, is_over: false }
    }
}

fn key_of(security: VmessSecurity, key: [u8; 16]) -> Option<Key> {
    match security {
        VmessSecurity::Aes128Gcm => Some(Key::aes(key)),
        VmessSecurity::ChaCha20Poly1305 => Some(Key::chacha(key)),
        VmessSecurity::None | VmessSecurity::Zero => None,
    }
}

fn tag_bytes(key: Option<&CountedKey>) -> usize {
    if key.is_some() { TAG_BYTES } else { 0 }
}

impl ChunkSealer {
    /// How many plain bytes the longest chunk carries.
    pub(super) fn capacity(&self) -> usize {
        MAX_CHUNK_BYTES - tag_bytes(self.key.as_ref())
    }

    /// Appends chunks that carry `plain`.
    pub(super) fn seal(&mut self, plain: &[u8], wire: &mut Vec<u8>) {
        let overhead = self.lengths.width() + TAG_BYTES + usize::from(PADDING_BOUND);
        let n_chunks = plain.len().div_ceil(self.capacity());
        wire.reserve(plain.len() + n_chunks * overhead);
        for piece in plain.chunks(self.capacity()) {
            self.seal_one(piece, wire);
        }
    }

    /// Appends one chunk; without `plain` it is the last one. Bytes that no chunk can hold are left out.
    pub(super) fn seal_one(&mut self, plain: &[u8], wire: &mut Vec<u8>) {
        let padding = self.lengths.next_padding();
        let length = plain.len() + tag_bytes(self.key.as_ref()) + usize::from(padding);
        let Ok(length) = u16::try_from(length) else { return };
        self.lengths.put(length, wire);
        let start = wire.len();
        wire.extend_from_slice(plain);
        if let Some(key) = &mut self.key {
            key.seal_from(start, wire);
        }
        if padding > 0 {
            let start = wire.len();
            wire.resize(start + usize::from(padding), 0);
            self.padding.fill_bytes(wire.get_mut(start..).unwrap_or_default());
        }
    }
}

impl fmt::Debug for ChunkSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkSealer").field("lengths", &self.lengths).finish_non_exhaustive()
    }
}

impl ChunkOpener {
    /// Decrypts the chunk at the front of `wire`.
    pub(super) fn open(&mut self, wire: &mut [u8]) -> Result<OpenedChunk, ChunkError> {
        if self.is_over {
            return Ok(OpenedChunk::Ended { consumed: 0 });
        }
        let width = self.lengths.width();
        let chunk = match self.pending {
            Some(chunk) => chunk,
            None => {
                let Some(bytes) = wire.get_mut(..width) else {
                    return Ok(OpenedChunk::NeedMore { at_least: width });
                };
                let padding = usize::from(self.lengths.next_padding());
                let length = self.lengths.take(bytes)?;
                let expected = tag_bytes(self.key.as_ref()) + padding;
                if length < expected {
                    return Err(ChunkError::TooShort { length, expected });
                }
                let chunk = Chunk { length, padding };
                self.pending = Some(chunk);
                chunk
            }
        };
        let consumed = width + chunk.length;
        let Some(body) = wire.get_mut(width..consumed) else {
            return Ok(OpenedChunk::NeedMore { at_least: consumed });
        };
        self.pending = None;
        let body = body.get_mut(..chunk.length - chunk.padding).unwrap_or_default();
        let plain = match &mut self.key {
            Some(key) => key.open(body)?.len(),
            None => body.len(),
        };
        if plain == 0 {
            self.is_over = true;
            return Ok(OpenedChunk::Ended { consumed });
        }
        Ok(OpenedChunk::Chunk { plain: width..width + plain, consumed })
    }
}

impl From<NotAuthentic> for ChunkError {
    fn from(NotAuthentic: NotAuthentic) -> Self {
        Self::NotAuthentic
    }
}
