//! Programs of others, as processes.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::{Instant, sleep},
};

/// How long a program may take to listen.
const START_LIMIT: Duration = Duration::from_secs(20);

/// The name that certificates are for.
pub(super) const SERVER_NAME: &str = "node.test";

/// A running program; it ends when this is dropped.
pub(super) struct Peer {
    /// Where it listens.
    pub(super) addresses: Vec<SocketAddr>,
    child: Child,
    folder: TempDir,
}

/// How a program is run.
pub(super) struct Launch {
    pub(super) arguments: Vec<String>,
    /// What is written into its folder before, by name.
    pub(super) files: Vec<(&'static str, String)>,
}

impl Peer {
    /// Runs `program`, which listens on `count` ports that `launch` is given.
    pub(super) async fn start(program: &Path, count: usize, launch: impl Fn(&[u16]) -> Launch) -> Self {
        // Somebody else can take a port that was free a moment ago; then other ports are tried.
        for _attempt in 0..5 {
            if let Some(peer) = Self::try_start(program, count, &launch).await {
                return peer;
            }
        }
        panic!("{} does not start", program.display());
    }

    async fn try_start(program: &Path, count: usize, launch: impl Fn(&[u16]) -> Launch) -> Option<Self> {
        let addresses: Vec<SocketAddr> = {
            let reserved: Vec<_> =
                (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()).collect();
            reserved.iter().map(|listener| listener.local_addr().unwrap()).collect()
        };
        let ports: Vec<u16> = addresses.iter().map(SocketAddr::port).collect();
        let Launch { arguments, files } = launch(&ports);
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let child = Command::new(program)
            .args(arguments)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut peer = Self { addresses, child, folder };
        let deadline = Instant::now() + START_LIMIT;
        for address in peer.addresses.clone() {
            while TcpStream::connect(address).await.is_err() {
                let has_ended = peer.child.try_wait().unwrap().is_some();
                if has_ended && peer.log().to_lowercase().contains("already in use") {
                    return None;
                }
                assert!(!has_ended && Instant::now() < deadline, "no listener:\n{}", peer.log());
                sleep(Duration::from_millis(10)).await;
            }
        }
        Some(peer)
    }

    /// What it has written.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

/// A certificate for [`SERVER_NAME`] that is its own authority, and its key.
pub(super) struct Certificate {
    folder: TempDir,
}

impl Certificate {
    pub(super) fn new() -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec![SERVER_NAME.to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("cert.pem"), cert.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), signing_key.serialize_pem()).unwrap();
        Self { folder }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    pub(super) fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }
}
