use std::{fmt, str::FromStr};

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use subtle::{Choice, ConstantTimeEq};

/// The longest text that is turned into an id by hashing (Xray, "id" of a user).
const MAX_TEXT_BYTES: usize = 30;

/// The id of a VMess or VLESS user. It is what the user proves to know, and does not show in debug output.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Uuid([u8; 16]);

/// Why a text gives no id. The text is a secret and not part of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UuidError {
    /// The text is empty.
    #[error("an id cannot be empty")]
    Empty,
    /// The text is neither as long as a UUID nor short enough to be turned into one.
    #[error(
        "expected a uuid (32 hexadecimal digits, with or without dashes) or a text of 1 to 30 bytes, found \
         {length} bytes"
    )]
    Length {
        /// Its length in bytes.
        length: usize,
    },
    /// The text is as long as a UUID, and something in it is neither a digit nor a dash in its place.
    #[error("expected a uuid, but its character {position} is not a hexadecimal digit")]
    Digit {
        /// Counted from 1.
        position: usize,
    },
}

impl Uuid {
    /// Takes the 16 bytes of an id.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes; whoever calls this is responsible for where they go.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The version 5 UUID of a text in the nil namespace (RFC 9562 §5.5), as Xray and sing-box make it of
    /// an id that is no UUID.
    fn of_text(text: &str) -> Self {
        let mut hash = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
        hash.update(&[0; 16]);
        hash.update(text.as_bytes());
        let digest = hash.finish();
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(digest.as_ref()).for_each(|(byte, hashed)| *byte = *hashed);
        let [_, _, _, _, _, _, version, _, variant, ..] = &mut bytes;
        *version = *version & 0x0f | 0x50;
        *variant = *variant & 0x3f | 0x80;
        Self(bytes)
    }

    /// Reads 32 digits; a dash may stand before the 9th, 13th, 17th and 21st.
    fn of_digits(text: &str) -> Result<Self, UuidError> {
        let mut bytes = [0u8; 16];
        let mut n_digits = 0usize;
        let mut is_after_dash = false;
        for (position, character) in (1..).zip(text.bytes()) {
            let may_be_dash = matches!(n_digits, 8 | 12 | 16 | 20) && !is_after_dash;
            is_after_dash = character == b'-' && may_be_dash;
            if is_after_dash {
                continue;
            }
            let digit = char::from(character).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            let (Some(digit), Some(byte)) = (digit, bytes.get_mut(n_digits / 2)) else {
                return Err(UuidError::Digit { position });
            };
            *byte = *byte << 4 | digit;
            n_digits += 1;
        }
        if n_digits == 32 { Ok(Self(bytes)) } else { Err(UuidError::Length { length: text.len() }) }
    }
}

impl ConstantTimeEq for Uuid {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl FromStr for Uuid {
    type Err = UuidError;

    /// Reads a UUID, with or without dashes. A text of at most 30 bytes becomes the version 5 UUID of it.
    fn from_str(text: &str) -> Result<Self, UuidError> {
        match text.len() {
            0 => Err(UuidError::Empty),
            1..=MAX_TEXT_BYTES => Ok(Self::of_text(text)),
            32..=36 => Self::of_digits(text),
            length => Err(UuidError::Length { length }),
        }
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[uuid]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &Result<u128, UuidError>) {
        assert_eq!(&text.parse::<Uuid>().map(|uuid| u128::from_be_bytes(*uuid.as_bytes())), expected);
    }

    #[test]
    fn a_uuid_is_read_with_and_without_dashes() {
        let expected = 0x2418_d087_648d_4990_86e8_19dc_a1d0_06d3;
        check("2418d087-648d-4990-86e8-19dca1d006d3", &Ok(expected));
        check("2418D087648D499086E819DCA1D006D3", &Ok(expected));
        check("2418d087-648d499086e8-19dca1d006d3", &Ok(expected));
    }

    #[test]
    fn a_short_text_becomes_a_uuid_of_version_5() {
        // `uuid.uuid5(uuid.UUID(int=0), ..)` of Python.
        check("example", &Ok(0xfeb5_4431_301b_52bb_a6dd_e1e9_3e81_bb9e));
        check(&"x".repeat(30), &Ok(0x5326_7599_dc74_5b79_bef1_55ca_25ed_44c9));
    }

    #[test]
    fn what_is_neither_is_refused_without_showing_it() {
        check("", &Err(UuidError::Empty));
        check(&"0".repeat(31), &Err(UuidError::Length { length: 31 }));
        check(&"0".repeat(33), &Err(UuidError::Digit { position: 33 }));
        check(&"0".repeat(37), &Err(UuidError::Length { length: 37 }));
        check("2418d087--648d-499086e8-19dca1d006d3", &Err(UuidError::Digit { position: 10 }));
        check("2418d087-648d-4990-86e8-19dca1d006dx", &Err(UuidError::Digit { position: 36 }));
        check("2418d087-648d-4990-86e8-19dca1d006", &Err(UuidError::Length { length: 34 }));
        assert_eq!(format!("{:?}", Uuid::from_bytes([1; 16])), "[uuid]");
    }
}
