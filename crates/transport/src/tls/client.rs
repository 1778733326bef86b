use std::sync::Arc;

use rustls::{
    ClientConfig,
    pki_types::{IpAddr, ServerName},
};
use tokio_rustls::TlsConnector;
use waypost_net::Host;

use super::{BUFFER_BYTES, ClientTls, Watched, check_alpn, provider, stream::TlsStream, verify::Verifier};
use crate::{FirstBytes, Io, Moment, SetupError, TransportError};

/// The content types of TLS records with which a server may begin: an alert, or the handshake (RFC 8446 §5.1).
const SERVER_STARTS: [u8; 2] = [21, 22];

/// Speaks TLS to a server.
#[derive(Debug)]
pub(crate) struct TlsClient {
    config: Arc<ClientConfig>,
    server_name: ServerName<'static>,
}

impl TlsClient {
    /// `wanted` are the application protocols of the layer above.
    pub(crate) fn try_new(options: &ClientTls, wanted: &[&str]) -> Result<Self, SetupError> {
        check_alpn(&options.alpn)?;
        let provider = provider();
        let tls = |problem| SetupError::Tls { problem };
        let verifier = Verifier::try_new(options, provider.clone())?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&options.versions.supported()?)
            .map_err(tls)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match &options.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => builder
                .with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())
                .map_err(tls)?,
        };
        config.enable_sni = !options.disable_sni;
        config.alpn_protocols = if options.alpn.is_empty() {
            wanted.iter().map(|name| name.as_bytes().to_vec()).collect()
        } else {
            options.alpn.clone()
        };
        Ok(Self { config: Arc::new(config), server_name: server_name(&options.server_name)? })
    }

    /// Agrees on TLS; `wanted` is what the layer above speaks, if the server chooses anything.
    pub(crate) async fn connect<S: Io>(
        &self,
        stream: S,
        wanted: Option<&'static str>,
    ) -> Result<TlsStream<S>, TransportError> {
        let connector = TlsConnector::from(self.config.clone());
        let connecting = connector.connect_with(self.server_name.clone(), Watched::new(stream), |session| {
            session.set_buffer_limit(Some(BUFFER_BYTES));
        });
        let stream = connecting.into_fallible().await.map_err(|(error, stream)| {
            not_tls(stream.first(), &SERVER_STARTS)
                .unwrap_or_else(|| TransportError::during(Moment::TlsHandshake, &error))
        })?;
        let chosen = stream.get_ref().1.alpn_protocol();
        match (chosen, wanted) {
            (Some(chosen), Some(wanted)) if chosen != wanted.as_bytes() => {
                let chosen = String::from_utf8_lossy(chosen).into();
                Err(TransportError::WrongProtocol { chosen, wanted })
            }
            (Some(_) | None, Some(_) | None) => Ok(TlsStream::new(stream.into())),
        }
    }
}

/// That the peer speaks no TLS, if its first byte shows it.
pub(super) fn not_tls(first: FirstBytes, starts: &[u8]) -> Option<TransportError> {
    let start = first.as_slice().first()?;
    (!starts.contains(start)).then_some(TransportError::NotTls { found: first })
}

fn server_name(host: &Host) -> Result<ServerName<'static>, SetupError> {
    match host {
        Host::Ip(address) => Ok(ServerName::IpAddress(IpAddr::from(*address))),
        Host::Domain(name) => ServerName::try_from(name.as_str().to_owned())
            .map_err(|_not_valid| SetupError::RequestHost { host: name.as_str().into() }),
    }
}
