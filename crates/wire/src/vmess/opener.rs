use std::fmt;

use super::{
    chunks::{BodyForm, BodyKeys, ChunkError, ChunkOpener, OpenedChunk, Session},
    cryption::{Key, TAG_BYTES},
    kdf,
};
use crate::{Open, OpenDatagrams, Opened, OpenedDatagram, codec::open_plain};

/// The bytes of an answer before what a server may want its client to do.
const ANSWER_BYTES: usize = 4;
/// The longest answer: a server may say something of up to 255 bytes, which is not looked at.
const MAX_ANSWER_BYTES: usize = ANSWER_BYTES + 255;
const LENGTH_BYTES: usize = 2 + TAG_BYTES;

/// Reads the body of a VMess connection in one direction; on the client's side the answer comes first.
#[derive(Debug)]
pub struct VmessOpener {
    answer: Option<Answer>,
    /// `None` if the body comes over the wire as it is.
    chunks: Option<Box<ChunkOpener>>,
}

/// The answer that a client waits for.
struct Answer {
    keys: BodyKeys,
    expected: u8,
    length: Option<usize>,
}

/// Why the body of a VMess connection cannot be read on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VmessOpenError {
    /// The peer closed before it answered, as servers do with a client that they do not know.
    #[error(
        "closed without an answer: the server does not know the id, its clock differs by more than 120 \
         seconds, or it is no vmess server"
    )]
    NoAnswer,
    /// The answer was not made with the key of the request.
    #[error("the answer cannot be authenticated: the peer is no vmess server")]
    Answer,
    /// The answer is longer or shorter than any answer.
    #[error("expected an answer of {ANSWER_BYTES} to {MAX_ANSWER_BYTES} bytes, found {length}")]
    AnswerLength {
        /// Its length.
        length: usize,
    },
    /// The answer is one to another request.
    #[error("the answer belongs to another request")]
    OtherRequest,
    /// A chunk was changed on the way, or was encrypted with another key.
    #[error("a chunk cannot be authenticated")]
    Chunk,
    /// A chunk says that it is shorter than what each chunk has.
    #[error("a chunk has at least {expected} bytes, found {length}")]
    ChunkTooShort {
        /// What it says.
        length: usize,
        /// The bytes of its tag and padding.
        expected: usize,
    },
    /// The peer closed within a chunk.
    #[error("closed in the middle of a chunk")]
    Cut,
}

impl VmessOpener {
    /// An opener for the body of a request.
    pub(super) fn of_request(form: BodyForm, session: &Session) -> Self {
        Self { answer: None, chunks: chunks(form, session, &session.request) }
    }

    /// An opener for an answer that begins with `expected`, and its body.
    pub(super) fn of_answer(form: BodyForm, session: &Session, expected: u8) -> Self {
        let answer = Answer { keys: session.answer.clone(), expected, length: None };
        Self { answer: Some(answer), chunks: chunks(form, session, &session.answer) }
    }
}

fn chunks(form: BodyForm, session: &Session, direction: &BodyKeys) -> Option<Box<ChunkOpener>> {
    form.options.is_chunked.then(|| Box::new(form.opener(session, direction)))
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("length", &self.length).finish_non_exhaustive()
    }
}

impl Answer {
    /// Says how many bytes are wanted or, if all are there, used up.
    fn open(&mut self, wire: &mut [u8]) -> Result<Opened, VmessOpenError> {
        let key = |salt| Key::aes(kdf::derive_array(&self.keys.key, &[salt]));
        let nonce = |salt| kdf::derive_array(&self.keys.vector, &[salt]);
        let Some((sealed_length, rest)) = wire.split_at_mut_checked(LENGTH_BYTES) else {
            return Ok(Opened::NeedMore { at_least: LENGTH_BYTES });
        };
        let length = match self.length {
            Some(length) => length,
            None => {
                let length = key(kdf::ANSWER_LENGTH_KEY)
                    .open(nonce(kdf::ANSWER_LENGTH_NONCE), &[], sealed_length)
                    .map_err(|_not_authentic| VmessOpenError::Answer)?;
                let length = length.first_chunk().map_or(0, |length| u16::from_be_bytes(*length).into());
                if !(ANSWER_BYTES..=MAX_ANSWER_BYTES).contains(&length) {
                    return Err(VmessOpenError::AnswerLength { length });
                }
                self.length = Some(length);
                length
            }
        };
        let consumed = LENGTH_BYTES + length + TAG_BYTES;
        let Some(sealed) = rest.get_mut(..length + TAG_BYTES) else {
            return Ok(Opened::NeedMore { at_least: consumed });
        };
        let answer = key(kdf::ANSWER_KEY)
            .open(nonce(kdf::ANSWER_NONCE), &[], sealed)
            .map_err(|_not_authentic| VmessOpenError::Answer)?;
        if answer.first() != Some(&self.expected) {
            return Err(VmessOpenError::OtherRequest);
        }
        Ok(Opened::Skip { consumed })
    }
}

/// Writes the answer to a request whose answer begins with `first`.
pub(super) fn seal_answer(keys: &BodyKeys, first: u8) -> Vec<u8> {
    let key = |salt| Key::aes(kdf::derive_array(&keys.key, &[salt]));
    let nonce = |salt| kdf::derive_array(&keys.vector, &[salt]);
    let mut message = vec![0, 4];
    key(kdf::ANSWER_LENGTH_KEY).seal_from(0, nonce(kdf::ANSWER_LENGTH_NONCE), &[], &mut message);
    let start = message.len();
    message.extend_from_slice(&[first, 0, 0, 0]);
    key(kdf::ANSWER_KEY).seal_from(start, nonce(kdf::ANSWER_NONCE), &[], &mut message);
    message
}

impl Open for VmessOpener {
    type Error = VmessOpenError;

    fn open(&mut self, wire: &mut [u8]) -> Result<Opened, VmessOpenError> {
        if let Some(answer) = &mut self.answer {
            let opened = answer.open(wire)?;
            if matches!(opened, Opened::Skip { .. }) {
                self.answer = None;
            }
            return Ok(opened);
        }
        let Some(chunks) = &mut self.chunks else { return Ok(open_plain(wire)) };
        Ok(match chunks.open(wire)? {
            OpenedChunk::NeedMore { at_least } => Opened::NeedMore { at_least },
            OpenedChunk::Chunk { plain, consumed } => Opened::Piece { plain, consumed },
            OpenedChunk::Ended { consumed } => Opened::Ended { consumed },
        })
    }

    fn close(&self, unread: usize) -> Result<(), VmessOpenError> {
        match self.answer {
            Some(_) => Err(VmessOpenError::NoAnswer),
            None if unread > 0 && self.chunks.is_some() => Err(VmessOpenError::Cut),
            None => Ok(()),
        }
    }

    fn is_plain(&self) -> bool {
        self.answer.is_none() && self.chunks.is_none()
    }
}

impl OpenDatagrams for VmessOpener {
    type Error = VmessOpenError;

    fn open_datagram(&mut self, wire: &mut [u8]) -> Result<OpenedDatagram, VmessOpenError> {
        Ok(match self.open(wire)? {
            Opened::NeedMore { at_least } => OpenedDatagram::NeedMore { at_least },
            Opened::Skip { consumed } => OpenedDatagram::Skip { consumed },
            Opened::Piece { plain, consumed } => {
                OpenedDatagram::Datagram { target: None, payload: plain, consumed }
            }
            Opened::Ended { consumed } => OpenedDatagram::Ended { consumed },
        })
    }

    fn close_datagrams(&self, unread: usize) -> Result<(), VmessOpenError> {
        self.close(unread)
    }
}

impl From<ChunkError> for VmessOpenError {
    fn from(error: ChunkError) -> Self {
        match error {
            ChunkError::NotAuthentic => Self::Chunk,
            ChunkError::TooShort { length, expected } => Self::ChunkTooShort { length, expected },
        }
    }
}
