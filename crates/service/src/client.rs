//! Asking the control interface of a program that runs.

use std::{fmt, io, path::PathBuf, str::FromStr, time::Duration};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Method, Request, StatusCode,
    body::Bytes,
    client::conn::http1,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::timeout,
};
use waypost_net::Secret;

/// Reading and compiling a large configuration takes some seconds on a small router.
const LIMIT: Duration = Duration::from_secs(120);
/// More than any explanation or list of problems has.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// Where a control interface is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoteAddress {
    /// At a host and port.
    Tcp(String),
    /// At a path.
    Unix(PathBuf),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// That is no address.
    #[error(
        "`{text}` is no address of a control interface: write one such as `http://127.0.0.1:9090` or `/run/waypost.sock`"
    )]
    Address {
        /// What was given.
        text: String,
    },
    /// Nobody answers there.
    #[error("no control interface answers at {address}")]
    Connect {
        /// Where.
        address: RemoteAddress,
        /// What the system says.
        source: io::Error,
    },
    /// The answer is none of HTTP.
    #[error("what answers at {address} is no control interface")]
    Http {
        /// Where.
        address: RemoteAddress,
        /// What is wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There was no answer in time.
    #[error("no answer from {address} within {LIMIT:?}")]
    Timeout {
        /// Where.
        address: RemoteAddress,
    },
    /// The secret is another one.
    #[error(
        "the control interface at {address} wants another secret: give it by `--secret` or in `WAYPOST_SECRET`"
    )]
    Unauthorized {
        /// Where.
        address: RemoteAddress,
    },
}

impl FromStr for RemoteAddress {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        let path = text.strip_prefix("unix:").or_else(|| text.starts_with(['/', '.']).then_some(text));
        if let Some(path) = path.filter(|path| !path.is_empty()) {
            return Ok(Self::Unix(path.into()));
        }
        let authority = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        let has_port = authority.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok()
        });
        if has_port {
            Ok(Self::Tcp(authority.to_owned()))
        } else {
            Err(ClientError::Address { text: text.to_owned() })
        }
    }
}

impl fmt::Display for RemoteAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(authority) => write!(f, "http://{authority}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Sends a request with a JSON body; yields the status and the body of the answer.
///
/// # Errors
///
/// See [`ClientError`].
pub(crate) async fn ask(
    address: &RemoteAddress,
    secret: Option<&Secret>,
    (method, path): (Method, &str),
    body: String,
) -> Result<(StatusCode, Bytes), ClientError> {
    let host = match address {
        RemoteAddress::Tcp(authority) => authority.as_str(),
        RemoteAddress::Unix(_) => "localhost",
    };
    let http = |source: Box<dyn std::error::Error + Send + Sync>| ClientError::Http {
        address: address.clone(),
        source,
    };
    let mut request = Request::builder().method(method).uri(path).header(HOST, host);
    if let Some(secret) = secret {
        request = request.header(AUTHORIZATION, format!("Bearer {}", secret.expose()));
    }
    let request = request.header(CONTENT_TYPE, "application/json").body(Full::new(Bytes::from(body)));
    let request = request.map_err(|error| http(error.into()))?;
    let connect = |source| ClientError::Connect { address: address.clone(), source };
    let asking = async {
        match address {
            RemoteAddress::Tcp(authority) => {
                exchange(TcpStream::connect(authority).await.map_err(connect)?, request).await.map_err(http)
            }
            RemoteAddress::Unix(path) => {
                exchange(UnixStream::connect(path).await.map_err(connect)?, request).await.map_err(http)
            }
        }
    };
    let answer = timeout(LIMIT, asking).await;
    let (status, body) = answer.map_err(|_elapsed| ClientError::Timeout { address: address.clone() })??;
    if status == StatusCode::UNAUTHORIZED {
        return Err(ClientError::Unauthorized { address: address.clone() });
    }
    Ok((status, body))
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await?.to_bytes();
    driver.abort();
    Ok((status, body))
}
