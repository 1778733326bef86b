//! Proxy protocols with programs of others in both roles: what they send arrives here, and what is sent
//! here arrives there.

mod exchange;
mod origin;
mod peer;

mod shadowsocks_libev;
mod sing_box;
mod trojan;
mod v2ray;

use serde_json::{Value, json};

use self::peer::{Certificate, SERVER_NAME};
use crate::binary::Waypost;

/// The id of the user of VMess and VLESS.
const ID: &str = "b831381d-6324-4d53-ad4f-8cda48b30811";
/// The password of the user of Trojan, and of Shadowsocks where any text is one.
const PASSWORD: &str = "s3cret and long";

/// Waypost in front of servers of others: a SOCKS inbound for each outbound.
async fn in_front(outbounds: Vec<Value>) -> Waypost {
    let tags = (0..outbounds.len()).map(|index| (format!("in{index}"), format!("out{index}")));
    let inbounds: Vec<Value> = tags
        .clone()
        .map(|(inbound, _)| {
            json!({"tag": inbound, "protocol": "socks", "listen": "127.0.0.1", "port": 0,
                   "settings": {"udp": true}})
        })
        .collect();
    let rules: Vec<Value> =
        tags.map(|(inbound, outbound)| json!({"inboundTag": [inbound], "outboundTag": outbound})).collect();
    let tagged = outbounds.into_iter().enumerate().map(|(index, mut outbound)| {
        outbound["tag"] = json!(format!("out{index}"));
        outbound
    });
    let outbounds: Vec<Value> = tagged.collect();
    let config = json!({"inbounds": inbounds, "outbounds": outbounds, "routing": {"rules": rules}});
    Waypost::start(&config.to_string(), None).await
}

/// Waypost behind clients of others, which send to one port both streams and datagrams.
async fn behind(inbounds: Vec<Value>) -> Waypost {
    let tagged = inbounds.into_iter().enumerate().map(|(index, mut inbound)| {
        inbound["tag"] = json!(format!("in{index}"));
        inbound["listen"] = json!("127.0.0.1");
        inbound["port"] = json!(0);
        if inbound["protocol"] == "shadowsocks" {
            inbound["port"] = json!(free_port());
        }
        inbound
    });
    let inbounds: Vec<Value> = tagged.collect();
    let config = json!({"inbounds": inbounds, "outbounds": [{"tag": "direct", "protocol": "freedom"}]});
    Waypost::start(&config.to_string(), None).await
}

/// A port that was free a moment ago for streams and for datagrams.
fn free_port() -> u16 {
    let local = std::net::Ipv4Addr::LOCALHOST;
    let both = || {
        let listener = std::net::TcpListener::bind((local, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::net::UdpSocket::bind((local, port)).ok().map(|_socket| port)
    };
    std::iter::repeat_with(both).flatten().next().unwrap()
}

/// `streamSettings` of a client.
fn client_stream(certificate: Option<&Certificate>, network: &Value) -> Value {
    let mut stream = network.clone();
    if let Some(certificate) = certificate {
        stream["security"] = json!("tls");
        stream["tlsSettings"] = json!({
            "serverName": SERVER_NAME, "disableSystemRoot": true,
            "certificates": [{"usage": "verify", "certificateFile": certificate.path()}],
        });
    }
    stream
}

/// `streamSettings` of a server.
fn server_stream(certificate: Option<&Certificate>, network: &Value) -> Value {
    let mut stream = network.clone();
    if let Some(certificate) = certificate {
        stream["security"] = json!("tls");
        stream["tlsSettings"] = json!({"certificates": [
            {"certificateFile": certificate.path(), "keyFile": certificate.key()},
        ]});
    }
    stream
}
