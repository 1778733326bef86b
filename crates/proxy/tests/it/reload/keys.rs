//! Users that come and go.

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout},
};
use waypost_testkit::EchoServer;

use super::{LIMIT, Running, config, echoes, inbound, tunnel};

const USERS: [&str; 2] = ["b831381d-6324-4d53-ad4f-8cda48b30811", "27848739-7e62-4138-9fd3-098a63964b6b"];

/// A server of VLESS in gRPC that gives a client so many seconds to prove itself.
fn vless_server(users: &[&str], handshake: u32) -> Value {
    let clients: Vec<Value> = users.iter().map(|id| json!({"id": id})).collect();
    json!({
        "inbounds": [{
            "protocol": "vless", "tag": "in", "listen": "127.0.0.1", "port": 0,
            "settings": {"clients": clients, "decryption": "none"},
            "streamSettings": {"network": "grpc", "grpcSettings": {"serviceName": "way"}},
        }],
        "outbounds": [{"protocol": "freedom"}],
        "policy": {"levels": {"0": {"handshake": handshake}}},
    })
}

/// A client of it.
async fn vless_client(server: &Running, user: &str) -> Running {
    let node = json!({
        "type": "vless", "tag": "node", "uuid": user,
        "server": "127.0.0.1", "server_port": server.address("in").port(),
        "transport": {"type": "grpc", "service_name": "way"},
    });
    Running::start(&config(&[inbound("in", 0)], &[node], &json!({}))).await
}

/// Streams come in when they like, long after the connection that they are in.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_no_user_any_more_gets_in_by_no_standing_connection() {
    let echo = EchoServer::start().await;
    let server = Running::start(&vless_server(&USERS, 60)).await;
    let client = vless_client(&server, USERS[1]).await;
    let mut before = tunnel(client.address("in"), echo.address).await;
    assert!(echoes(&mut before).await);

    // The users stay: only how long a client may take changes, for the standing connection as well.
    assert!(server.reload(&vless_server(&USERS, 1)).await.unwrap().changed);
    assert!(echoes(&mut tunnel(client.address("in"), echo.address).await).await);
    assert!(server.reload(&vless_server(&USERS[..1], 1)).await.unwrap().changed);
    assert!(echoes(&mut before).await, "what began before goes on");
    let begin = Instant::now();
    assert!(!echoes(&mut tunnel(client.address("in"), echo.address).await).await);
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());

    assert!(server.reload(&vless_server(&USERS, 1)).await.unwrap().changed);
    assert!(echoes(&mut tunnel(client.address("in"), echo.address).await).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_is_gone_takes_no_streams_of_standing_connections() {
    let echo = EchoServer::start().await;
    let server = Running::start(&vless_server(&USERS, 60)).await;
    let client = vless_client(&server, USERS[0]).await;
    let mut before = tunnel(client.address("in"), echo.address).await;
    assert!(echoes(&mut before).await);
    let other = config(&[inbound("other", 0)], &[json!({"type": "direct"})], &json!({}));
    assert!(server.reload(&other).await.unwrap().changed);
    assert!(echoes(&mut before).await, "what began before goes on");
    let begin = Instant::now();
    loop {
        let mut stream = TcpStream::connect(client.address("in")).await.unwrap();
        let SocketAddr::V4(target) = echo.address else { panic!("IPv4") };
        let request =
            [&[5, 1, 0, 5, 1, 0, 1][..], &target.ip().octets(), &target.port().to_be_bytes(), b"ping"];
        stream.write_all(&request.concat()).await.unwrap();
        let mut said = Vec::new();
        // It is cut off in one way or the other.
        let _cut = timeout(LIMIT, stream.take(16).read_to_end(&mut said)).await.unwrap();
        if !said.ends_with(b"ping") {
            break;
        }
        assert!(begin.elapsed() < LIMIT);
    }
}
