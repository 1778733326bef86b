use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{IpAddr, ServerName},
};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use waypost_net::{Host, Target};

use super::ServerError;
use crate::{Datagrams, Destination, Family, Network, Resolver, Stream, Way};

/// How long each address of a server gets, if it has several.
const ADDRESS_TIMEOUT: Duration = Duration::from_millis(1500);
/// With more addresses, the rest is never tried within the time of a question anyway.
const MAX_ADDRESSES: usize = 4;

/// What TLS needs, for all servers.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    plain: Arc<ClientConfig>,
    http: Arc<ClientConfig>,
}

impl Tls {
    /// # Errors
    ///
    /// If the TLS library lacks a version of TLS that it supports by default.
    pub(crate) fn trusting(roots: RootCertStore) -> Result<Self, rustls::Error> {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut http = config.clone();
        http.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { plain: Arc::new(config), http: Arc::new(http) })
    }

    pub(crate) fn mozilla() -> Result<Self, rustls::Error> {
        Self::trusting(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })
    }

    pub(crate) fn for_dns(&self) -> Arc<ClientConfig> {
        self.plain.clone()
    }

    pub(crate) fn for_http(&self) -> Arc<ClientConfig> {
        self.http.clone()
    }
}

/// Gets to one server.
#[derive(Debug)]
pub(crate) struct Connector {
    network: Arc<dyn Network>,
    pub(super) to: Destination,
    tls: Option<Arc<ClientConfig>>,
    /// Knows no servers, so that finding one never needs another.
    bootstrap: Resolver,
    resolving: AtomicUsize,
}

/// A stream to a server.
pub(super) struct Connected {
    pub(super) stream: Box<dyn Stream>,
    /// Whether TLS has agreed on HTTP/2.
    pub(super) is_http2: bool,
}

impl Connector {
    pub(crate) fn new(
        network: Arc<dyn Network>,
        to: Destination,
        tls: Option<Arc<ClientConfig>>,
        bootstrap: Resolver,
    ) -> Self {
        Self { network, to, tls, bootstrap, resolving: AtomicUsize::new(0) }
    }

    /// Whether the name of the server is being resolved.
    pub(crate) fn is_resolving(&self) -> bool {
        self.resolving.load(Ordering::Relaxed) > 0
    }

    pub(super) async fn connect(&self) -> Result<Connected, ServerError> {
        let stream = self.open().await?;
        let Some(tls) = &self.tls else { return Ok(Connected { stream, is_http2: false }) };
        let name = server_name(&self.to.target.host)?;
        let stream = TlsConnector::from(tls.clone()).connect(name, stream).await?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok(Connected { stream: Box::new(stream), is_http2 })
    }

    async fn open(&self) -> Result<Box<dyn Stream>, ServerError> {
        let mut failure = None;
        let destinations = self.destinations().await?;
        let is_only = destinations.len() == 1;
        for to in destinations {
            let opening = self.network.stream(&to);
            let opened = if is_only { Ok(opening.await) } else { timeout(ADDRESS_TIMEOUT, opening).await };
            match opened {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => failure = Some(error),
                Err(_elapsed) => failure = Some(io::ErrorKind::TimedOut.into()),
            }
        }
        Err(failure.unwrap_or_else(|| io::ErrorKind::NotFound.into()).into())
    }

    /// A socket for datagrams, or `None` if there are none by this way. `turn` is which attempt this
    /// is: each goes to the next address of the server.
    pub(super) async fn datagrams(&self, turn: usize) -> Result<Option<Box<dyn Datagrams>>, ServerError> {
        let destinations = self.destinations().await?;
        let to = destinations.get(turn % destinations.len().max(1)).unwrap_or(&self.to);
        Ok(self.network.datagrams(to).await?)
    }

    /// The server by its addresses; by a way through the rules, whoever carries the query finds them.
    async fn destinations(&self) -> Result<Vec<Destination>, ServerError> {
        let Destination { target: Target { host: Host::Domain(name), port }, way: Way::Direct, .. } =
            &self.to
        else {
            return Ok(vec![self.to.clone()]);
        };
        let _resolving = Resolving::new(&self.resolving);
        let found = self.bootstrap.resolve(name, Family::Any).await;
        let found = found.map_err(|error| ServerError::Bootstrap(Box::new(error)))?;
        let at = |ip| Destination { target: SocketAddr::new(ip, *port).into(), ..self.to.clone() };
        Ok(found.into_iter().take(MAX_ADDRESSES).map(at).collect())
    }
}

/// Counts whoever resolves the name of a server, as long as it does.
struct Resolving<'a>(&'a AtomicUsize);

impl<'a> Resolving<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Resolving<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn server_name(host: &Host) -> io::Result<ServerName<'static>> {
    match host {
        Host::Ip(address) => Ok(ServerName::IpAddress(IpAddr::from(*address))),
        Host::Domain(name) => ServerName::try_from(name.as_str().to_owned())
            .map_err(|_not_valid| io::Error::from(io::ErrorKind::InvalidInput)),
    }
}
