//! What bytes cost that go through a protocol (`cargo bench -p waypost --bench tunnels`, some minutes): a client
//! and a server of each program, the CPU time of both per gigabyte, taken in turn. sing-box has to be in
//! `SING_BOX` or in `PATH`; without it there is nothing to compare with.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark that cannot go on ends, and its table is what it is for"
)]

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, sleep},
};

const ROUNDS: usize = 5;
/// What one round carries each way.
const BYTES: usize = 1 << 30;
/// Clock ticks of a second, which Linux has always told programs (proc(5), `_SC_CLK_TCK`).
const TICKS: f64 = 100.0;
const ID: &str = "b831381d-6324-4d53-ad4f-8cda48b30811";
const PASSWORD: &str = "s3cret and long";
const NAME: &str = "node.test";
const PROTOCOLS: [&str; 3] = ["shadowsocks aes-256-gcm", "vmess aes-128-gcm", "trojan over tls"];

/// Two processes of a program; they end when this is dropped.
struct Pair {
    processes: [Child; 2],
    /// Where clients come in, by protocol.
    entries: Vec<SocketAddr>,
    _folder: tempfile::TempDir,
}

impl Drop for Pair {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // One that has ended already is what is wanted.
            let _ended = process.kill();
            let _reaped = process.wait();
        }
    }
}

impl Pair {
    /// CPU seconds of both since they began.
    fn cpu(&self) -> f64 {
        let of = |process: &Child| {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap();
            let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
            let ticks = |index: usize| fields.get(index).unwrap().parse::<f64>().unwrap();
            (ticks(11) + ticks(12)) / TICKS
        };
        self.processes.iter().map(of).sum()
    }
}

#[tokio::main]
async fn main() {
    // `cargo test --all-targets` runs benchmarks, too, to see that they start.
    let is_test = !std::env::args().any(|argument| argument == "--bench");
    let (rounds, bytes) = if is_test { (1, 1 << 20) } else { (ROUNDS, BYTES) };
    let certificate = certificate();
    let waypost = PathBuf::from(env!("CARGO_BIN_EXE_waypost"));
    let mut pairs = vec![("waypost", start(&waypost, certificate.path(), waypost_configs).await)];
    match sing_box() {
        Some(program) => {
            pairs.push(("sing-box", start(&program, certificate.path(), sing_box_configs).await));
        }
        None => println!("no sing-box in SING_BOX or PATH: nothing to compare with"),
    }
    let sink = sink(bytes).await;
    for (index, protocol) in PROTOCOLS.iter().enumerate() {
        for (direction, is_up) in [("down", false), ("up", true)] {
            let mut figures = vec![Vec::new(); pairs.len()];
            for _ in 0..rounds {
                for ((_, pair), figures) in pairs.iter().zip(&mut figures) {
                    let (before, begin) = (pair.cpu(), Instant::now());
                    transfer(*pair.entries.get(index).unwrap(), sink, is_up, bytes).await;
                    // What the kernel still does for them is theirs.
                    sleep(Duration::from_millis(50)).await;
                    let gigabytes = bytes as f64 / 1e9;
                    figures
                        .push(((pair.cpu() - before) / gigabytes, gigabytes / begin.elapsed().as_secs_f64()));
                }
            }
            let medians: Vec<f64> =
                figures.iter().map(|figures| median(figures.iter().map(|f| f.0))).collect();
            for (((name, _), figures), cost) in pairs.iter().zip(&figures).zip(&medians) {
                let speed = median(figures.iter().map(|figures| figures.1));
                println!("{protocol} {direction}: {name} {cost:.2} CPU-s per GB, {speed:.2} GB/s");
            }
            if let [ours, theirs] = *medians {
                println!("{protocol} {direction}: ratio {:.2}", ours / theirs);
            }
        }
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    *values.get(values.len() / 2).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "which program to compare with is told so")]
fn sing_box() -> Option<PathBuf> {
    let named = std::env::var_os("SING_BOX").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("sing-box"));
    named.into_iter().chain(found).find(|program| program.is_file())
}

fn certificate() -> tempfile::TempDir {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec![NAME.to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("cert.pem"), cert.pem()).unwrap();
    std::fs::write(folder.path().join("key.pem"), signing_key.serialize_pem()).unwrap();
    folder
}

/// Configurations of client and server, for the ports of both and the folder of the certificate.
type Configs = fn(&[u16], &[u16], &Path) -> [Value; 2];

async fn start(program: &Path, certificate: &Path, configs: Configs) -> Pair {
    let reserve = || {
        let reserved: Vec<TcpListener> =
            PROTOCOLS.iter().map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()).collect();
        reserved.iter().map(|listener| listener.local_addr().unwrap().port()).collect::<Vec<u16>>()
    };
    let (entries, servers) = (reserve(), reserve());
    let folder = tempfile::tempdir().unwrap();
    let mut number = 0;
    let processes = configs(&entries, &servers, certificate).map(|config| {
        number += 1;
        let path = folder.path().join(format!("{number}.json"));
        std::fs::write(&path, config.to_string()).unwrap();
        let mut command = Command::new(program);
        command.args(["run", "-c"]).arg(path).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    });
    let local = |port: &u16| SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
    let all: Vec<SocketAddr> = entries.iter().chain(&servers).map(local).collect();
    for address in all {
        while TcpStream::connect(address).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    }
    Pair { processes, entries: entries.iter().map(local).collect(), _folder: folder }
}

fn waypost_configs(entries: &[u16], servers: &[u16], certificate: &Path) -> [Value; 2] {
    let [first, second, third] = servers else { panic!("three protocols") };
    let tls =
        json!({"certificateFile": certificate.join("cert.pem"), "keyFile": certificate.join("key.pem")});
    let inbound = |port: &u16, protocol: &str, settings: Value| json!({"listen": "127.0.0.1", "port": port, "protocol": protocol, "settings": settings});
    let mut trojan = inbound(third, "trojan", json!({"clients": [{"password": PASSWORD}]}));
    trojan["streamSettings"] = json!({"security": "tls", "tlsSettings": {"certificates": [tls]}});
    let server = json!({
        "log": {"loglevel": "error"},
        "inbounds": [
            inbound(first, "shadowsocks", json!({"method": "aes-256-gcm", "password": PASSWORD})),
            inbound(second, "vmess", json!({"clients": [{"id": ID}]})),
            trojan,
        ],
        "outbounds": [{"protocol": "freedom"}],
    });
    let to = |port: &u16, more: Value| {
        let mut server = json!({"address": "127.0.0.1", "port": port});
        server.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([server])
    };
    let trust = json!({"serverName": NAME, "disableSystemRoot": true,
        "certificates": [{"usage": "verify", "certificateFile": certificate.join("cert.pem")}]});
    let outbounds = [
        json!({"protocol": "shadowsocks", "settings":
            {"servers": to(first, json!({"method": "aes-256-gcm", "password": PASSWORD}))}}),
        json!({"protocol": "vmess", "settings":
            {"vnext": to(second, json!({"users": [{"id": ID, "security": "aes-128-gcm"}]}))}}),
        json!({"protocol": "trojan", "settings": {"servers": to(third, json!({"password": PASSWORD}))},
            "streamSettings": {"security": "tls", "tlsSettings": trust}}),
    ];
    let (mut inbounds, mut tagged, mut rules) = (Vec::new(), Vec::new(), Vec::new());
    for (index, (port, mut outbound)) in entries.iter().zip(outbounds).enumerate() {
        let mut entry = inbound(port, "socks", json!({}));
        entry["tag"] = json!(format!("in{index}"));
        outbound["tag"] = json!(format!("out{index}"));
        inbounds.push(entry);
        tagged.push(outbound);
        rules.push(json!({"inboundTag": [format!("in{index}")], "outboundTag": format!("out{index}")}));
    }
    let client = json!({"log": {"loglevel": "error"}, "inbounds": inbounds, "outbounds": tagged,
                        "routing": {"rules": rules}});
    [client, server]
}

fn sing_box_configs(entries: &[u16], servers: &[u16], certificate: &Path) -> [Value; 2] {
    let [first, second, third] = servers else { panic!("three protocols") };
    let inbound = |port: &u16, more: Value| {
        let mut inbound = json!({"listen": "127.0.0.1", "listen_port": port});
        inbound.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        inbound
    };
    let tls = json!({"enabled": true, "certificate_path": certificate.join("cert.pem"),
                     "key_path": certificate.join("key.pem")});
    let server = json!({
        "log": {"level": "error"},
        "inbounds": [
            inbound(first, json!({"type": "shadowsocks", "method": "aes-256-gcm", "password": PASSWORD})),
            inbound(second, json!({"type": "vmess", "users": [{"uuid": ID, "alterId": 0}]})),
            inbound(third, json!({"type": "trojan", "users": [{"password": PASSWORD}], "tls": tls})),
        ],
        "outbounds": [{"type": "direct"}],
    });
    let to = |port: &u16, more: Value| {
        let mut outbound = json!({"server": "127.0.0.1", "server_port": port});
        outbound.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        outbound
    };
    let trust =
        json!({"enabled": true, "server_name": NAME, "certificate_path": certificate.join("cert.pem")});
    let outbounds = [
        to(first, json!({"type": "shadowsocks", "method": "aes-256-gcm", "password": PASSWORD})),
        to(second, json!({"type": "vmess", "uuid": ID, "security": "aes-128-gcm"})),
        to(third, json!({"type": "trojan", "password": PASSWORD, "tls": trust})),
    ];
    let (mut inbounds, mut tagged, mut rules) = (Vec::new(), Vec::new(), Vec::new());
    for (index, (port, mut outbound)) in entries.iter().zip(outbounds).enumerate() {
        inbounds.push(inbound(port, json!({"type": "socks", "tag": format!("in{index}")})));
        outbound["tag"] = json!(format!("out{index}"));
        tagged.push(outbound);
        rules.push(json!({"inbound": format!("in{index}"), "outbound": format!("out{index}")}));
    }
    let client = json!({"log": {"level": "error"}, "inbounds": inbounds, "outbounds": tagged,
                        "route": {"rules": rules}});
    [client, server]
}

/// An origin that sends as much as is asked for, or takes it in.
async fn sink(bytes: usize) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = vec![7; 1 << 16];
                if stream.read_u8().await.ok() == Some(1) {
                    let mut left = bytes;
                    while left > 0 {
                        match stream.read(&mut buffer).await {
                            Ok(count @ 1..) => left = left.saturating_sub(count),
                            Ok(_) | Err(_) => return,
                        }
                    }
                    let _told = stream.write_all(&[1]).await;
                } else {
                    for _ in 0..bytes.div_ceil(buffer.len()) {
                        if stream.write_all(&buffer).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    address
}

async fn transfer(proxy: SocketAddr, target: SocketAddr, is_up: bool, bytes: usize) {
    let SocketAddr::V4(target) = target else { panic!("an IPv4 target") };
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    stream.write_all(&[5, 1, 0]).await.unwrap();
    stream.read_exact(&mut [0; 2]).await.unwrap();
    let sent = [&[5, 1, 0, 1][..], &target.ip().octets(), &target.port().to_be_bytes()].concat();
    stream.write_all(&sent).await.unwrap();
    stream.read_exact(&mut [0; 10]).await.unwrap();
    stream.write_all(&[u8::from(is_up)]).await.unwrap();
    let mut buffer = vec![7; 1 << 16];
    if is_up {
        for _ in 0..bytes.div_ceil(buffer.len()) {
            stream.write_all(&buffer).await.unwrap();
        }
        stream.read_exact(&mut [0; 1]).await.unwrap();
    } else {
        let mut left = bytes;
        while left > 0 {
            let count = stream.read(&mut buffer).await.unwrap();
            assert!(count > 0, "cut");
            left = left.saturating_sub(count);
        }
    }
}
