//! Reads a TLS ClientHello as far as it has come, in however many records, and copies nothing.

/// The head of a TLS record: type, version and length (RFC 8446 §5.1).
pub(crate) const RECORD_HEAD_BYTES: usize = 5;
/// The most that a record carries (RFC 8446 §5.1).
pub(crate) const MAX_RECORD_BYTES: usize = 1 << 14;
/// The content type `handshake` (RFC 8446 §5.1).
pub(crate) const HANDSHAKE_RECORD: u8 = 22;
/// The head of a handshake message: type and length (RFC 8446 §4).
const MESSAGE_HEAD_BYTES: usize = 4;
/// The message type `client_hello` (RFC 8446 §4).
pub(crate) const CLIENT_HELLO: u8 = 1;
/// A hello that is longer than this is none; one with post-quantum key shares has 2 KiB.
pub(crate) const MAX_HELLO_BYTES: usize = 64 * 1024;

/// Why reading stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The bytes are at their end.
    Short,
    /// This is no ClientHello, or a malformed one.
    Malformed,
}

/// A place in a ClientHello.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientHello<'b> {
    bytes: &'b [u8],
    /// How much of the record is left.
    in_record: usize,
    /// How much of the message is left.
    in_message: usize,
    /// Whether a record carries more than what was left of the message.
    overfull: bool,
}

/// The head of an extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extension {
    pub(crate) kind: usize,
    pub(crate) length: usize,
}

impl<'b> ClientHello<'b> {
    /// Goes to the body of the message that `bytes` begin with.
    pub(crate) fn begin(bytes: &'b [u8]) -> Result<Self, Stop> {
        Self::begin_in(bytes, 0)
    }

    /// Goes to the body of the message that `bytes` begin with where messages are in no records, as in
    /// QUIC (RFC 9001 §4.1.3).
    pub(crate) fn begin_without_records(bytes: &'b [u8]) -> Result<Self, Stop> {
        Self::begin_in(bytes, usize::MAX)
    }

    fn begin_in(bytes: &'b [u8], in_record: usize) -> Result<Self, Stop> {
        let mut hello = Self { bytes, in_record, in_message: MESSAGE_HEAD_BYTES, overfull: false };
        if hello.number(1)? != usize::from(CLIENT_HELLO) {
            return Err(Stop::Malformed);
        }
        let length = hello.number(MESSAGE_HEAD_BYTES - 1)?;
        if length > MAX_HELLO_BYTES {
            return Err(Stop::Malformed);
        }
        hello.in_message = length;
        hello.overfull = hello.in_record > length;
        Ok(hello)
    }

    /// Goes to the first extension, and says how long all are.
    pub(crate) fn enter_extensions(&mut self) -> Result<usize, Stop> {
        // The version and the random; then the session id, cipher suites and compression methods.
        self.skip(2 + 32)?;
        for length_bytes in [1, 2, 1] {
            let length = self.number(length_bytes)?;
            self.skip(length)?;
        }
        // TLS 1.2 has hellos without extensions (RFC 5246 §7.4.1.2).
        if self.in_message == 0 {
            return Ok(0);
        }
        let length = self.number(2)?;
        if length == self.in_message { Ok(length) } else { Err(Stop::Malformed) }
    }

    /// Reads the head of the next extension, if there is one.
    pub(crate) fn next_extension(&mut self) -> Result<Option<Extension>, Stop> {
        if self.in_message == 0 {
            return Ok(None);
        }
        let (kind, length) = (self.number(2)?, self.number(2)?);
        if length > self.in_message { Err(Stop::Malformed) } else { Ok(Some(Extension { kind, length })) }
    }

    /// Goes to the end of the message.
    pub(crate) fn skip_message(&mut self) -> Result<(), Stop> {
        self.skip(self.in_message)
    }

    /// Whether a record on the way here carries something behind the message as well.
    pub(crate) fn is_overfull(&self) -> bool {
        self.overfull
    }

    /// What follows the records that have been read.
    pub(crate) fn rest(&self) -> &'b [u8] {
        self.bytes
    }

    /// A number of so many bytes, the highest first.
    pub(crate) fn number(&mut self, bytes: usize) -> Result<usize, Stop> {
        let mut number = 0;
        self.walk(bytes, |part| {
            number = part.iter().fold(number, |number, &byte| number << 8 | usize::from(byte));
        })?;
        Ok(number)
    }

    pub(crate) fn skip(&mut self, bytes: usize) -> Result<(), Stop> {
        self.walk(bytes, |_skipped| {})
    }

    /// Fills `buffer`.
    pub(crate) fn copy(&mut self, buffer: &mut [u8]) -> Result<(), Stop> {
        let mut filled = 0;
        self.walk(buffer.len(), |part| {
            let free = buffer.get_mut(filled..).unwrap_or_default();
            free.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
            filled += part.len();
        })
    }

    /// Takes so many bytes from one record after the other.
    fn walk(&mut self, mut bytes: usize, mut each: impl FnMut(&'b [u8])) -> Result<(), Stop> {
        if bytes > self.in_message {
            return Err(Stop::Malformed);
        }
        while bytes > 0 {
            if self.in_record == 0 {
                self.open_record()?;
            }
            let wanted = bytes.min(self.in_record);
            let count = wanted.min(self.bytes.len());
            let (part, left) = self.bytes.split_at_checked(count).ok_or(Stop::Short)?;
            each(part);
            self.bytes = left;
            self.in_record -= count;
            self.in_message -= count;
            bytes -= count;
            if count < wanted {
                return Err(Stop::Short);
            }
        }
        Ok(())
    }

    /// Reads the head of a record, as far as it is there.
    fn open_record(&mut self) -> Result<(), Stop> {
        let head = self.bytes.get(..RECORD_HEAD_BYTES).unwrap_or(self.bytes);
        // The version is 3.1 or 3.3, and 3.0 from clients of long ago; it says nothing (RFC 8446 §5.1).
        let fits = |at: usize, fits: fn(u8) -> bool| head.get(at).is_none_or(|&byte| fits(byte));
        let is_handshake = fits(0, |kind| kind == HANDSHAKE_RECORD)
            && fits(1, |major| major == 3)
            && fits(2, |minor| minor <= 4)
            && fits(3, |high| usize::from(high) <= MAX_RECORD_BYTES >> 8);
        if !is_handshake {
            return Err(Stop::Malformed);
        }
        let &[_, _, _, high, low] = head else { return Err(Stop::Short) };
        let length = usize::from(u16::from_be_bytes([high, low]));
        // An empty handshake record is not allowed (RFC 8446 §5.1).
        if !(1..=MAX_RECORD_BYTES).contains(&length) {
            return Err(Stop::Malformed);
        }
        self.bytes = self.bytes.get(RECORD_HEAD_BYTES..).unwrap_or_default();
        self.in_record = length;
        self.overfull = length > self.in_message;
        Ok(())
    }
}
