//! Clients that a firewall redirects.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    process::Command,
    time::timeout,
};
use waypost_testkit::say_skipped;

use crate::{binary::Waypost, namespace::entered, programs::require};

const LIMIT: Duration = Duration::from_secs(20);

/// Has the kernel redirect what goes to port 7777, but for what is marked; `false` if it cannot.
async fn redirect(to: u16) -> bool {
    let rule = format!(
        "add table ip nat; add chain ip nat output {{ type nat hook output priority -100; }}; \
         add rule ip nat output meta mark != 255 tcp dport 7777 redirect to :{to}"
    );
    let mut nft = Command::new("nft");
    nft.arg(rule).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    nft.status().await.is_ok_and(|status| status.success())
}

#[tokio::test]
async fn a_client_is_taken_where_it_was_going_and_marked_sockets_are_not_redirected_again() {
    let test = "redirected::a_client_is_taken_where_it_was_going_and_marked_sockets_are_not_redirected_again";
    if require("nft", test).is_none() || !entered(test, &["10.9.9.9/32"]).await {
        return;
    }
    let config = json!({
        "inbounds": [{"protocol": "dokodemo-door", "tag": "in", "listen": "127.0.0.1", "port": 0,
            "settings": {"followRedirect": true}}],
        "outbounds": [{"protocol": "freedom", "streamSettings": {"sockopt": {"mark": 255}}}],
        "routing": {"rules": []},
    });
    let proxy = Waypost::start(&config.to_string(), None).await;
    if !redirect(proxy.address("in").port()).await {
        return say_skipped(test, "this kernel cannot redirect, or `nft` may not ask it to");
    }
    let target: SocketAddr = "10.9.9.9:7777".parse().unwrap();
    let origin = TcpListener::bind(target).await.unwrap();
    let mut client = TcpStream::connect(target).await.unwrap();
    client.write_all(b"hello").await.unwrap();
    let (mut accepted, from) = timeout(LIMIT, origin.accept()).await.unwrap().unwrap();
    assert_ne!(from, client.local_addr().unwrap(), "the proxy's own connection");
    let mut got = [0; 5];
    timeout(LIMIT, accepted.read_exact(&mut got)).await.unwrap().unwrap();
    assert_eq!(&got, b"hello");
    accepted.write_all(b"there").await.unwrap();
    timeout(LIMIT, client.read_exact(&mut got)).await.unwrap().unwrap();
    assert_eq!(&got, b"there");
}
