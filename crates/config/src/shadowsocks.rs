//! Methods and keys of Shadowsocks as people write them.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{model::ShadowsocksMethod, nearest};

/// Other words of V2Ray, Xray and shadowsocks-libev for the same methods.
const ALIASES: [(&str, ShadowsocksMethod); 10] = [
    ("aes_128_gcm", ShadowsocksMethod::Aes128Gcm),
    ("aead_aes_128_gcm", ShadowsocksMethod::Aes128Gcm),
    ("aes_256_gcm", ShadowsocksMethod::Aes256Gcm),
    ("aead_aes_256_gcm", ShadowsocksMethod::Aes256Gcm),
    ("chacha20-poly1305", ShadowsocksMethod::Chacha20Poly1305),
    ("chacha20_poly1305", ShadowsocksMethod::Chacha20Poly1305),
    ("aead_chacha20_poly1305", ShadowsocksMethod::Chacha20Poly1305),
    ("xchacha20-poly1305", ShadowsocksMethod::Xchacha20Poly1305),
    ("xchacha20_poly1305", ShadowsocksMethod::Xchacha20Poly1305),
    ("aead_xchacha20_poly1305", ShadowsocksMethod::Xchacha20Poly1305),
];

/// How the names of methods end that encrypt and prove nothing.
const STREAM_CIPHERS: [&str; 6] = ["-cfb", "-cfb8", "-cfb1", "-ctr", "-ofb", "-md5"];
const OTHER_STREAM_CIPHERS: [&str; 6] = ["rc4", "table", "salsa20", "chacha20", "chacha20-ietf", "xchacha20"];

/// Why a word is not the method of this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MethodError {
    #[error("this method encrypts nothing")]
    Plain,
    #[error("this is a stream cipher, with which anybody on the way can change what is sent")]
    StreamCipher,
    #[error("this method is not available")]
    Unavailable,
    #[error("unknown method")]
    Unknown,
}

/// Finds a method by any of its names, in any letter case.
pub(crate) fn method(word: &str) -> Result<ShadowsocksMethod, MethodError> {
    let named = ShadowsocksMethod::WORDS.iter().chain(&ALIASES);
    if let Some((_, method)) = named.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(word)) {
        return Ok(*method);
    }
    let word = word.to_ascii_lowercase();
    Err(match word.as_str() {
        "none" | "plain" | "dummy" => MethodError::Plain,
        "aes-192-gcm" | "aes-128-ccm" | "aes-256-ccm" | "2022-blake3-chacha8-poly1305" => {
            MethodError::Unavailable
        }
        _ if STREAM_CIPHERS.iter().any(|ending| word.ends_with(ending))
            || OTHER_STREAM_CIPHERS.contains(&word.as_str()) =>
        {
            MethodError::StreamCipher
        }
        _ => MethodError::Unknown,
    })
}

/// The method that a word was probably meant to be.
pub(crate) fn nearest_method(word: &str) -> Option<&'static str> {
    nearest(word, ShadowsocksMethod::WORDS.iter().map(|(name, _)| *name))
}

/// Why a password cannot be one of a method. Nothing here shows the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("a password cannot be empty")]
    Empty,
    #[error("the key of this method is base64 of {wanted} bytes, and this is no base64")]
    NoBase64 { wanted: usize },
    #[error("the key of this method has {wanted} bytes, this one has {found}")]
    Length { wanted: usize, found: usize },
    #[error("this method has one key, not several with `:` between")]
    Chain,
}

/// Who has a password: only a client may have those of the servers before its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyOwner {
    Client,
    Server,
}

/// Checks that a password can be one of a method. Those of a 2022 method are keys in base64, which
/// a client may have several of with `:` between (SIP022, SIP023).
pub(crate) fn check_password(
    method: ShadowsocksMethod,
    password: &str,
    owner: KeyOwner,
) -> Result<(), KeyError> {
    if password.is_empty() {
        return Err(KeyError::Empty);
    }
    let Some(wanted) = method.key_bytes() else { return Ok(()) };
    if password.contains(':') && !(owner == KeyOwner::Client && method.has_users()) {
        return Err(KeyError::Chain);
    }
    for key in password.split(':') {
        let bytes = STANDARD.decode(key).map_err(|_no_base64| KeyError::NoBase64 { wanted })?;
        if bytes.len() != wanted {
            return Err(KeyError::Length { wanted, found: bytes.len() });
        }
    }
    Ok(())
}

/// What to do about a password that cannot be one of a method.
pub(crate) fn key_help(method: ShadowsocksMethod, error: KeyError) -> Option<String> {
    match error {
        KeyError::Chain => Some("write the key of this server alone".to_owned()),
        KeyError::Empty | KeyError::NoBase64 { .. } | KeyError::Length { .. } => {
            method.key_bytes().map(|bytes| format!("`openssl rand -base64 {bytes}` makes one"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_have_several_names() {
        for (word, expected) in [
            ("AES-128-GCM", Ok(ShadowsocksMethod::Aes128Gcm)),
            ("AEAD_CHACHA20_POLY1305", Ok(ShadowsocksMethod::Chacha20Poly1305)),
            ("2022-blake3-aes-256-gcm", Ok(ShadowsocksMethod::Blake3Aes256Gcm)),
            ("none", Err(MethodError::Plain)),
            ("plain", Err(MethodError::Plain)),
            ("aes-256-cfb", Err(MethodError::StreamCipher)),
            ("rc4-md5", Err(MethodError::StreamCipher)),
            ("chacha20-ietf", Err(MethodError::StreamCipher)),
            ("aes-192-gcm", Err(MethodError::Unavailable)),
            ("aes-256", Err(MethodError::Unknown)),
        ] {
            assert_eq!(method(word), expected, "{word}");
        }
    }

    #[test]
    fn keys_have_the_length_of_their_method() {
        let (short, long) = (STANDARD.encode([7; 16]), STANDARD.encode([7; 32]));
        let chain = format!("{short}:{short}");
        let aes = ShadowsocksMethod::Blake3Aes128Gcm;
        let chacha = ShadowsocksMethod::Blake3Chacha20Poly1305;
        for (method, password, owner, expected) in [
            (ShadowsocksMethod::Aes128Gcm, "anything: at all", KeyOwner::Server, Ok(())),
            (ShadowsocksMethod::Aes128Gcm, "", KeyOwner::Server, Err(KeyError::Empty)),
            (aes, &*short, KeyOwner::Server, Ok(())),
            (aes, &*long, KeyOwner::Server, Err(KeyError::Length { wanted: 16, found: 32 })),
            (aes, "secret", KeyOwner::Server, Err(KeyError::NoBase64 { wanted: 16 })),
            (aes, &*chain, KeyOwner::Client, Ok(())),
            (aes, &*chain, KeyOwner::Server, Err(KeyError::Chain)),
            (chacha, &*format!("{long}:{long}"), KeyOwner::Client, Err(KeyError::Chain)),
        ] {
            assert_eq!(check_password(method, password, owner), expected, "{method:?}");
        }
    }
}
