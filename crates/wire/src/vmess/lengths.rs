//! The lengths in front of chunks, and the lengths of the padding behind them.

use std::fmt;

use shake::{
    Shake128, Shake128Reader,
    digest::{ExtendableOutput as _, Update as _, XofReader as _},
};

use super::{
    cryption::{CountedKey, NotAuthentic, TAG_BYTES},
    header::Options,
};

/// Padding is shorter than this.
pub(super) const PADDING_BOUND: u16 = 64;

/// The lengths of one direction.
#[derive(Debug)]
pub(super) struct Lengths {
    /// Yields masks and the lengths of padding.
    stream: Box<Stream>,
    is_padded: bool,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Plain,
    Masked,
    /// Encrypted and authenticated ("authenticated length").
    Sealed(Box<CountedKey>),
}

impl Lengths {
    /// `sealed` is the key for lengths that are encrypted.
    pub(super) fn new(options: Options, vector: [u8; 16], sealed: Option<CountedKey>) -> Self {
        let form = match sealed {
            Some(key) => Form::Sealed(Box::new(key)),
            None if options.is_masked => Form::Masked,
            None => Form::Plain,
        };
        Self { stream: Box::new(Stream::new(vector)), is_padded: options.is_padded, form }
    }

    /// How many bytes a length takes.
    pub(super) fn width(&self) -> usize {
        match self.form {
            Form::Plain | Form::Masked => 2,
            Form::Sealed(_) => 2 + TAG_BYTES,
        }
    }

    /// The length of the padding of the next chunk, to be asked for before its length is written or read.
    pub(super) fn next_padding(&mut self) -> u16 {
        if self.is_padded { self.stream.next() % PADDING_BOUND } else { 0 }
    }

    /// Appends a length, which counts the tag and the padding too.
    pub(super) fn put(&mut self, length: u16, wire: &mut Vec<u8>) {
        match &mut self.form {
            Form::Plain => wire.extend_from_slice(&length.to_be_bytes()),
            Form::Masked => wire.extend_from_slice(&(length ^ self.stream.next()).to_be_bytes()),
            Form::Sealed(key) => {
                let start = wire.len();
                wire.extend_from_slice(&length.saturating_sub(TAG_BYTES_U16).to_be_bytes());
                key.seal_from(start, wire);
            }
        }
    }

    /// Reads a length from as many bytes as [`width`](Self::width) says.
    pub(super) fn take(&mut self, bytes: &mut [u8]) -> Result<usize, NotAuthentic> {
        let plain = |bytes: &[u8]| bytes.first_chunk().map_or(0, |bytes| u16::from_be_bytes(*bytes));
        match &mut self.form {
            Form::Plain => Ok(plain(bytes).into()),
            Form::Masked => Ok((plain(bytes) ^ self.stream.next()).into()),
            Form::Sealed(key) => Ok(usize::from(plain(key.open(bytes)?)) + TAG_BYTES),
        }
    }
}

const TAG_BYTES_U16: u16 = 16;

/// An endless row of numbers that both sides know (SHAKE128 of the vector).
struct Stream(Shake128Reader);

impl Stream {
    fn new(vector: [u8; 16]) -> Self {
        let mut hash = Shake128::default();
        hash.update(&vector);
        Self(hash.finalize_xof())
    }

    fn next(&mut self) -> u16 {
        let mut bytes = [0; 2];
        self.0.read(&mut bytes);
        u16::from_be_bytes(bytes)
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[stream]")
    }
}
