//! What systemd is told, and what it hands over: by a stand-in for it, because the protocol is a socket and
//! some variables (sd_notify(3), sd_listen_fds(3)).

use std::{fs, os::unix::net::UnixDatagram as StdDatagram, path::Path, time::Duration};

use serde_json::json;
use tokio::{
    net::{TcpStream, UnixDatagram},
    process::Command,
    time::timeout,
};
use waypost_testkit::{Behaviour, Socks5Node};

use crate::{
    binary::{Waypost, command},
    oracle::connect_socks,
    programs::require,
};

const LIMIT: Duration = Duration::from_secs(30);

fn config(folder: &Path, node: &Socks5Node, port: u16) -> std::path::PathBuf {
    let path = folder.join("config.json");
    let config = json!({
        "inbounds": [{"type": "mixed", "tag": "in", "listen": "127.0.0.1", "listen_port": port}],
        "outbounds": [
            {"type": "socks", "tag": "node", "server": "127.0.0.1", "server_port": node.address.port()},
        ],
    });
    fs::write(&path, config.to_string()).unwrap();
    path
}

async fn told(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 1024];
    let n = timeout(LIMIT, socket.recv(&mut buffer)).await.expect("systemd is told").unwrap();
    String::from_utf8_lossy(&buffer[..n]).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_is_told_of_every_turn() {
    let folder = tempfile::tempdir().unwrap();
    let node = Socks5Node::start("n", Behaviour::Label).await;
    let path = folder.path().join("notify");
    let socket = StdDatagram::bind(&path).unwrap();
    socket.set_nonblocking(true).unwrap();
    let socket = UnixDatagram::from_std(socket).unwrap();
    let mut run = command();
    run.args(["run", "--log-format", "json", "-c"]).arg(config(folder.path(), &node, 0));
    run.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "400000").env_remove("WATCHDOG_PID");
    let waypost = Waypost::spawn(run, tempfile::tempdir().unwrap(), 1).await;
    let ready = told(&socket).await;
    assert!(ready.starts_with("READY=1\n"), "{ready}");
    for _ in 0..3 {
        assert_eq!(told(&socket).await.trim_end(), "WATCHDOG=1");
    }
    let status = Command::new("/bin/kill").args(["-HUP", &waypost.pid().to_string()]).status().await.unwrap();
    assert!(status.success());
    let until = async |begin: &str| loop {
        let said = told(&socket).await;
        if said.starts_with(begin) {
            return said;
        }
        assert_eq!(said.trim_end(), "WATCHDOG=1");
    };
    let reloading = until("RELOADING=1").await;
    assert!(reloading.contains("MONOTONIC_USEC="), "Type=notify-reload wants the time: {reloading}");
    until("READY=1").await;
    waypost.terminate().await;
    until("STOPPING=1").await;
}

/// Opens a socket and runs the rest of the command line with it as systemd does: it is number 3, and two
/// variables say so.
const ACTIVATE: &str = r#"
import os, socket, sys
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(16)
port = listener.getsockname()[1]
config = open(sys.argv[1]).read().replace("4711", str(port))
open(sys.argv[1], "w").write(config)
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ["LISTEN_FDS"] = "1"
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_systemd_opened_is_served() {
    let Some(python) = require("python3", "a_socket_that_systemd_opened_is_served") else { return };
    let folder = tempfile::tempdir().unwrap();
    let node = Socks5Node::start("n", Behaviour::Label).await;
    let path = config(folder.path(), &node, 4711);
    let mut run = Command::new(python);
    run.args(["-c", ACTIVATE]).arg(&path).arg(env!("CARGO_BIN_EXE_waypost"));
    run.args(["run", "--log-format", "json", "-c"]).arg(&path).kill_on_drop(true);
    let waypost = Waypost::spawn(run, tempfile::tempdir().unwrap(), 1).await;
    assert!(waypost.log().contains("hands listening sockets over"), "{}", waypost.log());
    let address = waypost.address("in");
    assert_ne!(address.port(), 4711);
    // The socket is the one that was opened before: a second one at this port is not to be had.
    let sockets = fs::read_to_string(format!("/proc/{}/net/tcp", waypost.pid())).unwrap();
    let wanted = format!("0100007F:{:04X} 00000000:0000 0A", address.port());
    assert_eq!(sockets.matches(&wanted).count(), 1, "{sockets}");
    let mut stream = TcpStream::connect(address).await.unwrap();
    connect_socks(&mut stream, &"192.0.2.1:80".parse().unwrap(), None).await.unwrap();
    assert_eq!(node.accepted(), 1);
}
