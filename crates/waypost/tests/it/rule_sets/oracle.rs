//! A sing-box that is asked about many names at once: as a DNS server that refuses those in a set.

use std::{
    collections::HashMap,
    net::{SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::json;

/// How often sing-box is asked until it has started, and how long each answer is waited for.
const START_TRIES: usize = 200;
const START_PATIENCE: Duration = Duration::from_millis(100);
/// How long one answer may take before the question is asked again.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many questions are open at once.
const WINDOW: usize = 64;
/// The response codes of DNS (RFC 1035 §4.1.1).
const NXDOMAIN: u8 = 3;
const REFUSED: u8 = 5;

/// A running sing-box with one port for each set.
pub(super) struct Oracle {
    child: Child,
    ports: Vec<SocketAddr>,
}

impl Drop for Oracle {
    fn drop(&mut self) {
        let _gone = self.child.kill().and_then(|()| self.child.wait());
    }
}

impl Oracle {
    pub(super) fn start(sing_box: &Path, sets: &[PathBuf], folder: &Path) -> Self {
        let free = || UdpSocket::bind("127.0.0.1:0").unwrap();
        let sockets: Vec<UdpSocket> = sets.iter().map(|_| free()).collect();
        let ports: Vec<SocketAddr> = sockets.iter().map(|socket| socket.local_addr().unwrap()).collect();
        drop(sockets);
        let name = |index: usize| format!("set-{index}");
        let inbound = |index: usize| {
            json!({
                "type": "direct",
                "tag": name(index),
                "listen": "127.0.0.1",
                "listen_port": ports[index].port(),
                "network": "udp",
            })
        };
        let rule = |index: usize| json!({"inbound": name(index), "rule_set": name(index), "action": "predefined", "rcode": "REFUSED"});
        let mut rules: Vec<_> = (0..sets.len()).map(rule).collect();
        rules.push(json!({"action": "predefined", "rcode": "NXDOMAIN"}));
        let set = |(index, path): (usize, &PathBuf)| json!({"type": "local", "tag": name(index), "format": "binary", "path": path});
        let config = json!({
            "log": {"level": "error"},
            "inbounds": (0..sets.len()).map(inbound).collect::<Vec<_>>(),
            "outbounds": [{"type": "direct", "tag": "direct"}],
            "dns": {"servers": [{"type": "local", "tag": "local"}], "disable_cache": true, "rules": rules},
            "route": {
                "default_domain_resolver": "local",
                "rules": [{"action": "hijack-dns"}],
                "rule_set": sets.iter().enumerate().map(set).collect::<Vec<_>>(),
            },
        });
        let path = folder.join("oracle.json");
        std::fs::write(&path, config.to_string()).unwrap();
        let mut command = Command::new(sing_box);
        let child = command.arg("run").arg("-c").arg(&path).stdout(Stdio::null()).spawn().unwrap();
        let oracle = Self { child, ports };
        oracle.wait();
        oracle
    }

    fn wait(&self) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(START_PATIENCE)).unwrap();
        for &port in &self.ports {
            let answers = |_try: usize| {
                socket.send_to(&question(0, "waiting.example"), port).unwrap();
                socket.recv_from(&mut [0; 512]).is_ok()
            };
            assert!((0..START_TRIES).any(answers), "sing-box does not start");
        }
    }

    /// Says of each name whether the set has it.
    pub(super) fn ask(&self, set: usize, names: &[String]) -> Vec<bool> {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(self.ports[set]).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut answers = vec![false; names.len()];
        for (window, names) in names.chunks(WINDOW).enumerate() {
            let mut open: HashMap<u16, usize> =
                (0..names.len()).map(|index| (u16::try_from(index).unwrap(), index)).collect();
            for attempt in 0..5 {
                for (&id, &index) in &open {
                    socket.send(&question(id, &names[index])).unwrap();
                }
                let mut packet = [0; 512];
                while !open.is_empty() && socket.recv(&mut packet).is_ok() {
                    let id = u16::from_be_bytes([packet[0], packet[1]]);
                    if let Some(index) = open.remove(&id) {
                        let code = packet[3] & 0xF;
                        assert!(code == NXDOMAIN || code == REFUSED, "{}: code {code}", names[index]);
                        answers[window * WINDOW + index] = code == REFUSED;
                    }
                }
                assert!(open.is_empty() || attempt < 4, "sing-box does not answer");
            }
        }
        answers
    }
}

/// A question for the address of `name` (RFC 1035 §4).
fn question(id: u16, name: &str) -> Vec<u8> {
    let mut packet = id.to_be_bytes().to_vec();
    packet.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        packet.push(u8::try_from(label.len()).unwrap());
        packet.extend(label.as_bytes());
    }
    packet.extend([0, 0, 1, 0, 1]);
    packet
}
