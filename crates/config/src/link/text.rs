//! How links write texts: base64, `%20`, and names.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::URL_SAFE_NO_PAD},
};

use super::{LinkError, Part};

/// Longer names are of no use as tags.
const MAX_NAME_CHARS: usize = 100;

/// Programs differ in the padding, and some leave the last bits as they were.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Decodes base64 with either alphabet, with or without padding and line breaks.
pub(super) fn base64_bytes(text: &str) -> Option<Vec<u8>> {
    let plain = |byte: &u8| !byte.is_ascii_whitespace();
    let mut bytes: Vec<u8> = text.bytes().filter(plain).collect();
    while bytes.last() == Some(&b'=') {
        bytes.pop();
    }
    for byte in &mut bytes {
        match byte {
            b'-' => *byte = b'+',
            b'_' => *byte = b'/',
            _ => {}
        }
    }
    LENIENT.decode(bytes).ok().filter(|bytes| !bytes.is_empty())
}

/// Decodes base64 of a text.
pub(super) fn base64_text(text: &str) -> Option<String> {
    base64_bytes(text).and_then(|bytes| String::from_utf8(bytes).ok())
}

/// The base64 that stands in links.
pub(super) fn to_base64(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// Decodes `%20`; a `%` that begins no such form stays (RFC 3986 §2.1).
pub(super) fn unescape(text: &str) -> Result<String, LinkError> {
    String::from_utf8(unescape_bytes(text)).map_err(|_no_text| LinkError::Unreadable(Part::Escapes))
}

/// Like [`unescape`], for what is only shown.
pub(super) fn unescape_lossy(text: &str) -> String {
    String::from_utf8_lossy(&unescape_bytes(text)).into_owned()
}

fn unescape_bytes(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        if let (b'%', [high, low, after @ ..]) = (first, behind)
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            bytes.push(high << 4 | low);
            rest = after;
        } else {
            bytes.push(*first);
            rest = behind;
        }
    }
    bytes
}

/// Writes everything as `%20` but letters, digits and `-._~` (RFC 3986 §2.3).
pub(super) fn escape(text: &str) -> String {
    escape_unless(text, |byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

/// Writes as `%20` what cannot be sent in a request.
pub(super) fn escape_path(text: &str) -> String {
    escape_unless(text, |byte| byte.is_ascii_graphic() && byte != b'#')
}

fn escape_unless(text: &str, is_plain: impl Fn(u8) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if is_plain(byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

/// A name as a tag: without control characters, and without those that change the direction of writing.
pub(super) fn clean_name(name: &str) -> Box<str> {
    let is_shown = |character: &char| {
        !character.is_control()
            && !matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
    };
    let name: String = name.chars().map(|c| if c == '\t' { ' ' } else { c }).filter(is_shown).collect();
    let cut: String = name.trim().chars().take(MAX_NAME_CHARS).collect();
    cut.trim_end().into()
}

/// Whether a word switches something on.
pub(super) fn is_on(word: &str) -> bool {
    ["1", "true", "yes", "on", "y"].iter().any(|on| word.trim().eq_ignore_ascii_case(on))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_comes_in_every_form() {
        let standard = "Pz8/fn5+YQ==";
        for text in [standard, "Pz8/fn5+YQ", "Pz8_fn5-YQ", "Pz8_\r\nfn5-\nYQ=", " Pz8_fn5-YQ== "] {
            assert_eq!(base64_text(text).as_deref(), Some("???~~~a"), "{text}");
        }
        for text in ["", "====", "a", "ü", "a:b", "Pz8/fn5+Y*=="] {
            assert_eq!(base64_text(text), None, "{text}");
        }
        assert_eq!(base64_text("Pz8/fn5+YR==").as_deref(), Some("???~~~a"), "the last bits do not count");
    }

    #[test]
    fn escapes_come_back() {
        for text in ["a b/c?d#e&f=g+h%i", "東京 🗼", ""] {
            assert_eq!(unescape(&escape(text)).as_deref(), Ok(text));
        }
        assert_eq!(unescape("100%&%zz%4").as_deref(), Ok("100%&%zz%4"));
        assert_eq!(unescape("%ff"), Err(LinkError::Unreadable(Part::Escapes)));
        assert_eq!(unescape_lossy("%ffa"), "\u{fffd}a");
        assert_eq!(escape_path("/ü b?ed=1#x"), "/%C3%BC%20b?ed=1%23x");
    }

    #[test]
    fn names_cannot_play_tricks() {
        assert_eq!(&*clean_name(" 🇯🇵 東京\u{1b}[31m\u{202e}x\r\n"), "🇯🇵 東京[31mx");
        assert_eq!(clean_name(&"x".repeat(1000)).len(), MAX_NAME_CHARS);
    }
}
