//! Asking a URL through a member, to see whether it works and how long it takes.

use std::{error::Error as _, io, pin::pin, sync::Arc, time::Duration};

use http_body_util::Empty;
use hyper::{
    Method, Request, StatusCode,
    body::Bytes,
    client::conn::http1,
    header::{CONNECTION, HOST, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    crypto::ring,
    pki_types::{IpAddr, ServerName},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, timeout_at},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use waypost_config::model::ProbeUrl;
use waypost_dns::Resolver;
use waypost_net::{Host, Target};

use crate::{DialError, Dialer, Stream, chain::Chain};

/// A response head that needs more is none of a health check.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// What a probe asks, and what it expects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProbeTarget {
    /// Whether to speak TLS.
    pub(crate) https: bool,
    /// Who is asked.
    pub(crate) target: Target,
    /// The path and query, from the slash on.
    pub(crate) path: Box<str>,
    /// The value of the `Host` header.
    pub(crate) host_header: Box<str>,
    /// The method.
    pub(crate) method: ProbeMethod,
    /// The status codes that will do, as closed ranges; none for any.
    pub(crate) expected: Box<[(u16, u16)]>,
}

impl ProbeTarget {
    /// What is asked, as a URL.
    pub(crate) fn url(&self) -> Box<str> {
        let scheme = if self.https { "https" } else { "http" };
        format!("{scheme}://{}{}", self.host_header, self.path).into()
    }
}

/// The method of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProbeMethod {
    Head,
    Get,
}

/// Why a probe failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeError {
    /// The member did not connect.
    #[error("the member did not connect")]
    Dial(#[source] DialError),
    /// Something came through the member before anything was asked.
    #[error("something came before anything was asked")]
    SpokeFirst,
    /// TLS failed: the certificate is not good, or the other end speaks something else.
    #[error("TLS failed")]
    Tls(#[source] rustls::Error),
    /// The connection was lost in the TLS handshake.
    #[error("the connection was lost in the TLS handshake: {kind}")]
    TlsLost {
        /// What the system says.
        kind: io::ErrorKind,
        /// What a protocol on the way to the member says.
        fault: Option<Box<str>>,
    },
    /// The request cannot be made of the path and host that are configured.
    #[error("`{path}` on `{host}` makes no request: use a URL such as `https://example.com/path`")]
    Request {
        /// The path.
        path: Box<str>,
        /// The value of the `Host` header.
        host: Box<str>,
        /// What is wrong.
        source: hyper::http::Error,
    },
    /// There was no proper HTTP answer.
    #[error("there was no HTTP answer")]
    Http(#[source] hyper::Error),
    /// The answer has a status that is not expected.
    #[error("the status is {found}, which is not among those expected")]
    Status {
        /// The status.
        found: u16,
    },
    /// The time was up.
    #[error("no answer within {limit:?}: {phase}")]
    Timeout {
        /// What was being done.
        phase: ProbePhase,
        /// How much time there was.
        limit: Duration,
    },
}

impl ProbeError {
    /// What is wrong with the member, in the words that a connection through it would be told in.
    pub(crate) fn reason(&self) -> String {
        let told = match self {
            Self::Dial(error) => Some(Chain(error).to_string()),
            Self::Http(error) => error.source().and_then(|source| fault(source.downcast_ref()?)),
            Self::TlsLost { fault, .. } => fault.as_deref().map(str::to_owned),
            Self::SpokeFirst
            | Self::Tls(_)
            | Self::Request { .. }
            | Self::Status { .. }
            | Self::Timeout { .. } => None,
        };
        told.unwrap_or_else(|| Chain(self).to_string())
    }
}

/// What a protocol on the way to a member says of a failure.
fn fault(error: &io::Error) -> Option<String> {
    error.get_ref().map(ToString::to_string)
}

/// What a probe does, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProbePhase {
    /// Looking up a name.
    Resolve,
    /// Connecting to the member, or to the target itself.
    Connect,
    /// The handshake with the member, which covers its connecting to the target.
    Handshake,
    /// The TLS handshake with the target.
    Tls,
    /// The request, until the head of the response.
    Http,
}

impl std::fmt::Display for ProbePhase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Resolve => "the name was not resolved",
            Self::Connect => "nobody accepted the connection",
            Self::Handshake => "the proxy did not finish its handshake",
            Self::Tls => "the target did not finish the TLS handshake",
            Self::Http => "the target did not answer the request",
        })
    }
}

/// TLS as probes need it: the roots of Mozilla, and a full handshake each time, so that delays can be
/// compared and nobody can tell that two members have the same user.
///
/// # Errors
///
/// If the TLS library lacks a version of TLS that it supports by default.
pub(crate) fn default_tls() -> Result<Arc<ClientConfig>, rustls::Error> {
    tls_trusting(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })
}

/// TLS for probes that trust these roots.
fn tls_trusting(roots: RootCertStore) -> Result<Arc<ClientConfig>, rustls::Error> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Makes one HTTP/1.1 request through `dialer`; yields the time from the start of the dial to the head
/// of the response. Redirects are not followed, and the body is left alone.
///
/// # Errors
///
/// See [`ProbeError`].
pub(crate) async fn probe(
    dialer: &Dialer,
    spec: &ProbeTarget,
    tls: &Arc<ClientConfig>,
    resolver: &Resolver,
    limit: Duration,
) -> Result<Duration, ProbeError> {
    let request = request(spec)?;
    let start = Instant::now();
    let deadline = start + limit;
    let too_late = |phase| ProbeError::Timeout { phase, limit };

    let dialed = dialer.dial(&spec.target, &[], resolver, deadline).await;
    let dialed = dialed.map_err(|error| match timed_out_in(&error) {
        Some(phase) => too_late(phase),
        None => ProbeError::Dial(error),
    })?;
    if !dialed.rest.is_empty() {
        return Err(ProbeError::SpokeFirst);
    }
    let status = if spec.https {
        let connecting = connect_tls(dialed.stream, &spec.target.host, tls);
        let stream =
            timeout_at(deadline, connecting).await.map_err(|_elapsed| too_late(ProbePhase::Tls))??;
        timeout_at(deadline, ask(stream, request)).await
    } else {
        timeout_at(deadline, ask(dialed.stream, request)).await
    };
    let status = status.map_err(|_elapsed| too_late(ProbePhase::Http))?.map_err(ProbeError::Http)?;
    let took = start.elapsed();

    let found = status.as_u16();
    let is_expected = |&(first, last): &(u16, u16)| (first..=last).contains(&found);
    if spec.expected.is_empty() || spec.expected.iter().any(is_expected) {
        Ok(took)
    } else {
        Err(ProbeError::Status { found })
    }
}

fn request(spec: &ProbeTarget) -> Result<Request<Empty<Bytes>>, ProbeError> {
    let method = match spec.method {
        ProbeMethod::Head => Method::HEAD,
        ProbeMethod::Get => Method::GET,
    };
    let request = Request::builder()
        .method(method)
        .uri(&*spec.path)
        .header(HOST, &*spec.host_header)
        .header(USER_AGENT, "waypost")
        .header(CONNECTION, "close")
        .body(Empty::new());
    request.map_err(|source| ProbeError::Request {
        path: spec.path.clone(),
        host: spec.host_header.clone(),
        source,
    })
}

/// The value of the `Host` header for a URL; the port is left out where it is the scheme's own
/// (RFC 9110 §7.2).
pub(crate) fn host_header(url: &ProbeUrl) -> Box<str> {
    let own = if url.https { 443 } else { 80 };
    let text = url.target.to_string();
    match text.strip_suffix(&format!(":{own}")) {
        Some(host) if url.target.port == own => host.into(),
        Some(_) | None => text.into(),
    }
}

/// In which phase a dial ran out of time, if that was its trouble.
fn timed_out_in(error: &DialError) -> Option<ProbePhase> {
    match error {
        DialError::ResolveTimeout => Some(ProbePhase::Resolve),
        DialError::ConnectTimeout { .. } => Some(ProbePhase::Connect),
        DialError::HandshakeTimeout { .. } => Some(ProbePhase::Handshake),
        DialError::Resolve(_)
        | DialError::NoAddress
        | DialError::Refused { .. }
        | DialError::NetworkUnreachable { .. }
        | DialError::HostUnreachable { .. }
        | DialError::Connect { .. }
        | DialError::Socket { .. }
        | DialError::Loopback { .. }
        | DialError::Lost { .. }
        | DialError::HandshakeClosed { .. }
        | DialError::CredentialsRejected { .. }
        | DialError::Proxy { .. }
        | DialError::Transport { .. }
        | DialError::Detour { .. }
        | DialError::NoDatagrams
        | DialError::NoRoom
        | DialError::TooLate { .. }
        | DialError::Blackholed { .. } => None,
    }
}

async fn connect_tls(
    stream: Stream,
    host: &Host,
    tls: &Arc<ClientConfig>,
) -> Result<TlsStream<Stream>, ProbeError> {
    let name = match host {
        Host::Ip(address) => ServerName::IpAddress(IpAddr::from(*address)),
        Host::Domain(name) => ServerName::try_from(name.as_str().to_owned()).map_err(|_invalid| {
            ProbeError::Tls(rustls::Error::General("the name is not valid in TLS".to_owned()))
        })?,
    };
    TlsConnector::from(tls.clone()).connect(name, stream).await.map_err(|error| {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(tls_error) => ProbeError::Tls(tls_error.clone()),
            None => ProbeError::TlsLost { kind: error.kind(), fault: fault(&error).map(Into::into) },
        }
    })
}

/// Sends the request and waits for the head of the response; the connection is closed then.
async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Empty<Bytes>>,
) -> Result<StatusCode, hyper::Error> {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_HEAD_BYTES);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    let mut connection = pin!(connection);
    let mut response = pin!(sender.send_request(request));
    let response = tokio::select! {
        biased;
        response = &mut response => response?,
        // It may have ended badly after the answer.
        ended = &mut connection => match (response.await, ended) {
            (Ok(response), _) => response,
            (Err(_), Err(error)) | (Err(error), Ok(())) => return Err(error),
        },
    };
    Ok(response.status())
}

#[cfg(test)]
mod tests;
