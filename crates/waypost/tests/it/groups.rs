//! The examples of `loadbalance` groups, run as they stand but for ports, in front of SOCKS servers that
//! say who they are.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tokio::{io::AsyncReadExt, net::TcpSocket, time::timeout};
use waypost_net::Target;
use waypost_testkit::{Behaviour, Socks5Node};

use crate::{
    binary::Waypost,
    examples,
    oracle::connect_socks,
    seed::{self, assets, replace_once},
};

struct Example {
    waypost: Waypost,
    /// In the order of the file.
    nodes: Vec<Option<Socks5Node>>,
}

impl Example {
    async fn start(name: &str, tags: &[&str]) -> Self {
        let mut text = std::fs::read_to_string(examples::folder().join(name)).unwrap();
        let mut nodes = Vec::new();
        for (tag, port) in tags.iter().zip(20001..) {
            let node = Socks5Node::start(tag, Behaviour::Label).await;
            text = replace_once(
                &text,
                &format!(r#""port": {port}"#),
                &format!(r#""port": {}"#, node.address.port()),
            );
            nodes.push(Some(node));
        }
        text = replace_once(&text, r#""port": 1080}"#, r#""port": 0}"#);
        let waypost = Waypost::start(&text, Some(&assets())).await;
        Self { waypost, nodes }
    }

    async fn ask(&self, target: &str) -> String {
        let answer = seed::ask(self.waypost.address("in"), target.parse().unwrap()).await;
        answer.unwrap_or_else(|error| format!("lost: {error}"))
    }

    /// Asks from another address of the loopback network.
    async fn ask_from(&self, source: IpAddr, target: &str) -> String {
        let asking = async {
            let socket = TcpSocket::new_v4()?;
            socket.bind(SocketAddr::new(source, 0))?;
            let mut stream = socket.connect(self.waypost.address("in")).await?;
            let target: Target = target.parse().unwrap();
            connect_socks(&mut stream, &target, None).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            io::Result::Ok(answer)
        };
        let answer = timeout(Duration::from_secs(30), asking).await.unwrap();
        answer.unwrap_or_else(|error| format!("lost: {error}"))
    }

    /// Who answered how often.
    async fn count(&self, n_connections: usize) -> BTreeMap<String, usize> {
        let mut answers = BTreeMap::new();
        for index in 0..n_connections {
            *answers.entry(self.ask(&format!("n{index}.example.org:443")).await).or_default() += 1;
        }
        answers
    }

    fn stop(&mut self, index: usize) {
        self.nodes[index] = None;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_spreads_over_three() {
    let example = Example::start("lb-random.json", &["a", "b", "c"]).await;
    let answers = example.count(90).await;
    // 90 fair throws show one of three fewer than 12 times once in 10 ⁵ runs.
    assert!(answers.len() == 3 && answers.values().all(|&count| count >= 12), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_keeps_its_proxy_and_only_those_of_one_that_left_move() {
    let mut example = Example::start("lb-hash-source.json", &["a", "b", "c"]).await;
    let sources: Vec<IpAddr> = (1..=80).map(|last| IpAddr::from([127, 0, 0, last])).collect();
    let mut owners = Vec::new();
    for &source in &sources {
        let mut answers = BTreeSet::new();
        for target in ["one.example:443", "two.example:80", "8.8.8.8:53"] {
            answers.insert(example.ask_from(source, target).await);
        }
        assert_eq!(answers.len(), 1, "{source}: {answers:?}");
        owners.extend(answers);
    }
    // Where the members lie depends on their ports; of 80 sources one of three gets none once in 10¹⁴ runs.
    assert_eq!(owners.iter().collect::<BTreeSet<_>>().len(), 3, "{owners:?}");
    example.stop(0);
    for (&source, owner) in sources.iter().zip(&owners) {
        let now = example.ask_from(source, "one.example:443").await;
        assert!(if owner == "a" { ["b", "c"].contains(&&*now) } else { now == *owner }, "{source}: {now}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_serve_when_no_primary_can() {
    let tags = ["a", "b", "c", "x", "y"];
    let mut example = Example::start("lb-primary-backup.json", &tags).await;
    let answers = example.count(40).await;
    assert!(answers.keys().all(|who| ["a", "b", "c"].contains(&&**who)), "{answers:?}");
    for index in 0..3 {
        example.stop(index);
    }
    let answers = example.count(40).await;
    assert!(answers.keys().all(|who| ["x", "y"].contains(&&**who)), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_set_is_a_key() {
    let example = Example::start("lb-rule-hash.json", &["a", "b", "c"]).await;
    let mut owners = Vec::new();
    for names in [
        // Of two registrable domains each: what they share is the list.
        ["google.com", "maps.google.com", "gmail.com"],
        ["telegram.org", "t.me", "telegram.me"],
        ["example.com", "www.example.com", "a.b.example.com"],
    ] {
        let mut answers = BTreeSet::new();
        for name in names {
            answers.insert(example.ask(&format!("{name}:443")).await);
        }
        assert_eq!(answers.len(), 1, "{names:?}: {answers:?}");
        owners.extend(answers);
    }
    assert!(owners.iter().all(|owner| ["a", "b", "c"].contains(&&**owner)), "{owners:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn smart_fallback_goes_down_the_list() {
    let tags = ["a", "b", "x", "y"];
    let mut example = Example::start("lb-smart-fallback.json", &tags).await;
    for (index, tag) in tags.into_iter().enumerate() {
        assert_eq!(example.count(10).await, [(tag.to_owned(), 10)].into());
        example.stop(index);
    }
    assert!(example.ask("example.org:443").await.starts_with("lost"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registrable_domain_keeps_its_proxy_and_weights_count() {
    let example = Example::start("lb-domain-hash.json", &["a", "b", "c", "d"]).await;
    let mut shares = BTreeMap::<String, usize>::new();
    for index in 0..200 {
        let owner = example.ask(&format!("www.site{index}.com:443")).await;
        if index % 10 == 0 {
            assert_eq!(example.ask(&format!("cdn.eu.site{index}.com:80")).await, owner);
        }
        *shares.entry(owner).or_default() += 1;
    }
    // 2 of 5 shares of 200 are 80. The ports of the members, and so their places on the ring, are others
    // in each run: with what that adds, four and a half standard deviations are 36.
    assert!(shares.len() == 4 && (44..=116).contains(&shares["d"]), "{shares:?}");
}
