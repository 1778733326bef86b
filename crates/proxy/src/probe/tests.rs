use std::{
    pin::Pin,
    task::{Context, Poll},
};

use rustls::{
    CertificateError, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadBuf},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;
use waypost_config::model::{FreedomResolve, OutboundProtocol, ProxyServer, SocketOptions};
use waypost_dns::Hosts;
use waypost_testkit::{Behaviour, HttpOrigin, Socks5Node, refused_address};

use super::*;

/// Longer than any answer takes.
const LONG: Duration = Duration::from_secs(60);
/// What a frozen peer is waited for; enough for the phases before it.
const SHORT: Duration = Duration::from_millis(300);

fn freedom() -> Dialer {
    Dialer::try_new(
        &OutboundProtocol::Freedom { resolve: FreedomResolve::AsIs, redirect: None },
        &SocketOptions::default(),
    )
    .unwrap()
}

fn through(node: &Socks5Node) -> Dialer {
    let (host, port) = (Host::from(node.address.ip()), node.address.port());
    Dialer::try_new(
        &OutboundProtocol::Socks(vec![ProxyServer { host, port, account: None }]),
        &SocketOptions::default(),
    )
    .unwrap()
}

fn spec(target: impl Into<Target>) -> ProbeTarget {
    ProbeTarget {
        https: false,
        target: target.into(),
        path: "/generate_204?x=1".into(),
        host_header: "probe.example".into(),
        method: ProbeMethod::Head,
        expected: Box::default(),
    }
}

async fn run(dialer: &Dialer, spec: &ProbeTarget, limit: Duration) -> Result<Duration, ProbeError> {
    let resolver = Resolver::new(Hosts::default());
    probe(dialer, spec, &default_tls().unwrap(), &resolver, limit).await
}

/// Answers one connection with these bytes and keeps it open; yields where.
async fn answering(answer: &'static [u8]) -> Target {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _peer) = listener.accept().await.unwrap();
        let _request = stream.read(&mut [0; 4096]).await;
        let _gone = stream.write_all(answer).await;
        let _end = stream.read(&mut [0; 1]).await;
    });
    address.into()
}

#[tokio::test]
async fn a_probe_asks_through_the_member() {
    let origin = HttpOrigin::start("origin").await;
    let node = Socks5Node::start("node", Behaviour::Relay).await;
    let begin = Instant::now();
    let took = run(&through(&node), &spec(origin.address), LONG).await.unwrap();
    assert!(took > Duration::ZERO && took <= begin.elapsed());
    assert_eq!(node.seen()[0].target, origin.address.into());
    let get = ProbeTarget { method: ProbeMethod::Get, ..spec(origin.address) };
    run(&through(&node), &get, LONG).await.unwrap();
    let head = "/generate_204?x=1 HTTP/1.1\r\nhost: probe.example\r\nuser-agent: waypost\r\nconnection: close\r\n\r\n";
    assert_eq!(origin.heads(), [format!("HEAD {head}"), format!("GET {head}")]);
}

#[tokio::test]
async fn any_status_will_do_unless_some_are_expected() {
    let origin = HttpOrigin::start("origin").await;
    for (expected, good) in [
        (&[(200, 200)][..], true),
        (&[(500, 599), (100, 299)], true),
        (&[(204, 204)], false),
        (&[(100, 199), (201, 599)], false),
    ] {
        let spec = ProbeTarget { expected: expected.into(), ..spec(origin.address) };
        let result = run(&freedom(), &spec, LONG).await;
        match result {
            Ok(_) => assert!(good, "{expected:?}"),
            Err(ProbeError::Status { found }) => assert!(!good && found == 200, "{expected:?}"),
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer() {
    let target = answering(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n").await;
    run(&freedom(), &spec(target), LONG).await.unwrap();
}

#[tokio::test]
async fn the_body_is_not_waited_for() {
    let target = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\nbegin").await;
    let get = ProbeTarget { method: ProbeMethod::Get, ..spec(target) };
    run(&freedom(), &get, LONG).await.unwrap();
}

#[tokio::test]
async fn what_is_no_http_fails() {
    let target = answering(b"SSH-2.0-OpenSSH\r\n\r\n").await;
    let result = run(&freedom(), &spec(target), LONG).await;
    assert!(matches!(result, Err(ProbeError::Http(_))), "{result:?}");
    let node = Socks5Node::start("node", Behaviour::GrantThenClose).await;
    let result = run(&through(&node), &spec(refused_address().await), LONG).await;
    assert!(matches!(result, Err(ProbeError::Http(_))), "{result:?}");
}

#[tokio::test]
async fn a_head_without_end_is_not_kept() {
    let head = [b"HTTP/1.1 200 OK\r\na: ".as_slice(), &vec![b'b'; 4 * MAX_HEAD_BYTES]].concat();
    let target = answering(head.leak()).await;
    let result = run(&freedom(), &spec(target), LONG).await;
    assert!(matches!(result, Err(ProbeError::Http(_))), "{result:?}");
}

#[tokio::test]
async fn a_member_that_does_not_connect_is_named_with_its_error() {
    let node = Socks5Node::start("node", Behaviour::Refuse(5)).await;
    let result = run(&through(&node), &spec(node.address), LONG).await;
    assert!(matches!(result, Err(ProbeError::Dial(DialError::Proxy { .. }))), "{result:?}");
    let result = run(&freedom(), &spec(refused_address().await), LONG).await;
    assert!(matches!(result, Err(ProbeError::Dial(DialError::Refused { .. }))), "{result:?}");
}

#[tokio::test]
async fn something_that_comes_unasked_is_no_answer() {
    let node = Socks5Node::start("HTTP/1.1 200 OK\r\n\r\n", Behaviour::Label).await;
    // Whether the label comes with the handshake or after it is chance; it is no answer either way.
    let result = run(&through(&node), &spec(node.address), LONG).await;
    assert!(matches!(result, Err(ProbeError::SpokeFirst | ProbeError::Http(_))), "{result:?}");
}

#[tokio::test]
async fn a_path_that_is_none_is_told() {
    let bad = ProbeTarget { path: "/a b".into(), ..spec(refused_address().await) };
    let result = run(&freedom(), &bad, LONG).await;
    assert!(matches!(result, Err(ProbeError::Request { ref path, .. }) if **path == *"/a b"), "{result:?}");
    let bad = ProbeTarget { host_header: "a\nb".into(), ..spec(refused_address().await) };
    let result = run(&freedom(), &bad, LONG).await;
    assert!(matches!(result, Err(ProbeError::Request { .. })), "{result:?}");
}

#[tokio::test]
async fn a_frozen_peer_is_told_with_its_phase() {
    for (behaviour, https, expected) in [
        (Behaviour::HangAfterAccept, false, ProbePhase::Handshake),
        (Behaviour::HangAfterMethod, false, ProbePhase::Handshake),
        (Behaviour::GrantThenSilent, true, ProbePhase::Tls),
        (Behaviour::GrantThenSilent, false, ProbePhase::Http),
    ] {
        let node = Socks5Node::start("node", behaviour).await;
        let spec = ProbeTarget { https, ..spec(node.address) };
        match run(&through(&node), &spec, SHORT).await {
            Err(ProbeError::Timeout { phase, limit }) => assert_eq!((phase, limit), (expected, SHORT)),
            result => panic!("{behaviour:?}: {result:?}"),
        }
    }
}

/// An HTTPS server with a certificate of its own for `name`, for one connection.
async fn https(name: &str) -> (Target, CertificateDer<'static>) {
    let key = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let certificate = key.cert.der().clone();
    let private = PrivateKeyDer::Pkcs8(key.signing_key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], private)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _peer) = listener.accept().await.unwrap();
        // A client that does not trust the server ends the handshake.
        if let Ok(mut stream) = TlsAcceptor::from(Arc::new(config)).accept(stream).await {
            let _request = stream.read(&mut [0; 4096]).await;
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            let _end = stream.read(&mut [0; 1]).await;
        }
    });
    (address.into(), certificate)
}

async fn run_tls(name: &str, trusted: bool) -> Result<Duration, ProbeError> {
    let node = Socks5Node::start("node", Behaviour::Relay).await;
    let (target, certificate) = https(name).await;
    let tls = if trusted {
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        tls_trusting(roots).unwrap()
    } else {
        default_tls().unwrap()
    };
    let spec = ProbeTarget { https: true, expected: [(204, 204)].into(), ..spec(target) };
    probe(&through(&node), &spec, &tls, &Resolver::new(Hosts::default()), LONG).await
}

#[tokio::test]
async fn a_certificate_has_to_be_trusted_and_to_have_the_name() {
    run_tls("127.0.0.1", true).await.unwrap();
    let result = run_tls("127.0.0.1", false).await;
    let unknown = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
    assert!(matches!(result, Err(ProbeError::Tls(ref error)) if *error == unknown), "{result:?}");
    let result = run_tls("other.example", true).await;
    let is_wrong_name = |error: &rustls::Error| {
        matches!(error, rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. }))
    };
    assert!(matches!(result, Err(ProbeError::Tls(ref error)) if is_wrong_name(error)), "{result:?}");
}

#[tokio::test]
async fn a_target_that_speaks_no_tls_is_told() {
    let target = answering(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let spec = ProbeTarget { https: true, ..spec(target) };
    let result = run(&freedom(), &spec, LONG).await;
    assert!(matches!(result, Err(ProbeError::Tls(_))), "{result:?}");
    let node = Socks5Node::start("node", Behaviour::GrantThenClose).await;
    let result = run(&through(&node), &spec, LONG).await;
    assert!(matches!(result, Err(ProbeError::TlsLost { .. })), "{result:?}");
}

/// A stream that cannot be told that it is over, as when the other end has reset it.
struct Gone(tokio::io::DuplexStream);

impl AsyncRead for Gone {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Gone {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }
}

#[tokio::test]
async fn an_answer_counts_although_the_connection_ends_badly() {
    let (near, mut far) = tokio::io::duplex(4096);
    let request = request(&spec("192.0.2.1:80".parse::<Target>().unwrap())).unwrap();
    let answering = async {
        let _request = far.read(&mut [0; 4096]).await.unwrap();
        far.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await.unwrap();
    };
    let (asked, ()) = tokio::join!(ask(Gone(near), request), answering);
    assert_eq!(asked.unwrap(), StatusCode::NO_CONTENT);
}

#[test]
fn a_member_is_blamed_in_the_words_of_its_protocol() {
    let fault = || Some("expected an answer of vless".into());
    let lost = ProbeError::TlsLost { kind: io::ErrorKind::InvalidData, fault: fault() };
    assert_eq!(lost.reason(), "expected an answer of vless");
    let lost = ProbeError::TlsLost { kind: io::ErrorKind::ConnectionReset, fault: None };
    assert_eq!(lost.reason(), "the connection was lost in the TLS handshake: connection reset");
    let dial = ProbeError::Dial(DialError::NoDatagrams);
    assert_eq!(dial.reason(), DialError::NoDatagrams.to_string());
}
