//! Hashes of certificates as people write them.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};

/// Reads 64 hexadecimal digits, which may have colons between, as OpenSSL writes them.
pub(crate) fn hex(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|character| *character != ':')
        .map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(high << 4 | low),
            _ => None,
        })
        .collect::<Option<_>>()?;
    bytes.try_into().ok()
}

/// Reads base64 of 32 bytes.
pub(crate) fn base64(text: &str) -> Option<[u8; 32]> {
    let bytes = STANDARD.decode(text).or_else(|_padding| STANDARD_NO_PAD.decode(text)).ok()?;
    bytes.try_into().ok()
}

/// The digits of a hash.
pub(crate) fn to_hex(hash: &[u8; 32]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The base64 of a hash.
pub(crate) fn to_base64(hash: &[u8; 32]) -> String {
    STANDARD.encode(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_comes_back() {
        let hash: [u8; 32] = *b"a hash has two and thirty bytes.";
        assert_eq!(hex(&to_hex(&hash)), Some(hash));
        assert_eq!(base64(&to_base64(&hash)), Some(hash));
        assert_eq!(base64(to_base64(&hash).trim_end_matches('=')), Some(hash));
        let with_colons: Vec<String> = hash.iter().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(hex(&with_colons.join(":")), Some(hash));
    }

    #[test]
    fn other_lengths_are_refused() {
        for text in ["", "ab", "abc", &"ab".repeat(31), &"ab".repeat(33), &"xy".repeat(32)] {
            assert_eq!((hex(text), base64(text)), (None, None), "{text}");
        }
    }
}
