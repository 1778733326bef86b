//! Real clients of each protocol, and the rules that tell them apart: what a rule by `protocol` matches
//! comes out at another server than everything else.

use std::{
    ffi::OsString,
    net::SocketAddr,
    path::PathBuf,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::AsyncReadExt,
    net::TcpListener,
    process::Command,
    task::JoinHandle,
    time::{sleep, timeout},
};
use waypost_testkit::{UdpEcho, workspace_root};

use crate::{binary::Waypost, programs};

/// How long a client may take until it has spoken, also on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);
/// Debian's own, for which the packages are installed.
const PYTHON: &str = "/usr/bin/python3";

/// A TCP server that keeps what its clients say first, and says nothing itself.
struct Listener {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
    serving: JoinHandle<()>,
}

impl Listener {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let serving = tokio::spawn({
            let heard = heard.clone();
            async move {
                while let Ok((mut stream, _)) = listener.accept().await {
                    let heard = heard.clone();
                    tokio::spawn(async move {
                        let mut buffer = vec![0; 4096];
                        if let Ok(count @ 1..) = stream.read(&mut buffer).await {
                            buffer.truncate(count);
                            heard.lock().unwrap().push(buffer);
                        }
                    });
                }
            }
        });
        Self { address, heard, serving }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Where connections and datagrams come out.
struct Exit {
    streams: Listener,
    datagrams: UdpEcho,
}

impl Exit {
    async fn start() -> Self {
        Self { streams: Listener::start().await, datagrams: UdpEcho::start().await }
    }

    /// What came, streams before datagrams.
    fn heard(&self) -> Vec<Vec<u8>> {
        let datagrams = self.datagrams.seen().into_iter().map(|(_, payload)| payload);
        self.streams.heard.lock().unwrap().iter().cloned().chain(datagrams).collect()
    }

    /// An outbound that leads here, for each network.
    fn outbounds(&self, tag: &str) -> [Value; 2] {
        [("tcp", self.streams.address), ("udp", self.datagrams.address)].map(|(network, address)| {
            json!({
                "protocol": "freedom", "tag": format!("{tag}-{network}"),
                "settings": {"redirect": address.to_string()},
            })
        })
    }
}

struct World {
    waypost: Waypost,
    matched: Exit,
    other: Exit,
}

impl World {
    /// What `condition` holds for comes out at `matched`.
    async fn start(condition: &Value) -> Self {
        let (matched, other) = (Exit::start().await, Exit::start().await);
        let rule = |condition: &Value, tag: &str, network: &str| {
            let mut rule = condition.clone();
            (rule["network"], rule["outboundTag"]) = (json!(network), json!(format!("{tag}-{network}")));
            rule
        };
        let nothing = json!({});
        let rules = [(condition, "matched"), (&nothing, "other")]
            .map(|(condition, tag)| ["tcp", "udp"].map(|network| rule(condition, tag, network)));
        let sniffing = json!({"enabled": true, "destOverride": ["http", "tls", "quic"], "routeOnly": true});
        let outbounds = [matched.outbounds("matched"), other.outbounds("other")].concat();
        let rules = rules.concat();
        let config = json!({
            "inbounds": [
                {"tag": "socks", "protocol": "socks", "listen": "127.0.0.1", "port": 0,
                 "settings": {"udp": true}, "sniffing": sniffing},
                {"tag": "door", "protocol": "dokodemo-door", "listen": "127.0.0.1", "port": 0,
                 "settings": {"address": "192.0.2.1", "port": 443, "network": "udp"}, "sniffing": sniffing},
            ],
            "outbounds": outbounds,
            "routing": {"rules": rules},
        });
        Self { waypost: Waypost::start(&config.to_string(), None).await, matched, other }
    }

    fn port(&self, tag: &str) -> String {
        self.waypost.address(tag).port().to_string()
    }

    /// Runs a client until it has spoken somewhere; what was heard first at the exits.
    async fn run(&self, mut client: Command) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
        for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            client.env_remove(name);
        }
        client.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let client = client.spawn().unwrap();
        let spoken = async {
            while self.matched.heard().is_empty() && self.other.heard().is_empty() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        if timeout(LIMIT, spoken).await.is_err() {
            let mut client = client;
            client.start_kill().unwrap();
            let output = client.wait_with_output().await.unwrap();
            panic!("{}\n{}", String::from_utf8_lossy(&output.stderr), self.waypost.log());
        }
        (self.matched.heard(), self.other.heard())
    }
}

/// Checks where a client comes out if there is a rule for its protocol, and if there is one for others.
async fn check(
    rule: Value,
    client: impl Fn(&World) -> Command,
    is_its_first: impl Fn(&[u8]) -> bool,
    others: &[&str],
) {
    let world = World::start(&rule).await;
    let (matched, other) = world.run(client(&world)).await;
    assert!(is_its_first(&matched[0]) && other.is_empty(), "{rule}: {matched:x?} {other:x?}");
    let rule = json!({"protocol": others});
    let world = World::start(&rule).await;
    let (matched, other) = world.run(client(&world)).await;
    assert!(matched.is_empty() && is_its_first(&other[0]), "{rule}: {matched:x?} {other:x?}");
}

fn curl(program: PathBuf, url: &'static str) -> impl Fn(&World) -> Command {
    move |world| {
        let mut command = Command::new(&program);
        command.args(["--insecure", "--silent", "--proxy"]);
        command.arg(format!("socks5h://127.0.0.1:{}", world.port("socks"))).arg(url);
        command
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_is_known_to_speak_http_or_tls() {
    let Some(program) = programs::require("curl", "sniffing of HTTP and TLS") else { return };
    let by_method = json!({"protocol": "http", "attrs": {":method": "^GET$", ":path": "^/path"}});
    let get = |first: &[u8]| first.starts_with(b"GET /path HTTP/1.1\r\n");
    check(
        by_method,
        curl(program.clone(), "http://a.example:8080/path"),
        get,
        &["tls", "quic", "bittorrent"],
    )
    .await;
    let by_name = json!({"protocol": "tls", "domain": ["full:a.example"]});
    let hello = |first: &[u8]| first.starts_with(&[22, 3]);
    check(by_name, curl(program.clone(), "https://a.example/"), hello, &["http", "quic", "bittorrent"]).await;
    // To an address, which no server name is sent of.
    let by_label = json!({"protocol": "tls"});
    check(by_label, curl(program, "https://192.0.2.1:8443/"), hello, &["http", "quic", "bittorrent"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aioquic_is_known_by_its_name_in_each_version_and_in_several_datagrams() {
    let Some(python) = Python::require("sniffing of QUIC").await else { return };
    for kind in ["quic1", "quic2", "quic-long"] {
        let rule = json!({"protocol": "quic", "domain": ["full:quic.example"]});
        let is_long_header = |first: &[u8]| first[0] & 0xc0 == 0xc0 && first.len() >= 1200;
        check(rule, |world| python.client(kind, world, "door"), is_long_header, &["tls", "bittorrent"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn libtorrent_is_known_by_its_peers_trackers_and_nodes() {
    let Some(python) = Python::require("sniffing of BitTorrent").await else { return };
    for (kind, begin) in [
        ("peer", &b"\x13BitTorrent protocol"[..]),
        ("utp", &[0x41]),
        ("tracker", &[0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80]),
        ("dht", b"d1:ad2:"),
    ] {
        let rule = json!({"protocol": "bittorrent"});
        let is_its_first = |first: &[u8]| first.starts_with(begin);
        check(rule, |world| python.client(kind, world, "socks"), is_its_first, &["http", "tls", "quic"])
            .await;
    }
}

/// A Python with `aioquic` and `libtorrent`.
struct Python {
    packages: PathBuf,
}

impl Python {
    /// With the packages in the folder that the variable `SNIFFED_CLIENTS` names, or in
    /// `target/ci-sniffed-clients`.
    async fn require(test: &str) -> Option<Self> {
        let packages = variable("SNIFFED_CLIENTS")
            .map_or_else(|| workspace_root().join("target/ci-sniffed-clients"), PathBuf::from);
        let mut command = Command::new(PYTHON);
        command.args(["-c", "import aioquic, libtorrent"]).env("PYTHONPATH", &packages);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        if command.status().await.is_ok_and(|status| status.success()) {
            return Some(Self { packages });
        }
        let how = format!("{PYTHON} -m pip install --target target/ci-sniffed-clients aioquic libtorrent");
        programs::skip(test, &format!("packages are missing (`{how}`)"));
        None
    }

    fn client(&self, kind: &str, world: &World, inbound: &str) -> Command {
        let script = workspace_root().join("crates/waypost/tests/it/sniffing/clients.py");
        let mut command = Command::new(PYTHON);
        command.arg(script).args([kind, &world.port(inbound)]).env("PYTHONPATH", &self.packages);
        command
    }
}

#[expect(clippy::disallowed_methods, reason = "where packages are, is told so")]
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}
