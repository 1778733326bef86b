//! As much of HTTP/1.1 (RFC 9112) as an upgrade takes, on either side.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};
use waypost_net::Target;

use crate::{FirstBytes, Io, Moment, SetupError, TransportError};

/// The longest head that is read; proxies and servers of this kind stop at 8 to 16 KiB.
pub(crate) const MAX_HEAD_BYTES: usize = 16 * 1024;
/// More headers than this are not read; browsers behind proxies send about 40.
const MAX_HEADERS: usize = 100;
/// A head is mostly one segment.
const READ_BYTES: usize = 2048;
/// Paths and hosts of others are cut in errors.
const MAX_SHOWN_CHARS: usize = 100;
/// How long a client that is turned away gets to read why.
const LINGER: Duration = Duration::from_secs(1);
/// How much a client that is turned away may still send.
const MAX_LINGER_BYTES: usize = 64 * 1024;
/// What Go's HTTP client says of itself, and so most clients of this kind; some front ends refuse those
/// that say nothing.
const USER_AGENT: &str = "Go-http-client/1.1";

/// A request that a client sends again and again, without what differs each time.
#[derive(Debug, Clone)]
pub(crate) struct RequestTemplate {
    path: String,
    /// `None`: the server as it is addressed.
    host: Option<String>,
    headers: Vec<(String, String)>,
}

impl RequestTemplate {
    /// Checks what comes from a configuration. A header `Host` counts as the host, if there is none.
    pub(crate) fn try_new(
        path: &str,
        host: Option<&str>,
        headers: &[(String, String)],
    ) -> Result<Self, SetupError> {
        check_headers(headers)?;
        let mut kept = Vec::new();
        let mut host = host.map(str::to_owned).filter(|host| !host.is_empty());
        for (name, value) in headers {
            if name.eq_ignore_ascii_case("host") {
                host = host.or_else(|| Some(value.clone()));
            } else if !is_reserved(name) {
                kept.push((name.clone(), value.clone()));
            }
        }
        if let Some(host) = &host
            && !host.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err(SetupError::RequestHost { host: host.as_str().into() });
        }
        if !kept.iter().any(|(name, _)| name.eq_ignore_ascii_case("user-agent")) {
            kept.push(("User-Agent".to_owned(), USER_AGENT.to_owned()));
        }
        Ok(Self { path: normalized_path(path)?, host, headers: kept })
    }

    /// Writes the request; `suffix` follows the path, and `added` come after the headers.
    pub(crate) fn render(&self, authority: &str, suffix: &str, added: &[(&str, &str)]) -> Vec<u8> {
        let Self { path, host, headers } = self;
        let host = host.as_deref().unwrap_or(authority);
        let mut text = format!("GET {path}{suffix} HTTP/1.1\r\nHost: {host}\r\n");
        let own = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let is_replaced = |name: &str| added.iter().any(|(added, _)| added.eq_ignore_ascii_case(name));
        for (name, value) in own.filter(|(name, _)| !is_replaced(name)).chain(added.iter().copied()) {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.into_bytes()
    }
}

/// Refuses headers that cannot be sent.
pub(crate) fn check_headers(headers: &[(String, String)]) -> Result<(), SetupError> {
    let can_be_sent = |(name, value): &&(String, String)| {
        http::HeaderName::from_bytes(name.as_bytes()).is_ok() && http::HeaderValue::from_str(value).is_ok()
    };
    match headers.iter().find(|header| !can_be_sent(header)) {
        Some((name, _)) => Err(SetupError::Header { name: name.as_str().into() }),
        None => Ok(()),
    }
}

/// Headers that the handshake itself sets.
fn is_reserved(name: &str) -> bool {
    let names = ["connection", "upgrade", "sec-websocket-key", "sec-websocket-version", "content-length"];
    names.iter().any(|reserved| name.eq_ignore_ascii_case(reserved))
}

/// A path that begins with `/` and can stand in a request.
pub(crate) fn normalized_path(path: &str) -> Result<String, SetupError> {
    if path.chars().any(char::is_control) {
        return Err(SetupError::Path { path: path.into() });
    }
    let mut normalized = String::from(if path.starts_with('/') { "" } else { "/" });
    for byte in path.bytes() {
        if byte.is_ascii_graphic() {
            normalized.push(char::from(byte));
        } else {
            normalized.push_str(&format!("%{byte:02X}"));
        }
    }
    Ok(normalized)
}

/// The server as a `Host` header names it: without the usual port.
pub(crate) fn host_of(authority: &Target, usual_port: u16) -> String {
    let text = authority.to_string();
    match text.strip_suffix(&format!(":{usual_port}")) {
        Some(host) if authority.port == usual_port => host.to_owned(),
        Some(_) | None => text,
    }
}

/// The head of a request or response, and what followed it.
#[derive(Debug)]
pub(crate) struct Head {
    bytes: Vec<u8>,
    end: usize,
}

impl Head {
    /// Reads the head of a request, or of a response if `start` is how one begins.
    pub(crate) async fn read(stream: &mut impl Io, start: &[u8]) -> Result<Self, TransportError> {
        let mut bytes = Vec::with_capacity(READ_BYTES);
        let mut scanned = 0;
        loop {
            let read = stream.read_buf(&mut bytes).await;
            let read = read.map_err(|error| TransportError::during(Moment::HttpHandshake, &error))?;
            if read == 0 {
                return Err(if bytes.is_empty() {
                    TransportError::Closed { during: Moment::HttpHandshake }
                } else if bytes.len() < start.len() {
                    TransportError::NotHttp { found: FirstBytes::new(&bytes) }
                } else {
                    TransportError::Closed { during: Moment::HttpHandshake }
                });
            }
            if !bytes.iter().zip(start).all(|(found, expected)| found == expected) {
                return Err(TransportError::NotHttp { found: FirstBytes::new(&bytes) });
            }
            if let Some(end) = head_end(&bytes, scanned) {
                return Ok(Self { bytes, end });
            }
            scanned = bytes.len();
            if scanned >= MAX_HEAD_BYTES {
                return Err(TransportError::BrokenHttp { problem: "the head is longer than 16 KiB" });
            }
            bytes.reserve(READ_BYTES);
        }
    }

    /// What was read behind the head.
    pub(crate) fn into_rest(self) -> Vec<u8> {
        let Self { mut bytes, end } = self;
        bytes.drain(..end.min(bytes.len()));
        bytes
    }

    fn head(&self) -> &[u8] {
        self.bytes.get(..self.end).unwrap_or_default()
    }

    /// The status of a response, and whether its headers agree to the upgrade to WebSocket.
    pub(crate) fn response(&self) -> Result<Response, TransportError> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        complete(response.parse(self.head()))?;
        Ok(Response {
            status: response.code.unwrap_or_default(),
            upgrades: upgrades_to_websocket(response.headers),
            accept: header(response.headers, "sec-websocket-accept").map(str::to_owned),
        })
    }

    /// What matters of a request.
    pub(crate) fn request(&self) -> Result<Request, TransportError> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        if let Err(error) = complete(request.parse(self.head())) {
            // Something without the shape of a request is not HTTP at all.
            let is_other = error == TransportError::BrokenHttp { problem: START_LINE };
            return Err(if is_other {
                TransportError::NotHttp { found: FirstBytes::new(&self.bytes) }
            } else {
                error
            });
        }
        let fields = request.headers.iter().filter_map(|field| {
            let value = std::str::from_utf8(field.value).ok()?;
            Some((field.name.to_owned(), value.trim().to_owned()))
        });
        Ok(Request {
            is_get: request.method == Some("GET"),
            target: request.path.unwrap_or_default().to_owned(),
            upgrades: upgrades_to_websocket(request.headers),
            headers: fields.collect(),
        })
    }
}

/// What matters of a response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) upgrades: bool,
    pub(crate) accept: Option<String>,
}

/// What matters of a request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) is_get: bool,
    pub(crate) target: String,
    pub(crate) upgrades: bool,
    headers: Vec<(String, String)>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The path, without what follows a `?`.
    fn path(&self) -> &str {
        self.target.split_once('?').map_or(self.target.as_str(), |(path, _)| path)
    }

    pub(crate) fn wrong_path(&self) -> TransportError {
        TransportError::WrongPath { path: shown(&self.target) }
    }

    /// Refuses a request for another path than this one. A query counts only if this one has one.
    pub(crate) fn check_path(&self, wanted: &str) -> Result<(), TransportError> {
        let exact = if wanted.contains('?') { self.target.as_str() } else { self.path() };
        if exact == wanted { Ok(()) } else { Err(self.wrong_path()) }
    }

    /// Refuses a request for another host than this one. A port in the request does not count.
    pub(crate) fn check_host(&self, wanted: Option<&str>) -> Result<(), TransportError> {
        let Some(wanted) = wanted else { return Ok(()) };
        let host = self.header("host").unwrap_or_default();
        let without_port = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            Some(_) | None => host,
        };
        if host.eq_ignore_ascii_case(wanted) || without_port.eq_ignore_ascii_case(wanted) {
            Ok(())
        } else {
            Err(TransportError::WrongHost { host: shown(host) })
        }
    }
}

/// What somebody else has sent, at a length that fits a message.
pub(crate) fn shown(text: &str) -> Box<str> {
    text.chars().take(MAX_SHOWN_CHARS).collect::<String>().into_boxed_str()
}

/// Answers with an error and closes so that the answer arrives: a socket that is closed with unread
/// input resets the connection, and the peer may lose what it was sent.
pub(crate) async fn refuse(stream: &mut impl Io, status: Status) {
    let answer = format!(
        "HTTP/1.1 {}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        status.line()
    );
    let farewell = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        let mut left = MAX_LINGER_BYTES;
        let mut scratch = [0; READ_BYTES];
        loop {
            let read = stream.read(&mut scratch).await?;
            left = left.saturating_sub(read);
            if read == 0 || left == 0 {
                return io::Result::Ok(());
            }
        }
    };
    // Whether the peer takes the answer is its own affair: the connection is over either way.
    let _taken = timeout(LINGER, farewell).await;
}

/// How a request is refused.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Status {
    BadRequest,
    NotFound,
}

impl Status {
    /// The status for a client that sends what leads to this error.
    pub(crate) fn of(error: &TransportError) -> Self {
        if matches!(error, TransportError::WrongPath { .. } | TransportError::WrongHost { .. }) {
            Self::NotFound
        } else {
            Self::BadRequest
        }
    }

    fn line(self) -> &'static str {
        match self {
            Self::BadRequest => "400 Bad Request",
            Self::NotFound => "404 Not Found",
        }
    }
}

fn upgrades_to_websocket(headers: &[httparse::Header<'_>]) -> bool {
    let has = |name: &str, wanted: &str| {
        let values = headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
        let mut tokens = values.flat_map(|field| field.value.split(|byte| *byte == b','));
        tokens.any(|token| token.trim_ascii().eq_ignore_ascii_case(wanted.as_bytes()))
    };
    has("connection", "upgrade") && has("upgrade", "websocket")
}

fn header<'a>(headers: &[httparse::Header<'a>], name: &str) -> Option<&'a str> {
    let field = headers.iter().find(|field| field.name.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(field.value).ok().map(str::trim)
}

/// What is said of a first line that cannot be read.
const START_LINE: &str = "invalid start line";

fn complete(parsed: Result<httparse::Status<usize>, httparse::Error>) -> Result<(), TransportError> {
    let problem = match parsed {
        Ok(httparse::Status::Complete(_)) => return Ok(()),
        Ok(httparse::Status::Partial) => "the head is cut off",
        Err(httparse::Error::HeaderName) => "invalid header name",
        Err(httparse::Error::HeaderValue) => "invalid header value",
        Err(httparse::Error::NewLine) => "invalid line end",
        Err(httparse::Error::Status) => "invalid status",
        Err(httparse::Error::Token | httparse::Error::Version) => START_LINE,
        Err(httparse::Error::TooManyHeaders) => "more than 100 headers",
    };
    Err(TransportError::BrokenHttp { problem })
}

/// Where the head ends, its empty line included. What came before `scanned` holds no end.
fn head_end(bytes: &[u8], scanned: usize) -> Option<usize> {
    let start = scanned.saturating_sub(3);
    let window = bytes.get(start..).unwrap_or_default();
    let found = |pattern: &[u8]| {
        let at = window.windows(pattern.len()).position(|piece| piece == pattern);
        at.map(|at| start + at + pattern.len())
    };
    // A line may end without a carriage return (RFC 9112 §2.2).
    [found(b"\n\r\n"), found(b"\n\n")].into_iter().flatten().min()
}
