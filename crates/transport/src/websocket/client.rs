use std::sync::Arc;

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use tokio::io::AsyncWriteExt;

use super::{MAX_EARLY_DATA_BYTES, accept_of, early::EarlyStream, frame::Role, stream::WebSocketStream};
use crate::{
    Io, IoStream, Moment, SetupError, TransportError,
    http1::{Head, RequestTemplate},
    io::Prefixed,
};

/// How a client asks for a WebSocket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebSocketClient {
    /// The path to ask for, with a query if it has one.
    pub path: String,
    /// The `Host` header; else the name of the server in TLS, else its address.
    pub host: Option<String>,
    /// More headers. `Host` among them is used if `host` is not given.
    pub headers: Vec<(String, String)>,
    /// Sends the first bytes within the request.
    pub early_data: Option<EarlyData>,
}

/// How the first bytes of a stream go within the request, which saves a round trip.
///
/// The request then waits for the first bytes that are written, or for a read or flush without any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlyData {
    /// The most bytes to send so; 8 KiB at most, more is taken for 8 KiB.
    pub max_bytes: usize,
    /// The header that carries them in base64url. `None`: the end of the path does.
    pub header: Option<String>,
}

impl EarlyData {
    pub(super) fn limit(&self) -> usize {
        self.max_bytes.min(MAX_EARLY_DATA_BYTES)
    }

    pub(super) fn check(&self) -> Result<(), SetupError> {
        match &self.header {
            Some(name) if http::HeaderName::from_bytes(name.as_bytes()).is_err() => {
                Err(SetupError::Header { name: name.as_str().into() })
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// Opens WebSockets.
#[derive(Debug, Clone)]
pub(crate) struct WebSocketConnector {
    template: Arc<RequestTemplate>,
    early_data: Option<EarlyData>,
}

impl WebSocketConnector {
    pub(crate) fn try_new(options: &WebSocketClient) -> Result<Self, SetupError> {
        let template = RequestTemplate::try_new(&options.path, options.host.as_deref(), &options.headers)?;
        let early_data = options.early_data.clone().filter(|early| early.max_bytes > 0);
        early_data.as_ref().map_or(Ok(()), EarlyData::check)?;
        Ok(Self { template: Arc::new(template), early_data })
    }

    /// `authority` is the host if the options give none.
    pub(crate) async fn open<S: Io>(&self, stream: S, authority: String) -> Result<IoStream, TransportError> {
        match &self.early_data {
            None => shake_hands(stream, &self.template, &authority, None).await,
            Some(early) => {
                let (template, early) = (self.template.clone(), early.clone());
                let limit = early.limit();
                Ok(Box::new(EarlyStream::new(limit, move |first: Vec<u8>| async move {
                    shake_hands(stream, &template, &authority, Some((&early, &first))).await
                })))
            }
        }
    }
}

async fn shake_hands<S: Io>(
    mut stream: S,
    template: &RequestTemplate,
    authority: &str,
    early: Option<(&EarlyData, &[u8])>,
) -> Result<IoStream, TransportError> {
    let key = BASE64_STANDARD.encode(random_nonce());
    let mut added = vec![
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", key.as_str()),
    ];
    let encoded = early.map(|(_, first)| BASE64_URL_SAFE_NO_PAD.encode(first)).unwrap_or_default();
    let mut suffix = "";
    if !encoded.is_empty() {
        match early.and_then(|(early, _)| early.header.as_deref()) {
            Some(name) => added.push((name, &encoded)),
            None => suffix = &encoded,
        }
    }
    let request = template.render(authority, suffix, &added);
    let failed = |error: std::io::Error| TransportError::during(Moment::HttpHandshake, &error);
    stream.write_all(&request).await.map_err(failed)?;
    stream.flush().await.map_err(failed)?;
    let head = Head::read(&mut stream, b"HTTP/1.").await?;
    let response = head.response()?;
    if response.status != 101 {
        return Err(TransportError::WebSocketRefused { status: response.status });
    }
    if !response.upgrades || response.accept.as_deref() != Some(&accept_of(&key)) {
        return Err(TransportError::BrokenHttp {
            problem: "the answer does not fit the request for a WebSocket",
        });
    }
    let rest = head.into_rest();
    Ok(if rest.is_empty() {
        Box::new(WebSocketStream::new(stream, Role::Client))
    } else {
        Box::new(WebSocketStream::new(Prefixed::new(rest, stream), Role::Client))
    })
}

/// RFC 6455 §4.1: 16 random bytes.
#[expect(clippy::disallowed_methods, reason = "a nonce is random and says nothing")]
fn random_nonce() -> [u8; 16] {
    let mut nonce = [0; 16];
    rand::Rng::fill_bytes(&mut rand::rng(), &mut nonce);
    nonce
}
