//! V2Ray as a process.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::Stdio,
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::{Instant, sleep},
};

/// How long it may take until V2Ray listens.
const START_LIMIT: Duration = Duration::from_secs(15);

/// A running V2Ray; it ends when this is dropped.
pub(crate) struct V2ray {
    /// Where the inbounds listen.
    pub(crate) addresses: BTreeMap<String, SocketAddr>,
    child: Child,
    folder: TempDir,
}

impl V2ray {
    /// Runs V2Ray with `config`. What it needs and Waypost does not have is added: ports, because it
    /// cannot ask the system for one, and a name server with a rule that lets its queries out.
    pub(crate) async fn start(
        program: &Path,
        config: &Value,
        name_server: SocketAddr,
        assets: &Path,
    ) -> Self {
        // Somebody else can take a port that was free a moment ago; then other ports are tried.
        for _attempt in 0..5 {
            if let Some(v2ray) = Self::try_start(program, config, name_server, assets).await {
                return v2ray;
            }
        }
        panic!("V2Ray does not start");
    }

    async fn try_start(
        program: &Path,
        config: &Value,
        name_server: SocketAddr,
        assets: &Path,
    ) -> Option<Self> {
        let mut config = config.clone();
        config["dns"]["servers"] = json!([{"address": name_server.ip(), "port": name_server.port()}]);
        config["dns"]["tag"] = json!("name-queries");
        let rules = config["routing"]["rules"].as_array_mut().unwrap();
        let rule =
            json!({"type": "field", "inboundTag": ["name-queries"], "outboundTag": "name-queries-out"});
        rules.insert(0, rule);
        let outbounds = config["outbounds"].as_array_mut().unwrap();
        outbounds.push(json!({"tag": "name-queries-out", "protocol": "freedom"}));
        let mut addresses = BTreeMap::new();
        {
            let mut reserved = Vec::new();
            for inbound in config["inbounds"].as_array_mut().unwrap() {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
                let address = listener.local_addr().unwrap();
                inbound["port"] = json!(address.port());
                addresses.insert(inbound["tag"].as_str().unwrap().to_owned(), address);
                reserved.push(listener);
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, config.to_string()).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let child = Command::new(program)
            .args(["-config".as_ref(), path.as_os_str()])
            .env("V2RAY_LOCATION_ASSET", assets)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut v2ray = Self { addresses, child, folder };
        let deadline = Instant::now() + START_LIMIT;
        for address in v2ray.addresses.clone().into_values() {
            while TcpStream::connect(address).await.is_err() {
                let ended = v2ray.child.try_wait().unwrap().is_some();
                if ended && v2ray.log().contains("address already in use") {
                    return None;
                }
                assert!(!ended && Instant::now() < deadline, "{}", v2ray.log());
                sleep(Duration::from_millis(10)).await;
            }
        }
        Some(v2ray)
    }

    /// What it has written.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}
