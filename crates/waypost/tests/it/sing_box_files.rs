//! Files of sing-box: what sing-box accepts runs, and groups of the `loadbalance` document run in them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use waypost_testkit::workspace_root;

use crate::{
    binary::Waypost,
    examples::folder,
    oracle::{Node, connect_socks},
    sing_box::require_sing_box,
    sing_box_oracle::SingBox,
};

/// Every example of the document, in a file of its own with real nodes behind its members.
#[tokio::test]
async fn every_example_of_the_loadbalance_document_carries_connections() {
    let path = workspace_root().join("testdata/sing-box/loadbalance-examples.json");
    let examples: Vec<Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(examples.len(), 8);
    for example in examples {
        let members: BTreeSet<&str> = ["primary_outbounds", "backup_outbounds"]
            .iter()
            .filter_map(|tier| example[*tier].as_array())
            .flatten()
            .map(|member| member.as_str().unwrap())
            .collect();
        let (mut nodes, mut outbounds) = (BTreeMap::new(), vec![example.clone()]);
        for member in members {
            let node = Node::start(member).await;
            let port = node.address.port();
            outbounds
                .push(json!({"type": "socks", "tag": member, "server": "127.0.0.1", "server_port": port}));
            nodes.insert(member.to_owned(), node);
        }
        let config = json!({
            "inbounds": [{"type": "mixed", "tag": "in", "listen": "127.0.0.1", "listen_port": 0}],
            "outbounds": outbounds,
            "route": {
                "rules": [{"rule_set": ["films", "games"], "outbound": example["tag"]}],
                "rule_set": [
                    {"tag": "films", "rules": [{"domain_suffix": "films.example"}]},
                    {"tag": "games", "rules": [{"domain_suffix": "games.example"}]}
                ]
            },
        });
        let waypost = Waypost::start(&config.to_string(), None).await;
        let inbound = waypost.addresses()["in"];
        let mut carried_by = BTreeSet::new();
        for target in ["www.films.example:443", "www.games.example:80", "a.b.co.uk:443", "203.0.113.7:25"] {
            for _again in 0..4 {
                let mut stream = TcpStream::connect(inbound).await.unwrap();
                connect_socks(&mut stream, &target.parse().unwrap(), None).await.unwrap();
                stream.write_all(b"GET / HTTP/1.1\r\nHost: node\r\n\r\n").await.unwrap();
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await.unwrap();
                let (node, seen) = answer.rsplit_once("\r\n").unwrap().1.split_once(' ').unwrap();
                assert_eq!(seen, target, "{example}");
                assert!(nodes.contains_key(node), "{example}");
                carried_by.insert((target, node.to_owned()));
            }
        }
        let hashed = example["strategy"] == "consistent_hash";
        assert!(!hashed || carried_by.len() == 4, "one key, one member: {carried_by:?}\n{example}");
        assert!(!waypost.log().contains("WARN"), "{}", waypost.log());
    }
}

#[tokio::test]
async fn sing_box_accepts_the_examples_that_it_can_know() {
    let Some(program) = require_sing_box("the check of examples by sing-box") else { return };
    let mut checked = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if !path.file_name().unwrap().to_string_lossy().starts_with("sing-box-") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let mut config: Value = serde_json::from_str(&lines.collect::<Vec<_>>().join("\n")).unwrap();
        // The one type that is not sing-box's own.
        for outbound in config["outbounds"].as_array_mut().unwrap() {
            if outbound["type"] == "loadbalance" {
                *outbound = json!({"type": "selector", "tag": outbound["tag"], "outbounds": outbound["primary_outbounds"]});
            }
        }
        SingBox::check(&program, &config).await.unwrap();
        checked += 1;
    }
    assert_eq!(checked, 2);
}
