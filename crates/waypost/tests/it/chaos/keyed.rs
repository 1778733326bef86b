//! Members that are reached by protocols with keys: two of each, of which one is hit.

use std::{net::SocketAddr, path::Path, sync::OnceLock, time::Duration};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use super::{
    Scene, alone,
    config::behind_members,
    faults::{Limits, ORDINARY, check, with_fault},
    load::Request,
    nodes::{Kind, Node},
};

const ID: &str = "b831381d-6324-4d53-ad4f-8cda48b30811";
const PASSWORD: &str = "s3cret and long";
const SERVER_NAME: &str = "node.test";

/// What a node speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Shadowsocks,
    Vmess,
    /// Over TLS.
    Vless,
    /// Over TLS.
    Trojan,
}

const PROTOCOLS: [Protocol; 4] = [Protocol::Shadowsocks, Protocol::Vmess, Protocol::Vless, Protocol::Trojan];

/// A certificate for all nodes.
fn certificate() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec![SERVER_NAME.to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("cert.pem"), cert.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), signing_key.serialize_pem()).unwrap();
        folder
    });
    folder.path()
}

impl Protocol {
    fn inbound(self) -> Value {
        let certificate = certificate();
        let tls = json!({"security": "tls", "tlsSettings": {"certificates": [
            {"certificateFile": certificate.join("cert.pem"), "keyFile": certificate.join("key.pem")},
        ]}});
        match self {
            Self::Shadowsocks => json!({"protocol": "shadowsocks",
                "settings": {"method": "aes-256-gcm", "password": PASSWORD}}),
            Self::Vmess => json!({"protocol": "vmess", "settings": {"clients": [{"id": ID}]}}),
            Self::Vless => json!({"protocol": "vless", "streamSettings": tls,
                "settings": {"decryption": "none", "clients": [{"id": ID}]}}),
            Self::Trojan => json!({"protocol": "trojan", "streamSettings": tls,
                "settings": {"clients": [{"password": PASSWORD}]}}),
        }
    }

    /// The outbound that leads there.
    pub(super) fn outbound(self, tag: &str, address: SocketAddr) -> Value {
        let server = |more: Value| {
            let mut server = json!({"address": address.ip(), "port": address.port()});
            server.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            server
        };
        let tls = json!({"security": "tls", "tlsSettings": {
            "serverName": SERVER_NAME, "disableSystemRoot": true,
            "certificates": [{"usage": "verify", "certificateFile": certificate().join("cert.pem")}],
        }});
        let mut outbound = match self {
            Self::Shadowsocks => {
                let server = server(json!({"method": "aes-256-gcm", "password": PASSWORD}));
                json!({"protocol": "shadowsocks", "settings": {"servers": [server]}})
            }
            Self::Vmess => {
                let server = server(json!({"users": [{"id": ID, "security": "aes-128-gcm"}]}));
                json!({"protocol": "vmess", "settings": {"vnext": [server]}})
            }
            Self::Vless => {
                let server = server(json!({"users": [{"id": ID, "encryption": "none"}]}));
                json!({"protocol": "vless", "settings": {"vnext": [server]}, "streamSettings": tls})
            }
            Self::Trojan => {
                let server = server(json!({"password": PASSWORD}));
                json!({"protocol": "trojan", "settings": {"servers": [server]}, "streamSettings": tls})
            }
        };
        outbound["tag"] = json!(tag);
        outbound
    }

    /// A server in a process of its own, which listens on `address`.
    pub(super) fn command(self, address: SocketAddr, folder: &Path) -> Command {
        let mut inbound = self.inbound();
        inbound["listen"] = json!(address.ip());
        inbound["port"] = json!(address.port());
        let config = json!({"inbounds": [inbound], "outbounds": [{"protocol": "freedom"}]});
        let path = folder.join("config.json");
        std::fs::write(&path, config.to_string()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_waypost"));
        command.args(["run", "--config"]).arg(path);
        command
    }
}

/// Two nodes of each protocol, the first of each being the one that is hit.
async fn scene(test: &str) -> Option<Scene> {
    let kinds: Vec<Kind> = PROTOCOLS.into_iter().flat_map(|protocol| [Kind::Keyed(protocol); 2]).collect();
    let config = |addresses: &[SocketAddr], origin: SocketAddr| {
        let members = addresses.iter().zip(&kinds).enumerate().map(|(index, (address, kind))| {
            let Kind::Keyed(protocol) = kind else { panic!("{kind:?}") };
            protocol.outbound(&format!("m{index}"), *address)
        });
        behind_members(members.collect(), origin)
    };
    Scene::start_with(test, &kinds, 0, config).await
}

fn of_each(nodes: &mut [Node]) -> impl Iterator<Item = &mut Node> {
    nodes.iter_mut().step_by(2)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_each_protocol_is_killed() {
    let _alone = alone().await;
    let Some(mut scene) = scene("chaos: keyed, killed").await else { return };
    let kill = async |nodes: &mut Vec<Node>| {
        for node in of_each(nodes) {
            node.kill().await;
        }
    };
    let records = with_fault(&mut scene, Request::Http, kill).await;
    check("SIGKILL of one of each protocol", &records, &ORDINARY);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_each_protocol_is_frozen() {
    let _alone = alone().await;
    for request in [Request::Http, Request::TlsHello] {
        let Some(mut scene) = scene("chaos: keyed, frozen").await else { return };
        let freeze = async |nodes: &mut Vec<Node>| {
            for node in of_each(nodes) {
                node.freeze().await;
            }
        };
        let records = with_fault(&mut scene, request, freeze).await;
        // Several that are frozen may come one after the other.
        let limits = Limits { setup: Duration::from_millis(900), answer: Duration::from_secs(5) };
        check(&format!("SIGSTOP of one of each protocol, {request:?}"), &records, &limits);
    }
}
