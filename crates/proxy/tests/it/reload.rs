//! Another configuration in the place of the one in force.

mod keys;
#[cfg(feature = "shadowsocks")]
mod shadowsocks;

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UdpSocket},
    time::{Instant, sleep, timeout},
};
use waypost_config::{Options, Source, UnknownKeys};
use waypost_proxy::{
    Control, Proxy, Reading, ReloadError, ReloadFrom, ReloadReport, State, Workers,
    build::{Assets, load},
};
use waypost_testkit::{Behaviour, EchoServer, HttpOrigin, Socks5Node, UdpEcho};

const LIMIT: Duration = Duration::from_secs(20);

struct Running {
    proxy: Proxy,
    control: Control,
}

impl Running {
    async fn start(config: &Value) -> Self {
        let source = Source::new("(text)", config.to_string()).unwrap();
        let loaded = load(&source, &Options::default(), &Assets::default());
        let ready = loaded.ready.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
        let proxy = Proxy::launch(Workers::current(), ready).await.unwrap();
        Self { control: proxy.control(), proxy }
    }

    async fn reload(&self, config: &Value) -> Result<ReloadReport, ReloadError> {
        self.control.reload(&reading(), ReloadFrom::Text(config.to_string())).await
    }

    fn address(&self, inbound: &str) -> SocketAddr {
        let addresses = self.control.addresses();
        let found = addresses.iter().find(|known| known.inbound.as_deref() == Some(inbound)).unwrap();
        found.address.ip().unwrap()
    }
}

fn reading() -> Reading {
    Reading {
        paths: Vec::new(),
        unknown_keys: UnknownKeys::Error,
        assets: Assets::default(),
        env: |_| None,
        confined_to: None,
    }
}

fn inbound(tag: &str, port: u16) -> Value {
    json!({"type": "mixed", "tag": tag, "listen": "127.0.0.1", "listen_port": port})
}

fn node(tag: &str, node: &Socks5Node) -> Value {
    json!({"type": "socks", "tag": tag, "server": "127.0.0.1", "server_port": node.address.port()})
}

fn config(inbounds: &[Value], outbounds: &[Value], route: &Value) -> Value {
    json!({"inbounds": inbounds, "outbounds": outbounds, "route": route})
}

/// Opens a tunnel through the proxy.
async fn tunnel(proxy: SocketAddr, target: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    stream.write_all(&[5, 1, 0]).await.unwrap();
    let mut greeting = [0; 2];
    stream.read_exact(&mut greeting).await.unwrap();
    let SocketAddr::V4(target) = target else { panic!("IPv4") };
    let mut request = vec![5, 1, 0, 1];
    request.extend_from_slice(&target.ip().octets());
    request.extend_from_slice(&target.port().to_be_bytes());
    stream.write_all(&request).await.unwrap();
    let mut reply = [0; 10];
    stream.read_exact(&mut reply).await.unwrap();
    assert_eq!(reply[1], 0, "{reply:?}");
    stream
}

async fn echoes(stream: &mut TcpStream) -> bool {
    let mut back = [0; 4];
    stream.write_all(b"ping").await.is_ok()
        && timeout(LIMIT, stream.read_exact(&mut back)).await.unwrap().is_ok()
        && &back == b"ping"
}

/// Which node answers, by its name.
async fn who(proxy: SocketAddr) -> String {
    let mut stream = tunnel(proxy, "192.0.2.1:443".parse().unwrap()).await;
    let mut name = String::new();
    timeout(LIMIT, stream.read_to_string(&mut name)).await.unwrap().unwrap();
    name
}

async fn until(seen: impl Fn() -> bool) {
    let begin = Instant::now();
    while !seen() {
        assert!(begin.elapsed() < LIMIT);
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_go_on_and_new_ones_follow_the_new_rules() {
    let echo = EchoServer::start().await;
    let a = Socks5Node::start("a", Behaviour::Relay).await;
    let b = Socks5Node::start("b", Behaviour::Label).await;
    let of = |last: &str| {
        let outbounds = [node("a", &a), node("b", &b)];
        config(
            &[inbound("in", 0)],
            &outbounds,
            &json!({"rules": [{"port": 1, "outbound": "b"}], "final": last}),
        )
    };
    let running = Running::start(&of("a")).await;
    let address = running.address("in");
    let mut live = tunnel(address, echo.address).await;
    assert!(echoes(&mut live).await);

    let same = running.reload(&of("a")).await.unwrap();
    assert_eq!((same.changed, same.generation), (false, 1), "the same text");
    let report = running.reload(&of("b")).await.unwrap();
    assert_eq!((report.changed, report.generation, running.control.generation()), (true, 2, 2));
    assert_eq!(running.address("in"), address, "a listener that stays keeps its port");
    assert_eq!(who(address).await, "b");
    assert!(echoes(&mut live).await, "what began before goes on");
    let chains: Vec<_> =
        running.proxy.connections().snapshot().iter().map(|live| live.path().outbound.clone()).collect();
    assert_eq!(chains[0].as_deref(), Some("a"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_changes_nothing() {
    let a = Socks5Node::start("a", Behaviour::Label).await;
    let good = config(&[inbound("in", 0)], &[node("a", &a)], &json!({}));
    let running = Running::start(&good).await;
    let address = running.address("in");

    let wrong = config(&[inbound("in", 0)], &[node("a", &a)], &json!({"final": "b", "rules": [{"prot": 1}]}));
    let Err(ReloadError::Invalid { rendered, diagnostics }) = running.reload(&wrong).await else {
        panic!("it is taken")
    };
    assert!(
        rendered.contains("there is no outbound with the tag `b`") && rendered.contains("`prot`"),
        "{rendered}"
    );
    assert!(diagnostics["errors"].as_u64().unwrap() >= 2, "{diagnostics}");

    // An address that is taken, beside one that is free.
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let free = { TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap() };
    let inbounds = [
        inbound("in", 0),
        inbound("free", free.port()),
        inbound("taken", taken.local_addr().unwrap().port()),
    ];
    let error = running.reload(&config(&inbounds, &[node("a", &a)], &json!({}))).await.unwrap_err();
    assert!(matches!(&error, ReloadError::Refused { reason } if reason.contains("in use")), "{error:?}");
    assert!(TcpStream::connect(free).await.is_err(), "nothing of it listens");

    let none = running.control.reload(&reading(), ReloadFrom::Files).await.unwrap_err();
    assert!(
        matches!(&none, ReloadError::Unreadable { reason } if reason.contains("without a configuration file"))
    );
    assert_eq!((running.control.generation(), running.control.figures().failed_reloads), (1, 3));
    assert_eq!(running.address("in"), address);
    assert_eq!(who(address).await, "a");
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_come_and_go_and_whoever_is_in_stays() {
    let echo = EchoServer::start().await;
    let direct = json!({"type": "direct", "tag": "direct"});
    let running = Running::start(&config(
        &[inbound("one", 0), inbound("two", 0)],
        std::slice::from_ref(&direct),
        &json!({}),
    ))
    .await;
    let (one, two) = (running.address("one"), running.address("two"));
    let mut in_two = tunnel(two, echo.address).await;
    let report =
        running.reload(&config(&[inbound("three", 0), inbound("one", 0)], &[direct], &json!({}))).await;
    assert!(report.unwrap().changed);
    until(|| std::net::TcpStream::connect(two).is_err()).await;
    assert!(echoes(&mut in_two).await);
    assert_eq!(running.address("one"), one);
    for address in [one, running.address("three")] {
        assert!(echoes(&mut tunnel(address, echo.address).await).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_of_members_outlives_new_names_and_places() {
    let origin = HttpOrigin::start("the origin").await;
    let nodes =
        [Socks5Node::start("a", Behaviour::Relay).await, Socks5Node::start("b", Behaviour::Relay).await];
    nodes[1].set_behaviour(Behaviour::Close);
    let of = |tags: [&str; 2], interval: &str| {
        let url = format!("http://{}/", origin.address);
        let group = json!({
            "type": "loadbalance", "tag": "lb", "primary_outbounds": tags, "strategy": "random",
            "url": url, "interval": interval, "idle_timeout": "3h", "timeout": "2s",
        });
        let pick = json!({"type": "selector", "tag": "pick", "outbounds": tags});
        let outbounds = [group, pick, node(tags[0], &nodes[0]), node(tags[1], &nodes[1])];
        config(
            &[inbound("in", 0)],
            &outbounds,
            &json!({"rules": [{"port": 7, "outbound": "pick"}], "final": "lb"}),
        )
    };
    let running = Running::start(&of(["a", "b"], "1h")).await;
    let states = || -> Vec<(String, State, Option<Duration>)> {
        let groups = running.control.groups();
        groups[0].members.iter().map(|one| (one.tag.to_string(), one.state, one.delay)).collect()
    };
    until(|| states()[0].1 == State::Up && states()[1].1 == State::Down).await;
    let address = running.address("in");
    let mut live = tunnel(address, origin.address).await;
    running.control.select("pick", "b").await.unwrap();
    let before = states();
    let history = |tag: &str| {
        let outbounds = running.control.outbounds();
        outbounds.into_iter().find(|one| one.tag.as_deref() == Some(tag)).unwrap().history
    };
    let (n_probes, n_carried) = (history("a").len(), nodes[0].accepted());

    // Another name, and the same nodes. The interval is another one, so that it is no other file in disguise.
    running.reload(&of(["x", "b"], "2h")).await.unwrap();
    let after = states();
    assert_eq!((&after[0].0, after[0].1, after[0].2), (&"x".to_owned(), before[0].1, before[0].2));
    assert_eq!((after[1].1, after[1].2), (before[1].1, before[1].2));
    assert_eq!((history("x").len(), nodes[0].accepted()), (n_probes, n_carried), "nobody is probed anew");
    let groups = running.control.groups();
    assert_eq!(groups[1].choice.as_deref(), Some("b"), "the choice stays");
    assert_eq!(groups[0].members[0].live, 1, "and so does the count of connections");
    assert_eq!(groups[0].members[0].totals.carried, 1);
    live.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    timeout(LIMIT, live.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.contains("the origin"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_are_gone_drain_or_are_interrupted() {
    let echo = EchoServer::start().await;
    for interrupts in [true, false] {
        let nodes =
            [Socks5Node::start("a", Behaviour::Relay).await, Socks5Node::start("b", Behaviour::Relay).await];
        let of = |tags: &[&str]| {
            let pick = json!({
                "type": "selector", "tag": "pick", "outbounds": tags, "interrupt_exist_connections": interrupts,
            });
            let outbounds = [pick, node("a", &nodes[0]), node("b", &nodes[1])];
            config(&[inbound("in", 0)], &outbounds, &json!({"final": "pick"}))
        };
        let running = Running::start(&of(&["a", "b"])).await;
        let mut live = tunnel(running.address("in"), echo.address).await;
        let report = running.reload(&of(&["b"])).await.unwrap();
        assert_eq!((report.interrupted, echoes(&mut live).await), (usize::from(interrupts), !interrupts));
        let mut next = tunnel(running.address("in"), echo.address).await;
        assert!(echoes(&mut next).await);
        assert_eq!(nodes[1].accepted(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_go_on_counting_and_modes_stay() {
    let a = Socks5Node::start("a", Behaviour::Label).await;
    let of = |port: u16| {
        let rules = json!([
            {"port": port, "outbound": "a"},
            {"clash_mode": "global", "outbound": "a"},
            {"network": "tcp", "outbound": "a"},
        ]);
        let mut config = config(&[inbound("in", 0)], &[node("a", &a)], &json!({"rules": rules}));
        config["experimental"] = json!({"clash_api": {}});
        config
    };
    let running = Running::start(&of(80)).await;
    let address = running.address("in");
    for _ in 0..3 {
        who(address).await;
    }
    running.control.set_mode("Global").await.unwrap();
    who(address).await;
    let hits = || running.control.rules().iter().map(|rule| rule.hits).collect::<Vec<_>>();
    assert_eq!(hits(), [0, 1, 3]);
    running.reload(&of(443)).await.unwrap();
    assert_eq!(hits(), [0, 1, 3]);
    assert_eq!(running.control.mode().unwrap().0.as_ref(), "global");
    who(address).await;
    assert_eq!(hits(), [1, 1, 3], "the first one is another rule now");
    let rule = &running.control.rules()[0];
    assert_eq!((&*rule.text, &*rule.action, rule.to.as_deref()), ("port=443", "route(a)", Some("a")));
}

#[tokio::test(flavor = "multi_thread")]
async fn datagrams_go_on_and_a_door_may_lead_elsewhere() {
    let echoes = [UdpEcho::start().await, UdpEcho::start().await];
    let of = |target: SocketAddr, last: &str| {
        let door = json!({
            "type": "direct", "tag": "door", "listen": "127.0.0.1", "listen_port": 0, "network": "udp",
            "override_address": "127.0.0.1", "override_port": target.port(),
        });
        let outbounds = [json!({"type": "direct", "tag": "x"}), json!({"type": "direct", "tag": "y"})];
        config(&[door], &outbounds, &json!({"final": last}))
    };
    let running = Running::start(&of(echoes[0].address, "x")).await;
    let address = running.address("door");
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let ask = async |client: &UdpSocket| {
        let mut buffer = [0; 16];
        client.send_to(b"ping", address).await.unwrap();
        let (n, from) = timeout(LIMIT, client.recv_from(&mut buffer)).await.unwrap().unwrap();
        assert_eq!((&buffer[..n], from), (&b"ping"[..], address));
    };
    ask(&client).await;
    running.reload(&of(echoes[0].address, "y")).await.unwrap();
    ask(&client).await;
    let live = running.proxy.connections().snapshot();
    assert_eq!(live.len(), 1, "the session goes on");
    running.reload(&of(echoes[1].address, "y")).await.unwrap();
    ask(&client).await;
    let live = running.proxy.connections().snapshot();
    let newest = live.last().unwrap();
    assert_eq!(newest.info.target.port, echoes[1].address.port());
    assert_eq!(running.address("door"), address);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_under_load_lose_nobody_and_leave_nothing() {
    let echo = EchoServer::start().await;
    let a = Socks5Node::start("a", Behaviour::Relay).await;
    let b = Socks5Node::start("b", Behaviour::Relay).await;
    let of = |round: u32| {
        let group = json!({"type": "urltest", "tag": "auto", "outbounds": ["a", "b"],
            "url": format!("http://{}/", echo.address), "interval": "1h", "idle_timeout": "2h"});
        let outbounds = [group, node("a", &a), node("b", &b)];
        let rules = json!([{"port": 1 + round % 60000, "outbound": "a"}]);
        config(&[inbound("in", 0)], &outbounds, &json!({"rules": rules, "final": "auto"}))
    };
    let running = Running::start(&of(0)).await;
    let address = running.address("in");
    let mut live = tunnel(address, echo.address).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let load = {
        let (stop, target) = (stop.clone(), echo.address);
        tokio::spawn(async move {
            let mut n_served = 0_u32;
            while !stop.is_cancelled() {
                assert!(echoes(&mut tunnel(address, target).await).await);
                n_served += 1;
            }
            n_served
        })
    };
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let mut before = 0;
    for round in 1..=1000 {
        running.reload(&of(round)).await.unwrap();
        if round == 100 {
            before = descriptors();
        }
    }
    let after = descriptors();
    stop.cancel();
    let n_served = load.await.unwrap();
    assert!(n_served > 20, "{n_served}");
    assert!(after <= before + 20, "{before} descriptors, and then {after}");
    assert!(echoes(&mut live).await);
    assert_eq!(running.control.generation(), 1001);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_names_files_in_its_folder_only() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("ui")).unwrap();
    let a = Socks5Node::start("a", Behaviour::Label).await;
    let running = Running::start(&config(&[inbound("in", 0)], &[node("a", &a)], &json!({}))).await;
    let confined = Reading { confined_to: Some(folder.path().to_owned()), ..reading() };
    for (page, is_taken) in
        [("/etc".to_owned(), false), (folder.path().join("ui").display().to_string(), true)]
    {
        let mut wanted = config(&[inbound("in", 0)], &[node("a", &a)], &json!({}));
        wanted["experimental"] = json!({"clash_api": {"external_ui": page}});
        let taken = running.control.reload(&confined, ReloadFrom::Text(wanted.to_string())).await;
        assert_eq!(taken.is_ok(), is_taken, "{taken:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_one_touches_no_connection_and_no_count() {
    let origin = HttpOrigin::start("the origin").await;
    let echo = EchoServer::start().await;
    let nodes =
        [Socks5Node::start("a", Behaviour::Relay).await, Socks5Node::start("b", Behaviour::Relay).await];
    let dead = Socks5Node::start("dead", Behaviour::Close).await;
    let of = |first: &Socks5Node, sets: &Value| {
        let auto = json!({
            "type": "urltest", "tag": "auto", "outbounds": ["a", "b"], "url": format!("http://{}/", origin.address),
            "interrupt_exist_connections": true,
        });
        let route = json!({"final": "auto", "rule_set": sets, "rules": []});
        config(&[inbound("in", 0)], &[auto, node("a", first), node("b", &nodes[1])], &route)
    };
    let running = Running::start(&of(&nodes[0], &json!([]))).await;
    until(|| running.control.groups()[0].members.iter().all(|member| member.state == State::Up)).await;
    running.control.select("auto", "a").await.unwrap();
    let mut live = tunnel(running.address("in"), echo.address).await;
    let changes = running.control.groups()[0].changes;
    let refused = waypost_testkit::refused_address().await;
    let set = json!([{
        "type": "remote", "tag": "set", "url": format!("http://{refused}/a.json"), "critical": true,
        "download_detour": "b",
    }]);
    let error = running.reload(&of(&dead, &set)).await.unwrap_err();
    assert!(matches!(&error, ReloadError::Refused { reason } if reason.contains("critical")), "{error:?}");
    assert!(echoes(&mut live).await);
    let group = &running.control.groups()[0];
    assert_eq!((group.changes, group.choice.as_deref()), (changes, Some("a")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_is_raised_lets_in_who_waits() {
    let echo = EchoServer::start().await;
    let of = |limit: Option<u32>| {
        let mut inbound = json!({"protocol": "socks", "tag": "in", "listen": "127.0.0.1", "port": 0});
        if let Some(limit) = limit {
            inbound["maxConnections"] = limit.into();
        }
        json!({"inbounds": [inbound], "outbounds": [{"protocol": "freedom"}]})
    };
    let running = Running::start(&of(Some(1))).await;
    let mut first = tunnel(running.address("in"), echo.address).await;
    let (address, target) = (running.address("in"), echo.address);
    let waiting = tokio::spawn(async move { tunnel(address, target).await });
    sleep(Duration::from_millis(100)).await;
    assert!(!waiting.is_finished());
    running.reload(&of(Some(5))).await.unwrap();
    let mut second = timeout(LIMIT, waiting).await.unwrap().unwrap();
    assert!(echoes(&mut first).await && echoes(&mut second).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_that_was_fetched_stays_although_no_copy_can_be_kept() {
    let a = Socks5Node::start("a", Behaviour::Label).await;
    let b = Socks5Node::start("b", Behaviour::Label).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/set.json", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 1024];
        let _n = stream.read(&mut head).await.unwrap();
        let set = json!({"version": 2, "rules": [{"ip_cidr": "192.0.2.0/24"}]}).to_string();
        let answer =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{set}", set.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
    });
    let of = |port: u16| {
        let set = json!({"type": "remote", "tag": "set", "url": url, "format": "source", "download_detour": "direct"});
        let rules = json!([{"port": port, "outbound": "a"}, {"rule_set": "set", "outbound": "b"}]);
        let outbounds = [node("a", &a), node("b", &b), json!({"type": "direct", "tag": "direct"})];
        config(&[inbound("in", 0)], &outbounds, &json!({"rule_set": [set], "rules": rules}))
    };
    let running = Running::start(&of(1)).await;
    let address = running.address("in");
    let begin = Instant::now();
    while who(address).await != "b" {
        assert!(begin.elapsed() < LIMIT);
        sleep(Duration::from_millis(20)).await;
    }
    // The server is gone, and there is no folder for copies.
    running.reload(&of(2)).await.unwrap();
    assert_eq!(who(address).await, "b");
    assert_eq!(running.control.rule_sets()[0].n_entries, 1);
}
