//! The load and the faults of `tests/it/chaos` in front of Waypost and of other programs, in one run
//! (`cargo bench -p waypost --bench faults`, some minutes). Programs that are not in `PATH` are left out, and the table
//! says so.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark that cannot go on ends, and its table is what it is for"
)]

#[path = "../tests/it/chaos/config.rs"]
#[expect(dead_code, reason = "tests use more of it")]
mod config;
#[path = "../tests/it/chaos/load.rs"]
#[expect(dead_code, reason = "tests use more of it")]
mod load;
#[path = "../tests/it/chaos/nodes.rs"]
#[expect(dead_code, reason = "tests use more of it")]
mod nodes;
#[path = "../tests/it/programs.rs"]
#[expect(dead_code, reason = "tests use more of it")]
mod programs;
#[path = "../tests/it/chaos/protocol.rs"]
#[expect(dead_code, reason = "tests use more of it")]
mod protocol;

use std::{fs, net::SocketAddr, path::Path, process::Stdio, time::Duration};

use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::{Instant, sleep},
};

use self::{
    config::config,
    load::{Origin, Record, Request, percentile, run, until},
    nodes::{Kind, Node, free_port},
    programs::find,
};

const FAULT: Duration = Duration::from_secs(2);
const SPAN: Duration = Duration::from_secs(10);
/// How often members are probed, by all that probe: a usual value of people's files.
const INTERVAL: &str = "60s";

#[derive(Debug, Clone, Copy)]
enum Fault {
    /// SIGKILL of the member that carries most.
    Kill,
    /// SIGSTOP of that one.
    Freeze,
    /// SIGSTOP of all but the one that carries least.
    FreezeThree,
}

#[derive(Debug, Clone, Copy)]
enum Subject {
    Waypost,
    /// HAProxy in front of the members, which speak SOCKS with the client.
    Haproxy,
    V2RayRandom,
    SingBoxUrltest,
    MihomoRoundRobin,
    MihomoFallback,
}

const SUBJECTS: [Subject; 6] = [
    Subject::Waypost,
    Subject::Haproxy,
    Subject::V2RayRandom,
    Subject::SingBoxUrltest,
    Subject::MihomoRoundRobin,
    Subject::MihomoFallback,
];

impl Subject {
    fn program(self) -> &'static str {
        match self {
            Self::Waypost => env!("CARGO_BIN_EXE_waypost"),
            Self::Haproxy => "haproxy",
            Self::V2RayRandom => "v2ray",
            Self::SingBoxUrltest => "sing-box",
            Self::MihomoRoundRobin | Self::MihomoFallback => "mihomo",
        }
    }

    /// The arguments, and the configuration that they name.
    fn configure(self, folder: &Path, port: u16, members: &[SocketAddr], origin: SocketAddr) -> Vec<String> {
        let (name, text) = match self {
            Self::Waypost => {
                let mut config = config(members, members.len(), origin, &json!({"interval": INTERVAL}));
                config["inbounds"][0]["port"] = json!(port);
                ("waypost.json", config.to_string())
            }
            Self::Haproxy => ("haproxy.cfg", haproxy(port, members)),
            Self::V2RayRandom => ("v2ray.json", v2ray(port, members).to_string()),
            Self::SingBoxUrltest => ("sing-box.json", sing_box(port, members, origin).to_string()),
            Self::MihomoRoundRobin => {
                let group = json!({"type": "load-balance", "strategy": "round-robin"});
                ("config.yaml", mihomo(port, members, origin, group).to_string())
            }
            Self::MihomoFallback => {
                ("config.yaml", mihomo(port, members, origin, json!({"type": "fallback"})).to_string())
            }
        };
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        let path = path.display().to_string();
        match self {
            Self::Waypost => vec!["run".into(), "--config".into(), path],
            Self::Haproxy => vec!["-db".into(), "-f".into(), path],
            Self::V2RayRandom => vec!["-config".into(), path],
            Self::SingBoxUrltest => vec!["run".into(), "-c".into(), path],
            Self::MihomoRoundRobin | Self::MihomoFallback => {
                vec!["-d".into(), folder.display().to_string(), "-f".into(), path]
            }
        }
    }
}

fn tags(members: &[SocketAddr]) -> Vec<String> {
    (0..members.len()).map(|index| format!("m{index}")).collect()
}

fn haproxy(port: u16, members: &[SocketAddr]) -> String {
    let servers: String = tags(members)
        .iter()
        .zip(members)
        .map(|(tag, address)| format!("  server {tag} {address} check inter 2s fall 3 rise 2\n"))
        .collect();
    format!(
        "defaults\n  mode tcp\n  timeout connect 3s\n  timeout client 60s\n  timeout server 60s\n  retries 3\n  \
         option redispatch 1\nlisten lb\n  bind 127.0.0.1:{port}\n  balance roundrobin\n{servers}"
    )
}

fn v2ray(port: u16, members: &[SocketAddr]) -> Value {
    let outbound = |(tag, address): (&String, &SocketAddr)| {
        let server = json!({"address": address.ip(), "port": address.port()});
        json!({"protocol": "socks", "tag": tag, "settings": {"servers": [server]}})
    };
    json!({
        "log": {"loglevel": "none"},
        "inbounds": [{"protocol": "socks", "listen": "127.0.0.1", "port": port}],
        "outbounds": tags(members).iter().zip(members).map(outbound).collect::<Vec<_>>(),
        "routing": {
            "balancers": [{"tag": "lb", "selector": ["m"]}],
            "rules": [{"type": "field", "network": "tcp", "balancerTag": "lb"}],
        },
    })
}

fn sing_box(port: u16, members: &[SocketAddr], origin: SocketAddr) -> Value {
    let outbound = |(tag, address): (&String, &SocketAddr)| json!({"type": "socks", "tag": tag, "server": address.ip(), "server_port": address.port()});
    let mut outbounds: Vec<Value> = vec![json!({
        "type": "urltest", "tag": "lb", "outbounds": tags(members),
        "url": format!("http://{origin}/"), "interval": INTERVAL,
    })];
    outbounds.extend(tags(members).iter().zip(members).map(outbound));
    json!({
        "log": {"disabled": true},
        "inbounds": [{"type": "mixed", "listen": "127.0.0.1", "listen_port": port}],
        "outbounds": outbounds, "route": {"final": "lb"},
    })
}

/// JSON is YAML.
fn mihomo(port: u16, members: &[SocketAddr], origin: SocketAddr, mut group: Value) -> Value {
    let proxy = |(tag, address): (&String, &SocketAddr)| json!({"name": tag, "type": "socks5", "server": address.ip(), "port": address.port()});
    group.as_object_mut().unwrap().extend(
        json!({"name": "lb", "proxies": tags(members), "url": format!("http://{origin}/"), "interval": 60})
            .as_object()
            .unwrap()
            .clone(),
    );
    json!({
        "socks-port": port, "mode": "rule", "log-level": "silent", "ipv6": false,
        "proxies": tags(members).iter().zip(members).map(proxy).collect::<Vec<_>>(),
        "proxy-groups": [group], "rules": ["MATCH,lb"],
    })
}

/// The members by how many sockets of this machine name their ports, the busiest first.
fn by_traffic(nodes: &[Node]) -> Vec<usize> {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let sockets = |node: &Node| table.matches(&format!(":{:04X} ", node.address.port())).count();
    let mut order: Vec<usize> = (0..nodes.len()).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(sockets(&nodes[index])));
    order
}

async fn strike(fault: Fault, nodes: &mut [Node]) {
    let order = by_traffic(nodes);
    match fault {
        Fault::Kill => nodes[order[0]].kill().await,
        Fault::Freeze => nodes[order[0]].freeze().await,
        Fault::FreezeThree => {
            for &index in &order[..3] {
                nodes[index].freeze().await;
            }
        }
    }
}

async fn start(
    subject: Subject,
    folder: &Path,
    members: &[SocketAddr],
    origin: SocketAddr,
) -> Option<(Child, SocketAddr)> {
    let program = find(subject.program())?;
    let proxy = free_port().await;
    let mut command = Command::new(program);
    command.args(subject.configure(folder, proxy.port(), members, origin));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.kill_on_drop(true).spawn().unwrap();
    let begin = Instant::now();
    while TcpStream::connect(proxy).await.is_err() {
        assert!(child.try_wait().unwrap().is_none(), "{subject:?} has ended");
        assert!(begin.elapsed() < Duration::from_secs(20), "{subject:?} does not listen");
        sleep(Duration::from_millis(20)).await;
    }
    // First probes.
    sleep(Duration::from_secs(2)).await;
    Some((child, proxy))
}

fn row(fault: Fault, subject: Subject, records: &[Record]) {
    let hit: Vec<&Record> = records.iter().filter(|record| record.at >= FAULT).collect();
    let lost = hit.iter().filter(|record| record.lost.is_some()).count();
    let answered: Vec<&Record> = hit.iter().copied().filter(|record| record.lost.is_none()).collect();
    let p99 = if answered.is_empty() {
        Duration::ZERO
    } else {
        percentile(&answered, 99, |record| record.answered)
    };
    println!("| {fault:?} | {subject:?} | {lost} of {} | {} |", hit.len(), p99.as_millis());
}

#[tokio::main]
async fn main() {
    // `cargo test --all-targets` runs benchmarks, too, to see that they start.
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("this is a benchmark: `cargo bench -p waypost --bench faults`");
        return;
    }
    println!("| fault | program | lost after the fault | p99 of answers, ms |\n|---|---|---|---|");
    for fault in [Fault::Kill, Fault::Freeze, Fault::FreezeThree] {
        for subject in SUBJECTS {
            let folder = tempfile::tempdir().unwrap();
            let origin = Origin::start().await;
            let mut nodes = Vec::new();
            for _ in 0..4 {
                let Some(node) = Node::start(Kind::Microsocks, "the benchmark of faults").await else {
                    return;
                };
                nodes.push(node);
            }
            let members: Vec<SocketAddr> = nodes.iter().map(|node| node.address).collect();
            let Some((child, proxy)) = start(subject, folder.path(), &members, origin.address).await else {
                println!("| {fault:?} | {subject:?} | not installed | |");
                continue;
            };
            let begin = Instant::now();
            let faulty = async {
                until(begin, FAULT).await;
                strike(fault, &mut nodes).await;
            };
            let load = run(proxy, origin.address, Request::Http, SPAN);
            let (records, ()) = tokio::join!(load, faulty);
            row(fault, subject, &records);
            for node in &nodes {
                node.thaw_if_alive().await;
            }
            drop(child);
        }
    }
}
