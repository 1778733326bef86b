use std::{fmt, str::FromStr};

use shadowsocks_crypto::CipherKind;

/// How connections and datagrams are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// AES-128-GCM with a key made of a password (SIP004).
    Aes128Gcm,
    /// AES-256-GCM with a key made of a password (SIP004).
    Aes256Gcm,
    /// ChaCha20-Poly1305 with a key made of a password (SIP004).
    ChaCha20Poly1305,
    /// XChaCha20-Poly1305 with a key made of a password (SIP004).
    XChaCha20Poly1305,
    /// AES-128-GCM with a key in base64 (SIP022).
    Blake3Aes128Gcm,
    /// AES-256-GCM with a key in base64 (SIP022).
    Blake3Aes256Gcm,
    /// ChaCha20-Poly1305 with a key in base64 (SIP022).
    Blake3ChaCha20Poly1305,
}

/// A word that names no method.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown shadowsocks method `{0}`, expected one of `aes-128-gcm`, `aes-256-gcm`, `chacha20-ietf-poly1305`, \
     `xchacha20-ietf-poly1305`, `2022-blake3-aes-128-gcm`, `2022-blake3-aes-256-gcm` and \
     `2022-blake3-chacha20-poly1305`"
)]
pub struct UnknownMethod(pub Box<str>);

/// The two generations of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edition {
    /// SIP004.
    Aead,
    /// SIP022.
    Aead2022,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Aes128Gcm,
        Self::Aes256Gcm,
        Self::ChaCha20Poly1305,
        Self::XChaCha20Poly1305,
        Self::Blake3Aes128Gcm,
        Self::Blake3Aes256Gcm,
        Self::Blake3ChaCha20Poly1305,
    ];

    /// The name as configuration files write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aes128Gcm => "aes-128-gcm",
            Self::Aes256Gcm => "aes-256-gcm",
            Self::ChaCha20Poly1305 => "chacha20-ietf-poly1305",
            Self::XChaCha20Poly1305 => "xchacha20-ietf-poly1305",
            Self::Blake3Aes128Gcm => "2022-blake3-aes-128-gcm",
            Self::Blake3Aes256Gcm => "2022-blake3-aes-256-gcm",
            Self::Blake3ChaCha20Poly1305 => "2022-blake3-chacha20-poly1305",
        }
    }

    /// How many bytes a key has; a salt has as many.
    #[must_use]
    pub fn key_bytes(self) -> usize {
        match self {
            Self::Aes128Gcm | Self::Blake3Aes128Gcm => 16,
            Self::Aes256Gcm
            | Self::ChaCha20Poly1305
            | Self::XChaCha20Poly1305
            | Self::Blake3Aes256Gcm
            | Self::Blake3ChaCha20Poly1305 => 32,
        }
    }

    /// Whether the password is a key in base64 (SIP022) and not any text (SIP004).
    #[must_use]
    pub fn is_2022(self) -> bool {
        self.edition() == Edition::Aead2022
    }

    /// Whether several users can share a port. All but `2022-blake3-chacha20-poly1305` let them.
    #[must_use]
    pub fn has_users(self) -> bool {
        self != Self::Blake3ChaCha20Poly1305
    }

    pub(crate) fn edition(self) -> Edition {
        match self {
            Self::Aes128Gcm | Self::Aes256Gcm | Self::ChaCha20Poly1305 | Self::XChaCha20Poly1305 => {
                Edition::Aead
            }
            Self::Blake3Aes128Gcm | Self::Blake3Aes256Gcm | Self::Blake3ChaCha20Poly1305 => Edition::Aead2022,
        }
    }

    pub(crate) fn kind(self) -> CipherKind {
        match self {
            Self::Aes128Gcm => CipherKind::AES_128_GCM,
            Self::Aes256Gcm => CipherKind::AES_256_GCM,
            Self::ChaCha20Poly1305 => CipherKind::CHACHA20_POLY1305,
            Self::XChaCha20Poly1305 => CipherKind::XCHACHA20_POLY1305,
            Self::Blake3Aes128Gcm => CipherKind::AEAD2022_BLAKE3_AES_128_GCM,
            Self::Blake3Aes256Gcm => CipherKind::AEAD2022_BLAKE3_AES_256_GCM,
            Self::Blake3ChaCha20Poly1305 => CipherKind::AEAD2022_BLAKE3_CHACHA20_POLY1305,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Method {
    type Err = UnknownMethod;

    /// Reads a name in any case, also in the other ways that V2Ray knows.
    fn from_str(name: &str) -> Result<Self, UnknownMethod> {
        Ok(match name.to_ascii_lowercase().as_str() {
            "aes-128-gcm" | "aead_aes_128_gcm" => Self::Aes128Gcm,
            "aes-256-gcm" | "aead_aes_256_gcm" => Self::Aes256Gcm,
            "chacha20-ietf-poly1305" | "chacha20-poly1305" | "aead_chacha20_poly1305" => {
                Self::ChaCha20Poly1305
            }
            "xchacha20-ietf-poly1305" | "xchacha20-poly1305" | "aead_xchacha20_poly1305" => {
                Self::XChaCha20Poly1305
            }
            "2022-blake3-aes-128-gcm" => Self::Blake3Aes128Gcm,
            "2022-blake3-aes-256-gcm" => Self::Blake3Aes256Gcm,
            "2022-blake3-chacha20-poly1305" => Self::Blake3ChaCha20Poly1305,
            _ => return Err(UnknownMethod(name.into())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_aliases_known() {
        for method in Method::ALL {
            assert_eq!(method.as_str().parse(), Ok(method));
            assert_eq!(method.kind().key_len(), method.key_bytes());
            assert_eq!(method.kind().salt_len(), method.key_bytes());
        }
        assert_eq!("AEAD_CHACHA20_POLY1305".parse(), Ok(Method::ChaCha20Poly1305));
        assert_eq!("aead_aes_256_gcm".parse(), Ok(Method::Aes256Gcm));
        assert_eq!("rc4-md5".parse::<Method>(), Err(UnknownMethod("rc4-md5".into())));
    }
}
