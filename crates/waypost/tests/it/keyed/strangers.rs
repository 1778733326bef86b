//! What those learn who have no key, a wrong one, or somebody's old request: nothing.

use std::{net::SocketAddr, time::Duration};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, interval, timeout},
};
use waypost_net::{Network, Target};
use waypost_wire::{Seal as _, Uuid, VmessClient, VmessRequest, VmessSecurity, VmessUser, vless_client};

use super::{IDS, LIMIT, PASSWORDS, origin};
use crate::binary::Waypost;

/// How long a client may take to say what it wants.
const HANDSHAKE: Duration = Duration::from_secs(2);
/// What clocks of two programs may differ by.
const SLACK: Duration = Duration::from_millis(100);

async fn server() -> Waypost {
    let users = json!([{"id": IDS[0], "email": "anna@test"}]);
    let inbound = |tag: &str, protocol: &str, settings: serde_json::Value| json!({"tag": tag, "protocol": protocol, "listen": "127.0.0.1", "port": 0, "settings": settings});
    let config = json!({
        "inbounds": [
            inbound("vmess", "vmess", json!({"clients": users})),
            inbound("vless", "vless", json!({"decryption": "none", "clients": users})),
            inbound("trojan", "trojan", json!({"clients": [{"password": PASSWORDS[0]}]})),
            inbound("shadowsocks", "shadowsocks",
                    json!({"method": "aes-256-gcm", "password": PASSWORDS[0]})),
        ],
        "outbounds": [{"protocol": "freedom"}],
        "policy": {"levels": {"0": {"handshake": HANDSHAKE.as_secs()}}},
    });
    Waypost::start(&config.to_string(), None).await
}

/// A request of VMess with its first bytes; another one for each `seed`.
fn vmess(id: &str, target: SocketAddr, seed: u64) -> Vec<u8> {
    let target: Target = target.to_string().parse().unwrap();
    let request = VmessRequest {
        security: VmessSecurity::Aes128Gcm,
        network: Network::Tcp,
        target: &target,
        is_padded: false,
        is_length_sealed: false,
    };
    let id: Uuid = id.parse().unwrap();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let mut rng = StdRng::seed_from_u64(seed);
    let mut client = VmessClient::new(&VmessUser::new(&id), &request, now, &mut rng);
    let mut wire = Vec::new();
    client.sealer.seal(b"GET / HTTP/1.1\r\n\r\n", &mut wire);
    wire
}

/// What comes back, and after how long the connection ends.
async fn send(server: SocketAddr, bytes: &[u8]) -> (Vec<u8>, Duration) {
    let mut stream = TcpStream::connect(server).await.unwrap();
    let begin = Instant::now();
    stream.write_all(bytes).await.unwrap();
    let mut came = Vec::new();
    timeout(LIMIT, stream.read_to_end(&mut came)).await.expect("the connection ends").unwrap();
    (came, begin.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_user_a_broken_packet_and_a_replay_look_the_same() {
    let (server, target) = (server().await, origin("the origin").await);
    let vmess_server = server.address("vmess");
    let right = vmess(IDS[0], target, 1);
    let (answer, _) = send(vmess_server, &right).await;
    assert!(!answer.is_empty(), "a right request is answered\n{}", server.log());
    let mut broken = vmess(IDS[0], target, 2);
    broken[40] ^= 1;
    let mut garbage = vec![0; 300];
    StdRng::seed_from_u64(3).fill_bytes(&mut garbage);
    let vless = {
        let id: Uuid = IDS[1].parse().unwrap();
        let mut wire = Vec::new();
        vless_client(&id, &target.to_string().parse().unwrap()).0.seal(b"GET / HTTP/1.1\r\n\r\n", &mut wire);
        wire
    };
    let unknown = vmess(IDS[1], target, 4);
    let cases = [
        ("replayed", vmess_server, &right),
        ("unknown", vmess_server, &unknown),
        ("broken", vmess_server, &broken),
        ("garbage to vmess", vmess_server, &garbage),
        ("unknown to vless", server.address("vless"), &vless),
        ("garbage to vless", server.address("vless"), &garbage),
        ("garbage to trojan", server.address("trojan"), &garbage),
        ("garbage to shadowsocks", server.address("shadowsocks"), &garbage),
    ];
    let sent = cases.map(|(name, server, bytes)| {
        let bytes = bytes.clone();
        tokio::spawn(async move { (name, send(server, &bytes).await) })
    });
    for case in sent {
        let (name, (came, lasted)) = case.await.unwrap();
        assert!(came.is_empty(), "{name}: {came:?}");
        assert!(
            lasted + SLACK >= HANDSHAKE && lasted < HANDSHAKE + Duration::from_secs(1),
            "{name}: the connection ends when a slow one would, not after {lasted:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_answers_who_ends_in_the_middle_of_a_password() {
    let site = origin("the site").await;
    let config = json!({
        "inbounds": [{
            "tag": "trojan", "protocol": "trojan", "listen": "127.0.0.1", "port": 0,
            "settings": {"clients": [{"password": PASSWORDS[0]}], "fallbacks": [{"dest": site.to_string()}]},
        }],
        "outbounds": [{"protocol": "freedom"}],
    });
    let server = Waypost::start(&config.to_string(), None).await;
    for (asked, is_answered) in [("", false), ("0123456789abcdef", true)] {
        let mut stream = TcpStream::connect(server.address("trojan")).await.unwrap();
        stream.write_all(asked.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut came = String::new();
        timeout(LIMIT, stream.read_to_string(&mut came)).await.expect("the connection ends").unwrap();
        assert_eq!(came.contains("the site"), is_answered, "{came}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_dawdles_is_cut_off() {
    let server = server().await;
    let request = vmess(IDS[0], "127.0.0.1:1".parse().unwrap(), 5);
    for tag in ["vmess", "vless", "trojan", "shadowsocks"] {
        let stream = TcpStream::connect(server.address(tag)).await.unwrap();
        let begin = Instant::now();
        let (mut reader, mut writer) = stream.into_split();
        let dawdling = async {
            let mut ticks = interval(Duration::from_millis(500));
            for byte in &request {
                ticks.tick().await;
                if writer.write_all(&[*byte]).await.is_err() {
                    break;
                }
            }
        };
        let mut came = Vec::new();
        let ended = tokio::select! {
            ended = reader.read_to_end(&mut came) => ended,
            () = dawdling => panic!("{tag}: never cut off"),
        };
        // A reset is an end as well.
        assert!(came.is_empty() && ended.unwrap_or(0) == 0, "{tag}: {came:?}");
        let lasted = begin.elapsed();
        assert!(
            lasted + SLACK >= HANDSHAKE && lasted < HANDSHAKE + Duration::from_secs(2),
            "{tag}: {lasted:?}"
        );
    }
}
