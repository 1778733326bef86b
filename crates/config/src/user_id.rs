//! Ids of users of VMess and VLESS as people write them.

use sha1::{Digest, Sha1};

use crate::model::UserId;

/// A text up to this many bytes that is no UUID stands for one (V2Ray and Xray: `common/uuid`).
const MAX_TEXT_BYTES: usize = 30;
/// The digits of the groups of a UUID (RFC 9562 §4).
const GROUPS: [usize; 5] = [8, 4, 4, 4, 12];

/// Why a text is not an id. Nothing here shows the text, which is a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UserIdError {
    #[error("the id of a user cannot be empty")]
    Empty,
    #[error("this id is no UUID, although it is as long as one")]
    Malformed,
    #[error("this id has {0} bytes; what is no UUID has at most {MAX_TEXT_BYTES}")]
    TooLong(usize),
}

impl UserIdError {
    /// What to write.
    pub(crate) const HELP: &str = "expected a UUID such as `23ad6b10-8d1a-40f7-8ad0-e3e35cd38297`";
}

/// Reads a UUID with or without its hyphens, or a text of 1 to 30 bytes, which stands for the UUID of
/// version 5 (RFC 9562 §5.5) in the namespace of noughts, as in V2Ray, Xray and sing-box.
pub(crate) fn parse(text: &str) -> Result<UserId, UserIdError> {
    match text.len() {
        0 => Err(UserIdError::Empty),
        1..=MAX_TEXT_BYTES => Ok(UserId::new(of_text(text))),
        32..=36 => digits(text).map(UserId::new).ok_or(UserIdError::Malformed),
        n_bytes => Err(UserIdError::TooLong(n_bytes)),
    }
}

/// The id in the form that every program reads.
pub(crate) fn format(id: &UserId) -> String {
    let digits = u128::from_be_bytes(id.expose());
    let mut text = format!("{digits:032x}");
    for at in [20, 16, 12, 8] {
        text.insert(at, '-');
    }
    text
}

fn digits(text: &str) -> Option<[u8; 16]> {
    let mut number = 0_u128;
    let mut rest = text;
    for (group, n_digits) in GROUPS.into_iter().enumerate() {
        if group > 0 {
            rest = rest.strip_prefix('-').unwrap_or(rest);
        }
        let (digits, behind) = rest.split_at_checked(n_digits)?;
        for digit in digits.chars() {
            number = number << 4 | u128::from(digit.to_digit(16)?);
        }
        rest = behind;
    }
    rest.is_empty().then_some(number.to_be_bytes())
}

fn of_text(text: &str) -> [u8; 16] {
    let digest: [u8; 20] = Sha1::new().chain_update([0; 16]).chain_update(text).finalize().into();
    let mut bytes = [0; 16];
    for (byte, hashed) in bytes.iter_mut().zip(digest) {
        *byte = hashed;
    }
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut bytes;
    *version = *version & 0x0f | 5 << 4;
    *variant = *variant & 0x3f | 0x80;
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_has_hyphens_or_none() {
        let expected = "2418d087-648d-4990-86e8-19dca1d006d3";
        for text in [expected, "2418d087648d499086e819dca1d006d3", "2418D087-648D-4990-86E8-19DCA1D006D3"] {
            assert_eq!(format(&parse(text).unwrap()), expected);
        }
    }

    /// The expectation is that of the tests of V2Ray and Xray (`common/uuid/uuid_test.go`).
    #[test]
    fn a_short_text_stands_for_a_uuid() {
        assert_eq!(format(&parse("example").unwrap()), "feb54431-301b-52bb-a6dd-e1e93e81bb9e");
    }

    #[test]
    fn other_texts_are_refused_and_not_shown() {
        for (text, error) in [
            ("", UserIdError::Empty),
            ("2418d087-648k-4990-86e8-19dca1d006d3", UserIdError::Malformed),
            ("2418d087-648d-4990-86e8-19dca1d006d", UserIdError::Malformed),
            ("2418d087-648d-4990-86e8-19dca1d0üx", UserIdError::Malformed),
            (&"x".repeat(31), UserIdError::TooLong(31)),
            (&"x".repeat(37), UserIdError::TooLong(37)),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }
}
