//! Where clients come in and connections go out, besides plain proxies: Unix sockets, doors, redirects,
//! loopbacks, socket options, limits and policies.

use std::{
    io,
    net::SocketAddr,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    time::timeout,
};
use waypost_config::{Options, Source};
use waypost_net::Tag;
use waypost_proxy::{
    Amount, BoundAddress, Place, Proxy, StartError, Workers,
    build::{Assets, load},
};
use waypost_testkit::EchoServer;

const LIMIT: Duration = Duration::from_secs(20);

fn try_start(config: &Value, workers: Workers) -> Result<Proxy, StartError> {
    let source = Source::new("config.json", config.to_string()).unwrap();
    let loaded = load(&source, &Options::default(), &Assets::new(None, &|_| None));
    let ready = loaded.ready.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    Proxy::start_on(workers, &ready.config, ready.snapshot)
}

fn start(config: &Value) -> Proxy {
    try_start(config, Workers::current()).unwrap()
}

fn address(proxy: &Proxy) -> SocketAddr {
    proxy.addresses()[0].address.ip().unwrap()
}

fn socks_inbound() -> Value {
    json!({"protocol": "socks", "listen": "127.0.0.1", "port": 0, "tag": "in"})
}

fn door(target: SocketAddr) -> Value {
    json!({"protocol": "dokodemo-door", "listen": "127.0.0.1", "port": 0, "tag": "in",
        "settings": {"address": target.ip(), "port": target.port()}})
}

/// Asks for `target` and yields the code of the reply.
async fn socks<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, target: SocketAddr) -> io::Result<u8> {
    let SocketAddr::V4(target) = target else { panic!("an IPv4 target") };
    let mut request = vec![5, 1, 0, 5, 1, 0, 1];
    request.extend_from_slice(&target.ip().octets());
    request.extend_from_slice(&target.port().to_be_bytes());
    stream.write_all(&request).await?;
    let mut reply = [0; 12];
    timeout(LIMIT, stream.read_exact(&mut reply)).await.expect("a reply in time")?;
    Ok(reply[3])
}

async fn echoes<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> io::Result<()> {
    stream.write_all(b"hello").await?;
    let mut echo = [0; 5];
    timeout(LIMIT, stream.read_exact(&mut echo)).await.expect("an echo in time")?;
    assert_eq!(&echo, b"hello");
    Ok(())
}

#[tokio::test]
async fn a_unix_socket_is_listened_on_with_its_permissions_and_removed_with_the_proxy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("waypost.sock");
    let config = json!({
        "inbounds": [{"protocol": "socks", "listen": format!("{},0660", path.display())}],
        "outbounds": [{"protocol": "freedom"}],
    });
    // The socket of a program that was killed.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let proxy = start(&config);
    assert_eq!(proxy.addresses()[0].address, BoundAddress::Unix(path.to_str().unwrap().into()));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let echo = EchoServer::start().await;
    let mut client = UnixStream::connect(&path).await.unwrap();
    assert_eq!(socks(&mut client, echo.address).await.unwrap(), 0);
    echoes(&mut client).await.unwrap();

    let taken = try_start(&config, Workers::current()).unwrap_err();
    assert_eq!(taken.to_string(), format!("cannot listen on `{}`", path.display()));
    echoes(&mut client).await.unwrap();
    drop(client);
    proxy.stop(LIMIT).await;
    assert!(!path.exists());
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes");
    std::fs::write(&path, "precious").unwrap();
    let config = json!({
        "inbounds": [{"protocol": "socks", "listen": path}], "outbounds": [{"protocol": "freedom"}],
    });
    let error = try_start(&config, Workers::current()).unwrap_err().to_string();
    assert!(error.contains("notes` is there already and is no socket"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    assert!(!std::fs::metadata(&path).unwrap().file_type().is_socket());
}

#[tokio::test]
async fn a_door_leads_to_its_target_and_says_nothing_itself() {
    let echo = EchoServer::start().await;
    let proxy = start(&json!({"inbounds": [door(echo.address)], "outbounds": [{"protocol": "freedom"}]}));
    let mut client = TcpStream::connect(address(&proxy)).await.unwrap();
    echoes(&mut client).await.unwrap();
    assert_eq!(proxy.connections().snapshot()[0].info.target.port, echo.address.port());
}

#[tokio::test]
async fn a_door_that_leads_nowhere_resets_its_clients() {
    let closed = waypost_testkit::refused_address().await;
    let proxy = start(&json!({"inbounds": [door(closed)], "outbounds": [{"protocol": "freedom"}]}));
    let mut client = TcpStream::connect(address(&proxy)).await.unwrap();
    let error = timeout(LIMIT, client.read(&mut [0])).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_client_that_was_not_redirected_is_not_followed_in_a_circle() {
    let inbound = json!({"protocol": "tunnel", "listen": "127.0.0.1", "port": 0,
        "settings": {"followRedirect": true}});
    let proxy = start(&json!({"inbounds": [inbound], "outbounds": [{"protocol": "freedom"}]}));
    let mut client = TcpStream::connect(address(&proxy)).await.unwrap();
    let read = timeout(LIMIT, client.read(&mut [0])).await.unwrap();
    assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert!(proxy.connections().is_empty());
}

#[tokio::test]
async fn freedom_goes_where_it_is_redirected() {
    let echo = EchoServer::start().await;
    let redirect = |to: String| {
        json!({"inbounds": [socks_inbound()],
            "outbounds": [{"protocol": "freedom", "settings": {"redirect": to}}]})
    };
    let elsewhere = "127.0.0.1:9".parse().unwrap();
    for to in [echo.address.to_string(), format!(":{}", echo.address.port())] {
        let proxy = start(&redirect(to));
        let mut client = TcpStream::connect(address(&proxy)).await.unwrap();
        assert_eq!(socks(&mut client, elsewhere).await.unwrap(), 0);
        echoes(&mut client).await.unwrap();
    }
}

#[tokio::test]
async fn a_loopback_goes_through_the_rules_again_and_a_circle_ends() {
    let echo = EchoServer::start().await;
    let config = |second: &str| {
        json!({
            "inbounds": [socks_inbound()],
            "outbounds": [
                {"protocol": "blackhole", "tag": "hole"},
                {"protocol": "loopback", "tag": "again", "settings": {"inboundTag": "second"}},
                {"protocol": "freedom", "tag": "direct"},
            ],
            "routing": {"rules": [
                {"inboundTag": ["in"], "outboundTag": "again"},
                {"inboundTag": ["second"], "outboundTag": second},
            ]},
        })
    };
    let proxy = start(&config("direct"));
    let mut client = TcpStream::connect(address(&proxy)).await.unwrap();
    assert_eq!(socks(&mut client, echo.address).await.unwrap(), 0);
    echoes(&mut client).await.unwrap();
    let seen = proxy.connections().snapshot()[0].info.clone();
    assert_eq!((seen.inbound.as_deref(), &*seen.rule), (Some("second"), "rule 2 (line 1)"));

    let proxy = start(&config("again"));
    let mut client = TcpStream::connect(address(&proxy)).await.unwrap();
    assert_eq!(socks(&mut client, echo.address).await.unwrap(), 1);
}

#[tokio::test]
async fn connections_leave_from_the_address_that_is_configured() {
    let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = origin.local_addr().unwrap();
    let outbound = json!({"protocol": "freedom", "sendThrough": "127.0.7.7", "streamSettings": {"sockopt": {
        "tcpKeepAliveIdle": 60, "tcpKeepAliveInterval": 10, "tcpUserTimeout": 30000, "tcpFastOpen": true}}});
    let proxy = start(&json!({"inbounds": [door(target)], "outbounds": [outbound]}));
    let mut client = TcpStream::connect(address(&proxy)).await.unwrap();
    client.write_all(b"hello").await.unwrap();
    let (mut accepted, from) = timeout(LIMIT, origin.accept()).await.unwrap().unwrap();
    assert_eq!(from.ip().to_string(), "127.0.7.7");
    let mut got = [0; 5];
    accepted.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"hello");
}

#[tokio::test]
async fn an_option_that_cannot_be_set_is_an_error_with_its_name() {
    let echo = EchoServer::start().await;
    let sockopt = json!({"tcpcongestion": "no-such-thing"});
    let outbound = json!({"protocol": "freedom", "streamSettings": {"sockopt": sockopt}});
    let proxy = start(&json!({"inbounds": [socks_inbound()], "outbounds": [outbound]}));
    let mut client = TcpStream::connect(address(&proxy)).await.unwrap();
    assert_eq!(socks(&mut client, echo.address).await.unwrap(), 1, "not as if there were no option");
}

#[tokio::test]
async fn an_address_and_an_inbound_have_so_many_connections_at_a_time() {
    let echo = EchoServer::start().await;
    let mut per_source = door(echo.address);
    per_source["maxConnectionsPerSource"] = json!(2);
    let proxy = start(&json!({"inbounds": [per_source], "outbounds": [{"protocol": "freedom"}]}));
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = TcpStream::connect(address(&proxy)).await.unwrap();
        echoes(&mut client).await.unwrap();
        clients.push(client);
    }
    let mut third = TcpStream::connect(address(&proxy)).await.unwrap();
    assert!(echoes(&mut third).await.is_err(), "of one address");

    let mut of_all = door(echo.address);
    of_all["maxConnections"] = json!(1);
    let proxy = start(&json!({"inbounds": [of_all], "outbounds": [{"protocol": "freedom"}]}));
    let mut first = TcpStream::connect(address(&proxy)).await.unwrap();
    echoes(&mut first).await.unwrap();
    let mut second = TcpStream::connect(address(&proxy)).await.unwrap();
    second.write_all(b"hello").await.unwrap();
    let waits = timeout(Duration::from_millis(100), second.read_exact(&mut [0; 5])).await;
    assert!(waits.is_err(), "{waits:?}");
    drop(first);
    timeout(LIMIT, second.read_exact(&mut [0; 5])).await.unwrap().unwrap();
}

#[tokio::test]
async fn policies_bound_handshakes_idleness_and_whole_connections() {
    let echo = EchoServer::start().await;
    let with_level = |level: Value| {
        let mut inbound = door(echo.address);
        inbound["settings"]["userLevel"] = json!(7);
        json!({"inbounds": [inbound], "outbounds": [{"protocol": "freedom"}],
            "policy": {"levels": {"7": level, "0": {"connIdle": 900}}}})
    };
    for level in [json!({"connIdle": 1}), json!({"connTotal": 1})] {
        let proxy = start(&with_level(level));
        let mut client = TcpStream::connect(address(&proxy)).await.unwrap();
        echoes(&mut client).await.unwrap();
        let end = timeout(LIMIT, client.read(&mut [0])).await.expect("an end in time");
        assert_eq!(end.unwrap(), 0);
    }
    // A client that has closed its side is listened to for so long.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = with_level(json!({"downlinkOnly": 0}));
    config["inbounds"][0]["settings"]["port"] = json!(silent.local_addr().unwrap().port());
    let proxy = start(&config);
    let mut client = TcpStream::connect(address(&proxy)).await.unwrap();
    let (_target, _) = timeout(LIMIT, silent.accept()).await.unwrap().unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(timeout(LIMIT, client.read(&mut [0])).await.expect("an end in time").unwrap(), 0);

    let mut inbound = socks_inbound();
    inbound["settings"] = json!({"userLevel": 1});
    let proxy = start(&json!({"inbounds": [inbound], "outbounds": [{"protocol": "freedom"}],
        "policy": {"levels": {"1": {"handshake": 1}}}}));
    let mut client = TcpStream::connect(address(&proxy)).await.unwrap();
    client.write_all(&[5]).await.unwrap();
    let end = timeout(Duration::from_secs(8), client.read(&mut [0])).await.expect("far from 10 seconds");
    assert_eq!(end.unwrap(), 0);
}

#[tokio::test]
async fn traffic_is_counted_for_what_the_file_says() {
    let echo = EchoServer::start().await;
    let proxy = start(&json!({
        "inbounds": [door(echo.address)], "outbounds": [{"protocol": "freedom", "tag": "out"}], "stats": {},
        "policy": {"system": {"statsInboundUplink": true, "statsOutboundUplink": true,
            "statsOutboundDownlink": true}},
    }));
    let places = [Place::Inbound(Tag::from("in")), Place::Outbound(Tag::from("out"))];
    let counted = |bytes: u64| {
        let [inbound, outbound] = places.clone();
        [
            (inbound, Amount { up: Some(bytes), down: None }),
            (outbound, Amount { up: Some(bytes), down: Some(bytes) }),
        ]
        .into()
    };
    let mut first = TcpStream::connect(address(&proxy)).await.unwrap();
    echoes(&mut first).await.unwrap();
    assert_eq!(proxy.connections().traffic(), counted(5), "of a live connection");
    drop(first);
    while !proxy.connections().is_empty() {
        tokio::task::yield_now().await;
    }
    let mut second = TcpStream::connect(address(&proxy)).await.unwrap();
    echoes(&mut second).await.unwrap();
    assert_eq!(proxy.connections().traffic(), counted(10), "of one that is over, and a live one");
}

#[tokio::test]
async fn several_workers_share_a_port_and_serve_all_clients() {
    let echo = EchoServer::start().await;
    let workers = Workers::start(3.try_into().unwrap()).unwrap();
    let config = json!({"inbounds": [door(echo.address)], "outbounds": [{"protocol": "freedom"}]});
    let proxy = try_start(&config, workers).unwrap();
    assert_eq!(proxy.addresses().len(), 1);
    let mut clients = Vec::new();
    for _ in 0..60 {
        let mut client = TcpStream::connect(address(&proxy)).await.unwrap();
        echoes(&mut client).await.unwrap();
        clients.push(client);
    }
    assert_eq!(proxy.connections().len(), 60);
    let loads = proxy.worker_loads();
    assert_eq!(loads.iter().sum::<usize>(), 60);
    assert!(loads.iter().all(|load| *load >= 8), "{loads:?}");
    proxy.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn no_task_stays_behind_its_client() {
    let echo = EchoServer::start().await;
    let proxy = start(&json!({"inbounds": [socks_inbound()], "outbounds": [{"protocol": "freedom"}]}));
    let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    tokio::task::yield_now().await;
    let before = alive();
    let mut clients = Vec::new();
    for n in 0..30 {
        let mut client = TcpStream::connect(address(&proxy)).await.unwrap();
        if n % 3 == 0 {
            client.write_all(&[5]).await.unwrap();
        } else {
            assert_eq!(socks(&mut client, echo.address).await.unwrap(), 0);
        }
        if n % 3 == 1 {
            client.set_zero_linger().unwrap();
        }
        clients.push(client);
    }
    assert!(alive() >= before + 30, "{} tasks for 30 clients", alive() - before);
    drop(clients);
    let gone = async {
        while alive() > before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LIMIT, gone).await.expect("the tasks end with their clients");
}
