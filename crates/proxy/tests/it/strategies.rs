//! A running proxy with balancers of V2Ray that ask observatories.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep, timeout},
};
use waypost_config::{Options, Source};
use waypost_proxy::{
    MemberReport, Proxy,
    build::{Assets, load},
};
use waypost_testkit::{Behaviour, EchoServer, HttpOrigin, Socks5Node};

const LIMIT: Duration = Duration::from_secs(20);
const FAST: Behaviour = Behaviour::Relay;
const SLOWER: Behaviour = Behaviour::Slow(Duration::from_millis(60));
const SLOWEST: Behaviour = Behaviour::Slow(Duration::from_millis(120));

struct Running {
    proxy: Proxy,
    nodes: Vec<Socks5Node>,
    echo: EchoServer,
    _origin: HttpOrigin,
}

impl Running {
    /// A proxy that sends everything to a balancer over members of these kinds, with this section
    /// beside `routing`. `PROBE` in it stands for a URL that works.
    async fn start(behaviours: &[Behaviour], balancer: Value, section: Value) -> Self {
        let origin = HttpOrigin::start("pong").await;
        let (mut nodes, mut outbounds) = (Vec::new(), vec![json!({"protocol": "freedom", "tag": "direct"})]);
        for (index, behaviour) in behaviours.iter().enumerate() {
            let node = Socks5Node::start("", *behaviour).await;
            let settings = json!({"address": node.address.ip(), "port": node.address.port()});
            outbounds.push(json!({"protocol": "socks", "tag": format!("m{index}"), "settings": settings}));
            nodes.push(node);
        }
        let mut whole = json!({"tag": "b", "selector": ["m"]});
        extend(&mut whole, &balancer);
        let mut config = json!({
            "inbounds": [{"protocol": "socks", "listen": "127.0.0.1", "port": 0}],
            "outbounds": outbounds,
            "routing": {"balancers": [whole], "rules": [{"network": "tcp", "balancerTag": "b"}]},
        });
        extend(&mut config, &section);
        let text = config.to_string().replace("PROBE", &format!("http://{}/", origin.address));
        let source = Source::new("config.json", text).unwrap();
        let loaded = load(&source, &Options::default(), &Assets::new(None, &|_| None));
        let ready = loaded.ready.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
        let proxy = Proxy::start(&ready.config, ready.snapshot).unwrap();
        Self { proxy, nodes, echo: EchoServer::start().await, _origin: origin }
    }

    /// The outbound that carries a new connection.
    async fn carried_by(&self) -> String {
        let opening = async {
            let mut stream =
                TcpStream::connect(self.proxy.addresses()[0].address.ip().unwrap()).await.unwrap();
            let SocketAddr::V4(target) = self.echo.address else { panic!("an IPv4 target") };
            let mut request = vec![5, 1, 0, 5, 1, 0, 1];
            request.extend_from_slice(&target.ip().octets());
            request.extend_from_slice(&target.port().to_be_bytes());
            stream.write_all(&request).await.unwrap();
            let mut reply = [0; 12];
            stream.read_exact(&mut reply).await.unwrap();
            assert_eq!(reply[3], 0, "it is never refused");
            stream.write_all(b"x").await.unwrap();
            assert_eq!(stream.read_u8().await.unwrap(), b'x');
            stream
        };
        let stream = timeout(LIMIT, opening).await.expect("an answer in time");
        let connections = self.proxy.connections().snapshot();
        assert_eq!(connections.len(), 1);
        let outbound = connections[0].path().outbound.as_deref().unwrap().to_owned();
        drop(stream);
        until(|| self.proxy.connections().snapshot().is_empty()).await;
        outbound
    }

    async fn carried(&self, n: usize) -> BTreeSet<String> {
        let mut outbounds = BTreeSet::new();
        for _ in 0..n {
            outbounds.insert(self.carried_by().await);
        }
        outbounds
    }

    fn members(&self) -> Vec<MemberReport> {
        self.proxy.groups().remove(0).members
    }

    fn states(&self) -> Vec<&'static str> {
        self.members().iter().map(|member| member.state.word()).collect()
    }

    async fn until_measured(&self) {
        until(|| self.members().iter().all(|member| member.delay.is_some())).await;
    }
}

fn extend(object: &mut Value, with: &Value) {
    object.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
}

fn strategy(kind: &str, settings: &Value) -> Value {
    json!({"strategy": {"type": kind, "settings": settings}})
}

fn observatory() -> Value {
    json!({"observatory": {"subjectSelector": ["m"], "probeURL": "PROBE", "probeInterval": "100ms"}})
}

fn names(outbounds: &[&str]) -> BTreeSet<String> {
    outbounds.iter().map(|&outbound| outbound.to_owned()).collect()
}

/// A URL that nobody answers.
async fn dead_url() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}/", listener.local_addr().unwrap())
}

/// Waits until something is so.
async fn until(seen: impl Fn() -> bool) {
    let begin = Instant::now();
    while !seen() {
        assert!(begin.elapsed() < LIMIT, "it never came");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn least_ping_takes_the_fastest_that_works() {
    let running =
        Running::start(&[SLOWEST, FAST, SLOWER], strategy("leastPing", &json!({})), observatory()).await;
    running.until_measured().await;
    assert_eq!(running.carried(5).await, names(&["m1"]));
    running.nodes[1].set_behaviour(Behaviour::Close);
    until(|| running.states() == ["up", "down", "up"]).await;
    assert_eq!(running.carried(5).await, names(&["m2"]));
    running.nodes[2].set_behaviour(Behaviour::Close);
    until(|| running.states() == ["up", "down", "down"]).await;
    assert_eq!(running.carried(3).await, names(&["m0"]));
    running.nodes[1].set_behaviour(FAST);
    until(|| running.states() == ["up", "up", "down"]).await;
    assert_eq!(running.carried(5).await, names(&["m1"]));
}

#[tokio::test]
async fn least_load_spreads_over_the_expected_ones() {
    let least_load = strategy("leastLoad", &json!({"expected": 2}));
    let running = Running::start(&[SLOWEST, FAST, SLOWER], least_load, observatory()).await;
    running.until_measured().await;
    assert_eq!(running.carried(30).await, names(&["m1", "m2"]));
    running.nodes[1].set_behaviour(Behaviour::Close);
    until(|| running.states() == ["up", "down", "up"]).await;
    assert_eq!(running.carried(30).await, names(&["m0", "m2"]));
}

#[tokio::test]
async fn costs_and_limits_change_who_is_good_enough() {
    let settings = json!({"costs": [{"match": "m1", "value": 1_000_000}, {"regexp": true, "match": "^m0$", "value": 0.0001}]});
    let running =
        Running::start(&[SLOWEST, FAST, SLOWER], strategy("leastLoad", &settings), observatory()).await;
    running.until_measured().await;
    assert_eq!(running.carried(10).await, names(&["m0"]));

    let mut nobody = strategy("leastLoad", &json!({"maxRTT": "1ns"}));
    extend(&mut nobody, &json!({"fallbackTag": "direct"}));
    let running = Running::start(&[FAST, SLOWER], nobody, observatory()).await;
    running.until_measured().await;
    assert_eq!(running.carried(10).await, names(&["direct"]));
}

#[tokio::test]
async fn failing_probes_do_not_keep_connections_from_being_made() {
    let url = dead_url().await;
    for kind in ["leastPing", "leastLoad"] {
        for section in [
            json!({"observatory": {"subjectSelector": ["m"], "probeURL": url, "probeInterval": "100ms"}}),
            json!({"burstObservatory": {"subjectSelector": ["m"], "pingConfig": {"destination": url}}}),
        ] {
            let running = Running::start(&[FAST, FAST], strategy(kind, &json!({})), section).await;
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_millis(400) {
                running.carried_by().await;
            }
            until(|| running.nodes.iter().all(|node| !node.seen().is_empty())).await;
            running.carried_by().await;
        }
    }
}

#[tokio::test]
async fn a_fallback_serves_while_every_member_is_dead() {
    for alive_only in [false, true] {
        let mut balancer = strategy("random", &json!({"aliveOnly": alive_only}));
        extend(&mut balancer, &json!({"fallbackTag": "direct"}));
        let running = Running::start(&[FAST, FAST], balancer, observatory()).await;
        running.until_measured().await;
        assert_eq!(running.carried(30).await, names(&["m0", "m1"]));
        // One after the other: if both fell together, the fault could be on this side.
        running.nodes[0].set_behaviour(Behaviour::Close);
        until(|| running.states() == ["down", "up"]).await;
        assert_eq!(running.carried(10).await, names(&["m1"]));
        running.nodes[1].set_behaviour(Behaviour::Close);
        until(|| running.states() == ["down", "down"]).await;
        assert_eq!(running.carried(5).await, names(&["direct"]));
        running.nodes[0].set_behaviour(FAST);
        until(|| running.states() == ["up", "down"]).await;
        assert_eq!(running.carried(5).await, names(&["m0"]));
    }
}

#[tokio::test]
async fn bursts_do_not_count_what_fails_with_the_network() {
    let dead = dead_url().await;
    for (connectivity, state) in [("PROBE", "down"), ("", "down"), (dead.as_str(), "unknown")] {
        let ping = json!({"destination": "PROBE", "connectivity": connectivity, "timeout": "2s"});
        let section = json!({"burstObservatory": {"subjectSelector": ["m"], "pingConfig": ping}});
        let running =
            Running::start(&[FAST, Behaviour::Close], strategy("leastPing", &json!({})), section).await;
        until(|| running.states()[0] == "up" && running.nodes[1].accepted() > 0).await;
        if state == "down" {
            until(|| running.states() == ["up", "down"]).await;
        } else {
            // Long enough for a verdict, which the other cases reach within milliseconds.
            sleep(Duration::from_millis(300)).await;
            assert_eq!(running.states(), ["up", "unknown"]);
        }
        assert_eq!(running.carried(5).await, names(&["m0"]));
    }
}

#[tokio::test]
async fn each_balancer_asks_its_own_observer() {
    let dead = dead_url().await;
    let observer = |tag: &str, url: &str| {
        let settings = json!({"subjectSelector": ["m"], "probeURL": url, "probeInterval": "100ms"});
        json!({"type": "default", "tag": tag, "settings": settings})
    };
    let section =
        json!({"multiObservatory": {"observers": [observer("dead", &dead), observer("good", "PROBE")]}});
    let asks_good = strategy("leastPing", &json!({"observerTag": "good"}));
    let running = Running::start(&[SLOWER, FAST], asks_good, section).await;
    running.until_measured().await;
    assert_eq!((running.states(), running.carried(5).await), (vec!["up", "up"], names(&["m1"])));
}
