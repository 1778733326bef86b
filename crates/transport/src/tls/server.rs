use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::{
    RootCertStore, ServerConfig,
    client::verify_server_name,
    crypto::CryptoProvider,
    pki_types::ServerName,
    server::{ClientHello, ParsedCertificate, ResolvesServerCert, WebPkiClientVerifier},
    sign::CertifiedKey,
};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

use super::{
    BUFFER_BYTES, ServerTls, Watched, check_alpn, client::not_tls, files::Kept, identity::Shown, provider,
    stream::TlsStream, verify::add_roots,
};
use crate::{Io, Moment, SetupError, TransportError};

/// The content type of a TLS record with which a client begins: the handshake (RFC 8446 §5.1).
const CLIENT_STARTS: [u8; 1] = [22];
/// Looking at files costs some system calls; a new certificate is in no hurry.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);

/// Speaks TLS to clients.
#[derive(Debug)]
pub(crate) struct TlsServer {
    config: Arc<ServerConfig>,
    resolver: Arc<Resolver>,
    provider: Arc<CryptoProvider>,
    kept: Mutex<Identities>,
}

/// All identities, and when their files were looked at.
#[derive(Debug)]
struct Identities {
    kept: Vec<Kept>,
    looked: Instant,
}

impl TlsServer {
    /// `wanted` are the application protocols of the layer above.
    pub(crate) fn try_new(options: &ServerTls, wanted: &[&str]) -> Result<Self, SetupError> {
        check_alpn(&options.alpn)?;
        if options.identities.is_empty() {
            return Err(SetupError::NoIdentity);
        }
        let provider = provider();
        let kept = options.identities.iter().map(|source| Kept::load(source, &provider));
        let kept = kept.collect::<Result<Vec<_>, SetupError>>()?;
        let resolver = Resolver { shown: ArcSwap::default(), rejects_unknown: options.reject_unknown_sni };
        resolver.show(&kept);
        let resolver = Arc::new(resolver);
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&options.versions.supported()?)
            .map_err(|problem| SetupError::Tls { problem })?;
        let builder = match &options.client_roots {
            None => builder.with_no_client_auth(),
            Some(certificates) => {
                let mut roots = RootCertStore::empty();
                add_roots(&mut roots, certificates)?;
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
                builder.with_client_cert_verifier(verifier.build().map_err(|_no_roots| SetupError::NoRoots)?)
            }
        };
        let mut config = builder.with_cert_resolver(resolver.clone());
        config.alpn_protocols = if options.alpn.is_empty() {
            wanted.iter().map(|name| name.as_bytes().to_vec()).collect()
        } else {
            options.alpn.clone()
        };
        let kept = Mutex::new(Identities { kept, looked: Instant::now() });
        Ok(Self { config: Arc::new(config), resolver, provider, kept })
    }

    pub(crate) async fn accept<S: Io>(&self, stream: S) -> Result<TlsStream<S>, TransportError> {
        self.refresh();
        let acceptor = TlsAcceptor::from(self.config.clone());
        let accepting = acceptor.accept_with(Watched::new(stream), |session| {
            session.set_buffer_limit(Some(BUFFER_BYTES));
        });
        let accepted = accepting.into_fallible().await.map_err(|(error, stream)| {
            not_tls(stream.first(), &CLIENT_STARTS).unwrap_or_else(|| explain(&error))
        })?;
        Ok(TlsStream::new(accepted.into()))
    }

    /// Shows what the files hold by now, if it can be used.
    fn refresh(&self) {
        // Whoever finds somebody else looking goes on with what there is.
        let Some(mut identities) = self.kept.try_lock() else { return };
        let now = Instant::now();
        if now.duration_since(identities.looked) < REFRESH_INTERVAL {
            return;
        }
        identities.looked = now;
        let mut is_changed = false;
        for kept in &mut identities.kept {
            match kept.refresh(&self.provider) {
                Ok(is_new) => is_changed |= is_new,
                Err(error) => warn!(%error, "a changed certificate cannot be used, the old one stays"),
            }
        }
        if is_changed {
            info!("certificates were read again");
            self.resolver.show(&identities.kept);
        }
    }
}

fn explain(error: &std::io::Error) -> TransportError {
    let reason = TransportError::during(Moment::TlsHandshake, error);
    let no_certificate = rustls::Error::General(NO_CERTIFICATE.to_owned());
    let is_unknown = reason == TransportError::Tls { problem: no_certificate };
    if is_unknown { TransportError::UnknownServerName } else { reason }
}

/// What rustls says when no certificate is found.
const NO_CERTIFICATE: &str = "no server certificate chain resolved";

/// Finds the certificate for the name that a client asks for.
#[derive(Debug)]
struct Resolver {
    shown: ArcSwap<Vec<Shown>>,
    rejects_unknown: bool,
}

impl Resolver {
    fn show(&self, kept: &[Kept]) {
        self.shown.store(Arc::new(kept.iter().map(|kept| kept.shown.clone()).collect()));
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Shown> {
        let shown = self.shown.load();
        let name = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let is_for = |key: &&Shown| name.as_ref().is_some_and(|name| is_for(key, name));
        let default = if self.rejects_unknown { None } else { shown.first() };
        if shown.len() == 1 && default.is_some() {
            return default.cloned();
        }
        shown.iter().find(is_for).or(default).cloned()
    }
}

fn is_for(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let Some(Ok(certificate)) = key.cert.first().map(ParsedCertificate::try_from) else { return false };
    verify_server_name(&certificate, name).is_ok()
}
