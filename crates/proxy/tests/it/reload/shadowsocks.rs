//! What Shadowsocks knows of its clients.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UdpSocket},
    time::timeout,
};
use waypost_net::{Host, Target};
use waypost_proxy::Control;
use waypost_shadowsocks::{Client, Clock, Method};
use waypost_wire::Seal as _;

use super::{LIMIT, Running, config};

const METHOD: Method = Method::Aes256Gcm;

fn server(users: &[&str], network: &str) -> Value {
    let users: Vec<Value> = users.iter().map(|name| json!({"name": name, "password": name})).collect();
    json!({
        "type": "shadowsocks", "listen": "127.0.0.1", "listen_port": 0, "network": network,
        "method": METHOD.as_str(), "users": users,
    })
}

fn client(user: &str) -> Client {
    let now = || SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_secs());
    Client::try_new(METHOD, user, Clock::new(now)).unwrap()
}

fn target(address: SocketAddr) -> Target {
    Target::new(Host::from(address.ip()), address.port())
}

/// Where the inbound listens that comes at this place in the file.
fn address(control: &Control, index: usize) -> SocketAddr {
    control.addresses()[index].address.ip().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_in_before_is_not_taken_again_when_users_change() {
    let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let of = |users: &[&str]| {
        let mut server = server(users, "tcp");
        server["tag"] = json!("in");
        config(&[server], &[json!({"type": "direct"})], &json!({}))
    };
    let running = Running::start(&of(&["anna"])).await;
    let here = running.address("in");
    let mut request = Vec::new();
    let (mut sealer, _opener) =
        client("anna").codec(&target(origin.local_addr().unwrap()), &mut StdRng::seed_from_u64(1));
    sealer.seal(b"pay", &mut request);

    let mut first = TcpStream::connect(here).await.unwrap();
    first.write_all(&request).await.unwrap();
    let (mut taken, _) = timeout(LIMIT, origin.accept()).await.unwrap().unwrap();
    let mut came = [0; 3];
    timeout(LIMIT, taken.read_exact(&mut came)).await.unwrap().unwrap();
    assert_eq!(&came, b"pay");

    assert!(running.reload(&of(&["anna", "bela"])).await.unwrap().changed);
    let mut again = TcpStream::connect(here).await.unwrap();
    again.write_all(&request).await.unwrap();
    let taken = timeout(Duration::from_millis(500), origin.accept()).await;
    assert!(taken.is_err(), "a recorded request is served again");
    let counts = running.proxy.connections().snapshot();
    assert_eq!(counts.len(), 1, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn datagrams_go_on_although_nothing_has_a_name() {
    let origin = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let of = |last: &str| {
        let stranger = json!({
            "type": "trojan", "listen": "127.0.0.1", "listen_port": 0,
            "users": [{"name": "carl", "password": "carl"}],
        });
        let outbounds = [json!({"type": "direct", "tag": "x"}), json!({"type": "direct", "tag": "y"})];
        config(&[server(&["anna"], "udp"), stranger], &outbounds, &json!({"final": last}))
    };
    let running = Running::start(&of("x")).await;
    let here = address(&running.control, 0);
    let device = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut session = client("anna").datagrams(&mut StdRng::seed_from_u64(2));
    let mut ask = async || {
        let mut sealed = Vec::new();
        session.seal(&target(origin.local_addr().unwrap()), b"ping", &mut sealed).unwrap();
        device.send_to(&sealed, here).await.unwrap();
        let mut buffer = [0; 256];
        let (n, from) = timeout(LIMIT, origin.recv_from(&mut buffer)).await.expect("it arrives").unwrap();
        assert_eq!(&buffer[..n], b"ping");
        origin.send_to(b"pong", from).await.unwrap();
        let n = timeout(LIMIT, device.recv(&mut buffer)).await.expect("the answer arrives").unwrap();
        let (_, payload) = session.open(&mut buffer[..n]).unwrap();
        assert_eq!(&buffer[payload], b"pong");
        from
    };
    let before = ask().await;
    assert!(running.reload(&of("y")).await.unwrap().changed);
    assert_eq!(address(&running.control, 0), here);
    assert_eq!(ask().await, before, "the session goes on");
}
