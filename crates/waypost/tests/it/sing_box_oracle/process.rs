//! sing-box as a process.

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

/// How long it may take until sing-box listens.
const START_LIMIT: Duration = Duration::from_secs(15);

/// A running sing-box; it ends when this is dropped.
pub(crate) struct SingBox {
    /// Where the inbounds listen.
    pub(crate) addresses: BTreeMap<String, SocketAddr>,
    child: Child,
    folder: TempDir,
}

impl SingBox {
    /// Whether sing-box accepts a configuration, and what it says if not.
    pub(crate) async fn check(program: &Path, config: &Value) -> Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, config.to_string()).unwrap();
        let output = Command::new(program).arg("check").arg("-c").arg(&path).output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(said) }
    }

    /// Runs sing-box with `config`, whose inbounds get ports of their own.
    pub(crate) async fn start(program: &Path, config: &Value) -> Self {
        // Somebody else can take a port that was free a moment ago; then other ports are tried.
        for _attempt in 0..5 {
            if let Some(running) = Self::try_start(program, config).await {
                return running;
            }
        }
        panic!("sing-box does not start");
    }

    async fn try_start(program: &Path, config: &Value) -> Option<Self> {
        let mut config = config.clone();
        let mut addresses = BTreeMap::new();
        {
            let mut reserved = Vec::new();
            for inbound in config["inbounds"].as_array_mut().unwrap() {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
                let address = listener.local_addr().unwrap();
                inbound["listen_port"] = json!(address.port());
                addresses.insert(inbound["tag"].as_str().unwrap().to_owned(), address);
                reserved.push(listener);
            }
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new(program);
        command.current_dir(folder.path()).args(["run", "-c", "config.json"]).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut running = Self { addresses, child: command.spawn().unwrap(), folder };
        let deadline = Instant::now() + START_LIMIT;
        for address in running.addresses.values().copied().collect::<Vec<_>>() {
            while TcpStream::connect(address).await.is_err() {
                let ended = running.child.try_wait().unwrap().is_some();
                if ended && running.log().contains("address already in use") {
                    return None;
                }
                assert!(!ended && Instant::now() < deadline, "sing-box does not listen:\n{}", running.log());
                sleep(Duration::from_millis(10)).await;
            }
        }
        Some(running)
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}
