//! HTTP requests through a running proxy, and what of them reaches an origin server.

mod hostile;
mod origin;
mod requests;

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use waypost_config::{Options, Source};
use waypost_proxy::{
    Proxy,
    build::{Assets, load},
};

pub(crate) const LIMIT: Duration = Duration::from_secs(20);

pub(crate) fn start(config: &Value) -> Proxy {
    let source = Source::new("config.json", config.to_string()).unwrap();
    let loaded = load(&source, &Options::default(), &Assets::new(None, &|_| None));
    let ready = loaded.ready.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    Proxy::start(&ready.config, ready.snapshot).unwrap()
}

fn start_direct() -> Proxy {
    start(&json!({
        "inbounds": [{"protocol": "http", "listen": "127.0.0.1", "port": 0}],
        "outbounds": [{"protocol": "freedom"}],
    }))
}

/// A client that speaks byte by byte.
struct Client(TcpStream);

impl Client {
    async fn connect(proxy: &Proxy) -> Self {
        let address: SocketAddr = proxy.addresses()[0].address.ip().unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// Reads until what came ends with `end`.
    async fn read_until(&mut self, end: &str) -> String {
        let mut read = Vec::new();
        let reading = async {
            while !read.ends_with(end.as_bytes()) {
                let mut byte = [0];
                match self.0.read(&mut byte).await {
                    Ok(1) => read.push(byte[0]),
                    _ => break,
                }
            }
        };
        let in_time = timeout(LIMIT, reading).await;
        let text = String::from_utf8_lossy(&read).into_owned();
        assert!(in_time.is_ok() && text.ends_with(end), "expected {end:?}, found {text:?}");
        text
    }

    /// Reads to the end.
    async fn read_to_end(&mut self) -> String {
        let mut read = Vec::new();
        // A reset is an end, too.
        let _ended = timeout(LIMIT, self.0.read_to_end(&mut read)).await.expect("an end in time");
        String::from_utf8_lossy(&read).into_owned()
    }
}
