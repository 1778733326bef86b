//! Fetching a set through the proxy itself (RFC 9110, RFC 9111 §4.3).

use std::{sync::Arc, time::Duration};

use http_body_util::{BodyExt as _, Empty};
use hyper::{
    Request, Response, StatusCode,
    body::{Body as _, Bytes, Incoming},
    client::conn::http1,
    header::{
        ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, ETAG, HOST, HeaderMap, HeaderName, IF_MODIFIED_SINCE,
        IF_NONE_MATCH, LAST_MODIFIED, LOCATION, USER_AGENT,
    },
};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::UnixStream,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use waypost_config::model::ProbeUrl;
use waypost_net::{Detour, Flow, Host, Network, Tag, Target};

use super::{
    content::MAX_SET_BYTES,
    redirect::{RedirectError, follow},
    store::Meta,
};
use crate::{
    Terms,
    dispatch::internal::{self, InternalError},
    installed::Held,
    probe::host_header,
    shared::Shared,
};

/// How long it may take until an answer begins, and how long nothing may come after that.
const STALL_LIMIT: Duration = Duration::from_secs(30);
/// How long everything may take.
const FETCH_LIMIT: Duration = Duration::from_secs(5 * 60);
const MAX_REDIRECTS: usize = 10;

/// What a server has answered.
#[derive(Debug)]
pub(crate) enum Fetched {
    /// The set is the same.
    Unchanged,
    /// The set, with what is to be asked the next time.
    Body {
        /// As it came.
        bytes: Vec<u8>,
        /// `ETag`.
        etag: Option<Box<str>>,
        /// `Last-Modified`.
        last_modified: Option<Box<str>>,
    },
}

/// Why a set could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// The proxy has no connection to the server.
    #[error("the server cannot be reached")]
    Connect(#[from] InternalError),
    /// There is no TLS with the server.
    #[error("TLS failed")]
    Tls(#[source] std::io::Error),
    /// The name of the server is not valid in TLS.
    #[error("the name of the server is not valid in TLS")]
    Name,
    /// The URL makes no request.
    #[error("the URL makes no request")]
    Request(#[from] hyper::http::Error),
    /// The answer is no HTTP, or breaks off.
    #[error("there was no whole HTTP answer")]
    Http(#[from] hyper::Error),
    /// The server has no set here.
    #[error("the status is {0}, expected 200 or 304")]
    Status(StatusCode),
    /// A redirect cannot be followed.
    #[error(transparent)]
    Redirect(#[from] RedirectError),
    /// There is no end to redirects.
    #[error("more than {MAX_REDIRECTS} redirects")]
    TooManyRedirects,
    /// The body is packed, which nobody asked for.
    #[error("the answer is packed, though that was not asked for")]
    Packed,
    /// The body is too large.
    #[error("the answer has more than {MAX_SET_BYTES} bytes")]
    TooLarge,
    /// Nothing came.
    #[error("nothing came for {} seconds", STALL_LIMIT.as_secs())]
    Stalled,
    /// It took too long.
    #[error("it took more than {} seconds", FETCH_LIMIT.as_secs())]
    TooSlow,
}

/// How sets are fetched.
#[derive(Debug, Clone)]
pub(crate) struct Fetcher {
    /// What carries the connections.
    pub(crate) held: Held,
    /// The outbound that carries them, if the rules do not decide about it.
    pub(crate) detour: Option<Tag>,
    /// TLS for `https`.
    pub(crate) tls: Arc<ClientConfig>,
}

impl Fetcher {
    /// Fetches a set, unless it is the one that `known` tells of.
    ///
    /// # Errors
    ///
    /// See [`FetchError`]; what came so far is thrown away.
    pub(crate) async fn fetch(&self, url: &ProbeUrl, known: Option<&Meta>) -> Result<Fetched, FetchError> {
        let fetching = self.follow_redirects(url, known);
        timeout(FETCH_LIMIT, fetching).await.map_err(|_elapsed| FetchError::TooSlow)?
    }

    async fn follow_redirects(&self, url: &ProbeUrl, known: Option<&Meta>) -> Result<Fetched, FetchError> {
        let mut url = url.clone();
        for _redirect in 0..=MAX_REDIRECTS {
            // The connection ends with its driver.
            let mut driver = JoinSet::new();
            let asking = self.ask(&url, known, &mut driver);
            let response = timeout(STALL_LIMIT, asking).await.map_err(|_elapsed| FetchError::Stalled)??;
            match response.status() {
                StatusCode::OK => return read(response).await,
                StatusCode::NOT_MODIFIED if known.is_some() => return Ok(Fetched::Unchanged),
                StatusCode::MOVED_PERMANENTLY
                | StatusCode::FOUND
                | StatusCode::SEE_OTHER
                | StatusCode::TEMPORARY_REDIRECT
                | StatusCode::PERMANENT_REDIRECT => {
                    let location = text(response.headers(), LOCATION).ok_or(RedirectError::NoLocation)?;
                    url = follow(&url, &location)?;
                }
                status => return Err(FetchError::Status(status)),
            }
        }
        Err(FetchError::TooManyRedirects)
    }

    async fn ask(
        &self,
        url: &ProbeUrl,
        known: Option<&Meta>,
        driver: &mut JoinSet<Result<(), hyper::Error>>,
    ) -> Result<Response<Incoming>, FetchError> {
        let request = request(url, known)?;
        let stream = self.connect(&url.target).await?;
        if !url.https {
            return exchange(stream, request, driver).await;
        }
        let name = match &url.target.host {
            Host::Ip(address) => ServerName::IpAddress((*address).into()),
            Host::Domain(name) => {
                ServerName::try_from(name.as_str().to_owned()).map_err(|_invalid| FetchError::Name)?
            }
        };
        let connecting = TlsConnector::from(self.tls.clone()).connect(name, stream);
        exchange(connecting.await.map_err(FetchError::Tls)?, request, driver).await
    }

    async fn connect(&self, target: &Target) -> Result<UnixStream, InternalError> {
        let snapshot = self.held.snapshot();
        let shared = Shared { core: &self.held.core, snapshot: &snapshot };
        let detour = self.detour.clone().map(Detour::Outbound);
        let flow = Flow { detour, ..Flow::new(Network::Tcp, target.clone()) };
        internal::connect(shared, flow, Arc::new(Terms::default())).await
    }
}

fn request(url: &ProbeUrl, known: Option<&Meta>) -> Result<Request<Empty<Bytes>>, hyper::http::Error> {
    let mut request = Request::get(&*url.path)
        .header(HOST, &*host_header(url))
        .header(USER_AGENT, concat!("waypost/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT_ENCODING, "identity")
        .header(CONNECTION, "close");
    // RFC 9110 §13.1.3: the date is ignored where there is a tag.
    request = match known {
        Some(Meta { etag: Some(etag), .. }) => request.header(IF_NONE_MATCH, &**etag),
        Some(Meta { last_modified: Some(date), .. }) => request.header(IF_MODIFIED_SINCE, &**date),
        Some(Meta { etag: None, last_modified: None, .. }) | None => request,
    };
    request.body(Empty::new())
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Empty<Bytes>>,
    driver: &mut JoinSet<Result<(), hyper::Error>>,
) -> Result<Response<Incoming>, FetchError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    driver.spawn(connection);
    Ok(sender.send_request(request).await?)
}

async fn read(response: Response<Incoming>) -> Result<Fetched, FetchError> {
    let (etag, last_modified) = (text(response.headers(), ETAG), text(response.headers(), LAST_MODIFIED));
    let coding = text(response.headers(), CONTENT_ENCODING);
    if coding.is_some_and(|coding| !coding.eq_ignore_ascii_case("identity")) {
        return Err(FetchError::Packed);
    }
    let mut body = response.into_body();
    if body.size_hint().lower() > MAX_SET_BYTES as u64 {
        return Err(FetchError::TooLarge);
    }
    let mut bytes = Vec::new();
    while let Some(frame) =
        timeout(STALL_LIMIT, body.frame()).await.map_err(|_elapsed| FetchError::Stalled)?
    {
        // Trailers say nothing about a set.
        let Ok(data) = frame?.into_data() else { continue };
        if bytes.len() + data.len() > MAX_SET_BYTES {
            return Err(FetchError::TooLarge);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Fetched::Body { bytes, etag, last_modified })
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<Box<str>> {
    headers.get(name)?.to_str().ok().map(Into::into)
}
