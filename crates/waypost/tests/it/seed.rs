//! The configuration that the project began with, on real sockets.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::AsyncReadExt,
    net::TcpStream,
    task::JoinSet,
    time::{Instant, timeout},
};
use waypost_net::Target;
use waypost_testkit::{Behaviour, HttpOrigin, Socks5Node, workspace_root};

use crate::{
    binary::{Waypost, command},
    examples, namespace,
    oracle::connect_socks,
};

const TAGS: [&str; 4] = ["us1", "jp1", "jp2", "hk1"];

/// An address of the list `cn` of the test data.
const CN_ADDRESS: &str = "1.80.5.5";

/// How long all connections may take while a node hangs: the second after which the next member is
/// tried beside it, and room for a busy machine.
const HANGING_LIMIT: Duration = Duration::from_secs(4);

struct Seed {
    waypost: Waypost,
    nodes: BTreeMap<&'static str, Socks5Node>,
}

impl Seed {
    /// The example as it stands, but for ports; and names that the direct outbound can dial here.
    async fn start() -> Self {
        let mut text = std::fs::read_to_string(examples::folder().join("seed.json")).unwrap();
        let mut nodes = BTreeMap::new();
        for (tag, port) in TAGS.into_iter().zip(10801..) {
            let node = Socks5Node::start(tag, Behaviour::Label).await;
            text = replace_once(&text, &port.to_string(), &node.address.port().to_string());
            nodes.insert(tag, node);
        }
        text = replace_once(&text, "\"port\": 1080}", "\"port\": 0}");
        let direct = r#""direct", "protocol": "freedom""#;
        let resolving = format!(r#"{direct}, "settings": {{"domainStrategy": "UseIP"}}"#);
        text = replace_once(&text, direct, &resolving);
        text =
            text.replacen('{', r#"{"dns": {"hosts": {"domain:cn": "127.0.0.1", "qq.com": "127.0.0.1"}},"#, 1);
        let waypost = Waypost::start(&text, Some(&assets())).await;
        Self { waypost, nodes }
    }

    /// What the far end says first.
    async fn ask(&self, target: &str) -> io::Result<String> {
        ask(self.waypost.address("in"), target.parse().unwrap()).await
    }

    /// Many connections at the same time, by what the far ends say.
    async fn ask_many(&self, n_connections: usize) -> BTreeMap<String, usize> {
        let mut connections = JoinSet::new();
        for index in 0..n_connections {
            let target =
                if index % 2 == 0 { format!("n{index}.example.org:443") } else { "8.8.4.4:53".to_owned() };
            connections.spawn(ask(self.waypost.address("in"), target.parse().unwrap()));
        }
        let mut answers = BTreeMap::new();
        for answer in connections.join_all().await {
            *answers.entry(answer.unwrap_or_else(|error| format!("lost: {error}"))).or_default() += 1;
        }
        answers
    }

    fn accepted(&self) -> BTreeMap<&'static str, usize> {
        self.nodes.iter().map(|(tag, node)| (*tag, node.accepted())).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn private_addresses_and_names_of_the_list_go_out_directly() {
    let seed = Seed::start().await;
    let origin = HttpOrigin::start("origin").await;
    let port = origin.address.port();
    for host in ["127.0.0.1", "qq.com", "any.name.cn"] {
        let mut stream = connected(seed.waypost.address("in"), &format!("{host}:{port}")).await;
        assert_eq!(fetch(&mut stream).await, "origin", "{host}");
    }
    assert_eq!(seed.accepted(), TAGS.map(|tag| (tag, 0)).into());
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_of_the_list_go_out_directly() {
    let test = "seed::addresses_of_the_list_go_out_directly";
    if !namespace::entered(test, &[CN_ADDRESS, "240e:dd8::5"]).await {
        return;
    }
    let seed = Seed::start().await;
    for address in [CN_ADDRESS, "240e:dd8::5"] {
        let address: IpAddr = address.parse().unwrap();
        let listener = tokio::net::TcpListener::bind((address, 0)).await.unwrap();
        let target = listener.local_addr().unwrap().to_string();
        let (_client, accepted) =
            tokio::join!(connected(seed.waypost.address("in"), &target), listener.accept());
        accepted.unwrap();
    }
    assert_eq!(seed.accepted(), TAGS.map(|tag| (tag, 0)).into());
}

#[tokio::test]
async fn explain_says_why_a_target_goes_out_directly() {
    for (target, list) in [
        ("1.80.5.5:443", "geoip:cn"),
        ("[240e:dd8::5]:443", "geoip:cn"),
        ("192.168.1.1:80", "geoip:private"),
        ("www.baidu.com:443", "geosite:cn"),
    ] {
        let mut command = command();
        command.args(["explain", "--config"]).arg(examples::folder().join("seed.json")).arg(target);
        let output = command.env("WAYPOST_ASSETS", assets()).output().await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains("=> direct") && text.contains(list), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_else_is_spread_over_the_members_of_the_balancer() {
    let seed = Seed::start().await;
    let answers = seed.ask_many(80).await;
    assert_eq!(answers.values().sum::<usize>(), 80);
    // 80 fair coins show fewer than 15 heads once in 10 ⁸ runs.
    assert!(answers.len() == 2 && answers["jp1"] >= 15 && answers["jp2"] >= 15, "{answers:?}");
    assert_eq!(
        seed.accepted(),
        [("us1", 0), ("hk1", 0), ("jp1", answers["jp1"]), ("jp2", answers["jp2"])].into()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_connection_is_lost_while_a_node_refuses() {
    for behaviour in [Behaviour::Refuse(1), Behaviour::Refuse(5), Behaviour::Close, Behaviour::Garbage] {
        let seed = Seed::start().await;
        seed.nodes["jp1"].set_behaviour(behaviour);
        assert_eq!(seed.ask_many(40).await, [("jp2".to_owned(), 40)].into(), "{behaviour:?}");
        assert!(seed.nodes["jp1"].accepted() > 0, "{behaviour:?}");
    }
    let mut seed = Seed::start().await;
    drop(seed.nodes.remove("jp1"));
    assert_eq!(seed.ask_many(40).await, [("jp2".to_owned(), 40)].into(), "nobody listens");
    seed.nodes["jp2"].set_behaviour(Behaviour::Refuse(1));
    seed.ask("n.example.org:443").await.expect_err("no member is left");
    assert_eq!((seed.nodes["us1"].accepted(), seed.nodes["hk1"].accepted()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_connection_is_lost_while_a_node_hangs() {
    for behaviour in [Behaviour::HangAfterAccept, Behaviour::HangAfterMethod] {
        let seed = Seed::start().await;
        seed.nodes["jp1"].set_behaviour(behaviour);
        let start = Instant::now();
        assert_eq!(seed.ask_many(24).await, [("jp2".to_owned(), 24)].into(), "{behaviour:?}");
        assert!(start.elapsed() < HANGING_LIMIT, "{behaviour:?}: {:?}", start.elapsed());
        let tried = seed.nodes["jp1"].accepted();
        assert!(tried > 0, "{behaviour:?}");
        // Whoever comes next is spared: the node is a suspect for at least a second.
        assert_eq!(seed.ask_many(12).await, [("jp2".to_owned(), 12)].into(), "{behaviour:?}");
        assert_eq!(seed.nodes["jp1"].accepted(), tried, "{behaviour:?}");
    }
}

pub(crate) fn assets() -> std::path::PathBuf {
    workspace_root().join("testdata/geo")
}

#[track_caller]
pub(crate) fn replace_once(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "{from}");
    text.replace(from, to)
}

pub(crate) async fn ask(inbound: SocketAddr, target: Target) -> io::Result<String> {
    let asking = async {
        let mut stream = TcpStream::connect(inbound).await?;
        connect_socks(&mut stream, &target, None).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    };
    timeout(Duration::from_secs(30), asking).await?
}

async fn connected(inbound: SocketAddr, target: &str) -> TcpStream {
    let mut stream = TcpStream::connect(inbound).await.unwrap();
    connect_socks(&mut stream, &target.parse().unwrap(), None).await.unwrap();
    stream
}

/// The body of a response.
async fn fetch(stream: &mut TcpStream) -> String {
    tokio::io::AsyncWriteExt::write_all(stream, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response.split_once("\r\n\r\n").unwrap().1.to_owned()
}
