//! Protocols with keys of their own: Shadowsocks, VMess, VLESS and Trojan.

use std::{fmt, sync::Arc};

use waypost_net::{Host, Networks, Secret};

/// The id of a user of VMess or VLESS: a UUID, which is a secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct UserId([u8; 16]);

impl UserId {
    /// Wraps the bytes of a UUID (RFC 9562 §4).
    #[must_use]
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes; whoever calls this is responsible for where they go.
    #[must_use]
    pub fn expose(&self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// One who may come in, with what proves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User<C> {
    /// `email` or `name`, which `user` conditions see.
    pub name: Option<Arc<str>>,
    /// What proves it.
    pub credential: C,
}

/// A way to encrypt of Shadowsocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShadowsocksMethod {
    /// `aes-128-gcm`.
    Aes128Gcm,
    /// `aes-256-gcm`.
    Aes256Gcm,
    /// `chacha20-ietf-poly1305`.
    Chacha20Poly1305,
    /// `xchacha20-ietf-poly1305`.
    Xchacha20Poly1305,
    /// `2022-blake3-aes-128-gcm` (SIP022).
    Blake3Aes128Gcm,
    /// `2022-blake3-aes-256-gcm` (SIP022).
    Blake3Aes256Gcm,
    /// `2022-blake3-chacha20-poly1305` (SIP022), which has one user only.
    Blake3Chacha20Poly1305,
}

impl ShadowsocksMethod {
    /// The methods by the name that links and both dialects use.
    pub const WORDS: [(&str, Self); 7] = [
        ("aes-128-gcm", Self::Aes128Gcm),
        ("aes-256-gcm", Self::Aes256Gcm),
        ("chacha20-ietf-poly1305", Self::Chacha20Poly1305),
        ("xchacha20-ietf-poly1305", Self::Xchacha20Poly1305),
        ("2022-blake3-aes-128-gcm", Self::Blake3Aes128Gcm),
        ("2022-blake3-aes-256-gcm", Self::Blake3Aes256Gcm),
        ("2022-blake3-chacha20-poly1305", Self::Blake3Chacha20Poly1305),
    ];

    /// The name.
    #[must_use]
    pub fn name(self) -> &'static str {
        let named = Self::WORDS.iter().find(|(_, method)| *method == self);
        named.map_or("", |(name, _)| name)
    }

    /// How many bytes a key of a 2022 method has; other methods take any password.
    #[must_use]
    pub fn key_bytes(self) -> Option<usize> {
        match self {
            Self::Blake3Aes128Gcm => Some(16),
            Self::Blake3Aes256Gcm | Self::Blake3Chacha20Poly1305 => Some(32),
            Self::Aes128Gcm | Self::Aes256Gcm | Self::Chacha20Poly1305 | Self::Xchacha20Poly1305 => None,
        }
    }

    /// Whether several users can share a port.
    #[must_use]
    pub fn has_users(self) -> bool {
        self != Self::Blake3Chacha20Poly1305
    }
}

/// How a client of Shadowsocks proves itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShadowsocksKey {
    /// `method`.
    pub method: ShadowsocksMethod,
    /// `password`; of a 2022 method base64 of a key, or of several with `:` between.
    pub password: Secret,
}

/// A `shadowsocks` inbound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShadowsocksInbound {
    /// `method`.
    pub method: ShadowsocksMethod,
    /// The password of the only user, or of the server beside `users` for 2022 methods; absent if
    /// each user has one of a classic method.
    pub password: Option<Secret>,
    /// The name of the only user: `email` beside `password`.
    pub name: Option<Arc<str>>,
    /// `users` or `clients`, each with a password.
    pub users: Vec<User<Secret>>,
    /// `network`.
    pub networks: Networks,
}

/// `security` of a VMess user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VmessSecurity {
    /// `auto`: AES where the processor has it, ChaCha20 elsewhere.
    #[default]
    Auto,
    /// `aes-128-gcm`.
    Aes128Gcm,
    /// `chacha20-poly1305`.
    Chacha20Poly1305,
    /// `none`: plain pieces.
    None,
    /// `zero`: plain bytes.
    Zero,
}

impl VmessSecurity {
    /// The ways by name.
    pub const WORDS: [(&str, Self); 5] = [
        ("auto", Self::Auto),
        ("aes-128-gcm", Self::Aes128Gcm),
        ("chacha20-poly1305", Self::Chacha20Poly1305),
        ("none", Self::None),
        ("zero", Self::Zero),
    ];

    /// The name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::WORDS.iter().find(|(_, security)| *security == self).map_or("", |(name, _)| name)
    }
}

/// A user of a VMess server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmessAccount {
    /// `id` or `uuid`.
    pub id: UserId,
    /// `security`.
    pub security: VmessSecurity,
}

/// A `trojan` inbound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrojanInbound {
    /// `clients` or `users`, each with a password.
    pub users: Vec<User<Secret>>,
    /// Where those are taken who have no right password: a web site.
    pub fallback: Option<Fallback>,
}

/// A site that takes those who are no clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fallback {
    /// The host.
    pub host: Host,
    /// The port.
    pub port: u16,
}
