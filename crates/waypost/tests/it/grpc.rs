//! V2Ray's remote control, asked by V2Ray's own program: at an address of its own, and by a rule.

use std::process::Output;

use serde_json::json;
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpStream},
    process::Command,
};
use waypost_testkit::{Behaviour, Socks5Node};

use crate::{
    binary::{Waypost, command},
    oracle::connect_socks,
    programs::require,
};

async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread")]
async fn v2rays_own_program_reads_counters() {
    let Some(v2ctl) = require("v2ctl", "v2rays_own_program_reads_counters") else { return };
    let node = Socks5Node::start("a label", Behaviour::Label).await;
    let (listen, door) = (free_port().await, free_port().await);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    let config = json!({
        "api": {"tag": "control", "services": ["StatsService"], "listen": format!("127.0.0.1:{listen}")},
        "stats": {},
        "policy": {"system": {"statsInboundDownlink": true, "statsOutboundDownlink": true}},
        "inbounds": [
            {"protocol": "socks", "tag": "in", "listen": "127.0.0.1", "port": 0},
            {"protocol": "dokodemo-door", "tag": "control-in", "listen": "127.0.0.1", "port": door,
                "settings": {"address": "127.0.0.1"}},
        ],
        "outbounds": [{"protocol": "socks", "tag": "node", "settings": {"servers": [
            {"address": "127.0.0.1", "port": node.address.port()},
        ]}}],
        "routing": {"rules": [{"inboundTag": ["control-in"], "outboundTag": "control"}]},
    });
    std::fs::write(&path, config.to_string()).unwrap();
    let mut run = command();
    run.args(["run", "--log-format", "json", "-c"]).arg(&path);
    let waypost = Waypost::spawn(run, tempfile::tempdir().unwrap(), 2).await;

    let mut stream = TcpStream::connect(waypost.address("in")).await.unwrap();
    connect_socks(&mut stream, &"192.0.2.1:80".parse().unwrap(), None).await.unwrap();
    let mut label = String::new();
    stream.read_to_string(&mut label).await.unwrap();
    drop(stream);
    for port in [listen, door] {
        let mut ask = Command::new(&v2ctl);
        ask.args(["api", &format!("--server=127.0.0.1:{port}"), "StatsService.GetStats"]);
        ask.arg(r#"name: "outbound>>>node>>>traffic>>>downlink" reset: false"#);
        let Output { stdout, stderr, .. } = ask.output().await.unwrap();
        let said = String::from_utf8([stdout, stderr].concat()).unwrap();
        let value = format!("value: {}", label.len());
        assert!(
            said.contains(&value) || said.contains(&value.replace(": ", ":")),
            "{said}\n{}",
            waypost.log()
        );
    }
}
