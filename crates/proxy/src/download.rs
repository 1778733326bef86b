//! Fetching one file past the proxy, for commands.

use std::time::Duration;

use http_body_util::{BodyExt as _, Empty};
use hyper::{
    Request, Response, StatusCode,
    body::{Body as _, Bytes, Incoming},
    client::conn::http1,
    header::{ACCEPT_ENCODING, CONNECTION, HOST, LOCATION, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use waypost_config::model::ProbeUrl;
use waypost_net::Host;

use crate::{
    probe::{default_tls, host_header},
    rule_sets::{RedirectError, follow},
};

/// How much a download may take.
#[derive(Debug, Clone, Copy)]
pub struct DownloadLimits {
    /// All redirects together.
    pub time: Duration,
    /// The bytes of the answer.
    pub bytes: usize,
    /// How many redirects are followed.
    pub redirects: usize,
}

/// Why a file could not be fetched. Nothing here shows the URL, which may be a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DownloadError {
    /// There is no connection to the server.
    #[error("the server cannot be reached: {0}")]
    Connect(std::io::Error),
    /// TLS cannot be spoken at all.
    #[error("TLS cannot be set up: {0}")]
    Setup(rustls::Error),
    /// There is no TLS with the server.
    #[error("TLS failed: {0}")]
    Tls(std::io::Error),
    /// The name of the server is not valid in TLS.
    #[error("the name of the server is not valid in TLS")]
    Name,
    /// The URL makes no request.
    #[error("the URL makes no request")]
    Request(#[source] hyper::http::Error),
    /// The answer is no HTTP, or breaks off.
    #[error("there was no whole HTTP answer: {0}")]
    Http(#[from] hyper::Error),
    /// The server does not give the file.
    #[error("the server answers with the status {0}")]
    Status(StatusCode),
    /// A redirect cannot be followed.
    #[error("the server answers with {0}")]
    Redirect(#[from] RedirectError),
    /// There is no end to redirects.
    #[error("there are more than {0} redirects")]
    TooManyRedirects(usize),
    /// The body is too large.
    #[error("the answer has more than {0} bytes")]
    TooLarge(usize),
    /// It took too long.
    #[error("it took more than {} seconds", .0.as_secs())]
    TooSlow(Duration),
}

/// Fetches a file from this machine, with the authorities that browsers trust.
///
/// # Errors
///
/// See [`DownloadError`]; what came so far is thrown away.
pub async fn download(url: &ProbeUrl, limits: DownloadLimits) -> Result<Vec<u8>, DownloadError> {
    let fetching = follow_redirects(url, limits);
    timeout(limits.time, fetching).await.map_err(|_elapsed| DownloadError::TooSlow(limits.time))?
}

async fn follow_redirects(url: &ProbeUrl, limits: DownloadLimits) -> Result<Vec<u8>, DownloadError> {
    let mut url = url.clone();
    for _redirect in 0..=limits.redirects {
        // The connection ends with its driver.
        let mut driver = JoinSet::new();
        let response = ask(&url, &mut driver).await?;
        match response.status() {
            StatusCode::OK => return read(response, limits.bytes).await,
            StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT => {
                let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
                url = follow(&url, location.ok_or(RedirectError::NoLocation)?)?;
            }
            status => return Err(DownloadError::Status(status)),
        }
    }
    Err(DownloadError::TooManyRedirects(limits.redirects))
}

async fn ask(
    url: &ProbeUrl,
    driver: &mut JoinSet<Result<(), hyper::Error>>,
) -> Result<Response<Incoming>, DownloadError> {
    let request = Request::get(&*url.path)
        .header(HOST, &*host_header(url))
        .header(USER_AGENT, concat!("waypost/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT_ENCODING, "identity")
        .header(CONNECTION, "close")
        .body(Empty::new())
        .map_err(DownloadError::Request)?;
    let port = url.target.port;
    let connecting = match &url.target.host {
        Host::Ip(address) => TcpStream::connect((*address, port)).await,
        Host::Domain(name) => TcpStream::connect((name.as_str(), port)).await,
    };
    let stream = connecting.map_err(DownloadError::Connect)?;
    if !url.https {
        return exchange(stream, request, driver).await;
    }
    let name = match &url.target.host {
        Host::Ip(address) => ServerName::IpAddress((*address).into()),
        Host::Domain(name) => {
            ServerName::try_from(name.as_str().to_owned()).map_err(|_invalid| DownloadError::Name)?
        }
    };
    let tls = TlsConnector::from(default_tls().map_err(DownloadError::Setup)?);
    exchange(tls.connect(name, stream).await.map_err(DownloadError::Tls)?, request, driver).await
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Empty<Bytes>>,
    driver: &mut JoinSet<Result<(), hyper::Error>>,
) -> Result<Response<Incoming>, DownloadError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    driver.spawn(connection);
    Ok(sender.send_request(request).await?)
}

async fn read(response: Response<Incoming>, most: usize) -> Result<Vec<u8>, DownloadError> {
    let mut body = response.into_body();
    if body.size_hint().lower() > most as u64 {
        return Err(DownloadError::TooLarge(most));
    }
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        // Trailers say nothing about a file.
        let Ok(data) = frame?.into_data() else { continue };
        if bytes.len() + data.len() > most {
            return Err(DownloadError::TooLarge(most));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}
