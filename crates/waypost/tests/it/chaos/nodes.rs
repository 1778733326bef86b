//! Members as processes of their own, which can be killed and frozen.

use std::{net::SocketAddr, path::Path, process::Stdio, time::Duration};

use tempfile::TempDir;
use tokio::{
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    time::{Instant, sleep},
};

use super::protocol::Protocol;
use crate::programs::require;

/// How long a node may take to listen.
const LIMIT: Duration = Duration::from_secs(20);

/// A SOCKS server in a process of its own; it is killed when this is dropped.
pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    child: Child,
    /// Where its files are.
    _folder: TempDir,
}

/// What a node is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// microsocks: an independent SOCKS server.
    Microsocks,
    /// Accepts and resets.
    Reset,
    /// Completes the handshake, and answers nothing to a TLS hello; carries everything else.
    TlsSilent,
    /// A server whose protocol has keys.
    Keyed(Protocol),
}

impl Node {
    /// Starts a node; `None` where the program for it is not there, which is said.
    pub(crate) async fn start(kind: Kind, test: &str) -> Option<Self> {
        Self::start_at(kind, free_port().await, test).await
    }

    async fn start_at(kind: Kind, address: SocketAddr, test: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut command = match kind {
            Kind::Microsocks => {
                let mut command = Command::new(require("microsocks", test)?);
                command.args(["-i", "127.0.0.1", "-p", &address.port().to_string()]);
                command
            }
            Kind::Keyed(protocol) => protocol.command(address, folder.path()),
            Kind::Reset | Kind::TlsSilent => {
                let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/chaos/bad_node.py");
                let behaviour = if matches!(kind, Kind::Reset) { "reset" } else { "tls-silent" };
                let mut command = Command::new(require("python3", test)?);
                command.arg(script).args([behaviour, &address.port().to_string()]);
                command
            }
        };
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        let begin = Instant::now();
        while TcpStream::connect(address).await.is_err() {
            assert!(child.try_wait().unwrap().is_none(), "{kind:?} has ended");
            assert!(begin.elapsed() < LIMIT, "{kind:?} does not listen on {address}");
            sleep(Duration::from_millis(20)).await;
        }
        Some(Self { address, child, _folder: folder })
    }

    /// SIGKILL.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// SIGSTOP: the kernel still accepts, and nobody ever answers.
    pub(crate) async fn freeze(&self) {
        self.signal("STOP").await;
    }

    /// SIGCONT.
    pub(crate) async fn thaw(&self) {
        self.signal("CONT").await;
    }

    /// SIGCONT, unless the process has ended.
    pub(crate) async fn thaw_if_alive(&self) {
        if self.child.id().is_some() {
            self.thaw().await;
        }
    }

    /// Kills the process, if it has not ended, and starts another one in its place.
    pub(crate) async fn replace(&mut self, kind: Kind, test: &str) {
        self.kill().await;
        *self = Self::start_at(kind, self.address, test).await.unwrap();
    }

    async fn signal(&self, name: &str) {
        let script = format!("kill -{name} {}", self.child.id().unwrap());
        let status = Command::new("/bin/sh").args(["-c", &script]).status().await.unwrap();
        assert!(status.success());
    }
}

/// A port that nobody listens on: it was bound a moment ago, and the system gives such a port to
/// nobody else soon.
pub(crate) async fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}
