//! Protocols with sing-box: VLESS and its transports, Shadowsocks of 2022, and the others as well.

use serde_json::{Value, json};

use super::{
    ID, PASSWORD, behind, client_stream,
    exchange::exchange,
    in_front,
    peer::{Certificate, Launch, Peer, SERVER_NAME},
    server_stream,
};
use crate::sing_box::require_sing_box;

/// A protocol over a transport, as both programs write it.
struct Case {
    name: &'static str,
    /// The outbound of sing-box without its server, and the inbound without its port.
    outbound: Value,
    inbound: Value,
    /// Protocol and settings of V2Ray's outbound, with `@HOST` and `@PORT` for the server.
    v2ray_outbound: Value,
    v2ray_inbound: Value,
    has_tls: bool,
    /// `transport` of sing-box, and the network of `streamSettings`.
    transport: Option<(Value, Value)>,
}

fn vless(name: &'static str, has_tls: bool, transport: Option<(Value, Value)>) -> Case {
    let users = json!([{"id": ID, "encryption": "none"}]);
    Case {
        name,
        outbound: json!({"type": "vless", "uuid": ID, "packet_encoding": ""}),
        inbound: json!({"type": "vless", "users": [{"name": "user@test", "uuid": ID}]}),
        v2ray_outbound: json!({"protocol": "vless", "settings": {"vnext": [{"users": users}]}}),
        v2ray_inbound: json!({"protocol": "vless",
            "settings": {"decryption": "none", "clients": [{"id": ID, "email": "user@test"}]}}),
        has_tls,
        transport,
    }
}

fn shadowsocks(method: &'static str, server: &str, user: &str) -> Case {
    let both = format!("{server}:{user}");
    Case {
        name: method,
        outbound: json!({"type": "shadowsocks", "method": method, "password": both}),
        inbound: json!({"type": "shadowsocks", "method": method, "password": server,
                        "users": [{"name": "user@test", "password": user}]}),
        v2ray_outbound: json!({"protocol": "shadowsocks",
            "settings": {"servers": [{"method": method, "password": both}]}}),
        v2ray_inbound: json!({"protocol": "shadowsocks", "settings": {
            "method": method, "password": server, "network": "tcp,udp",
            "clients": [{"password": user, "email": "user@test"}]}}),
        has_tls: false,
        transport: None,
    }
}

fn cases() -> Vec<Case> {
    let grpc = (
        json!({"type": "grpc", "service_name": "way"}),
        json!({"network": "grpc", "grpcSettings": {"serviceName": "way"}}),
    );
    let web_socket = (
        json!({"type": "ws", "path": "/way", "max_early_data": 2048,
               "early_data_header_name": "Sec-WebSocket-Protocol"}),
        json!({"network": "ws", "wsSettings": {"path": "/way?ed=2048"}}),
    );
    let upgrade = (
        json!({"type": "httpupgrade", "path": "/way"}),
        json!({"network": "httpupgrade", "httpupgradeSettings": {"path": "/way"}}),
    );
    // Keys of 16 and of 32 bytes.
    let (short, other) = ("4xthUg2nCcqqvArtjBxSPA==", "h2xkYwsxuJIm1GFpzeXlqw==");
    let long = "RkYxNmI1c3Q5bzNhbGV4aW5vMTlkZmE4c2Rhc2RmYXM=";
    let mut single = shadowsocks("2022-blake3-chacha20-poly1305", long, "");
    for (value, key) in [
        (&mut single.outbound, "password"),
        (&mut single.inbound, "password"),
        (&mut single.v2ray_outbound["settings"]["servers"][0], "password"),
        (&mut single.v2ray_inbound["settings"], "password"),
    ] {
        value[key] = json!(long);
        value.as_object_mut().unwrap().retain(|key, _| key != "users" && key != "clients");
    }
    vec![
        vless("vless", false, None),
        vless("vless over tls", true, None),
        vless("vless over ws with early data", true, Some(web_socket)),
        vless("vless over httpupgrade", true, Some(upgrade)),
        vless("vless over grpc", false, Some(grpc.clone())),
        vless("vless over grpc over tls", true, Some(grpc.clone())),
        Case {
            name: "trojan over grpc",
            outbound: json!({"type": "trojan", "password": PASSWORD}),
            inbound: json!({"type": "trojan", "users": [{"name": "user@test", "password": PASSWORD}]}),
            v2ray_outbound: json!({"protocol": "trojan",
                "settings": {"servers": [{"password": PASSWORD}]}}),
            v2ray_inbound: json!({"protocol": "trojan",
                "settings": {"clients": [{"password": PASSWORD, "email": "user@test"}]}}),
            has_tls: true,
            transport: Some(grpc),
        },
        shadowsocks("2022-blake3-aes-128-gcm", short, other),
        single,
    ]
}

fn run(config: &Value) -> Launch {
    Launch {
        arguments: ["run", "-c", "config.json"].map(str::to_owned).to_vec(),
        files: vec![("config.json", config.to_string())],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sing_box_server_takes_what_is_sent_to_it() {
    let Some(program) = require_sing_box("interop: sing-box server") else { return };
    let certificate = Certificate::new();
    let server = Peer::start(&program, cases().len(), |ports| {
        let inbounds: Vec<Value> = cases()
            .into_iter()
            .zip(ports)
            .map(|(case, port)| {
                let mut inbound = case.inbound;
                inbound["listen"] = json!("127.0.0.1");
                inbound["listen_port"] = json!(port);
                if case.has_tls {
                    inbound["tls"] = json!({"enabled": true, "certificate_path": certificate.path(),
                                            "key_path": certificate.key()});
                }
                if let Some((transport, _)) = case.transport {
                    inbound["transport"] = transport;
                }
                inbound
            })
            .collect();
        run(&json!({"log": {"level": "warn"}, "inbounds": inbounds, "outbounds": [{"type": "direct"}]}))
    });
    let server = server.await;
    let outbounds = cases().into_iter().zip(&server.addresses).map(|(case, address)| {
        let mut outbound = case.v2ray_outbound;
        let key = if outbound["settings"]["vnext"].is_array() { "vnext" } else { "servers" };
        outbound["settings"][key][0]["address"] = json!(address.ip());
        outbound["settings"][key][0]["port"] = json!(address.port());
        let network = case.transport.map_or_else(|| json!({"network": "tcp"}), |(_, network)| network);
        outbound["streamSettings"] = client_stream(case.has_tls.then_some(&certificate), &network);
        outbound
    });
    let waypost = in_front(outbounds.collect()).await;
    for (index, case) in cases().iter().enumerate() {
        println!("{}", case.name);
        exchange(waypost.address(&format!("in{index}"))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sing_box_client_is_served() {
    let Some(program) = require_sing_box("interop: sing-box client") else { return };
    let certificate = Certificate::new();
    let inbounds = cases().into_iter().map(|case| {
        let mut inbound = case.v2ray_inbound;
        let network = case.transport.map_or_else(|| json!({"network": "tcp"}), |(_, network)| network);
        inbound["streamSettings"] = server_stream(case.has_tls.then_some(&certificate), &network);
        inbound
    });
    let waypost = behind(inbounds.collect()).await;
    let client = Peer::start(&program, cases().len(), |ports| {
        let (mut inbounds, mut outbounds, mut rules) = (Vec::new(), Vec::new(), Vec::new());
        for (index, (case, port)) in cases().into_iter().zip(ports).enumerate() {
            let server = waypost.address(&format!("in{index}"));
            inbounds.push(json!({"type": "socks", "tag": format!("in{index}"), "listen": "127.0.0.1",
                                 "listen_port": port}));
            let mut outbound = case.outbound;
            outbound["tag"] = json!(format!("out{index}"));
            outbound["server"] = json!(server.ip());
            outbound["server_port"] = json!(server.port());
            if case.has_tls {
                outbound["tls"] = json!({"enabled": true, "server_name": SERVER_NAME,
                                         "certificate_path": certificate.path()});
            }
            if let Some((transport, _)) = case.transport {
                outbound["transport"] = transport;
            }
            outbounds.push(outbound);
            rules.push(json!({"inbound": format!("in{index}"), "outbound": format!("out{index}")}));
        }
        run(&json!({"log": {"level": "warn"}, "inbounds": inbounds, "outbounds": outbounds,
                    "route": {"rules": rules}}))
    });
    let client = client.await;
    for (case, address) in cases().iter().zip(&client.addresses) {
        println!("{}", case.name);
        exchange(*address).await;
    }
}
