//! A running proxy with a group, in front of members that misbehave.

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};
use waypost_config::{Options, Source};
use waypost_proxy::{
    AttemptEnd, MemberTotals, Path, Proxy, Tier,
    build::{Assets, load},
};
use waypost_testkit::{Behaviour, EchoServer, HttpOrigin, Socks5Node};

const LIMIT: Duration = Duration::from_secs(20);

struct Running {
    proxy: Proxy,
    nodes: Vec<Socks5Node>,
    origin: HttpOrigin,
}

impl Running {
    /// A proxy that tries members of these kinds in their order.
    async fn start(behaviours: &[Behaviour], extra: Value) -> Self {
        let origin = HttpOrigin::start("the origin").await;
        let (mut nodes, mut members) = (Vec::new(), Vec::new());
        for (index, behaviour) in behaviours.iter().enumerate() {
            let node = Socks5Node::start("", *behaviour).await;
            let server = json!({"address": node.address.ip(), "port": node.address.port()});
            let tag = format!("m{index}");
            members.push(json!({"protocol": "socks", "tag": tag, "settings": {"servers": [server]}}));
            nodes.push(node);
        }
        let tags: Vec<String> = (0..nodes.len()).map(|index| format!("m{index}")).collect();
        let mut settings = json!({
            "primary_outbounds": tags, "strategy": "failover",
            "url": format!("http://{}/", origin.address), "timeout": "300ms",
        });
        settings.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let group = json!({"protocol": "loadbalance", "tag": "lb", "settings": settings});
        let config = json!({
            "inbounds": [{"protocol": "socks", "listen": "127.0.0.1", "port": 0}],
            "outbounds": std::iter::once(group).chain(members).collect::<Vec<_>>(),
        });
        let source = Source::new("config.json", config.to_string()).unwrap();
        let loaded = load(&source, &Options::default(), &Assets::new(None, &|_| None));
        let ready = loaded.ready.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
        let proxy = Proxy::start(&ready.config, ready.snapshot).unwrap();
        Self { proxy, nodes, origin }
    }

    /// A tunnel to `target`, which stands as far as the proxy can tell.
    async fn tunnel(&self, target: SocketAddr) -> Result<TcpStream, u8> {
        let opening = async {
            let mut stream =
                TcpStream::connect(self.proxy.addresses()[0].address.ip().unwrap()).await.unwrap();
            let SocketAddr::V4(target) = target else { panic!("an IPv4 target") };
            let mut request = vec![5, 1, 0, 5, 1, 0, 1];
            request.extend_from_slice(&target.ip().octets());
            request.extend_from_slice(&target.port().to_be_bytes());
            stream.write_all(&request).await.unwrap();
            let mut reply = [0; 12];
            stream.read_exact(&mut reply).await.unwrap();
            if reply[3] == 0 { Ok(stream) } else { Err(reply[3]) }
        };
        timeout(LIMIT, opening).await.expect("an answer in time")
    }

    async fn get(&self) -> Vec<u8> {
        let mut stream = self.tunnel(self.origin.address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: origin\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        // A reset is an answer that lacks the rest.
        let _read = timeout(LIMIT, stream.read_to_end(&mut answer)).await.expect("an end in time");
        answer
    }

    /// The way of the only connection.
    fn path(&self) -> Path {
        let connections = self.proxy.connections().snapshot();
        assert_eq!(connections.len(), 1);
        connections[0].path().as_ref().clone()
    }
}

fn ends(path: &Path) -> Vec<(&str, &AttemptEnd)> {
    path.attempts.iter().map(|attempt| (attempt.outbound.as_deref().unwrap(), &attempt.end)).collect()
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
async fn a_connection_tells_what_was_tried_for_it() {
    let behaviours = [Behaviour::Close, Behaviour::HangAfterAccept, Behaviour::Relay];
    let extra = json!({"dial": {"hedge_delay": "50ms"}});
    let running = Running::start(&behaviours, extra).await;
    let echo = EchoServer::start().await;
    let mut tunnel = running.tunnel(echo.address).await.unwrap();
    let path = running.path();
    assert_eq!((path.outbound.as_deref(), path.chain.len(), &*path.chain[0]), (Some("m2"), 1, "lb"));
    // The first failed in the middle of its handshake, or the second was not even needed then.
    let ends = ends(&path);
    assert!(matches!(ends[0], ("m0", AttemptEnd::Failed(_))), "{ends:?}");
    assert!(ends.contains(&("m1", &AttemptEnd::Overtaken)), "{ends:?}");
    assert!(ends.contains(&("m2", &AttemptEnd::Connected)), "{ends:?}");
    tunnel.write_all(b"ping").await.unwrap();
    let mut answer = [0; 4];
    tunnel.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"ping");
}

#[tokio::test]
async fn a_silent_member_is_replayed_around_unless_that_is_switched_off() {
    for (replay, expected) in [(true, true), (false, false)] {
        let behaviours = [Behaviour::GrantThenClose, Behaviour::Relay];
        let running = Running::start(&behaviours, json!({"dial": {"first_flight_replay": replay}})).await;
        assert_eq!(running.get().await.ends_with(b"the origin"), expected, "replay: {replay}");
    }
}

#[tokio::test]
async fn live_connections_are_interrupted_when_their_member_no_longer_serves_if_that_is_wanted() {
    for interrupts in [true, false] {
        let extra = json!({"interrupt_exist_connections": interrupts});
        let running = Running::start(&[Behaviour::Relay, Behaviour::Relay], extra).await;
        let echo = EchoServer::start().await;
        let mut tunnel = running.tunnel(echo.address).await.unwrap();
        assert_eq!(running.path().outbound.as_deref(), Some("m0"));
        running.nodes[0].set_behaviour(Behaviour::Close);
        // Connections that fail have it probed, and the other one works: it goes down.
        for _ in 0..3 {
            assert!(running.get().await.ends_with(b"the origin"));
        }
        let mut byte = [0];
        if interrupts {
            let end = timeout(LIMIT, tunnel.read(&mut byte)).await.expect("it is closed");
            assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
        } else {
            sleep(Duration::from_millis(1500)).await;
            tunnel.write_all(b"x").await.unwrap();
            tunnel.read_exact(&mut byte).await.unwrap();
            assert_eq!(&byte, b"x", "it was let alone");
        }
    }
}

#[tokio::test]
async fn an_empty_pool_refuses_at_once_after_asking_and_serves_as_soon_as_somebody_works() {
    let running = Running::start(&[Behaviour::Relay, Behaviour::Relay], json!({})).await;
    assert!(running.get().await.ends_with(b"the origin"));
    // The second dies first, so that the death of each has a witness or nobody left to be one.
    for index in [1, 0] {
        running.nodes[index].set_behaviour(Behaviour::Close);
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(2500) {
            if index == 1 {
                assert!(running.get().await.ends_with(b"the origin"));
            } else {
                let _refused = running.tunnel(running.origin.address).await;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
    let begin = Instant::now();
    running.tunnel(running.origin.address).await.expect_err("nobody works");
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    running.nodes[1].set_behaviour(Behaviour::Relay);
    assert!(running.get().await.ends_with(b"the origin"));
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_dials() {
    let behaviours = [Behaviour::HangAfterAccept; 2];
    let running = Running::start(&behaviours, json!({"dial": {"hedge_delay": "10ms"}})).await;
    let mut stream = TcpStream::connect(running.proxy.addresses()[0].address.ip().unwrap()).await.unwrap();
    stream.write_all(&[5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, 0, 80]).await.unwrap();
    until(|| running.nodes.iter().map(Socks5Node::accepted).sum::<usize>() >= 4).await;
    drop(stream);
    let begin = Instant::now();
    running.proxy.stop(LIMIT).await;
    // Nothing is left to wait for, long before the dials would have failed by themselves.
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_group_reports_what_its_members_did() {
    let behaviours = [Behaviour::Close, Behaviour::HangAfterAccept, Behaviour::Relay];
    let running = Running::start(&behaviours, json!({"dial": {"hedge_delay": "50ms"}})).await;
    let before = running.proxy.groups();
    assert_eq!((before.len(), before[0].tag.as_str(), before[0].tier), (1, "lb", Tier::Primary));
    assert!(before[0].members.iter().all(|member| member.totals == MemberTotals::default()), "{before:?}");
    let echo = EchoServer::start().await;
    let tunnel = running.tunnel(echo.address).await.unwrap();
    let totals = |failed, overtaken, carried| MemberTotals { carried, failed, overtaken, silent: 0 };
    let group = running.proxy.groups().remove(0);
    let seen: Vec<_> =
        group.members.iter().map(|member| (&*member.tag, member.totals, member.live)).collect();
    let expected = [("m0", totals(1, 0, 0), 0), ("m1", totals(0, 1, 0), 0), ("m2", totals(0, 0, 1), 1)];
    assert_eq!(seen, expected);
    drop(tunnel);
    until(|| running.proxy.groups()[0].members[2].live == 0).await;
    assert_eq!(running.proxy.groups()[0].members[2].totals, totals(0, 0, 1));
    // Probes and outcomes agree in the end.
    until(|| {
        let group = running.proxy.groups().remove(0);
        let words: Vec<&str> = group.members.iter().map(|member| member.state.word()).collect();
        words == ["down", "down", "up"] && group.members[2].delay.is_some() && !group.is_bootstrapping
    })
    .await;
}
