//! Datagrams with programs of others: clients in front of the binary, and SOCKS servers behind it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::{sleep, timeout},
};
use waypost_testkit::UdpEcho;

use crate::{binary::Waypost, programs};

const LIMIT: Duration = Duration::from_secs(30);

/// Sends three datagrams by a SOCKS server, and prints the answers.
const PYSOCKS: &str = r#"
import socket, socks, sys
proxy_port, user, password, port = sys.argv[1:]
s = socks.socksocket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(20)
s.set_proxy(socks.SOCKS5, "127.0.0.1", int(proxy_port), True, user or None, password or None)
for payload in [b"one", b"two", b"x" * 3000]:
    s.sendto(payload, ("127.0.0.1", int(port)))
    data, source = s.recvfrom(65536)
    assert data == payload and source == ("127.0.0.1", int(port)), (data, source)
print("hello", end="")
"#;

/// The same without knowing of any proxy.
const PLAIN: &str = r#"
import socket, sys
host, port = sys.argv[1:]
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(20)
for payload in [b"one", b"two", b"x" * 3000]:
    s.sendto(payload, (host, int(port)))
    data, source = s.recvfrom(65536)
    assert data == payload, data
print("hello", end="")
"#;

async fn run(mut command: Command) -> Output {
    timeout(LIMIT, command.kill_on_drop(true).output()).await.expect("the client ends").unwrap()
}

#[track_caller]
fn check(output: &Output) {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && stdout == "hello", "{}\n{stdout}\n{stderr}", output.status);
}

async fn start(outbounds: &Value) -> Waypost {
    let accounts = json!([{"user": "alice", "pass": "s3cret!"}]);
    let config = json!({
        "inbounds": [
            {"tag": "open", "protocol": "socks", "listen": "127.0.0.1", "port": 0, "settings": {"udp": true}},
            {"tag": "users", "protocol": "mixed", "listen": "127.0.0.1", "port": 0,
             "settings": {"udp": true, "auth": "password", "accounts": accounts}},
        ],
        "outbounds": outbounds,
    });
    Waypost::start(&config.to_string(), None).await
}

async fn ask_by_pysocks(
    python: &Path,
    proxy: SocketAddr,
    (user, password): (&str, &str),
    echo: &UdpEcho,
) -> Output {
    let (proxy, port) = (proxy.port().to_string(), echo.address.port().to_string());
    let mut command = Command::new(python);
    command.args(["-c", PYSOCKS, &proxy, user, password, &port]);
    run(command).await
}

#[tokio::test(flavor = "multi_thread")]
async fn pysocks_sends_datagrams_with_and_without_a_password() {
    let Some(python) = programs::require_pysocks("PySocks with datagrams").await else { return };
    let waypost = start(&json!([{"protocol": "freedom"}])).await;
    let echo = UdpEcho::start().await;
    check(&ask_by_pysocks(&python, waypost.address("open"), ("", ""), &echo).await);
    check(&ask_by_pysocks(&python, waypost.address("users"), ("alice", "s3cret!"), &echo).await);
    assert_eq!(echo.seen().len(), 6);
    let refused = ask_by_pysocks(&python, waypost.address("users"), ("alice", "wrong"), &echo).await;
    assert!(String::from_utf8_lossy(&refused.stderr).contains("SOCKS5AuthError"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn socksify_sends_the_datagrams_of_a_program_that_knows_no_proxy() {
    let test = "socksify with datagrams";
    let Some(socksify) = programs::require("socksify", test) else { return };
    let Some(python) = programs::require("python3", test) else { return };
    let echo = UdpEcho::start().await;
    // Dante reaches networks of this machine without any proxy, so that the program has to ask for another.
    let redirect = json!({"redirect": echo.address.to_string()});
    let waypost = start(&json!([{"protocol": "freedom", "settings": redirect}])).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socks.conf");
    let port = waypost.address("open").port();
    let route = format!(
        "route {{\n from: 0.0.0.0/0 to: 0.0.0.0/0 via: 127.0.0.1 port = {port}\n protocol: tcp udp\n \
         proxyprotocol: socks_v5\n command: connect udpassociate\n method: none\n}}\n"
    );
    std::fs::write(&path, route).unwrap();
    let mut command = Command::new(socksify);
    command.arg(python).args(["-c", PLAIN, "198.51.100.7", "7"]).env("SOCKS_CONF", path);
    check(&run(command).await);
    assert_eq!(echo.seen().len(), 3);
}

/// A SOCKS server of others at a port that was free a moment ago.
struct Server {
    _child: Child,
    _folder: TempDir,
    port: u16,
}

impl Server {
    async fn start(make: impl Fn(u16, &Path) -> Command) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = {
            let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            listener.local_addr().unwrap().port()
        };
        let mut command = make(port, folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let child = command.spawn().unwrap();
        let listening = async {
            while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(LIMIT, listening).await.expect("the server listens");
        Self { _child: child, _folder: folder, port }
    }

    async fn dante(program: &Path) -> Self {
        let user = Command::new("id").arg("-un").output().await.unwrap();
        let user = String::from_utf8(user.stdout).unwrap();
        let user = user.trim();
        Self::start(|port, folder| {
            let path = folder.join("danted.conf");
            let text = format!(
                "logoutput: stderr\ninternal: 127.0.0.1 port = {port}\nexternal: 127.0.0.1\n\
                 socksmethod: none\nclientmethod: none\nuser.privileged: {user}\nuser.unprivileged: {user}\n\
                 client pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}\nsocks pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}\n"
            );
            std::fs::write(&path, text).unwrap();
            let mut command = Command::new(program);
            command.arg("-N").arg("1").arg("-f").arg(path);
            command
        })
        .await
    }

    async fn microsocks(program: &Path) -> Self {
        Self::start(|port, _| {
            let mut command = Command::new(program);
            command.args(["-i", "127.0.0.1", "-p", &port.to_string()]);
            command
        })
        .await
    }

    fn outbound(&self, tag: &str) -> Value {
        let server = json!({"address": "127.0.0.1", "port": self.port});
        json!({"protocol": "socks", "tag": tag, "settings": {"servers": [server]}})
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dante_carries_datagrams_and_microsocks_is_passed_over() {
    let test = "dante and microsocks with datagrams";
    let Some(python) = programs::require_pysocks(test).await else { return };
    // Debian keeps daemons where users have no path to.
    let dante = programs::find("danted")
        .or_else(|| Some("/usr/sbin/danted".into()).filter(|path: &std::path::PathBuf| path.is_file()));
    let Some(dante) = dante else { return programs::skip(test, "`danted` is not installed") };
    let Some(microsocks) = programs::require("microsocks", test) else { return };
    let (dante, microsocks) = (Server::dante(&dante).await, Server::microsocks(&microsocks).await);
    let echo = UdpEcho::start().await;

    let waypost = start(&json!([dante.outbound("dante")])).await;
    check(&ask_by_pysocks(&python, waypost.address("open"), ("", ""), &echo).await);

    let group = json!({
        "primary_outbounds": ["microsocks", "dante"], "strategy": "failover", "url": "http://127.0.0.1:9/",
    });
    let group = json!({"protocol": "loadbalance", "tag": "lb", "settings": group});
    let waypost = start(&json!([group, microsocks.outbound("microsocks"), dante.outbound("dante")])).await;
    check(&ask_by_pysocks(&python, waypost.address("open"), ("", ""), &echo).await);
    check(&ask_by_pysocks(&python, waypost.address("users"), ("alice", "s3cret!"), &echo).await);
    assert_eq!(echo.seen().len(), 9);
}
