//! A running proxy with `selector` and `urltest` groups.

use std::{net::SocketAddr, path::Path as FilePath, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::{Instant, sleep, timeout},
};
use waypost_config::{Options, Source, model::CacheFile};
use waypost_proxy::{
    GroupReport, Proxy, Strategy,
    build::{Assets, load},
};
use waypost_testkit::{Behaviour, EchoServer, HttpOrigin, Socks5Node};

const LIMIT: Duration = Duration::from_secs(20);

struct Running {
    proxy: Proxy,
    nodes: Vec<Socks5Node>,
}

impl Running {
    /// A proxy in front of nodes `n0` and on that say who they are, with these groups before them.
    async fn start(behaviours: &[Behaviour], groups: Value, cache: Option<&FilePath>) -> Self {
        let (mut nodes, mut outbounds) = (Vec::new(), groups.as_array().unwrap().clone());
        for (index, behaviour) in behaviours.iter().enumerate() {
            let node = Socks5Node::start(&format!("n{index}"), *behaviour).await;
            let server = json!({"address": node.address.ip(), "port": node.address.port()});
            let settings = json!({"servers": [server]});
            outbounds.push(json!({"protocol": "socks", "tag": format!("n{index}"), "settings": settings}));
            nodes.push(node);
        }
        let inbound =
            json!({"protocol": "socks", "listen": "127.0.0.1", "port": 0, "settings": {"udp": true}});
        let config = json!({"inbounds": [inbound], "outbounds": outbounds});
        let source = Source::new("config.json", config.to_string()).unwrap();
        let loaded = load(&source, &Options::default(), &Assets::new(None, &|_| None));
        let mut ready = loaded.ready.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
        let path = |path: &FilePath| path.to_str().map(Into::into);
        ready.config.experimental.cache_file = cache.map(|cache| CacheFile { path: path(cache), id: None });
        Self { proxy: Proxy::start(&ready.config, ready.snapshot).unwrap(), nodes }
    }

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

    /// Who carries a connection, by what the node says.
    async fn who(&self) -> Result<String, u8> {
        let mut stream = self.tunnel("192.0.2.1:80".parse().unwrap()).await?;
        let mut label = String::new();
        timeout(LIMIT, stream.read_to_string(&mut label)).await.expect("an end in time").unwrap();
        Ok(label)
    }

    fn group(&self, index: usize) -> GroupReport {
        self.proxy.groups().remove(index)
    }

    fn choice(&self) -> Option<String> {
        self.group(0).choice.map(|choice| choice.to_string())
    }
}

fn selector(tag: &str, members: &[&str], extra: &Value) -> Value {
    let mut settings = json!({"outbounds": members});
    settings.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    json!({"protocol": "selector", "tag": tag, "settings": settings})
}

async fn is_closed(tunnel: &mut TcpStream) -> bool {
    let mut byte = [0];
    matches!(timeout(LIMIT, tunnel.read(&mut byte)).await, Ok(Ok(0) | Err(_)))
}

async fn echoes(tunnel: &mut TcpStream) -> bool {
    let mut byte = [0];
    tunnel.write_all(b"x").await.is_ok() && tunnel.read_exact(&mut byte).await.is_ok()
}

async fn until(seen: impl Fn() -> bool) {
    let begin = Instant::now();
    while !seen() {
        assert!(begin.elapsed() < LIMIT, "it never came");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn connections_go_where_somebody_chose() {
    let group = selector("pick", &["n0", "n1", "n2"], &json!({"default": "n1"}));
    let running = Running::start(&[Behaviour::Label; 3], json!([group]), None).await;
    assert_eq!(running.who().await.as_deref(), Ok("n1"));
    for member in ["n2", "n0", "n2"] {
        running.proxy.select("pick", member).await.unwrap();
        assert_eq!(running.who().await.as_deref(), Ok(member));
        assert_eq!(
            (running.choice().as_deref(), running.group(0).strategy),
            (Some(member), Strategy::Selector)
        );
    }
    let errors = [running.proxy.select("pick", "n7").await, running.proxy.select("picks", "n1").await];
    let errors = errors.map(|error| error.unwrap_err().to_string());
    assert_eq!(errors, ["`pick` has no member `n7`", "there is no such group"]);
    assert_eq!(running.who().await.as_deref(), Ok("n2"), "the choice is kept");
}

#[tokio::test]
async fn a_choice_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache.db");
    let groups = |members: &[&str]| {
        json!([
            selector("pick", members, &json!({"default": "n0"})),
            selector("more", &["n0", "n1"], &json!({}))
        ])
    };
    let running = Running::start(&[Behaviour::Label; 2], groups(&["n0", "n1"]), Some(&path)).await;
    assert_eq!(running.who().await.as_deref(), Ok("n0"));
    running.proxy.select("more", "n1").await.unwrap();
    running.proxy.select("pick", "n1").await.unwrap();
    running.proxy.stop(Duration::ZERO).await;
    let again = Running::start(&[Behaviour::Label; 2], groups(&["n0", "n1"]), Some(&path)).await;
    assert_eq!(again.who().await.as_deref(), Ok("n1"), "the first connection of all");
    assert_eq!(again.group(1).choice.as_deref(), Some("n1"));
    let without = Running::start(&[Behaviour::Label; 2], groups(&["n0"]), Some(&path)).await;
    assert_eq!(without.who().await.as_deref(), Ok("n0"), "who is no member any more cannot serve");
    let forgetful = Running::start(&[Behaviour::Label; 2], groups(&["n0", "n1"]), None).await;
    assert_eq!(forgetful.who().await.as_deref(), Ok("n0"));
}

#[tokio::test]
async fn nobody_else_carries_what_was_chosen_unless_that_is_wanted() {
    for fallback in [false, true] {
        let group = selector("pick", &["n0", "n1"], &json!({"fallback": fallback}));
        let behaviours = [Behaviour::Close, Behaviour::Label];
        let running = Running::start(&behaviours, json!([group]), None).await;
        for _ in 0..5 {
            let carried = running.who().await;
            assert_eq!(carried.is_ok(), fallback, "{carried:?}");
        }
        assert_eq!(running.nodes[1].accepted() > 0, fallback);
        assert_eq!(running.choice().as_deref(), Some("n0"));
    }
}

#[tokio::test]
async fn connections_end_when_another_member_is_chosen_if_that_is_wanted() {
    let echo = EchoServer::start().await;
    for interrupts in [true, false] {
        let extra = json!({"interrupt_exist_connections": interrupts, "fallback": true});
        let group = selector("pick", &["n0", "n1", "n2"], &extra);
        let running = Running::start(&[Behaviour::Relay; 3], json!([group]), None).await;
        let mut first = running.tunnel(echo.address).await.unwrap();
        running.nodes[0].set_behaviour(Behaviour::Close);
        let mut fallen_back = running.tunnel(echo.address).await.unwrap();
        assert!(echoes(&mut fallen_back).await);
        running.proxy.select("pick", "n2").await.unwrap();
        let mut last = running.tunnel(echo.address).await.unwrap();
        for tunnel in [&mut first, &mut fallen_back] {
            let is_closed = if interrupts { is_closed(tunnel).await } else { !echoes(tunnel).await };
            assert_eq!(is_closed, interrupts);
        }
        running.proxy.select("pick", "n2").await.unwrap();
        assert!(echoes(&mut last).await, "it goes where it should");
    }
}

#[tokio::test]
async fn datagrams_end_with_the_choice_as_well() {
    let group = selector("pick", &["n0", "n1"], &json!({"interrupt_exist_connections": true}));
    let running = Running::start(&[Behaviour::Relay; 2], json!([group]), None).await;
    let target = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut control = TcpStream::connect(running.proxy.addresses()[0].address.ip().unwrap()).await.unwrap();
    control.write_all(&[5, 1, 0, 5, 3, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
    let mut reply = [0; 12];
    control.read_exact(&mut reply).await.unwrap();
    let port = u16::from_be_bytes([reply[10], reply[11]]);
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut datagram = vec![0, 0, 0, 1, 127, 0, 0, 1];
    datagram.extend_from_slice(&target.local_addr().unwrap().port().to_be_bytes());
    datagram.push(7);
    let mut buffer = [0; 64];
    for (member, node) in [("n1", 0), ("n0", 1), ("n1", 0)] {
        client.send_to(&datagram, ("127.0.0.1", port)).await.unwrap();
        let (n, _) = timeout(LIMIT, target.recv_from(&mut buffer)).await.expect("it arrives").unwrap();
        assert_eq!(&buffer[..n], [7]);
        assert!(running.nodes[node].associated() > 0, "{node}");
        running.proxy.select("pick", member).await.unwrap();
        until(|| running.proxy.connections().is_empty()).await;
    }
}

#[tokio::test]
async fn a_choice_may_be_a_group_and_has_its_patience() {
    let origin = HttpOrigin::start("the origin").await;
    let auto = json!({"protocol": "urltest", "tag": "auto", "settings": {
        "outbounds": ["n0", "n1"], "url": format!("http://{}/", origin.address), "timeout": "300ms",
        "dial": {"hedge_delay": "50ms"},
    }});
    let groups = json!([selector("pick", &["auto", "n1"], &json!({})), auto]);
    let behaviours = [Behaviour::Relay, Behaviour::Relay];
    let running = Running::start(&behaviours, groups, None).await;
    until(|| running.group(1).members.iter().all(|member| member.delay.is_some())).await;
    running.nodes[0].set_behaviour(Behaviour::HangAfterAccept);
    running.nodes[1].set_behaviour(Behaviour::Label);
    let begin = Instant::now();
    for _ in 0..5 {
        assert_eq!(running.who().await.as_deref(), Ok("n1"));
    }
    assert!(
        begin.elapsed() < Duration::from_secs(2),
        "the next is tried beside a slow one: {:?}",
        begin.elapsed()
    );
}

#[tokio::test]
async fn a_urltest_group_uses_the_fastest_and_moves_on_at_once_when_that_fails() {
    let origin = HttpOrigin::start("the origin").await;
    let slow = Behaviour::Slow(Duration::from_millis(150));
    let group = json!([{"protocol": "urltest", "tag": "auto", "settings": {
        "outbounds": ["n0", "n1", "n2"], "url": format!("http://{}/", origin.address), "timeout": "1s",
        "tolerance": 20, "interrupt_exist_connections": true,
    }}]);
    let behaviours = [slow, Behaviour::Relay, Behaviour::Slow(Duration::from_millis(60))];
    let running = Running::start(&behaviours, group, None).await;
    assert_eq!((running.choice().as_deref(), running.group(0).strategy), (Some("n0"), Strategy::UrlTest));
    until(|| running.choice().as_deref() == Some("n1") && !running.group(0).is_bootstrapping).await;
    let echo = EchoServer::start().await;
    let mut tunnel = running.tunnel(echo.address).await.unwrap();
    assert!(echoes(&mut tunnel).await);
    running.nodes[1].set_behaviour(Behaviour::Close);
    for _ in 0..5 {
        // Nothing is lost meanwhile.
        running.tunnel(echo.address).await.unwrap();
    }
    until(|| running.choice().as_deref() == Some("n2")).await;
    assert!(is_closed(&mut tunnel).await, "its member no longer serves");
    // Somebody may prefer another one, until that fails or is let go.
    running.proxy.select("auto", "n0").await.unwrap();
    assert_eq!(running.choice().as_deref(), Some("n0"));
    running.proxy.control().unselect("auto").await.unwrap();
    until(|| running.choice().as_deref() == Some("n2")).await;
}
