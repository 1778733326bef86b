//! Nodes whose protocols have keys.

use std::{net::SocketAddr, path::Path, sync::OnceLock};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

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
    pub(crate) fn outbound(self, tag: &str, address: SocketAddr) -> Value {
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
    pub(crate) fn command(self, address: SocketAddr, folder: &Path) -> Command {
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
