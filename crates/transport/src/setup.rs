//! Why options cannot be used.

use std::{fmt, io, path::PathBuf, sync::Arc};

/// What is wrong with options.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// A file cannot be read.
    #[error("cannot read {file}: {kind}")]
    Read {
        /// The file.
        file: PemSource,
        /// Why.
        kind: io::ErrorKind,
    },
    /// A file is larger than certificates and keys are.
    #[error("{file} is larger than {max_bytes} bytes: is it the right file?")]
    TooLarge {
        /// The file.
        file: PemSource,
        /// How large it may be.
        max_bytes: u64,
    },
    /// A text holds no certificate.
    #[error("no certificate in {file} (expected PEM, `-----BEGIN CERTIFICATE-----`)")]
    NoCertificate {
        /// Where.
        file: PemSource,
    },
    /// A text holds no private key.
    #[error("no private key in {file} (expected PEM, `-----BEGIN PRIVATE KEY-----`)")]
    NoKey {
        /// Where.
        file: PemSource,
    },
    /// A private key is locked with a password.
    #[error("the key in {file} is encrypted: write it without a password (`openssl pkey -in ..`)")]
    EncryptedKey {
        /// Where.
        file: PemSource,
    },
    /// A text is PEM that cannot be decoded.
    #[error("broken PEM in {file}")]
    BrokenPem {
        /// Where.
        file: PemSource,
    },
    /// A certificate cannot be decoded.
    #[error("a certificate in {file} cannot be used: {problem}")]
    BadCertificate {
        /// Where.
        file: PemSource,
        /// Why.
        problem: rustls::Error,
    },
    /// A private key is of a kind that is not supported, or broken.
    #[error("the key in {file} cannot be used (expected RSA, ECDSA P-256, P-384 or Ed25519): {problem}")]
    BadKey {
        /// Where.
        file: PemSource,
        /// Why.
        problem: rustls::Error,
    },
    /// A private key belongs to another certificate.
    #[error("the key in {key} does not belong to the certificate in {certificate}")]
    KeyDoesNotFit {
        /// Where the certificate is.
        certificate: PemSource,
        /// Where the key is.
        key: PemSource,
    },
    /// A server for TLS has no certificate.
    #[error("a server for TLS needs a certificate and its key")]
    NoIdentity,
    /// A root certificate cannot be used as one.
    #[error("certificate {number} of the trusted ones cannot be used: {problem}")]
    BadRoot {
        /// Which, counted from 1.
        number: usize,
        /// Why.
        problem: rustls::Error,
    },
    /// No root is left to trust.
    #[error("no certificate is trusted: give one, or trust the usual ones")]
    NoRoots,
    /// The lowest version of TLS is above the highest.
    #[error("the lowest version of TLS is above the highest")]
    Versions,
    /// An application protocol is empty or longer than 255 bytes (RFC 7301 §3.1).
    #[error("a protocol in `alpn` has 1 to 255 bytes, this one has {length}")]
    Alpn {
        /// Its length in bytes.
        length: usize,
    },
    /// A path cannot stand in a request.
    #[error("`{path}` is no path: it has a line end or another control character")]
    Path {
        /// The path as given.
        path: Box<str>,
    },
    /// A host cannot stand in a request.
    #[error("`{host}` is no host for a request")]
    RequestHost {
        /// The host as given.
        host: Box<str>,
    },
    /// A header cannot stand in a request.
    #[error("`{name}` is no header that can be sent")]
    Header {
        /// Its name as given.
        name: Box<str>,
    },
    /// A gRPC service name gives no path.
    #[error("`{name}` is no service name: expected `name`, or `/path/stream`")]
    ServiceName {
        /// The name as given.
        name: Box<str>,
    },
    /// The TLS library refuses the options.
    #[error("TLS cannot be set up: {problem}")]
    Tls {
        /// Why.
        problem: rustls::Error,
    },
}

/// Where a certificate or a key is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PemSource {
    /// In a file.
    File(Arc<PathBuf>),
    /// In the configuration itself.
    Inline,
}

impl fmt::Display for PemSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "`{}`", path.display()),
            Self::Inline => f.write_str("the configuration"),
        }
    }
}
