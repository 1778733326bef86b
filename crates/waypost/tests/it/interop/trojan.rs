//! Trojan with Debian's `trojan`, and what happens to those who have no right password.

use std::net::SocketAddr;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{
    PASSWORD, behind, client_stream,
    exchange::exchange,
    in_front,
    peer::{Certificate, Launch, Peer, SERVER_NAME},
    server_stream,
};
use crate::programs::require;

fn run(config: &serde_json::Value) -> Launch {
    Launch {
        arguments: ["-c", "config.json"].map(str::to_owned).to_vec(),
        files: vec![("config.json", config.to_string())],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trojan_server_takes_what_is_sent_to_it() {
    let Some(trojan) = require("trojan", "interop: trojan server") else { return };
    let certificate = Certificate::new();
    let server = Peer::start(&trojan, 1, |ports| {
        run(&json!({
            "run_type": "server", "local_addr": "127.0.0.1", "local_port": ports[0],
            "remote_addr": "127.0.0.1", "remote_port": 9, "password": [PASSWORD], "log_level": 1,
            "ssl": {"cert": certificate.path(), "key": certificate.key(), "key_password": "",
                    "cipher": "", "cipher_tls13": "", "prefer_server_cipher": true, "alpn": ["http/1.1"],
                    "reuse_session": true, "session_ticket": false, "session_timeout": 600,
                    "plain_http_response": "", "curves": "", "dhparam": ""},
            "tcp": {"prefer_ipv4": true, "no_delay": true, "keep_alive": true, "reuse_port": false,
                    "fast_open": false, "fast_open_qlen": 20},
            "mysql": {"enabled": false},
        }))
    });
    let server = server.await;
    let address = server.addresses[0];
    let waypost = in_front(vec![json!({
        "protocol": "trojan",
        "settings": {"servers": [{"address": address.ip(), "port": address.port(), "password": PASSWORD}]},
        "streamSettings": client_stream(Some(&certificate), &json!({"network": "tcp"})),
    })]);
    exchange(waypost.await.address("in0")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trojan_client_is_served() {
    let Some(trojan) = require("trojan", "interop: trojan client") else { return };
    let certificate = Certificate::new();
    let waypost = behind(vec![json!({
        "protocol": "trojan", "settings": {"clients": [{"password": PASSWORD, "email": "user@test"}]},
        "streamSettings": server_stream(Some(&certificate), &json!({"network": "tcp"})),
    })]);
    let waypost = waypost.await;
    let server = waypost.address("in0");
    let client = Peer::start(&trojan, 1, |ports| {
        run(&json!({
            "run_type": "client", "local_addr": "127.0.0.1", "local_port": ports[0],
            "remote_addr": server.ip(), "remote_port": server.port(), "password": [PASSWORD], "log_level": 1,
            "ssl": {"verify": true, "verify_hostname": true, "cert": certificate.path(), "cipher": "",
                    "cipher_tls13": "", "sni": SERVER_NAME, "alpn": ["http/1.1"], "reuse_session": true,
                    "session_ticket": false, "curves": ""},
            "tcp": {"no_delay": true, "keep_alive": true, "reuse_port": false, "fast_open": false,
                    "fast_open_qlen": 20},
        }))
    });
    exchange(client.await.addresses[0]).await;
}

/// A web site of one page.
async fn site() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = vec![0; 4096];
                let count = stream.read(&mut request).await.unwrap_or_default();
                let asked = String::from_utf8_lossy(&request[..count]).into_owned();
                let body = format!("the site was asked: {}", asked.lines().next().unwrap_or_default());
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                // Who went away needs no answer.
                let _gone = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_password_finds_a_web_site() {
    let Some(curl) = require("curl", "trojan: fallback") else { return };
    let (certificate, site) = (Certificate::new(), site().await);
    let waypost = behind(vec![json!({
        "protocol": "trojan",
        "settings": {"clients": [{"password": PASSWORD}], "fallbacks": [{"dest": site.to_string()}]},
        "streamSettings": server_stream(Some(&certificate), &json!({"network": "tcp"})),
    })]);
    let waypost = waypost.await;
    let port = waypost.address("in0").port();
    let output = tokio::process::Command::new(curl)
        .args(["-s", "--max-time", "20", "--cacert"])
        .arg(certificate.path())
        .args(["--resolve", &format!("{SERVER_NAME}:{port}:127.0.0.1")])
        .arg(format!("https://{SERVER_NAME}:{port}/page"))
        .output()
        .await
        .unwrap();
    let page = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(page, "the site was asked: GET /page HTTP/1.1", "{output:?}");
}
