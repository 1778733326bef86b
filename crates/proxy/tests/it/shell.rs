//! Listener, handshake, dialer and relay together, with a dialer of ours for a client.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
    time::Instant,
};
use waypost_config::model::{ClientProtocol, FreedomResolve, OutboundProtocol, SocketOptions};
use waypost_dns::{Hosts, Resolver};
use waypost_proxy::{
    Conduit, DialError, Dialer, HandshakeSettings, Opened, Relay, Side, Stream, Terms, accept_client, bind,
};
use waypost_testkit::{EchoServer, refused_address};
use waypost_wire::{ClientError, Socks5Reply};

use crate::{dial::socks, listener::inbound};

const LIMIT: Duration = Duration::from_secs(30);

fn freedom() -> Dialer {
    Dialer::try_new(
        &OutboundProtocol::Freedom { resolve: FreedomResolve::AsIs, redirect: None },
        &SocketOptions::default(),
    )
    .unwrap()
}

/// A proxy for one client after the other; ends with the runtime.
fn start_proxy(dialer: Dialer) -> (SocketAddr, JoinHandle<()>) {
    let inbound = inbound(IpAddr::from(Ipv4Addr::LOCALHOST), 0, 0);
    let listener = bind(&inbound, 1).unwrap().remove(0).remove(0).listen().unwrap();
    let settings = HandshakeSettings::try_new(ClientProtocol::Mixed, &inbound).unwrap();
    let address = listener.address().ip().unwrap();
    let dialer = Arc::new(dialer);
    let serving = tokio::spawn(async move {
        loop {
            let (stream, _peer) = listener.accept().await;
            tokio::spawn(serve(stream, settings.clone(), dialer.clone()));
        }
    });
    (address, serving)
}

async fn serve(stream: Stream, settings: HandshakeSettings, dialer: Arc<Dialer>) {
    let Opened::Tunnel(accepted) = accept_client(stream, &settings).await.unwrap() else {
        panic!("no tunnel")
    };
    let resolver = Resolver::new(Hosts::default());
    match dialer.dial(&accepted.target, &[], &resolver, Instant::now() + LIMIT).await {
        Err(DialError::Blackholed { http_response }) => accepted.client.answer_blackhole(http_response).await,
        Err(error) => accepted.client.answer_failure(error.failure()).await,
        Ok(dialed) => {
            let (stream, rest) = accepted.client.answer_success(dialed.bound).await.unwrap();
            let client = Side { stream, rest };
            let target = Side { stream: dialed.stream, rest: dialed.rest };
            Relay::new(client, target, Arc::new(Terms::default()), Arc::new(Conduit::default())).await;
        }
    }
}

#[tokio::test]
async fn two_proxies_in_a_row_carry_bytes_both_ways() {
    let echo = EchoServer::start().await;
    let (last, _serving) = start_proxy(freedom());
    let (first, _serving) = start_proxy(socks(&[last]));
    let resolver = Resolver::new(Hosts::default());
    let mut dialed =
        socks(&[first]).dial(&echo.address.into(), &[], &resolver, Instant::now() + LIMIT).await.unwrap();
    dialed.stream.write_all(b"hello").await.unwrap();
    dialed.stream.shutdown().await.unwrap();
    let mut all = dialed.rest;
    dialed.stream.read_to_end(&mut all).await.unwrap();
    assert_eq!(all, b"hello");
}

#[tokio::test]
async fn a_refused_dial_is_code_5_for_a_socks_client() {
    let (proxy, _serving) = start_proxy(freedom());
    let target = refused_address().await.into();
    let resolver = Resolver::new(Hosts::default());
    let error = socks(&[proxy]).dial(&target, &[], &resolver, Instant::now() + LIMIT).await.unwrap_err();
    let refused = ClientError::Socks5(Socks5Reply(5));
    assert!(matches!(&error, DialError::Proxy { source, .. } if *source == refused), "{error}");
}

#[tokio::test]
async fn an_http_client_is_told_that_the_target_refused() {
    let (proxy, _serving) = start_proxy(freedom());
    let mut client = TcpStream::connect(proxy).await.unwrap();
    let target = refused_address().await;
    client.write_all(format!("CONNECT {target} HTTP/1.1\r\n\r\n").as_bytes()).await.unwrap();
    let mut response = String::new();
    client.read_to_string(&mut response).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{response}");
}
