use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy, split},
    net::TcpStream,
};

use crate::peer::{Serving, listen};

/// Sends back what it gets, and closes when the other side has closed.
#[derive(Debug)]
pub struct EchoServer {
    /// Where it listens.
    pub address: SocketAddr,
    _serving: Serving,
}

impl EchoServer {
    /// Starts one.
    pub async fn start() -> Self {
        let (listener, address) = listen().await;
        let serving = Serving::start(listener, async |stream: TcpStream| {
            let (mut reader, mut writer) = split(stream);
            // A client that goes away ends its connection only.
            if copy(&mut reader, &mut writer).await.is_ok() {
                let _gone = writer.shutdown().await;
            }
        });
        Self { address, _serving: serving }
    }
}

/// A small HTTP/1.1 origin server: answers each request with its name, and closes.
#[derive(Debug)]
pub struct HttpOrigin {
    /// Where it listens.
    pub address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    _serving: Serving,
}

impl HttpOrigin {
    /// Starts one whose responses have the body `name`.
    pub async fn start(name: &str) -> Self {
        let (listener, address) = listen().await;
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (seen, name) = (heads.clone(), Arc::<str>::from(name));
        let serving = Serving::start(listener, move |stream| answer(stream, name.clone(), seen.clone()));
        Self { address, heads, _serving: serving }
    }

    /// The request heads that came in, in order.
    #[must_use]
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

async fn answer(mut stream: TcpStream, name: Arc<str>, seen: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    let end = loop {
        if let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(count) => head.extend(buffer.iter().take(count)),
        }
    };
    head.truncate(end);
    seen.lock().unwrap().push(String::from_utf8_lossy(&head).into_owned());
    let length = name.len();
    let response = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{name}"
    );
    // Whether the client stays for the answer is the test's affair.
    let _gone = stream.write_all(response.as_bytes()).await;
    let _gone = stream.shutdown().await;
}
