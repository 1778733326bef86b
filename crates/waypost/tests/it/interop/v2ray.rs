//! VMess with V2Ray 4.34: over TCP, TLS and WebSocket.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{
    ID, behind, client_stream,
    exchange::{exchange, exchange_and_count},
    in_front,
    peer::{Certificate, Launch, Peer},
    server_stream,
};
use crate::programs::require;

/// How long V2Ray may take to write of a connection that ended.
const LOG_LIMIT: Duration = Duration::from_secs(10);

/// The transports, each with its name.
fn networks() -> [(&'static str, bool, Value); 4] {
    let web_socket = json!({"network": "ws", "wsSettings": {"path": "/way"}});
    [
        ("tcp", false, json!({"network": "tcp"})),
        ("tls", true, json!({"network": "tcp"})),
        ("ws", false, web_socket.clone()),
        ("ws over tls", true, web_socket),
    ]
}

fn users(security: &str) -> Value {
    json!([{"id": ID, "alterId": 0, "security": security}])
}

fn run(config: &Value) -> Launch {
    Launch {
        arguments: ["-config", "config.json"].map(str::to_owned).to_vec(),
        files: vec![("config.json", config.to_string())],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_v2ray_server_takes_what_is_sent_to_it() {
    let Some(v2ray) = require("v2ray", "interop: v2ray server") else { return };
    let certificate = Certificate::new();
    let server = Peer::start(&v2ray, networks().len(), |ports| {
        let inbounds: Vec<Value> = networks()
            .iter()
            .zip(ports)
            .map(|((_, tls, network), port)| {
                json!({
                    "port": port, "listen": "127.0.0.1", "protocol": "vmess",
                    "settings": {"clients": [{"id": ID, "alterId": 0}]},
                    "streamSettings": server_stream(tls.then_some(&certificate), network),
                })
            })
            .collect();
        run(&json!({
            "log": {"loglevel": "info", "access": "none"}, "inbounds": inbounds,
            "outbounds": [{"protocol": "freedom"}],
        }))
    });
    let server = server.await;
    let securities = ["aes-128-gcm", "chacha20-poly1305", "auto", "none"];
    let outbounds = networks().into_iter().zip(&server.addresses).zip(securities).map(
        |(((_, tls, network), address), security)| {
            let server = json!({"address": address.ip(), "port": address.port(), "users": users(security)});
            json!({"protocol": "vmess", "settings": {"vnext": [server]},
                   "streamSettings": client_stream(tls.then_some(&certificate), &network)})
        },
    );
    let waypost = in_front(outbounds.collect()).await;
    let mut n_unanswered = 0;
    for (index, (name, ..)) in networks().iter().enumerate() {
        println!("vmess over {name}");
        n_unanswered += exchange_and_count(waypost.address(&format!("in{index}"))).await;
    }
    // V2Ray remembers connections of 120 seconds in a filter that keeps one byte of each (cuckoo, 32,768
    // buckets). It takes some new ones for replays, one of some thousand, and never answers those.
    let n_refused = || server.log().matches("replayed request").count();
    let deadline = Instant::now() + LOG_LIMIT;
    while n_refused() < n_unanswered && Instant::now() < deadline {
        sleep(Duration::from_millis(10)).await;
    }
    println!("taken for replays by V2Ray: {}", n_refused());
    assert_eq!(n_unanswered, n_refused(), "only what V2Ray takes for a replay stays unanswered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_v2ray_client_is_served() {
    let Some(v2ray) = require("v2ray", "interop: v2ray client") else { return };
    let certificate = Certificate::new();
    let inbounds = networks().map(|(_, tls, network)| {
        json!({"protocol": "vmess", "settings": {"clients": [{"id": ID, "email": "user@test"}]},
               "streamSettings": server_stream(tls.then_some(&certificate), &network)})
    });
    let waypost = behind(inbounds.into()).await;
    let securities = ["aes-128-gcm", "chacha20-poly1305", "auto", "none"];
    let client = Peer::start(&v2ray, networks().len(), |ports| {
        let each = || networks().into_iter().enumerate().zip(ports);
        let inbounds: Vec<Value> = each()
            .map(|((index, _), port)| {
                json!({"tag": format!("in{index}"), "port": port, "listen": "127.0.0.1", "protocol": "socks",
                       "settings": {"udp": true, "ip": "127.0.0.1"}})
            })
            .collect();
        let outbounds: Vec<Value> = each()
            .zip(securities)
            .map(|(((index, (_, tls, network)), _), security)| {
                let address = waypost.address(&format!("in{index}"));
                let server =
                    json!({"address": address.ip(), "port": address.port(), "users": users(security)});
                json!({"tag": format!("out{index}"), "protocol": "vmess", "settings": {"vnext": [server]},
                       "streamSettings": client_stream(tls.then_some(&certificate), &network)})
            })
            .collect();
        let rules: Vec<Value> = each()
            .map(|((index, _), _)| {
                json!({"type": "field", "inboundTag": [format!("in{index}")],
                       "outboundTag": format!("out{index}")})
            })
            .collect();
        run(&json!({"log": {"loglevel": "warning"}, "inbounds": inbounds, "outbounds": outbounds,
                    "routing": {"rules": rules}}))
    });
    let client = client.await;
    for ((name, ..), address) in networks().iter().zip(&client.addresses) {
        println!("vmess over {name}");
        exchange(*address).await;
    }
}
