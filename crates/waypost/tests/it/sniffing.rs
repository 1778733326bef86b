//! Sniffing beside V2Ray: the same first bytes lead to the same names.

mod clients;

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use waypost_testkit::{Behaviour, Socks5Node};

use crate::{
    binary::Waypost,
    oracle::{V2ray, connect_socks},
    programs,
};

const LIMIT: Duration = Duration::from_secs(30);

/// A ClientHello for `name`, with nothing in it that it could do without.
fn hello(name: &str) -> Vec<u8> {
    let short = |length: usize| u16::try_from(length).unwrap().to_be_bytes();
    let list = [&[0][..], &short(name.len()), name.as_bytes()].concat();
    let extension = [&[0, 0][..], &short(list.len() + 2), &short(list.len()), &list].concat();
    let ciphers = [0, 0, 2, 0x13, 1, 1, 0];
    let body = [&[3, 3][..], &[7; 32], &ciphers, &short(extension.len()), &extension].concat();
    [&[22, 3, 1][..], &short(body.len() + 4), &[1, 0], &short(body.len()), &body].concat()
}

/// Inbounds that replace the targets of both protocols, of one, and of none.
const INBOUNDS: [(&str, &[&str]); 3] = [("both", &["http", "tls"]), ("tls", &["tls"]), ("none", &[])];

fn config(node: SocketAddr) -> Value {
    let inbounds = INBOUNDS.map(|(tag, words)| {
        json!({
            "tag": tag, "protocol": "socks", "listen": "127.0.0.1", "port": 0,
            "sniffing": {"enabled": true, "destOverride": words}
        })
    });
    let server = json!({"address": node.ip(), "port": node.port()});
    json!({
        "dns": {},
        "inbounds": inbounds,
        "outbounds": [{"tag": "out", "protocol": "socks", "settings": {"servers": [server]}}],
        "routing": {"rules": []}
    })
}

/// What the node behind a proxy is asked for by each inbound and for each kind of first bytes.
async fn targets(node: &Socks5Node, addresses: &BTreeMap<String, SocketAddr>) -> Vec<String> {
    let firsts: [Vec<u8>; 6] = [
        hello("tls.example"),
        hello("192.0.2.9"),
        b"GET / HTTP/1.1\r\nHost: http.example\r\n\r\n".to_vec(),
        b"POST /x HTTP/1.1\r\nA: b\r\nhost: Port.example:8080\r\nContent-Length: 1\r\n\r\nx".to_vec(),
        b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0".to_vec(),
        b"SSH-2.0-OpenSSH_9.6\r\n".to_vec(),
    ];
    let mut targets = Vec::new();
    for (tag, _) in INBOUNDS {
        for first in &firsts {
            for target in ["203.0.113.1:8443", "asked.example:8443"] {
                let target = target.parse().unwrap();
                let mut stream = TcpStream::connect(addresses[tag]).await.unwrap();
                connect_socks(&mut stream, &target, None).await.unwrap();
                stream.write_all(first).await.unwrap();
                let mut label = [0; 4];
                timeout(LIMIT, stream.read_exact(&mut label)).await.expect("an answer in time").unwrap();
                assert_eq!(&label, b"node");
                targets.push(node.seen().last().unwrap().target.to_string());
            }
        }
    }
    targets
}

#[tokio::test]
async fn names_take_the_place_of_targets_as_in_v2ray() {
    let test = "names_take_the_place_of_targets_as_in_v2ray";
    let Some(program) = programs::require("v2ray", test) else { return };
    let node = Socks5Node::start("node", Behaviour::Label).await;
    let assets = tempfile::tempdir().unwrap();
    let config = config(node.address);
    let waypost = Waypost::start(&config.to_string(), None).await;
    let v2ray = V2ray::start(&program, &config, "127.0.0.1:9".parse().unwrap(), assets.path()).await;
    let (ours, theirs) = (targets(&node, &waypost.addresses()).await, targets(&node, &v2ray.addresses).await);
    assert_eq!(ours, theirs);
    // Both follow what the inbound says, or the comparison would be of nothing.
    assert_eq!(ours[..4], ["tls.example:8443", "tls.example:8443", "192.0.2.9:8443", "192.0.2.9:8443"]);
    let asked = ["203.0.113.1:8443", "asked.example:8443"];
    assert!(ours[24..].iter().all(|target| asked.contains(&target.as_str())), "{ours:?}");
}
