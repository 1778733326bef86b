//! Servers on the loopback device, with real sockets and real TLS.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use hickory_proto::op::Message;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response as HttpResponse, Version,
    body::{Bytes, Incoming},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{RootCertStore, ServerConfig, pki_types::PrivateKeyDer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UdpSocket},
};
use tokio_rustls::TlsAcceptor;
use waypost_dns::{
    DirectNetwork, Fallback, Family, Hosts, NamesBuilder, Protocol, Resolver, ServerAddress, ServerSpec,
    ServersSpec, Way,
};

use crate::world::{Asked, Stream, look_up};

/// A certificate for `127.0.0.1`, and who trusts it.
struct Identity {
    config: ServerConfig,
    roots: RootCertStore,
}

fn identity(protocols: &[&str]) -> Identity {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Identity { config, roots }
}

fn resolver(address: SocketAddr, protocol: Protocol, roots: Option<RootCertStore>) -> Resolver {
    let address = ServerAddress::Remote { protocol, target: address.into(), way: Way::Direct };
    let mut server = ServerSpec::new(address);
    server.timeout = Duration::from_secs(20);
    let spec = ServersSpec {
        servers: vec![server],
        names: NamesBuilder::default().build().unwrap(),
        fallback: Fallback::Always,
        chooser: None,
        network: Arc::new(DirectNetwork),
        roots,
    };
    Resolver::new(Hosts::default()).with_servers(spec).unwrap()
}

/// The answer to every query.
fn answer(query: &[u8]) -> Vec<u8> {
    Asked::of(Message::from_vec(query).unwrap()).response().address(60, "10.0.0.1").bytes()
}

async fn converse(mut stream: impl Stream) {
    while let Ok(length) = stream.read_u16().await {
        let mut query = vec![0; length.into()];
        stream.read_exact(&mut query).await.unwrap();
        let answer = answer(&query);
        stream.write_u16(u16::try_from(answer.len()).unwrap()).await.unwrap();
        stream.write_all(&answer).await.unwrap();
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[tokio::test]
async fn an_answer_from_another_port_is_not_taken() {
    let (server, stranger) =
        (UdpSocket::bind("127.0.0.1:0").await.unwrap(), UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let address = server.local_addr().unwrap();
    tokio::spawn(async move {
        let mut query = [0; 512];
        loop {
            let (length, from) = server.recv_from(&mut query).await.unwrap();
            let asked = Asked::of(Message::from_vec(&query[..length]).unwrap());
            let lie = asked.response().address(60, "203.0.113.66").bytes();
            stranger.send_to(&lie, from).await.unwrap();
            server.send_to(&answer(&query[..length]), from).await.unwrap();
        }
    });
    let resolver = resolver(address, Protocol::Udp, None);
    for n in 0..20 {
        assert_eq!(look_up(&resolver, &format!("n{n}.test"), Family::V4).await, "10.0.0.1");
    }
}

#[tokio::test]
async fn a_port_where_nobody_listens_fails_at_once() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let udp = socket.local_addr().unwrap();
    drop(socket);
    let (listener, tcp) = listen().await;
    drop(listener);
    for (address, protocol) in [(udp, Protocol::Udp), (tcp, Protocol::Tcp), (tcp, Protocol::Tls)] {
        let result = look_up(&resolver(address, protocol, None), "a.test", Family::V4).await;
        assert!(result.ends_with("it cannot be reached"), "{result}");
    }
}

#[tokio::test]
async fn a_server_is_asked_by_tcp() {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        let (stream, _client) = listener.accept().await.unwrap();
        converse(stream).await;
    });
    let resolver = resolver(address, Protocol::Tcp, None);
    for n in 0..5 {
        assert_eq!(look_up(&resolver, &format!("n{n}.test"), Family::Any).await, "10.0.0.1");
    }
}

#[tokio::test]
async fn a_server_is_asked_in_tls_if_its_certificate_is_good() {
    let Identity { config, roots } = identity(&[]);
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        loop {
            let (stream, _client) = listener.accept().await.unwrap();
            let accepting = acceptor.accept(stream);
            tokio::spawn(async move {
                if let Ok(stream) = accepting.await {
                    converse(stream).await;
                }
            });
        }
    });
    let trusting = resolver(address, Protocol::Tls, Some(roots));
    assert_eq!(look_up(&trusting, "a.test", Family::Any).await, "10.0.0.1");
    let distrusting = resolver(address, Protocol::Tls, None);
    assert!(look_up(&distrusting, "a.test", Family::Any).await.ends_with("it cannot be reached"));
}

/// What an HTTP server was sent: version, method, path and authority of each request.
type Seen = Arc<Mutex<Vec<String>>>;

/// An HTTP server that speaks the best of `protocols`, and answers as `respond` says.
async fn serve_https(
    protocols: &[&str],
    respond: fn(Vec<u8>) -> HttpResponse<Full<Bytes>>,
) -> (SocketAddr, RootCertStore, Seen) {
    let Identity { config, roots } = identity(protocols);
    let (listener, address) = listen().await;
    let seen = Seen::default();
    let log = seen.clone();
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        loop {
            let (stream, _client) = listener.accept().await.unwrap();
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let log = log.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let log = log.clone();
                async move {
                    let version = if request.version() == Version::HTTP_2 { "h2" } else { "h1" };
                    let host = request.headers().get("host").map(|host| host.to_str().unwrap().to_owned());
                    let authority = request.uri().authority().map(ToString::to_string).or(host).unwrap();
                    let kind = request.headers()["content-type"].to_str().unwrap().to_owned();
                    let line = format!(
                        "{version} {} {} {authority} {kind}",
                        request.method(),
                        request.uri().path_and_query().unwrap()
                    );
                    log.lock().unwrap().push(line);
                    let query = request.into_body().collect().await.unwrap().to_bytes();
                    Ok::<_, Infallible>(respond(query.to_vec()))
                }
            });
            tokio::spawn(async move {
                let io = TokioIo::new(stream);
                let _client_left = if is_http2 {
                    http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await
                } else {
                    http1::Builder::new().serve_connection(io, service).await
                };
            });
        }
    });
    (address, roots, seen)
}

fn https(address: SocketAddr, roots: RootCertStore) -> Resolver {
    resolver(address, Protocol::Https { path: "/dns-query?key=1".into() }, Some(roots))
}

fn message(bytes: Vec<u8>) -> HttpResponse<Full<Bytes>> {
    let response = HttpResponse::builder().header("content-type", "application/dns-message");
    response.body(Full::new(Bytes::from(bytes))).unwrap()
}

#[tokio::test]
async fn a_server_is_asked_by_https_of_either_version() {
    for (protocols, version) in [(&["h2", "http/1.1"][..], "h2"), (&["http/1.1"], "h1"), (&[], "h1")] {
        let (address, roots, seen) = serve_https(protocols, |query| {
            assert_eq!(query[..2], [0, 0], "the id is 0 for caches");
            message(answer(&query))
        })
        .await;
        let resolver = https(address, roots);
        let (a, b) = tokio::join!(
            look_up(&resolver, "a.test", Family::Any),
            look_up(&resolver, "b.test", Family::Any)
        );
        assert_eq!((a, b), ("10.0.0.1".into(), "10.0.0.1".into()), "{version}");
        let line = format!("{version} POST /dns-query?key=1 {address} application/dns-message");
        assert_eq!(*seen.lock().unwrap(), vec![line; 4]);
    }
}

#[tokio::test]
async fn what_is_no_dns_message_by_https_is_no_answer() {
    type Respond = fn(Vec<u8>) -> HttpResponse<Full<Bytes>>;
    let cases: [(Respond, &str); 5] = [
        (
            |query| {
                let mut response = message(answer(&query));
                *response.status_mut() = hyper::StatusCode::BAD_GATEWAY;
                response
            },
            "it answered HTTP status 502 with content of the type `application/dns-message`",
        ),
        (
            |_| {
                let response = HttpResponse::builder().header("content-type", "text/html");
                response.body(Full::new(Bytes::from_static(b"<p>log in first"))).unwrap()
            },
            "it answered HTTP status 200 with content of the type `text/html`",
        ),
        (|_| message(vec![0; 70_000]), "its answer cannot be understood"),
        (|_| message(vec![0; 12]), "its answer cannot be understood"),
        (
            |query| {
                let mut query = query;
                query.truncate(11);
                message(query)
            },
            "its answer cannot be understood",
        ),
    ];
    for protocols in [&["h2"][..], &["http/1.1"]] {
        for (respond, expected) in cases {
            let (address, roots, _seen) = serve_https(protocols, respond).await;
            let result = look_up(&https(address, roots), "a.test", Family::V4).await;
            assert!(result.ends_with(expected), "{protocols:?}: {result}");
        }
    }
}

#[tokio::test]
async fn a_connection_by_https_that_is_gone_is_opened_again() {
    let (listener, address) = listen().await;
    let Identity { config, roots } = identity(&["http/1.1"]);
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        // Each connection is good for one request.
        loop {
            let (stream, _client) = listener.accept().await.unwrap();
            let mut stream = acceptor.accept(stream).await.unwrap();
            let (mut request, mut chunk) = (Vec::new(), [0; 1024]);
            let query = loop {
                let length = stream.read(&mut chunk).await.unwrap();
                request.extend_from_slice(&chunk[..length]);
                let head = request.windows(4).position(|window| window == b"\r\n\r\n");
                if let Some(body) = head.map(|head| &request[head + 4..]).filter(|body| body.len() > 12) {
                    break body.to_vec();
                }
            };
            let answer = answer(&query);
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/dns-message\r\ncontent-length: {}\r\n\r\n",
                answer.len()
            );
            stream.write_all(&[head.as_bytes(), &answer].concat()).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    let resolver = https(address, roots);
    for n in 0..5 {
        assert_eq!(look_up(&resolver, &format!("n{n}.test"), Family::V4).await, "10.0.0.1");
    }
}
