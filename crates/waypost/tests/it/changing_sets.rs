//! Rule sets that change while the binary runs: files that are edited, and sets that are fetched from a
//! server that misbehaves.

mod local;
mod remote;
mod server;

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    process::Command,
    time::{Instant, sleep},
};
use waypost_testkit::{Behaviour, Socks5Node};

use crate::{
    binary::{Waypost, command},
    seed,
};

/// How long a change may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// A set in its source form that has one name.
fn set_of(name: &str) -> String {
    json!({"version": 2, "rules": [{"domain": name}]}).to_string()
}

/// A folder with a configuration, and two nodes that say their names: what the set has goes to `b`,
/// everything else to `a`.
struct Stage {
    folder: TempDir,
    a: Socks5Node,
    b: Socks5Node,
}

impl Stage {
    async fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            a: Socks5Node::start("a", Behaviour::Label).await,
            b: Socks5Node::start("b", Behaviour::Label).await,
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes the configuration: `direct` are ports that are dialled directly.
    fn configure(&self, set: &Value, direct: &[u16]) {
        let direct = [direct, &[9]].concat();
        let node = |tag: &str, node: &Socks5Node| {
            let port = node.address.port();
            json!({"type": "socks", "tag": tag, "server": "127.0.0.1", "server_port": port})
        };
        let configuration = json!({
            "inbounds": [{"type": "mixed", "tag": "in", "listen": "127.0.0.1", "listen_port": 0}],
            "outbounds": [node("a", &self.a), node("b", &self.b), {"type": "direct", "tag": "direct"}],
            "route": {
                "rule_set": [set],
                "rules": [{"rule_set": "set", "outbound": "b"}, {"port": direct, "outbound": "direct"}],
                "final": "a",
            },
        });
        std::fs::write(self.path().join("config.json"), configuration.to_string()).unwrap();
    }

    /// `waypost` with a command, the configuration and a cache of its own.
    fn command(&self, command_name: &str) -> Command {
        let mut command = command();
        command.env("WAYPOST_CACHE", self.path().join("cache")).arg(command_name);
        if command_name == "run" {
            command.args(["--log-level", "info", "--log-format", "json", "--config"]);
        }
        command.arg(self.path().join("config.json"));
        command
    }

    async fn run(&self) -> Waypost {
        Waypost::spawn(self.command("run"), tempfile::tempdir().unwrap(), 1).await
    }
}

async fn ask(waypost: &Waypost, target: &str) -> String {
    let answer = seed::ask(waypost.address("in"), target.parse().unwrap()).await;
    answer.unwrap_or_else(|error| format!("lost: {error}"))
}

/// Waits until a new connection to `target` gets this answer.
async fn eventually(waypost: &Waypost, target: &str, expected: &str) {
    let begin = Instant::now();
    loop {
        let answer = ask(waypost, target).await;
        if answer == expected {
            return;
        }
        assert!(begin.elapsed() < LIMIT, "{target}: still {answer}\n{}", waypost.log());
        sleep(Duration::from_millis(50)).await;
    }
}

/// How often the log has this text.
fn count(waypost: &Waypost, text: &str) -> usize {
    waypost.log().matches(text).count()
}
