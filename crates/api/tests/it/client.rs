//! A client of the interface, so plain that it can also do what no client should.

use std::{net::SocketAddr, pin::Pin, time::Duration};

use futures_core::Stream as _;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest as _, http::StatusCode},
};

/// Nothing that is expected takes as long.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);
pub(crate) const SECRET: &str = "s3cret";

/// A request that is being written.
#[derive(Debug, Clone)]
pub(crate) struct Asking {
    address: SocketAddr,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    has_host: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

pub(crate) type WebSocket = WebSocketStream<TcpStream>;

impl Asking {
    /// A request with the right secret.
    pub(crate) fn new(address: SocketAddr, method: &str, path: &str) -> Self {
        let asking = Self::stranger(address, method, path);
        asking.header("Authorization", &format!("Bearer {SECRET}"))
    }

    /// A request without a secret.
    pub(crate) fn stranger(address: SocketAddr, method: &str, path: &str) -> Self {
        let (method, path) = (method.to_owned(), path.to_owned());
        Self { address, method, path, headers: Vec::new(), body: Vec::new(), has_host: true }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Calls the interface by another name than its address.
    pub(crate) fn host(mut self, host: &str) -> Self {
        self.has_host = false;
        self.header("Host", host)
    }

    pub(crate) fn without_host(mut self) -> Self {
        self.has_host = false;
        self
    }

    pub(crate) fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        let length = self.body.len().to_string();
        self.header("Content-Length", &length)
    }

    fn head(&self) -> String {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        if self.has_host {
            head += &format!("Host: {}\r\n", self.address);
        }
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head + "Connection: close\r\n\r\n"
    }

    /// Sends the request and does not wait for the answer.
    pub(crate) async fn begin(&self) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(self.head().as_bytes()).await.unwrap();
        // A server that refuses a body does not read all of it.
        let _refused = stream.write_all(&self.body).await;
        stream
    }

    pub(crate) async fn send(&self) -> Reply {
        let mut stream = self.begin().await;
        let mut answer = Vec::new();
        let read = timeout(LIMIT, stream.read_to_end(&mut answer)).await.expect("an answer in time");
        // What came before a reset is an answer.
        assert!(read.is_ok() || !answer.is_empty(), "{read:?}");
        Reply::parse(&answer)
    }

    pub(crate) async fn status(&self) -> u16 {
        self.send().await.status
    }

    pub(crate) async fn json(&self) -> Value {
        let reply = self.send().await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }
}

impl Reply {
    pub(crate) fn parse(answer: &[u8]) -> Self {
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("the end of a head");
        let head = std::str::from_utf8(&answer[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(':').unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut reply = Self { status, headers, body: answer[end + 4..].to_vec() };
        if reply.header("transfer-encoding") == Some("chunked") {
            reply.body = unchunked(&reply.body);
        }
        reply
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"));
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn message(&self) -> String {
        self.json()["message"].as_str().expect("a message").to_owned()
    }
}

fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&body[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        let Some(chunk) = body.get(end + 2..end + 2 + size).filter(|_| size > 0) else { break };
        whole.extend_from_slice(chunk);
        body = &body[end + 4 + size..];
    }
    whole
}

/// Opens a WebSocket, with these headers besides the needed ones.
pub(crate) async fn websocket(
    address: SocketAddr,
    path: &str,
    headers: &[(&'static str, &str)],
) -> Result<WebSocket, u16> {
    let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let stream = TcpStream::connect(address).await.unwrap();
    match timeout(LIMIT, client_async(request, stream)).await.expect("an answer in time") {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => Err(StatusCode::as_u16(&response.status())),
        Err(error) => panic!("{error}"),
    }
}

/// Waits for the next text; `None` once there is no more.
pub(crate) async fn frame(socket: &mut WebSocket) -> Option<Value> {
    let next = std::future::poll_fn(|context| Pin::new(&mut *socket).poll_next(context));
    match timeout(LIMIT, next).await.expect("a frame in time")? {
        Ok(Message::Text(text)) => Some(serde_json::from_str(&text).unwrap()),
        Ok(_) | Err(_) => None,
    }
}

/// Waits for the next line of an answer without end.
pub(crate) async fn line(stream: &mut TcpStream) -> Option<String> {
    let mut line = Vec::new();
    loop {
        let byte = timeout(LIMIT, stream.read_u8()).await.expect("a line in time").ok()?;
        if byte == b'\n' {
            return String::from_utf8(line).ok();
        }
        line.push(byte);
    }
}

/// Waits for the next line that is JSON: what is between are lengths of chunks.
pub(crate) async fn json_line(stream: &mut TcpStream) -> Option<Value> {
    loop {
        let line = line(stream).await?;
        if line.starts_with('{') {
            return serde_json::from_str(&line).ok();
        }
    }
}
