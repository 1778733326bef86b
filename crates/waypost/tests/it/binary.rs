//! The `waypost` binary as a process.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    process::{ExitStatus, Output, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    sync::watch,
    time::timeout,
};

/// How long the binary may take to start, or to end after it was told to.
const LIMIT: Duration = Duration::from_secs(30);

/// A running `waypost run`; it ends when this is dropped.
pub(crate) struct Waypost {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    n_lines: watch::Receiver<usize>,
    _folder: TempDir,
}

impl Waypost {
    /// Runs a configuration, and returns when every inbound listens.
    pub(crate) async fn start(config: &str, assets: Option<&Path>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, config).unwrap();
        let mut command = command();
        command.args(["run", "--log-level", "info", "--log-format", "json", "--config"]).arg(path);
        if let Some(assets) = assets {
            command.env("WAYPOST_ASSETS", assets);
        }
        let n_inbounds = config.matches("\"listen\"").count();
        Self::spawn(command, folder, n_inbounds).await
    }

    /// Runs a configuration of which no inbound has an address, without waiting for anything.
    pub(crate) async fn start_silent(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, config).unwrap();
        let mut command = command();
        command.args(["run", "--log-level", "info", "--log-format", "json", "--config"]).arg(path);
        Self::spawn(command, folder, 0).await
    }

    /// Runs a configuration with a limit for open files.
    pub(crate) async fn start_with_descriptors(config: &str, limit: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, config).unwrap();
        let mut command = Command::new("/bin/sh");
        let script = format!("ulimit -n {limit}; exec \"$@\"");
        command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_waypost")]).stdin(Stdio::null());
        command.args(["run", "--log-level", "info", "--log-format", "json", "--config"]).arg(path);
        command.kill_on_drop(true);
        Self::spawn(command, folder, config.matches("\"listen\"").count()).await
    }

    /// Runs the configuration that is built in.
    pub(crate) async fn start_built_in() -> Self {
        let mut command = command();
        command.args(["run", "--log-format", "json"]);
        Self::spawn(command, tempfile::tempdir().unwrap(), 1).await
    }

    /// Runs a command, and returns when as many inbounds listen.
    pub(crate) async fn spawn(mut command: Command, folder: TempDir, n_inbounds: usize) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (count, n_lines) = watch::channel(0);
        let kept = lines.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = stderr.next_line().await {
                kept.lock().unwrap().push(line);
                count.send_modify(|count| *count += 1);
            }
        });
        let mut waypost = Self { child, lines, n_lines, _folder: folder };
        waypost.wait_for(|waypost| waypost.addresses().len() == n_inbounds).await;
        waypost
    }

    /// Waits until something can be seen in the log.
    pub(crate) async fn wait_for(&mut self, seen: impl Fn(&Self) -> bool) {
        let mut n_lines = self.n_lines.clone();
        let waiting = async {
            while !seen(self) {
                if n_lines.changed().await.is_err() {
                    return seen(self);
                }
            }
            true
        };
        let came = timeout(LIMIT, waiting).await;
        assert!(came == Ok(true), "not seen in the log ({came:?}):\n{}", self.log());
    }

    /// Where the inbounds listen, by tag.
    pub(crate) fn addresses(&self) -> BTreeMap<String, SocketAddr> {
        let lines = self.lines.lock().unwrap();
        let records = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let listening = records.filter(|record| record["fields"]["message"] == "listening");
        listening
            .filter_map(|record| {
                let field = |name: &str| record["fields"][name].as_str().unwrap_or_default().to_owned();
                Some((field("inbound"), field("address").parse().ok()?))
            })
            .collect()
    }

    /// The address of the inbound with this tag.
    pub(crate) fn address(&self, tag: &str) -> SocketAddr {
        self.addresses()[tag]
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// What it has written to standard error.
    pub(crate) fn log(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// Sends SIGTERM.
    pub(crate) async fn terminate(&self) {
        let script = format!("kill -TERM {}", self.child.id().unwrap());
        let status = Command::new("/bin/sh").args(["-c", &script]).status().await.unwrap();
        assert!(status.success());
    }

    /// Waits for the end.
    pub(crate) async fn wait(&mut self) -> ExitStatus {
        timeout(LIMIT, self.child.wait()).await.expect("the binary ends").unwrap()
    }
}

/// The binary, with an environment that leads to no asset folder of this machine.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waypost"));
    for name in ["WAYPOST_ASSETS", "V2RAY_LOCATION_ASSET", "XRAY_LOCATION_ASSET"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs the binary to its end.
pub(crate) async fn output<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Output {
    timeout(LIMIT, command().args(arguments).output()).await.expect("the binary ends").unwrap()
}
