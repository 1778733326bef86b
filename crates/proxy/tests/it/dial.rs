use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    time::Instant,
};
use waypost_config::model::{
    Account, AddressFamily, FreedomResolve, OutboundProtocol, ProxyServer, SocketOptions,
};
use waypost_dns::{Answer, Hosts, LookupFuture, Pattern, Resolver, SystemLookup};
use waypost_net::{Host, Secret, Target};
use waypost_proxy::{DialError, Dialed, Dialer, Stream};
use waypost_testkit::{Behaviour, EchoServer, Socks5Node, refused_address};
use waypost_wire::{ClientError, DialFailure, Socks5Reply};

/// Long enough for a loaded machine, short enough for a test that waits for it.
const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(30);

/// The system that knows one name, `several`.
#[derive(Debug)]
struct System(Vec<IpAddr>);

impl SystemLookup for System {
    fn lookup<'a>(&'a self, name: &'a str) -> LookupFuture<'a> {
        let known = name == "several";
        Box::pin(async move { if known { Ok(self.0.clone()) } else { Err(io::ErrorKind::NotFound.into()) } })
    }
}

fn resolver(addresses: &[&str]) -> Resolver {
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    let hosts = [(Pattern::Full("listed".into()), Answer::Addresses(vec![[127, 0, 0, 1].into()]))];
    Resolver::with_lookup(Hosts::from_iter(hosts), Arc::new(System(addresses)))
}

fn freedom(resolve: FreedomResolve) -> Dialer {
    Dialer::try_new(&OutboundProtocol::Freedom { resolve, redirect: None }, &SocketOptions::default())
        .unwrap()
}

fn server(address: SocketAddr) -> ProxyServer {
    ProxyServer { host: Host::from(address.ip()), port: address.port(), account: None }
}

pub(crate) fn socks(addresses: &[SocketAddr]) -> Dialer {
    let servers = addresses.iter().copied().map(server).collect();
    Dialer::try_new(&OutboundProtocol::Socks(servers), &SocketOptions::default()).unwrap()
}

fn tcp(dialed: &Dialed) -> &TcpStream {
    match &dialed.stream {
        Stream::Tcp(stream) => stream,
        stream @ (Stream::Unix(_) | Stream::Layered(_)) => panic!("{stream:?}"),
    }
}

/// The other end: the target, or the proxy.
fn peer(dialed: &Dialed) -> SocketAddr {
    tcp(dialed).peer_addr().unwrap()
}

async fn dial(
    dialer: &Dialer,
    target: &str,
    resolver: &Resolver,
    limit: Duration,
) -> Result<Dialed, DialError> {
    dialer.dial(&target.parse().unwrap(), &[], resolver, Instant::now() + limit).await
}

/// What the other end sends until it closes.
async fn read_all(mut dialed: Dialed) -> String {
    let mut all = dialed.rest;
    dialed.stream.read_to_end(&mut all).await.unwrap();
    String::from_utf8(all).unwrap()
}

#[tokio::test]
async fn freedom_connects_to_the_target() {
    let echo = EchoServer::start().await;
    let mut dialed =
        dial(&freedom(FreedomResolve::AsIs), &echo.address.to_string(), &resolver(&[]), LONG).await.unwrap();
    let stream = tcp(&dialed);
    assert_eq!((peer(&dialed), dialed.bound), (echo.address, stream.local_addr().unwrap()));
    assert!(stream.nodelay().unwrap());
    dialed.stream.write_all(b"hello").await.unwrap();
    dialed.stream.shutdown().await.unwrap();
    assert_eq!(read_all(dialed).await, "hello");
}

#[tokio::test]
async fn a_refused_connection_is_told_as_such() {
    let target = refused_address().await.to_string();
    let error = dial(&freedom(FreedomResolve::AsIs), &target, &resolver(&[]), LONG).await.unwrap_err();
    assert!(matches!(error, DialError::Refused { .. }), "{error}");
    assert_eq!(error.failure(), DialFailure::Refused);
}

#[tokio::test]
async fn an_address_that_refuses_is_passed_over_at_once() {
    let echo = EchoServer::start().await;
    let target = format!("several:{}", echo.address.port());
    let resolver = resolver(&["127.0.0.3", "127.0.0.4", "127.0.0.1"]);
    let dialed = dial(&freedom(FreedomResolve::AsIs), &target, &resolver, LONG).await.unwrap();
    assert_eq!(peer(&dialed), echo.address);
}

/// Makes `address` one that answers no connection attempt: Linux drops what a full backlog has no
/// room for. Lasts until the result is dropped.
#[cfg(target_os = "linux")]
async fn hang(address: SocketAddr) -> Option<(TcpListener, TcpStream)> {
    let socket = TcpSocket::new_v4().unwrap();
    // Somebody else may have the port at this address.
    socket.bind(address).ok()?;
    let listener = socket.listen(0).unwrap();
    let filling = TcpStream::connect(address).await.unwrap();
    Some((listener, filling))
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_address_that_hangs_is_passed_over_after_a_moment() {
    let (echo, hung, _hung) = loop {
        let echo = EchoServer::start().await;
        let hung: SocketAddr = format!("127.0.0.2:{}", echo.address.port()).parse().unwrap();
        if let Some(held) = hang(hung).await {
            break (echo, hung, held);
        }
    };
    let (dialer, resolver) = (freedom(FreedomResolve::AsIs), resolver(&["127.0.0.2", "127.0.0.1"]));
    let start = Instant::now();
    let dialed = dial(&dialer, &format!("several:{}", hung.port()), &resolver, LONG).await.unwrap();
    assert_eq!(peer(&dialed), echo.address);
    assert!(start.elapsed() >= Duration::from_millis(250));

    let error = dial(&dialer, &hung.to_string(), &resolver, SHORT).await.unwrap_err();
    assert!(matches!(error, DialError::ConnectTimeout { address } if address == hung), "{error}");
    assert_eq!(error.failure(), DialFailure::Timeout);
}

#[tokio::test]
async fn an_address_that_was_routed_on_is_dialled_first() {
    let echo = EchoServer::start().await;
    let target: Target = format!("several:{}", echo.address.port()).parse().unwrap();
    let second: SocketAddr = format!("127.0.0.2:{}", echo.address.port()).parse().unwrap();
    let _listener = TcpListener::bind(second).await.unwrap();
    let resolver = resolver(&["127.0.0.1", "127.0.0.2"]);
    for (prefer, expected) in [(second.ip(), second), (echo.address.ip(), echo.address)] {
        let deadline = Instant::now() + LONG;
        let dialer = freedom(FreedomResolve::AsIs);
        let dialed = dialer.dial(&target, &[prefer], &resolver, deadline).await.unwrap();
        assert_eq!(peer(&dialed), expected);
    }
}

#[tokio::test]
async fn only_the_dns_section_knows_its_hosts() {
    let echo = EchoServer::start().await;
    let target = format!("listed:{}", echo.address.port());
    let dns = freedom(FreedomResolve::Use(AddressFamily::V4));
    assert_eq!(peer(&dial(&dns, &target, &resolver(&[]), LONG).await.unwrap()), echo.address);
    for dialer in [freedom(FreedomResolve::AsIs), freedom(FreedomResolve::Use(AddressFamily::V6))] {
        let error = dial(&dialer, &target, &resolver(&[]), LONG).await.unwrap_err();
        assert!(matches!(error, DialError::Resolve(_)), "{error}");
        assert_eq!(error.failure(), DialFailure::HostUnreachable);
    }
}

#[tokio::test]
async fn a_blackhole_says_how_it_wants_to_be_answered() {
    for http_response in [false, true] {
        let dialer =
            Dialer::try_new(&OutboundProtocol::Blackhole { http_response }, &SocketOptions::default())
                .unwrap();
        let error = dial(&dialer, "a:1", &resolver(&[]), LONG).await.unwrap_err();
        assert!(matches!(error, DialError::Blackholed { http_response: told } if told == http_response));
    }
}

#[tokio::test]
async fn a_socks_server_gets_the_name_and_what_it_says_early_is_kept() {
    let node = Socks5Node::start("one", Behaviour::Label).await;
    let dialed = dial(&socks(&[node.address]), "unknown.test:443", &resolver(&[]), LONG).await.unwrap();
    assert_eq!(peer(&dialed), node.address);
    assert_eq!(read_all(dialed).await, "one");
    assert_eq!(node.seen()[0].target.to_string(), "unknown.test:443");
}

#[tokio::test]
async fn servers_take_turns_and_the_next_one_steps_in() {
    let first = Socks5Node::start("one", Behaviour::Label).await;
    let second = Socks5Node::start("two", Behaviour::Label).await;
    let dialer = socks(&[first.address, second.address]);
    let mut labels = Vec::new();
    for behaviour in [Behaviour::Label, Behaviour::Close] {
        first.set_behaviour(behaviour);
        for _ in 0..2 {
            labels.push(read_all(dial(&dialer, "a:1", &resolver(&[]), LONG).await.unwrap()).await);
        }
    }
    assert_eq!(labels, ["one", "two", "two", "two"]);
    // A server that hangs is given up early enough for the next one.
    first.set_behaviour(Behaviour::HangAfterAccept);
    for _ in 0..2 {
        let dialed = dial(&dialer, "a:1", &resolver(&[]), 2 * SHORT).await.unwrap();
        assert_eq!(read_all(dialed).await, "two");
    }
}

#[tokio::test]
async fn a_socks_server_that_misbehaves_is_an_error_of_its_kind() {
    let node = Socks5Node::start("bad", Behaviour::Relay).await;
    let dialer = socks(&[node.address]);
    let mut errors = Vec::new();
    for (behaviour, limit) in [
        (Behaviour::HangAfterAccept, SHORT),
        (Behaviour::HangAfterMethod, SHORT),
        (Behaviour::Close, LONG),
        (Behaviour::Garbage, LONG),
        (Behaviour::Refuse(5), LONG),
    ] {
        node.set_behaviour(behaviour);
        errors.push(dial(&dialer, "a:1", &resolver(&[]), limit).await.unwrap_err());
    }
    let [accept, method, close, garbage, refuse] = errors.as_slice() else { panic!("{errors:?}") };
    for hung in [accept, method] {
        assert!(matches!(hung, DialError::HandshakeTimeout { .. }), "{hung}");
        assert_eq!(hung.failure(), DialFailure::Timeout);
    }
    assert!(matches!(close, DialError::HandshakeClosed { .. }), "{close}");
    let version = ClientError::Version { found: b'S' };
    assert!(matches!(garbage, DialError::Proxy { source, .. } if *source == version), "{garbage}");
    let refused = ClientError::Socks5(Socks5Reply(5));
    assert!(matches!(refuse, DialError::Proxy { source, .. } if *source == refused), "{refuse}");
    assert_eq!(refuse.failure(), DialFailure::Refused);
}

#[tokio::test]
async fn an_http_proxy_gets_a_connect_with_credentials() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let request = tokio::spawn(async move {
        let (mut stream, _peer) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nhello").await.unwrap();
        String::from_utf8(request).unwrap()
    });
    let account = Some(Account { user: "user".into(), password: Secret::new("pass") });
    let servers = vec![ProxyServer { account, ..server(address) }];
    let dialer = Dialer::try_new(&OutboundProtocol::Http(servers), &SocketOptions::default()).unwrap();
    let dialed = dial(&dialer, "a:1", &resolver(&[]), LONG).await.unwrap();
    assert_eq!(read_all(dialed).await, "hello");
    assert_eq!(
        request.await.unwrap(),
        "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nProxy-Authorization: Basic dXNlcjpwYXNz\r\n\r\n"
    );
}
