//! Messages of gRPC with one field of bytes: `Hunk { bytes data = 1 }`, and Xray's `MultiHunk`, which
//! has it repeatedly.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// What Go's gRPC servers take at most is 4 MiB; nobody of this kind sends more than some 100 KiB.
const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;
/// The flag for compression and the length.
const PREFIX_BYTES: usize = 5;
/// The key of field 1 with a length.
const FIELD: u8 = 0x0a;
/// The most bytes that a length takes: five times seven bits.
const MAX_VARINT_BYTES: usize = 5;
/// How much longer a message is than what it carries, at most.
pub(super) const MAX_OVERHEAD_BYTES: usize = PREFIX_BYTES + 1 + MAX_VARINT_BYTES;

/// Makes a message of bytes.
pub(super) fn encode(payload: &[u8]) -> Bytes {
    let mut varint = [0; MAX_VARINT_BYTES];
    let mut digits = 0;
    let mut left = payload.len();
    for slot in &mut varint {
        let digit = u8::try_from(left & 0x7f).unwrap_or_default();
        left >>= 7;
        digits += 1;
        *slot = if left > 0 { digit | 0x80 } else { digit };
        if left == 0 {
            break;
        }
    }
    let length = 1 + digits + payload.len();
    let mut message = BytesMut::with_capacity(PREFIX_BYTES + length);
    message.put_u8(0);
    message.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    message.put_u8(FIELD);
    message.put_slice(varint.get(..digits).unwrap_or_default());
    message.put_slice(payload);
    message.freeze()
}

/// Takes the bytes out of messages that arrive in pieces.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    state: State,
    /// Bytes of the message that were not looked at.
    left_in_message: usize,
}

#[derive(Debug)]
enum State {
    Prefix { bytes: [u8; PREFIX_BYTES], length: usize },
    Key,
    Length { value: usize, shift: u32 },
    Data { left: usize },
}

impl Default for State {
    fn default() -> Self {
        Self::Prefix { bytes: [0; PREFIX_BYTES], length: 0 }
    }
}

impl Decoder {
    /// Whether the last message was whole.
    pub(super) fn is_between_messages(&self) -> bool {
        matches!(self.state, State::Prefix { length: 0, .. })
    }

    /// The next bytes out of `chunk`; `None` if nothing is left of it.
    pub(super) fn next(&mut self, chunk: &mut Bytes) -> Result<Option<Bytes>, &'static str> {
        while chunk.has_remaining() {
            match &mut self.state {
                State::Prefix { bytes, length } => {
                    if let Some(slot) = bytes.get_mut(*length) {
                        *slot = chunk.get_u8();
                        *length += 1;
                    }
                    if *length == PREFIX_BYTES {
                        let [is_compressed, length @ ..] = *bytes;
                        if is_compressed != 0 {
                            return Err("a compressed message");
                        }
                        self.left_in_message =
                            usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
                        if self.left_in_message > MAX_MESSAGE_BYTES {
                            return Err("a message of more than 4 MiB");
                        }
                        self.state = self.within_message();
                    }
                }
                State::Key => {
                    self.left_in_message -= 1;
                    if chunk.get_u8() != FIELD {
                        return Err("a message with an unknown field");
                    }
                    self.state = State::Length { value: 0, shift: 0 };
                }
                State::Length { value, shift } => {
                    if self.left_in_message == 0 || *shift > 28 {
                        return Err("a message with a broken length");
                    }
                    self.left_in_message -= 1;
                    let digit = chunk.get_u8();
                    *value |= usize::from(digit & 0x7f) << *shift;
                    *shift += 7;
                    if digit & 0x80 == 0 {
                        let left = *value;
                        if left > self.left_in_message {
                            return Err("a field that is longer than its message");
                        }
                        self.left_in_message -= left;
                        self.state = if left == 0 { self.within_message() } else { State::Data { left } };
                    }
                }
                State::Data { left } => {
                    let piece = chunk.split_to((*left).min(chunk.len()));
                    *left -= piece.len();
                    if *left == 0 {
                        self.state = self.within_message();
                    }
                    return Ok(Some(piece));
                }
            }
        }
        Ok(None)
    }

    /// The state between two fields.
    fn within_message(&self) -> State {
        if self.left_in_message == 0 { State::default() } else { State::Key }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(pieces: &[&[u8]]) -> Result<Vec<u8>, &'static str> {
        let mut decoder = Decoder::default();
        let mut decoded = Vec::new();
        for piece in pieces {
            let mut chunk = Bytes::copy_from_slice(piece);
            while let Some(bytes) = decoder.next(&mut chunk)? {
                decoded.extend_from_slice(&bytes);
            }
        }
        if decoder.is_between_messages() { Ok(decoded) } else { Err("cut") }
    }

    #[test]
    fn a_message_is_as_in_the_wire_format() {
        assert_eq!(&encode(b"hi")[..], b"\0\0\0\0\x04\x0a\x02hi");
        assert_eq!(&encode(&[7; 300])[..8], b"\0\0\0\x01\x2f\x0a\xac\x02");
    }

    #[test]
    fn messages_are_decoded_in_any_pieces() {
        for length in [0, 1, 127, 128, 300, 20_000] {
            let payload: Vec<u8> = (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect();
            let wire = [&encode(&payload)[..], &encode(b"")[..], b"\0\0\0\0\0", &encode(b"end")[..]].concat();
            let expected = [&payload[..], b"end"].concat();
            assert_eq!(decode(&[&wire]), Ok(expected.clone()));
            assert_eq!(decode(&wire.iter().map(std::slice::from_ref).collect::<Vec<_>>()), Ok(expected));
            assert_eq!(decode(&[&wire[..wire.len() - 1]]), Err("cut"));
        }
    }

    #[test]
    fn a_message_may_have_the_field_repeatedly() {
        assert_eq!(decode(&[b"\0\0\0\0\x07\x0a\x01a\x0a\x02bc"]), Ok(b"abc".to_vec()));
    }

    #[test]
    fn what_is_no_such_message_is_refused() {
        for wire in [
            &b"\x01\0\0\0\x03\x0a\x01a"[..],
            b"\0\0\x40\0\x01\x0a",
            b"\0\xff\xff\xff\xff\x0a",
            b"\0\0\0\0\x03\x12\x01a",
            b"\0\0\0\0\x03\x0a\x02a",
            b"\0\0\0\0\x02\x0a\x80\x01",
            b"\0\0\0\0\x0a\x0a\xff\xff\xff\xff\xff\x7f",
        ] {
            assert!(!matches!(decode(&[wire]), Ok(_) | Err("cut")), "{wire:?}");
        }
    }
}
