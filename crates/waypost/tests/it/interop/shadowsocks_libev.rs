//! Shadowsocks with Debian's shadowsocks-libev.

use serde_json::json;

use super::{
    PASSWORD, behind,
    exchange::exchange,
    in_front,
    peer::{Launch, Peer},
};
use crate::programs::require;

const METHODS: [&str; 4] =
    ["aes-256-gcm", "aes-128-gcm", "chacha20-ietf-poly1305", "xchacha20-ietf-poly1305"];

fn arguments(words: &[&str]) -> Launch {
    Launch { arguments: words.iter().map(|&word| word.to_owned()).collect(), files: Vec::new() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_libev_server_takes_what_is_sent_to_it() {
    let Some(server) = require("ss-server", "interop: ss-server") else { return };
    for method in METHODS {
        let peer = Peer::start(&server, 1, |ports| {
            let port = ports[0].to_string();
            arguments(&["-s", "127.0.0.1", "-p", &port, "-k", PASSWORD, "-m", method, "-u"])
        });
        let peer = peer.await;
        let address = peer.addresses[0];
        let server = json!({"address": address.ip(), "port": address.port(), "method": method,
                            "password": PASSWORD});
        let outbound = json!({"protocol": "shadowsocks", "settings": {"servers": [server]}});
        println!("{method}");
        exchange(in_front(vec![outbound]).await.address("in0")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_libev_client_is_served() {
    let Some(client) = require("ss-local", "interop: ss-local") else { return };
    for method in METHODS {
        let settings =
            json!({"method": method, "password": PASSWORD, "email": "user@test", "network": "tcp,udp"});
        let waypost = behind(vec![json!({"protocol": "shadowsocks", "settings": settings})]).await;
        let server = waypost.address("in0").port().to_string();
        let peer = Peer::start(&client, 1, |ports| {
            let port = ports[0].to_string();
            arguments(&[
                "-s",
                "127.0.0.1",
                "-p",
                &server,
                "-b",
                "127.0.0.1",
                "-l",
                &port,
                "-k",
                PASSWORD,
                "-m",
                method,
                "-u",
            ])
        });
        println!("{method}");
        exchange(peer.await.addresses[0]).await;
    }
}
