//! What goes wrong between a client and its servers is one clear reason: in the log, in the attempts of
//! the connection, and in the state of the member.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::{Certificate, IDS, LIMIT, PASSWORDS, SERVER_NAME, ask, open, origin};
use crate::{binary::Waypost, chaos::hello, programs::require};

/// What an origin says.
const HERE: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

/// An outbound that cannot work, and what is to be said of it.
struct Fault {
    name: &'static str,
    outbound: Value,
    reason: &'static str,
}

/// A server that says this to everybody.
async fn says(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // Who went away needs no answer.
            let _asked = stream.read(&mut [0; 1024]).await;
            let _told = stream.write_all(answer).await;
        }
    });
    address
}

/// An origin that answers, and whose connections stay.
async fn staying() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                // A client that goes away ends its connection only.
                let _asked = stream.read(&mut [0; 1024]).await;
                let _told = stream.write_all(HERE).await;
                let _ended = stream.read_to_end(&mut Vec::new()).await;
            });
        }
    });
    address
}

fn with_server(protocol: &str, at: SocketAddr, more: &Value, stream: &Value) -> Value {
    let mut server = json!({"address": at.ip(), "port": at.port()});
    server.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let key = if matches!(protocol, "vmess" | "vless") { "vnext" } else { "servers" };
    json!({"protocol": protocol, "settings": {key: [server]}, "streamSettings": stream})
}

async fn faults(server: &Waypost, certificate: &Certificate, other: &Certificate) -> Vec<Fault> {
    let at = |tag: &str| server.address(tag);
    let id = |id: &str| json!({"users": [{"id": id, "encryption": "none"}]});
    let vmess_id = |id: &str| json!({"users": [{"id": id}]});
    let password = |password: &str| json!({"password": password});
    let shadowsocks = |password: &str| json!({"method": "aes-256-gcm", "password": password});
    let mut alpn = certificate.client(SERVER_NAME);
    alpn["tlsSettings"]["alpn"] = json!(["smtp"]);
    let mut web_socket = certificate.client(SERVER_NAME);
    web_socket["network"] = json!("ws");
    web_socket["wsSettings"] = json!({"path": "/elsewhere"});
    let site = says(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").await;
    let tls = || certificate.client(SERVER_NAME);
    let fault = |name, outbound, reason| Fault { name, outbound, reason };
    vec![
        fault(
            "vmess-id",
            with_server("vmess", at("vmess"), &vmess_id(IDS[1]), &json!({})),
            "the server does not know the id",
        ),
        fault(
            "shadowsocks-password",
            with_server("shadowsocks", at("shadowsocks"), &shadowsocks(PASSWORDS[1]), &json!({})),
            "closed without an answer",
        ),
        fault(
            "trojan-password",
            with_server("trojan", at("trojan"), &password(PASSWORDS[1]), &tls()),
            "it does not know the password",
        ),
        fault(
            "certificate-name",
            with_server("vless", at("vless"), &id(IDS[0]), &certificate.client("other.test")),
            "the certificate is for `node.test`, not for `other.test`",
        ),
        fault(
            "certificate-issuer",
            with_server("vless", at("vless"), &id(IDS[0]), &other.client(SERVER_NAME)),
            "by nobody who is trusted",
        ),
        fault("alpn", with_server("vless", at("alpn"), &id(IDS[0]), &alpn), "no common protocol in ALPN"),
        fault(
            "no-tls",
            with_server("vless", site, &id(IDS[0]), &tls()),
            "does not speak TLS, it sent `HTTP/1.1`",
        ),
        fault(
            "path",
            with_server("vless", at("ws"), &id(IDS[0]), &web_socket),
            "refuses the WebSocket: HTTP status 404",
        ),
        fault("no-vless", with_server("vless", site, &id(IDS[0]), &json!({})), "version"),
    ]
}

/// The program that is right.
async fn server(certificate: &Certificate, site: SocketAddr) -> Waypost {
    let inbound = |tag: &str, protocol: &str, settings: Value, stream: Value| {
        json!({"tag": tag, "protocol": protocol, "listen": "127.0.0.1", "port": 0, "settings": settings,
               "streamSettings": stream})
    };
    let vless = || json!({"decryption": "none", "clients": [{"id": IDS[0]}]});
    let mut alpn = certificate.server();
    alpn["tlsSettings"]["alpn"] = json!(["http/1.1"]);
    let mut web_socket = certificate.server();
    web_socket["network"] = json!("ws");
    web_socket["wsSettings"] = json!({"path": "/way"});
    let config = json!({
        "inbounds": [
            inbound("vmess", "vmess", json!({"clients": [{"id": IDS[0]}]}), json!({})),
            inbound("shadowsocks", "shadowsocks",
                    json!({"method": "aes-256-gcm", "password": PASSWORDS[0]}), json!({})),
            inbound("trojan", "trojan",
                    json!({"clients": [{"password": PASSWORDS[0]}],
                           "fallbacks": [{"dest": site.to_string()}]}), certificate.server()),
            inbound("vless", "vless", vless(), certificate.server()),
            inbound("alpn", "vless", vless(), alpn),
            inbound("ws", "vless", vless(), web_socket),
        ],
        "outbounds": [{"protocol": "freedom"}],
        // Strangers are kept until then.
        "policy": {"levels": {"0": {"handshake": 1}}},
    });
    Waypost::start(&config.to_string(), None).await
}

/// The body of an answer of the control interface.
async fn control(address: SocketAddr, path: &str) -> Value {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer s3cret\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let body = if head.to_lowercase().contains("transfer-encoding: chunked") {
        let mut text = String::new();
        let mut rest = body;
        while let Some((length, after)) = rest.split_once("\r\n") {
            let length = usize::from_str_radix(length, 16).unwrap();
            text.push_str(&after[..length]);
            rest = after[length..].trim_start_matches("\r\n");
        }
        text
    } else {
        body.to_owned()
    };
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

/// The inbound, and the balancer, of a fault that nothing is known of.
fn untested(name: &str) -> String {
    format!("untested {name}")
}

/// A connection that an origin has answered, whatever failed on the way.
async fn reach(proxy: SocketAddr, target: SocketAddr) -> TcpStream {
    let opened = async {
        // A web site that takes those without a password cannot be told from one that was asked for.
        let mut stream = open(proxy, None, target, &hello(7)).await.unwrap();
        let mut answer = [0; HERE.len()];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, HERE);
        stream
    };
    timeout(LIMIT, opened).await.unwrap()
}

fn has_text(said: &Value, text: &str) -> bool {
    said.as_str().is_some_and(|said| said.contains(text))
}

/// Whether an attempt by this outbound ended for this reason.
fn has_attempt(why: &Value, outbound: &str, reason: &str) -> bool {
    let mut attempts = why["attempts"].as_array().unwrap().iter();
    attempts.any(|attempt| attempt["outbound"] == outbound && has_text(&attempt["end"], reason))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_is_one_clear_reason() {
    let (certificate, other) = (Certificate::new(SERVER_NAME), Certificate::new(SERVER_NAME));
    let site = says(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").await;
    let (server, target) = (server(&certificate, site).await, staying().await);
    let faults = faults(&server, &certificate, &other).await;
    let right = {
        let mut right = with_server(
            "vless",
            server.address("vless"),
            &json!({"users": [{"id": IDS[0], "encryption": "none"}]}),
            &certificate.client(SERVER_NAME),
        );
        right["tag"] = json!("right");
        right
    };
    let (mut inbounds, mut outbounds) = (Vec::new(), vec![right]);
    let (mut balancers, mut rules) = (Vec::new(), Vec::new());
    for fault in &faults {
        let tag = fault.name;
        inbounds.push(json!({"tag": tag, "protocol": "socks", "listen": "127.0.0.1", "port": 0}));
        for tag in [tag.to_owned(), untested(tag)] {
            let mut outbound = fault.outbound.clone();
            outbound["tag"] = json!(tag);
            outbounds.push(outbound);
        }
        // The group begins with the one that fails, whose place the other one takes.
        outbounds.push(json!({"tag": format!("{tag} or right"), "protocol": "loadbalance", "settings": {
            "primary_outbounds": [tag], "backup_outbounds": ["right"],
            "url": format!("http://{target}/generate_204"), "interval": "10m"}}));
        rules.push(json!({"inboundTag": [tag], "outboundTag": format!("{tag} or right")}));
        // Nothing tests the members of a balancer, so that connections find out what is wrong.
        inbounds.push(json!({"tag": untested(tag), "protocol": "socks", "listen": "127.0.0.1", "port": 0}));
        balancers.push(json!({"tag": untested(tag), "selector": [untested(tag), "right"]}));
        rules.push(json!({"inboundTag": [untested(tag)], "balancerTag": untested(tag)}));
    }
    let interface = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let config = json!({
        "inbounds": inbounds, "outbounds": outbounds, "routing": {"balancers": balancers, "rules": rules},
        "clash_api": {"external_controller": interface.to_string(), "secret": "s3cret"},
    });
    let client = Waypost::start(&config.to_string(), None).await;
    let mut held = Vec::new();
    for Fault { name, reason, .. } in &faults {
        held.push(reach(client.address(name), target).await);
        let mut whys = Vec::new();
        while !whys.iter().any(|why| has_attempt(why, &untested(name), reason)) {
            assert!(whys.len() < 64, "{name}: not in the attempts of {whys:?}\n{}", client.log());
            held.push(reach(client.address(&untested(name)), target).await);
            let connections = control(interface, "/connections").await;
            let listed = connections["connections"].as_array().unwrap().iter();
            let of_fault = listed.filter(|listed| listed["metadata"]["inboundName"] == untested(name));
            let ids = of_fault.map(|listed| listed["id"].as_str().unwrap());
            let last = ids.max_by_key(|id| id.parse::<u64>().unwrap()).unwrap();
            whys.push(control(interface, &format!("/waypost/why/{last}")).await);
        }
    }
    let live = control(interface, "/waypost/live").await;
    let log = client.log();
    let tags = faults
        .iter()
        .flat_map(|Fault { name, reason, .. }| [((*name).to_owned(), reason), (untested(name), reason)]);
    for (tag, reason) in tags {
        let outbounds = live["outbounds"].as_array().unwrap();
        let outbound = outbounds.iter().find(|outbound| outbound["tag"] == *tag).unwrap();
        assert!(has_text(&outbound["lastError"]["reason"], reason), "{tag}: in its state: {outbound}");

        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let told = lines.filter(|line| {
            let fields = &line["fields"];
            fields["outbound"] == *tag && has_text(&fields["reason"], reason)
        });
        assert_eq!(told.count(), 1, "{tag}: once in the log\n{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_wrong_is_told_by_how_much() {
    let Some(faketime) = require("faketime", "failures: wrong clock") else { return };
    // The program itself would stay between this one and the server.
    let libraries = faketime.parent().unwrap().parent().unwrap().join("lib");
    let library = std::fs::read_dir(libraries).unwrap().filter_map(Result::ok).find_map(|folder| {
        Some(folder.path().join("faketime/libfaketimeMT.so.1")).filter(|library| library.is_file())
    });
    let library = library.expect("the library of faketime");
    let port = {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.local_addr().unwrap().port()
    };
    let config = json!({
        "log": {"loglevel": "debug"},
        "inbounds": [{"protocol": "vmess", "listen": "127.0.0.1", "port": port,
                      "settings": {"clients": [{"id": IDS[0], "email": "anna@test"}]}}],
        "outbounds": [{"protocol": "freedom"}],
        "policy": {"levels": {"0": {"handshake": 1}}},
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    std::fs::write(&path, config.to_string()).unwrap();
    let mut command = crate::binary::command();
    command.env("LD_PRELOAD", library).env("FAKETIME", "+600s");
    command.args(["run", "--log-format", "json", "--config"]).arg(&path);
    let mut server = Waypost::spawn(command, folder, 1).await;
    let server_address = server.addresses().into_values().next().unwrap();
    let vmess = json!({"protocol": "vmess", "tag": "late", "settings": {"vnext": [
        {"address": server_address.ip(), "port": server_address.port(), "users": [{"id": IDS[0]}]}]}});
    let config = json!({
        "inbounds": [{"tag": "in", "protocol": "socks", "listen": "127.0.0.1", "port": 0}],
        "outbounds": [vmess],
    });
    let mut client = Waypost::start(&config.to_string(), None).await;
    let target = origin("never reached").await;
    assert_ne!(ask(client.address("in"), None, target).await.as_deref(), Ok("never reached"));
    let has = |waypost: &Waypost, text: &str| waypost.log().contains(text);
    server.wait_for(|server| has(server, "is off by -60") || has(server, "is off by -59")).await;
    assert!(has(&server, "anna@test"), "{}", server.log());
    client.wait_for(|client| has(client, "its clock")).await;
}
