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

pub(crate) use client::TlsClient;
pub use identity::{Identity, IdentitySource, certificates_from_pem};
pub use options::{ClientTls, Pin, Roots, ServerTls, TlsVersion, TlsVersions};
pub(crate) use server::TlsServer;
pub(crate) use watched::Watched;

/// The ALPN name of HTTP/1.1.
pub(crate) const HTTP1: &str = "http/1.1";
/// The ALPN name of HTTP/2.
pub(crate) const HTTP2: &str = "h2";

fn provider() -> std::sync::Arc<rustls::crypto::CryptoProvider> {
    std::sync::Arc::new(rustls::crypto::ring::default_provider())
}

/// Checks the names of application protocols.
fn check_alpn(alpn: &[Vec<u8>]) -> Result<(), crate::SetupError> {
    match alpn.iter().map(Vec::len).find(|length| !(1..=255).contains(length)) {
        Some(length) => Err(crate::SetupError::Alpn { length }),
        None => Ok(()),
    }
}
