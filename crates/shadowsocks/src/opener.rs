use std::fmt;

use waypost_wire::{Open, Opened};

use crate::{
    Clock, Method,
    cipher::{NotAuthentic, StreamCipher, TAG_BYTES},
    key::Key,
    method::Edition,
    sealer::{ANSWER, MAX_AEAD_CHUNK},
};

const LENGTH_BYTES: usize = 2 + TAG_BYTES;
/// Type, time and length.
pub(crate) const FIXED_BYTES: usize = 1 + 8 + 2;

/// Reads a connection in one direction; on the client's side the answer comes first.
pub struct Opener {
    method: Method,
    stage: Stage,
    /// Whether a chunk has been authenticated.
    is_trusted: bool,
}

enum Stage {
    /// The salt, and what comes before the first chunk of SIP022, are awaited.
    Answer {
        key: Key,
        request_salt: Vec<u8>,
        clock: Clock,
    },
    Chunks {
        cipher: StreamCipher,
        pending: Option<Chunk>,
    },
}

/// A chunk whose length is known.
#[derive(Debug, Clone, Copy)]
struct Chunk {
    /// The bytes before its content.
    prefix: usize,
    length: usize,
}

/// Why a connection cannot be read on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The peer closed before it answered.
    #[error(
        "closed without an answer: wrong password or method, the clocks differ, or the target sent nothing"
    )]
    NoAnswer,
    /// The first bytes of the answer were encrypted with another key.
    #[error("the answer cannot be authenticated: wrong password or method")]
    Answer,
    /// The time in the answer differs too much from the time here.
    #[error("the clock of the server is off by {seconds} seconds, at most 30 are allowed")]
    Clock {
        /// How many seconds the server is ahead.
        seconds: i64,
    },
    /// The answer is one to another request, or no answer.
    #[error("the answer belongs to another request")]
    OtherRequest,
    /// A chunk was changed on the way.
    #[error("a chunk cannot be authenticated")]
    Chunk,
    /// A chunk is longer than SIP004 lets it be.
    #[error("a chunk has at most {MAX_AEAD_CHUNK} bytes, found {length}")]
    ChunkTooLong {
        /// What it says.
        length: usize,
    },
    /// The peer closed within a chunk.
    #[error("closed in the middle of a chunk")]
    Cut,
}

impl Opener {
    /// An opener of the answer to the request with this salt.
    pub(crate) fn of_answer(method: Method, key: Key, request_salt: Vec<u8>, clock: Clock) -> Self {
        Self { method, stage: Stage::Answer { key, request_salt, clock }, is_trusted: false }
    }

    /// An opener of a request whose salt has been read. `first` is the length of the first chunk if that
    /// has been read too.
    pub(crate) fn of_request(method: Method, cipher: StreamCipher, first: Option<usize>) -> Self {
        let pending = first.map(|length| Chunk { prefix: 0, length });
        Self { method, stage: Stage::Chunks { cipher, pending }, is_trusted: true }
    }
}

impl Open for Opener {
    type Error = OpenError;

    fn open(&mut self, wire: &mut [u8]) -> Result<Opened, OpenError> {
        let Self { method, stage, is_trusted } = self;
        match stage {
            Stage::Answer { key, request_salt, clock } => {
                let Some((consumed, cipher, first)) = open_answer(*method, wire, key, request_salt, clock)?
                else {
                    let at_least = answer_bytes(*method);
                    return Ok(Opened::NeedMore { at_least });
                };
                *is_trusted = first.is_some();
                let pending = first.map(|length| Chunk { prefix: 0, length });
                *stage = Stage::Chunks { cipher, pending };
                Ok(Opened::Skip { consumed })
            }
            Stage::Chunks { cipher, pending } => {
                let untrusted = if *is_trusted { OpenError::Chunk } else { OpenError::Answer };
                let chunk = match pending {
                    Some(chunk) => *chunk,
                    None => {
                        let Some(sealed) = wire.get_mut(..LENGTH_BYTES) else {
                            return Ok(Opened::NeedMore { at_least: LENGTH_BYTES });
                        };
                        let length = cipher.open(sealed).map_err(|NotAuthentic| untrusted.clone())?;
                        let length =
                            length.first_chunk().map_or(0, |length| u16::from_be_bytes(*length).into());
                        if method.edition() == Edition::Aead && length > MAX_AEAD_CHUNK {
                            return Err(OpenError::ChunkTooLong { length });
                        }
                        *is_trusted = true;
                        let chunk = Chunk { prefix: LENGTH_BYTES, length };
                        *pending = Some(chunk);
                        chunk
                    }
                };
                let end = chunk.prefix + chunk.length;
                let consumed = end + TAG_BYTES;
                let Some(sealed) = wire.get_mut(chunk.prefix..consumed) else {
                    return Ok(Opened::NeedMore { at_least: consumed });
                };
                cipher.open(sealed).map_err(|NotAuthentic| untrusted)?;
                *pending = None;
                Ok(match chunk.length {
                    0 => Opened::Skip { consumed },
                    _ => Opened::Piece { plain: chunk.prefix..end, consumed },
                })
            }
        }
    }

    fn close(&self, unread: usize) -> Result<(), OpenError> {
        match &self.stage {
            Stage::Answer { .. } => Err(OpenError::NoAnswer),
            Stage::Chunks { .. } if !self.is_trusted => Err(OpenError::NoAnswer),
            Stage::Chunks { pending, .. } if unread > 0 || pending.is_some() => Err(OpenError::Cut),
            Stage::Chunks { .. } => Ok(()),
        }
    }

    fn is_plain(&self) -> bool {
        false
    }
}

/// How long an answer is before its first chunk.
fn answer_bytes(method: Method) -> usize {
    match method.edition() {
        Edition::Aead => method.key_bytes(),
        Edition::Aead2022 => method.key_bytes() * 2 + FIXED_BYTES + TAG_BYTES,
    }
}

/// The bytes that are used up, the cipher and, for SIP022, the length of the first chunk; `None` if not all
/// is there.
type AnswerHead = Option<(usize, StreamCipher, Option<usize>)>;

fn open_answer(
    method: Method,
    wire: &mut [u8],
    key: &Key,
    request_salt: &[u8],
    clock: &Clock,
) -> Result<AnswerHead, OpenError> {
    let consumed = answer_bytes(method);
    let Some(head) = wire.get_mut(..consumed) else { return Ok(None) };
    let Some((salt, sealed)) = head.split_at_mut_checked(method.key_bytes()) else { return Ok(None) };
    let mut cipher = StreamCipher::new(method, key, salt);
    if method.edition() == Edition::Aead {
        // Nothing else tells a request that is sent back from an answer.
        return if salt == request_salt {
            Err(OpenError::OtherRequest)
        } else {
            Ok(Some((consumed, cipher, None)))
        };
    }
    let fixed = cipher.open(sealed).map_err(|NotAuthentic| OpenError::Answer)?;
    let (time, rest) = read_fixed(fixed, ANSWER).ok_or(OpenError::OtherRequest)?;
    clock.check(time).map_err(|seconds| OpenError::Clock { seconds })?;
    let (salt, length) = rest.split_last_chunk().ok_or(OpenError::OtherRequest)?;
    if salt != request_salt {
        return Err(OpenError::OtherRequest);
    }
    Ok(Some((consumed, cipher, Some(u16::from_be_bytes(*length).into()))))
}

/// Reads the time of a head that has to be of type `wanted`, and returns what comes behind it.
pub(crate) fn read_fixed(fixed: &[u8], wanted: u8) -> Option<(u64, &[u8])> {
    let (kind, rest) = fixed.split_first()?;
    let (time, rest) = rest.split_first_chunk()?;
    (*kind == wanted).then_some((u64::from_be_bytes(*time), rest))
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waits = matches!(self.stage, Stage::Answer { .. });
        f.debug_struct("Opener").field("method", &self.method).field("waits_for_answer", &waits).finish()
    }
}
