//! The part of the protobuf wire format that geodata files use.

use std::ops::Range;

use crate::DatError;

/// A varint of 64 bits takes at most this many bytes (protobuf encoding guide, "Base 128 Varints").
const MAX_VARINT_BYTES: usize = 10;
/// The largest field number (protobuf language guide, "Assigning Field Numbers").
const MAX_FIELD_NUMBER: u64 = (1 << 29) - 1;

const BYTES: &str = "bytes";
const INTEGER: &str = "an integer";

/// One field of a message.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) number: u32,
    /// Where its tag starts, in bytes from the start of the file.
    pub(crate) offset: usize,
    value: Value,
}

#[derive(Clone, Debug)]
enum Value {
    Integer(u64),
    Bytes(Range<usize>),
    Fixed,
}

impl Field {
    /// Returns the place of a length-delimited value in the file.
    pub(crate) fn bytes(&self) -> Result<Range<usize>, DatError> {
        match &self.value {
            Value::Bytes(range) => Ok(range.clone()),
            Value::Integer(_) | Value::Fixed => Err(self.unexpected(BYTES)),
        }
    }

    pub(crate) fn integer(&self) -> Result<u64, DatError> {
        match &self.value {
            Value::Integer(integer) => Ok(*integer),
            Value::Bytes(_) | Value::Fixed => Err(self.unexpected(INTEGER)),
        }
    }

    fn unexpected(&self, expected: &'static str) -> DatError {
        DatError::UnexpectedWireType { offset: self.offset, field: self.number, expected }
    }
}

/// Reads the fields of one message that lies in `file`.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a> {
    file: &'a [u8],
    position: usize,
    end: usize,
}

impl<'a> Fields<'a> {
    /// `message` is cut to the file, so that no later access can miss it.
    pub(crate) fn new(file: &'a [u8], message: Range<usize>) -> Fields<'a> {
        let end = message.end.min(file.len());
        Fields { file, position: message.start.min(end), end }
    }

    /// Returns the next field, or `None` at the end of the message.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<Field>, DatError> {
        if self.position == self.end {
            return Ok(None);
        }
        let offset = self.position;
        let tag = self.varint("a field tag")?;
        let number = match u32::try_from(tag >> 3) {
            Ok(number) if (1..=MAX_FIELD_NUMBER).contains(&u64::from(number)) => number,
            _ => return Err(DatError::FieldNumber { offset, number: tag >> 3 }),
        };
        let value = match tag & 7 {
            0 => Value::Integer(self.varint(INTEGER)?),
            1 => self.fixed(8)?,
            2 => {
                let length = self.varint("a length")?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.fixed(4)?,
            wire_type => {
                let wire_type = (wire_type & 7) as u8;
                return Err(DatError::UnsupportedWireType { offset, field: number, wire_type });
            }
        };
        Ok(Some(Field { number, offset, value }))
    }

    fn fixed(&mut self, length: u64) -> Result<Value, DatError> {
        self.take(length)?;
        Ok(Value::Fixed)
    }

    #[inline]
    fn take(&mut self, length: u64) -> Result<Range<usize>, DatError> {
        let start = self.position;
        let remaining = self.end - start;
        match usize::try_from(length) {
            Ok(length) if length <= remaining => {
                self.position = start + length;
                Ok(start..self.position)
            }
            _ => Err(DatError::LengthBeyondEnd { offset: start, length, remaining }),
        }
    }

    #[inline]
    fn varint(&mut self, expected: &'static str) -> Result<u64, DatError> {
        // Nearly all tags, types and lengths take one byte.
        if self.position < self.end && self.file[self.position] < 0x80 {
            self.position += 1;
            return Ok(u64::from(self.file[self.position - 1]));
        }
        self.long_varint(expected)
    }

    #[cold]
    fn long_varint(&mut self, expected: &'static str) -> Result<u64, DatError> {
        let offset = self.position;
        let mut result = 0_u64;
        for (index, byte) in self.file[offset..self.end].iter().take(MAX_VARINT_BYTES).enumerate() {
            let bits = u64::from(byte & 0x7f);
            if index == MAX_VARINT_BYTES - 1 && bits > 1 {
                return Err(DatError::VarintTooLong { offset });
            }
            result |= bits << (7 * index);
            if byte & 0x80 == 0 {
                self.position = offset + index + 1;
                return Ok(result);
            }
        }
        if self.end - offset < MAX_VARINT_BYTES {
            return Err(DatError::Truncated { offset, expected });
        }
        Err(DatError::VarintTooLong { offset })
    }
}

/// Returns the text at `range`, or `None` if it is not UTF-8.
pub(crate) fn text(file: &[u8], range: Range<usize>) -> Option<&str> {
    std::str::from_utf8(file.get(range)?).ok()
}

/// Appends one varint.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

/// Appends an integer field, which proto3 leaves out when it is zero.
pub(crate) fn put_integer(out: &mut Vec<u8>, number: u8, value: u64) {
    if value != 0 {
        put_varint(out, u64::from(number) << 3);
        put_varint(out, value);
    }
}

/// Appends a length-delimited field, even when it is empty.
pub(crate) fn put_message(out: &mut Vec<u8>, number: u8, message: &[u8]) {
    put_varint(out, u64::from(number) << 3 | 2);
    put_varint(out, message.len() as u64);
    out.extend_from_slice(message);
}

/// Appends a bytes or string field, which proto3 leaves out when it is empty.
pub(crate) fn put_bytes(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    if !bytes.is_empty() {
        put_message(out, number, bytes);
    }
}
