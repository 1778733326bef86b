//! Protocols with keys between two Waypost programs: users and their rules, chains, what is said of
//! failures, and what strangers learn.

mod chains;
mod failures;
mod strangers;
mod users;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Ids of two users, passwords of two users, and keys of Shadowsocks 2022.
const IDS: [&str; 2] = ["b831381d-6324-4d53-ad4f-8cda48b30811", "27848739-7e62-4138-9fd3-098a63964b6b"];
const PASSWORDS: [&str; 2] = ["the first password", "the second password"];
const SERVER_KEY: &str = "4xthUg2nCcqqvArtjBxSPA==";
const KEYS: [&str; 2] = ["h2xkYwsxuJIm1GFpzeXlqw==", "/O5mKzYtbC0UDYXJzHGeVA=="];

/// The name that certificates are for.
const SERVER_NAME: &str = "node.test";

/// A certificate that is its own authority, and its key.
struct Certificate(TempDir);

impl Certificate {
    fn new(name: &str) -> Self {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("cert.pem"), cert.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), signing_key.serialize_pem()).unwrap();
        Self(folder)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("cert.pem")
    }

    /// `streamSettings` of a server.
    fn server(&self) -> Value {
        let pair = json!({"certificateFile": self.path(), "keyFile": self.0.path().join("key.pem")});
        json!({"security": "tls", "tlsSettings": {"certificates": [pair]}})
    }

    /// `streamSettings` of a client that trusts it.
    fn client(&self, name: &str) -> Value {
        json!({"security": "tls", "tlsSettings": {
            "serverName": name, "disableSystemRoot": true,
            "certificates": [{"usage": "verify", "certificateFile": self.path()}],
        }})
    }
}

/// The header in which origins say their names.
const NAMED: &str = "X-Origin: ";

/// An origin that says its name to whoever sends something.
async fn origin(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                // A client that goes away ends its connection only.
                let _asked = stream.read(&mut [0; 256]).await;
                let answer = format!("HTTP/1.1 204 No Content\r\n{NAMED}{name}\r\n\r\n");
                let _told = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    address
}

/// The name of the origin behind a SOCKS server, which is asked for a page; an error is told in words.
async fn ask(proxy: SocketAddr, login: Option<(&str, &str)>, target: SocketAddr) -> Result<String, String> {
    ask_with(proxy, login, target, b"GET / HTTP/1.1\r\nHost: origin\r\n\r\n").await
}

/// The same with other first bytes.
async fn ask_with(
    proxy: SocketAddr,
    login: Option<(&str, &str)>,
    target: SocketAddr,
    first: &[u8],
) -> Result<String, String> {
    let asking = async {
        let mut stream = open(proxy, login, target, first).await?;
        let mut said = String::new();
        stream.read_to_string(&mut said).await.map_err(|error| error.to_string())?;
        let name = said.lines().find_map(|line| line.strip_prefix(NAMED)).map(str::to_owned);
        name.ok_or_else(|| format!("no origin, but {said:?}"))
    };
    timeout(LIMIT, asking).await.unwrap_or_else(|_| Err("no answer".to_owned()))
}

/// A connection through a SOCKS server on which these bytes were sent.
async fn open(
    proxy: SocketAddr,
    login: Option<(&str, &str)>,
    target: SocketAddr,
    first: &[u8],
) -> Result<TcpStream, String> {
    let failed = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(proxy).await.map_err(failed)?;
    let method = if login.is_some() { 2 } else { 0 };
    stream.write_all(&[5, 1, method]).await.map_err(failed)?;
    stream.read_exact(&mut [0; 2]).await.map_err(failed)?;
    if let Some((user, password)) = login {
        let mut sent = vec![1, u8::try_from(user.len()).unwrap()];
        sent.extend_from_slice(user.as_bytes());
        sent.push(u8::try_from(password.len()).unwrap());
        sent.extend_from_slice(password.as_bytes());
        stream.write_all(&sent).await.map_err(failed)?;
        stream.read_exact(&mut [0; 2]).await.map_err(failed)?;
    }
    let SocketAddr::V4(target) = target else { panic!("an IPv4 target") };
    let sent = [&[5, 1, 0, 1][..], &target.ip().octets(), &target.port().to_be_bytes()].concat();
    stream.write_all(&sent).await.map_err(failed)?;
    let mut reply = [0; 10];
    stream.read_exact(&mut reply).await.map_err(failed)?;
    if reply[1] != 0 {
        return Err(format!("SOCKS reply {}", reply[1]));
    }
    stream.write_all(first).await.map_err(failed)?;
    Ok(stream)
}
