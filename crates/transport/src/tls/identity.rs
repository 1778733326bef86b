use std::{path::PathBuf, sync::Arc};

use rustls::{
    InconsistentKeys,
    crypto::CryptoProvider,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{Error as PemError, PemObject},
    },
    sign::CertifiedKey,
};

use crate::{PemSource, SetupError};

/// Who somebody is: a certificate chain, its own certificate first, and the private key.
#[derive(Debug)]
pub struct Identity {
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// Not shown by `Debug`.
    pub(super) key: PrivateKeyDer<'static>,
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

impl Identity {
    /// Reads a chain and a key in PEM (RFC 7468).
    ///
    /// # Errors
    ///
    /// If one of them is missing or broken, the key is encrypted, or does not belong to the certificate.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, SetupError> {
        Self::read(&Pem::inline(certificate), &Pem::inline(key))
    }

    pub(super) fn read(certificate: &Pem<'_>, key: &Pem<'_>) -> Result<Self, SetupError> {
        let identity = Self { chain: certificate.certificates()?, key: key.private_key()? };
        identity.certified(&super::provider(), certificate.source, key.source)?;
        Ok(identity)
    }

    /// The chain with a key that can sign.
    pub(super) fn certified(
        &self,
        provider: &CryptoProvider,
        certificate: &PemSource,
        key: &PemSource,
    ) -> Result<CertifiedKey, SetupError> {
        let signing_key = provider
            .key_provider
            .load_private_key(self.key.clone_key())
            .map_err(|problem| SetupError::BadKey { file: key.clone(), problem })?;
        let certified = CertifiedKey::new(self.chain.clone(), signing_key);
        match certified.keys_match() {
            // Not every kind of key can tell.
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
            Err(rustls::Error::InconsistentKeys(_)) => {
                Err(SetupError::KeyDoesNotFit { certificate: certificate.clone(), key: key.clone() })
            }
            Err(problem) => Err(SetupError::BadCertificate { file: certificate.clone(), problem }),
        }
    }
}

/// Where the identity of a server comes from.
#[derive(Debug, Clone)]
pub enum IdentitySource {
    /// From two files in PEM, which are read again when they change.
    Files {
        /// The certificate chain, the certificate of the server first.
        certificate: PathBuf,
        /// The private key.
        key: PathBuf,
    },
    /// From the configuration.
    Inline(Identity),
}

/// Reads the certificates of a text in PEM (RFC 7468), for example to trust them.
///
/// # Errors
///
/// If there is none, or one that is broken.
pub fn certificates_from_pem(text: &str) -> Result<Vec<CertificateDer<'static>>, SetupError> {
    Pem::inline(text).certificates()
}

/// A text in PEM, and where it is from.
pub(super) struct Pem<'a> {
    pub(super) text: &'a [u8],
    pub(super) source: &'a PemSource,
}

impl<'a> Pem<'a> {
    fn inline(text: &'a str) -> Self {
        Self { text: text.as_bytes(), source: &PemSource::Inline }
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, SetupError> {
        let file = || self.source.clone();
        let certificates = CertificateDer::pem_slice_iter(self.text)
            .collect::<Result<Vec<_>, PemError>>()
            .map_err(|_broken| SetupError::BrokenPem { file: file() })?;
        if certificates.is_empty() {
            Err(SetupError::NoCertificate { file: file() })
        } else {
            Ok(certificates)
        }
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, SetupError> {
        let file = self.source.clone();
        match PrivateKeyDer::from_pem_slice(self.text) {
            Ok(key) => Ok(key),
            Err(PemError::NoItemsFound) if self.holds(b"BEGIN ENCRYPTED PRIVATE KEY") => {
                Err(SetupError::EncryptedKey { file })
            }
            Err(_) if self.holds(b"Proc-Type: 4,ENCRYPTED") => Err(SetupError::EncryptedKey { file }),
            Err(PemError::NoItemsFound) => Err(SetupError::NoKey { file }),
            Err(_) => Err(SetupError::BrokenPem { file }),
        }
    }

    fn holds(&self, needle: &[u8]) -> bool {
        self.text.windows(needle.len()).any(|window| window == needle)
    }
}

/// An identity that can be shown.
pub(super) type Shown = Arc<CertifiedKey>;
