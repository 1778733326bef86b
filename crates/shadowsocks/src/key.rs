//! Keys made of passwords.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use shadowsocks_crypto::v1::openssl_bytes_to_key;

use crate::{Method, method::Edition};

/// A key; it does not show in debug output.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Key(Box<[u8]>);

/// Why a password cannot be used. It is not part of the error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The password is empty.
    #[error("the password is empty")]
    Empty,
    /// A key of SIP022 is no base64.
    #[error("the password of `{method}` has to be {wanted} bytes in base64, and this is no base64")]
    Base64 {
        /// The method.
        method: Method,
        /// How many bytes it wants.
        wanted: usize,
    },
    /// A key of SIP022 has another length.
    #[error("the password of `{method}` has to be {wanted} bytes in base64, found {found} bytes")]
    Length {
        /// The method.
        method: Method,
        /// How many bytes it wants.
        wanted: usize,
        /// How many there are.
        found: usize,
    },
    /// The method cannot tell users apart, and there are some, or several keys.
    #[error("`{method}` cannot have users: use an aes method")]
    Users {
        /// The method.
        method: Method,
    },
    /// The password of a server, or of a user of it, is more than one key.
    #[error("expected one key, found several with `:` between them")]
    Several,
}

impl Key {
    /// Makes the key of a password (SIP004) or reads it (SIP022).
    pub(crate) fn try_new(method: Method, password: &str) -> Result<Self, KeyError> {
        if password.is_empty() {
            return Err(KeyError::Empty);
        }
        let wanted = method.key_bytes();
        match method.edition() {
            Edition::Aead => {
                let mut key = vec![0; wanted];
                openssl_bytes_to_key(password.as_bytes(), &mut key);
                Ok(Self(key.into()))
            }
            Edition::Aead2022 if password.contains(':') => Err(KeyError::Several),
            Edition::Aead2022 => {
                let key = STANDARD.decode(password).map_err(|_error| KeyError::Base64 { method, wanted })?;
                if key.len() != wanted {
                    return Err(KeyError::Length { method, wanted, found: key.len() });
                }
                Ok(Self(key.into()))
            }
        }
    }

    /// Reads the keys of a client of SIP022, with those of the servers on the way before its own; there is
    /// at least one, the last.
    pub(crate) fn try_new_chain(method: Method, password: &str) -> Result<(Vec<Self>, Self), KeyError> {
        if method.edition() == Edition::Aead {
            return Ok((Vec::new(), Self::try_new(method, password)?));
        }
        let (identities, own) = password.rsplit_once(':').unwrap_or(("", password));
        let own = Self::try_new(method, own)?;
        if identities.is_empty() {
            return Ok((Vec::new(), own));
        }
        if !method.has_users() {
            return Err(KeyError::Users { method });
        }
        let identities =
            identities.split(':').map(|key| Self::try_new(method, key)).collect::<Result<_, _>>()?;
        Ok((identities, own))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[key]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AAECAwQFBgcICQoLDA0ODw==";

    #[test]
    fn a_password_becomes_a_key_as_openssl_makes_it() {
        // `openssl enc -aes-128-ecb -k password -md md5 -nosalt -P`
        let key = Key::try_new(Method::Aes128Gcm, "password").unwrap();
        assert_eq!(key.as_bytes(), 0x5f4d_cc3b_5aa7_65d6_1d83_27de_b882_cf99_u128.to_be_bytes());
        assert_eq!(Key::try_new(Method::Aes256Gcm, "password").unwrap().as_bytes().len(), 32);
    }

    #[test]
    fn keys_of_another_length_are_refused_with_the_length_wanted() {
        let method = Method::Blake3Aes256Gcm;
        let key = |password| Key::try_new(method, password);
        assert_eq!(key(KEY), Err(KeyError::Length { method, wanted: 32, found: 16 }));
        assert_eq!(key("pass word"), Err(KeyError::Base64 { method, wanted: 32 }));
        assert_eq!(key(""), Err(KeyError::Empty));
        assert_eq!(key("a:b"), Err(KeyError::Several));
        assert_eq!(Key::try_new(Method::Blake3Aes128Gcm, KEY).unwrap().as_bytes()[15], 15);
    }

    #[test]
    fn a_client_may_have_keys_of_servers_before_its_own() {
        let chain = |method, password: &str| {
            Key::try_new_chain(method, password).map(|(identities, _)| identities.len())
        };
        assert_eq!(chain(Method::Blake3Aes128Gcm, KEY), Ok(0));
        assert_eq!(chain(Method::Blake3Aes128Gcm, &format!("{KEY}:{KEY}:{KEY}")), Ok(2));
        assert_eq!(chain(Method::Aes128Gcm, "a:b"), Ok(0));
        let method = Method::Blake3ChaCha20Poly1305;
        let long = "AAECAwQFBgcICQoLDA0ODwABAgMEBQYHCAkKCwwNDg8=";
        assert_eq!(chain(method, &format!("{long}:{long}")), Err(KeyError::Users { method }));
        assert_eq!(chain(Method::Blake3Aes128Gcm, &format!(":{KEY}")), Ok(0));
    }
}
