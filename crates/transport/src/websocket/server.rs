use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use tokio::io::AsyncWriteExt;

use super::{EARLY_DATA_HEADER, accept_of, client::EarlyData, frame::Role, stream::WebSocketStream};
use crate::{
    Io, IoStream, Moment, SetupError, TransportError,
    http1::{Head, Request, Status, normalized_path, refuse},
    io::Prefixed,
};

/// Which requests for a WebSocket a server takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebSocketServer {
    /// The path that is served. A query in a request does not count, unless the path has one as well.
    pub path: String,
    /// The host that requests must be for; without it any is served.
    pub host: Option<String>,
    /// More headers for the answer.
    pub headers: Vec<(String, String)>,
    /// Takes the first bytes of a stream from the request: out of this header, or from behind the path.
    /// Without it a request that has some loses them.
    pub early_data: Option<EarlyData>,
}

/// Takes WebSockets.
#[derive(Debug)]
pub(crate) struct WebSocketAcceptor {
    path: String,
    host: Option<String>,
    headers: Vec<(String, String)>,
    early_data: Option<EarlyData>,
}

impl WebSocketAcceptor {
    pub(crate) fn try_new(options: &WebSocketServer) -> Result<Self, SetupError> {
        let early_data = options.early_data.clone().filter(|early| early.max_bytes > 0);
        early_data.as_ref().map_or(Ok(()), EarlyData::check)?;
        crate::http1::check_headers(&options.headers)?;
        Ok(Self {
            path: normalized_path(&options.path)?,
            host: options.host.clone().filter(|host| !host.is_empty()),
            headers: options.headers.clone(),
            early_data,
        })
    }

    pub(crate) async fn accept<S: Io>(&self, mut stream: S) -> Result<IoStream, TransportError> {
        let head = Head::read(&mut stream, b"").await?;
        let request = head.request()?;
        match self.answer(&request) {
            Err(error) => {
                refuse(&mut stream, Status::of(&error)).await;
                Err(error)
            }
            Ok((answer, early)) => {
                let failed = |error: std::io::Error| TransportError::during(Moment::HttpHandshake, &error);
                stream.write_all(answer.as_bytes()).await.map_err(failed)?;
                stream.flush().await.map_err(failed)?;
                let rest = head.into_rest();
                Ok(if rest.is_empty() {
                    Prefixed::boxed(early, WebSocketStream::new(stream, Role::Server))
                } else {
                    let stream = Prefixed::new(rest, stream);
                    Prefixed::boxed(early, WebSocketStream::new(stream, Role::Server))
                })
            }
        }
    }

    /// The answer, and the first bytes of the stream.
    fn answer(&self, request: &Request) -> Result<(String, Vec<u8>), TransportError> {
        let wrong = |problem| TransportError::WrongRequest { problem };
        request.check_host(self.host.as_deref())?;
        let early = self.early_data(request)?;
        if !request.is_get || !request.upgrades {
            return Err(wrong("a request that asks for no WebSocket"));
        }
        let key = request.header("sec-websocket-key");
        let key = key.ok_or_else(|| wrong("no `Sec-WebSocket-Key` (does the client speak HTTPUpgrade?)"))?;
        if request.header("sec-websocket-version") != Some("13") {
            return Err(wrong("a version of WebSocket other than 13"));
        }
        let mut answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n",
            accept_of(key)
        );
        // A browser closes the connection if its protocol is not taken.
        if let Some(protocol) =
            request.header(EARLY_DATA_HEADER).filter(|_| self.takes_early(EARLY_DATA_HEADER))
        {
            answer.push_str(&format!("{EARLY_DATA_HEADER}: {protocol}\r\n"));
        }
        for (name, value) in &self.headers {
            answer.push_str(&format!("{name}: {value}\r\n"));
        }
        answer.push_str("\r\n");
        Ok((answer, early))
    }

    fn takes_early(&self, header: &str) -> bool {
        let taken = self.early_data.as_ref().and_then(|early| early.header.as_deref());
        taken.is_some_and(|taken| taken.eq_ignore_ascii_case(header))
    }

    /// Checks the path, and takes early data out of the request.
    fn early_data(&self, request: &Request) -> Result<Vec<u8>, TransportError> {
        match &self.early_data {
            None => request.check_path(&self.path).map(|()| Vec::new()),
            Some(EarlyData { header: Some(name), .. }) => {
                request.check_path(&self.path)?;
                let encoded = request.header(name).unwrap_or_default();
                let broken = TransportError::WrongRequest { problem: "early data that is no base64url" };
                BASE64_URL_SAFE_NO_PAD.decode(url_safe(encoded)).map_err(|_not_base64| broken)
            }
            // What follows the path may be another path as well.
            Some(EarlyData { header: None, .. }) => {
                let encoded = request.target.strip_prefix(&self.path).ok_or_else(|| request.wrong_path())?;
                BASE64_URL_SAFE_NO_PAD.decode(encoded).map_err(|_not_base64| request.wrong_path())
            }
        }
    }
}

/// Some clients send ordinary base64, which Xray takes as well.
fn url_safe(text: &str) -> String {
    text.trim_end_matches('=').replace('+', "-").replace('/', "_")
}
