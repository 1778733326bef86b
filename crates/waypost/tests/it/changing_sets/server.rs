//! A server for sets, which does as it is told.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
    time::sleep,
};

/// What the server does with a request.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    /// Sends the body, and 304 to who has this tag.
    Set { etag: &'static str, body: Vec<u8> },
    /// Sends the body with the date, and 304 to who has this date.
    Dated { date: &'static str, body: Vec<u8> },
    /// Sends a status with a page.
    Status(&'static str),
    /// Sends the client somewhere else.
    Redirect(String),
    /// Promises more than it sends.
    Truncated(Vec<u8>),
    /// Says that the body has so many bytes.
    Huge(u64),
    /// Sends this as it is.
    Raw(&'static str),
    /// Reads the request, and says nothing.
    Silent,
}

#[derive(Debug)]
struct State {
    /// The last one is for all further requests.
    answers: VecDeque<Answer>,
    heads: Vec<String>,
}

/// A server for sets.
#[derive(Debug)]
pub(super) struct SetServer {
    pub(super) address: SocketAddr,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl SetServer {
    pub(super) async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into(), answers).await
    }

    pub(super) async fn start_at(address: SocketAddr, answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State { answers: answers.into_iter().collect(), heads: Vec::new() }));
        let shared = state.clone();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _client)) = listener.accept().await {
                connections.spawn(serve(stream, shared.clone()));
            }
        });
        Self { address, state, task }
    }

    /// The requests that came.
    pub(super) fn heads(&self) -> Vec<String> {
        self.state.lock().unwrap().heads.clone()
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/set.json", self.address)
    }
}

impl Drop for SetServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_gone) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let answer = {
        let mut state = state.lock().unwrap();
        state.heads.push(head.clone());
        match state.answers.len() {
            1 => state.answers[0].clone(),
            _ => state.answers.pop_front().unwrap(),
        }
    };
    let has = |name: &str, value: &str| {
        head.lines().any(|line| line.eq_ignore_ascii_case(&format!("{name}: {value}")))
    };
    let whole = |status: &str, headers: &str, body: &[u8]| {
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n");
        [head.as_bytes(), body].concat()
    };
    let bytes = match answer {
        Answer::Set { etag, .. } if has("If-None-Match", etag) => {
            format!("HTTP/1.1 304 Not Modified\r\nETag: {etag}\r\n\r\n").into_bytes()
        }
        Answer::Set { etag, body } => whole("200 OK", &format!("ETag: {etag}\r\n"), &body),
        Answer::Dated { date, .. } if has("If-Modified-Since", date) => {
            b"HTTP/1.1 304 Not Modified\r\n\r\n".to_vec()
        }
        Answer::Dated { date, body } => whole("200 OK", &format!("Last-Modified: {date}\r\n"), &body),
        Answer::Status(status) => whole(status, "", b"<html>sorry</html>"),
        Answer::Redirect(to) => whole("302 Found", &format!("Location: {to}\r\n"), b""),
        Answer::Truncated(body) => {
            let mut bytes = whole("200 OK", "", &body);
            bytes.truncate(bytes.len() - 1);
            bytes
        }
        Answer::Huge(length) => format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes(),
        Answer::Raw(text) => text.as_bytes().to_vec(),
        Answer::Silent => {
            sleep(Duration::from_secs(600)).await;
            return;
        }
    };
    // Whether the client stays for the answer is the test's affair.
    let _gone = stream.write_all(&bytes).await;
    let _gone = stream.shutdown().await;
}
