//! TLS by rustls (RFC 8446, RFC 5246), client and server side.

mod client;
mod der;
mod files;
mod identity;
mod options;
mod server;
mod stream;
mod verify;
mod watched;

use std::sync::Arc;

pub(crate) use client::TlsClient;
pub use der::certificate_validity;
pub use identity::{Identity, IdentitySource, certificates_from_pem};
pub use options::{ClientTls, Pin, Roots, ServerTls, TlsVersion, TlsVersions};
use rustls::{
    CipherSuite,
    crypto::{CryptoProvider, ring},
};
pub(crate) use server::TlsServer;
pub(crate) use watched::Watched;

/// How much is encrypted ahead of what the connection takes. More than a write of 64 KiB with a header in
/// front, which would else end with a tiny record of its own.
const BUFFER_BYTES: usize = 96 * 1024;
/// The ALPN name of HTTP/1.1.
pub(crate) const HTTP1: &str = "http/1.1";
/// The ALPN name of HTTP/2.
pub(crate) const HTTP2: &str = "h2";

/// The cryptography, in the order of Go's TLS, which most peers of this kind use: AES with keys of 128 bits
/// is as safe as anybody needs and a quarter faster than with 256.
fn provider() -> Arc<CryptoProvider> {
    let mut provider = ring::default_provider();
    provider.cipher_suites.sort_by_key(|suite| {
        !matches!(
            suite.suite(),
            CipherSuite::TLS13_AES_128_GCM_SHA256
                | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
                | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
        )
    });
    // TLS 1.3 stays the first choice.
    provider.cipher_suites.sort_by_key(|suite| suite.tls13().is_none());
    Arc::new(provider)
}

/// Checks the names of application protocols.
fn check_alpn(alpn: &[Vec<u8>]) -> Result<(), crate::SetupError> {
    match alpn.iter().map(Vec::len).find(|length| !(1..=255).contains(length)) {
        Some(length) => Err(crate::SetupError::Alpn { length }),
        None => Ok(()),
    }
}
