use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{CONNECTION, HeaderValue, TRAILER, UPGRADE},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy, split},
    net::TcpListener,
};

type Body = BoxBody<Bytes, hyper::Error>;

/// A request as an origin server got it.
#[derive(Debug, Clone)]
pub(super) struct Got {
    pub(super) line: String,
    pub(super) headers: HeaderMap,
}

/// An origin server of hyper. What it does depends on the path.
pub(super) struct Origin {
    pub(super) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<Got>>>,
}

impl Origin {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let origin = Self { address, connections: Arc::default(), requests: Arc::default() };
        let (connections, requests) = (origin.connections.clone(), origin.requests.clone());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.fetch_add(1, Ordering::Relaxed);
                let requests = requests.clone();
                let service = service_fn(move |request| answer(request, requests.clone()));
                let connection =
                    http1::Builder::new().max_headers(256).serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection.with_upgrades());
            }
        });
        origin
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    pub(super) fn requests(&self) -> Vec<Got> {
        self.requests.lock().unwrap().clone()
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

async fn answer(
    mut request: Request<Incoming>,
    requests: Arc<Mutex<Vec<Got>>>,
) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path().to_owned();
    let line = format!("{} {} {:?}", request.method(), request.uri(), request.version());
    requests.lock().unwrap().push(Got { line, headers: request.headers().clone() });
    let mut response = Response::new(text("hello"));
    match &*path {
        // What came goes back as it comes, trailers included.
        "/echo" => {
            if let Some(trailer) = request.headers().get(TRAILER) {
                response.headers_mut().insert(TRAILER, trailer.clone());
            }
            *response.body_mut() = request.into_body().boxed();
        }
        "/headers" => {
            let headers = response.headers_mut();
            headers.insert(CONNECTION, HeaderValue::from_static("x-hop"));
            for name in ["x-hop", "x-end", "proxy-authenticate", "keep-alive"] {
                headers.insert(name, HeaderValue::from_static("1"));
            }
        }
        "/empty" => *response.status_mut() = StatusCode::NO_CONTENT,
        "/unwanted" => *response.status_mut() = StatusCode::EXPECTATION_FAILED,
        "/length" => {
            let length = request.into_body().collect().await.unwrap().to_bytes().len();
            *response.body_mut() = text(&length.to_string());
        }
        "/upgrade" => {
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let protocol =
                request.headers().get(UPGRADE).cloned().unwrap_or(HeaderValue::from_static("none"));
            response.headers_mut().insert(UPGRADE, protocol);
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
            *response.body_mut() = text("");
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let mut stream = TokioIo::new(upgrade.await.unwrap());
                stream.write_all(b"welcome ").await.unwrap();
                let (mut reader, mut writer) = split(stream);
                copy(&mut reader, &mut writer).await.unwrap();
                writer.shutdown().await.unwrap();
            });
        }
        _ => {}
    }
    Ok(response)
}

fn text(text: &str) -> Body {
    Full::from(Bytes::copy_from_slice(text.as_bytes())).map_err(|never| match never {}).boxed()
}

/// An origin server that keeps every byte it gets, and answers each empty line.
pub(super) struct Recorder {
    pub(super) address: SocketAddr,
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl Recorder {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let bytes = Arc::<Mutex<Vec<u8>>>::default();
        let kept = bytes.clone();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let kept = kept.clone();
                tokio::spawn(async move {
                    let mut buffer = [0; 4096];
                    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                        kept.lock().unwrap().extend(&buffer[..count]);
                        if buffer[..count].ends_with(b"\r\n\r\n") {
                            // Whether anybody stays for the answer is not its affair.
                            let _gone =
                                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
                        }
                    }
                });
            }
        });
        Self { address, bytes }
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }
}
