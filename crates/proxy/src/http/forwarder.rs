//! Takes one request of a client to its origin server, and the response back.

use std::{borrow::Cow, convert::Infallible, sync::Arc};

use hyper::{
    Request, Response, StatusCode, Uri, Version,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, EXPECT, HOST, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, UPGRADE},
    upgrade,
};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tracing::debug;
use waypost_net::{Flow, Network};
use waypost_wire::{AbsoluteUri, BASIC_CHALLENGE, DialFailure, ServerError};

use super::{
    body::{Content, RequestBody, ResponseBody},
    exchange::{Exchange, Switched},
    headers,
    origins::{Origins, Way},
};
use crate::{
    Ends, HandshakeSettings, Stream,
    chain::Chain,
    dispatch::{decide, internal::InternalError},
    first_bytes::FirstBytes,
    inbound::Inbound,
    shared::{Core, Shared},
};

/// Forwards the requests of one client.
pub(super) struct Forwarder<'a> {
    core: Arc<Core>,
    inbound: &'a Inbound,
    settings: &'a HandshakeSettings,
    ends: Ends,
    exchange: Exchange,
    origins: Origins,
}

/// Why a request has no response of its origin server.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// It is none for a proxy, or comes from nobody who is known.
    #[error(transparent)]
    Request(#[from] ServerError),
    /// There is no connection.
    #[error(transparent)]
    Connection(#[from] InternalError),
    /// The connection broke, or what came is no HTTP.
    #[error("no response")]
    Origin(#[source] hyper::Error),
    /// The origin server switched to another protocol, and nobody had asked it to.
    #[error("the origin server switched protocols by itself")]
    Switched,
    /// A URI has come apart. One that was read can be written.
    #[error("the uri cannot be written")]
    Uri(#[from] hyper::http::uri::InvalidUri),
    /// As for URIs.
    #[error("the host cannot be written")]
    Host(#[from] hyper::header::InvalidHeaderValue),
}

impl<'a> Forwarder<'a> {
    pub(super) fn new(
        core: Arc<Core>,
        (inbound, settings): (&'a Inbound, &'a HandshakeSettings),
        ends: Ends,
        exchange: Exchange,
    ) -> Self {
        Self { core, inbound, settings, ends, exchange, origins: Origins::default() }
    }

    /// Forwards a request. There is a response in any case.
    pub(super) async fn forward(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<ResponseBody>, Infallible> {
        let under_way = self.exchange.begin();
        self.exchange.reset_upgrade();
        let may_upgrade = request.headers().contains_key(UPGRADE);
        let response = match self.exchange_with_origin(request).await {
            Ok(response) => response.map(Content::Origin),
            Err(failure) => {
                let inbound = self.inbound.tag.as_deref();
                debug!(inbound, source = ?self.ends.source, error = %Chain(&failure), "request not forwarded");
                failure.response()
            }
        };
        if may_upgrade && response.status() != StatusCode::SWITCHING_PROTOCOLS {
            self.exchange.decline_upgrade();
        }
        Ok(response.map(|content| ResponseBody { content, _under_way: under_way }))
    }

    async fn exchange_with_origin(&self, request: Request<Incoming>) -> Result<Response<Incoming>, Failure> {
        let given = request.headers().get_all(PROXY_AUTHORIZATION).iter();
        let user = self.settings.accounts.proxy_user(given.map(HeaderValue::as_bytes))?;
        let uri = AbsoluteUri::parse(&request.uri().to_string())?;
        let mut request = RequestBody::take(request);
        let wishes = headers::strip(request.headers_mut());
        let flow = Flow {
            source: self.ends.source,
            local: self.ends.local,
            inbound: self.inbound.tag.clone(),
            user,
            protocol: Some(Cow::Borrowed("http/1.1")),
            attributes: headers::attributes(request.method(), &uri, request.headers()),
            ..Flow::new(Network::Tcp, uri.target.clone())
        };
        let upgrades = wishes.upgrade.is_some();
        headers::ask(request.headers_mut(), wishes);
        request.headers_mut().insert(HOST, HeaderValue::from_str(&uri.host())?);
        *request.uri_mut() = uri.path.parse::<Uri>()?;
        *request.version_mut() = Version::HTTP_11;
        if request.headers().contains_key(EXPECT) {
            RequestBody::await_continue(&mut request);
        }
        let mut response = self.send(flow, request).await?;
        let switched = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if switched {
            if !upgrades {
                return Err(Failure::Switched);
            }
            self.switch(&mut response).await?;
        }
        let mut wishes = headers::strip(response.headers_mut());
        wishes.upgrade = wishes.upgrade.filter(|_| switched);
        headers::ask(response.headers_mut(), wishes);
        Ok(response)
    }

    /// Decides by the rules of this moment, and sends.
    async fn send(&self, flow: Flow, request: Request<RequestBody>) -> Result<Response<Incoming>, Failure> {
        let snapshot = self.core.snapshot.load_full();
        let decided = decide(&snapshot, &mut flow.clone(), &mut FirstBytes::Nowhere).await;
        // Whoever dials meets the same failure, and tells it.
        let rule = decided.ok().and_then(|decision| decision.rule).map(waypost_router::Rule::index);
        let way =
            Way { target: flow.target.clone(), user: flow.user.clone(), snapshot: snapshot.clone(), rule };
        let shared = Shared { core: &self.core, snapshot: &snapshot };
        self.origins.send(shared, way, flow, &self.inbound.terms, request).await
    }

    /// Takes the origin server's connection out of HTTP.
    async fn switch(&self, response: &mut Response<Incoming>) -> Result<(), Failure> {
        let upgraded = upgrade::on(response).await.map_err(Failure::Origin)?;
        let parts = upgraded.downcast::<TokioIo<UnixStream>>().map_err(|_other| Failure::Switched)?;
        let stream = Stream::Unix(parts.io.into_inner());
        self.exchange.switch(Switched { stream, rest: parts.read_buf.into() });
        Ok(())
    }
}

impl Failure {
    fn response(&self) -> Response<Content> {
        let (status, text) = match self {
            Self::Request(ServerError::CredentialsMissing | ServerError::CredentialsRejected) => {
                ("407", "This proxy wants a user name and a password.")
            }
            Self::Request(_) | Self::Uri(_) | Self::Host(_) => ("400", "The request is malformed."),
            Self::Connection(InternalError::Refused(failure)) => failure.http(),
            Self::Connection(InternalError::Socket(_)) => DialFailure::Unavailable.http(),
            Self::Origin(_) => DialFailure::General.http(),
            Self::Switched => ("502", "The target switched protocols by itself."),
        };
        let mut response = Response::new(Content::Text(Some(Bytes::from(format!("{text}\n")))));
        let digits = status.as_bytes().get(..3).unwrap_or_default();
        *response.status_mut() = StatusCode::from_bytes(digits).unwrap_or(StatusCode::BAD_GATEWAY);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if status == "407" {
            headers.insert(PROXY_AUTHENTICATE, HeaderValue::from_static(BASIC_CHALLENGE));
        }
        response
    }
}
