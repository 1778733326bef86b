//! Names asked of independent servers, and answered to independent clients.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::Stdio,
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    net::{TcpListener, TcpStream, UdpSocket},
    process::{Child, Command},
    time::{sleep, timeout},
};
use waypost_testkit::{Behaviour, HttpOrigin, Socks5Node};

use crate::{
    binary::{Waypost, output},
    programs,
};

const LIMIT: Duration = Duration::from_secs(30);

/// A name server of somebody else's; it ends when this is dropped.
struct NameServer {
    address: SocketAddr,
    _process: Child,
    _folder: TempDir,
}

impl NameServer {
    /// Runs `program` with a configuration for an address, and waits until it answers.
    async fn start(program: &Path, config: impl FnOnce(SocketAddr, &Path) -> String, option: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = free_address().await;
        let path = folder.path().join("config");
        std::fs::write(&path, config(address, folder.path())).unwrap();
        let mut command = Command::new(program);
        command.arg(option).arg(&path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.kill_on_drop(true).spawn().unwrap();
        let listening = async {
            while TcpStream::connect(address).await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(LIMIT, listening).await.expect("the name server listens");
        Self { address, _process: process, _folder: folder }
    }

    /// `dnsmasq`, which knows `known.test` and what is below it.
    async fn dnsmasq(test: &str) -> Option<Self> {
        let program = programs::require("dnsmasq", test)?;
        let config = |address: SocketAddr, _folder: &Path| {
            format!(
                "keep-in-foreground\nport={}\nlisten-address={}\nbind-interfaces\nno-resolv\nno-hosts\nuser=\npid-file=\n\
                 local=/test/\nlocal-ttl=300\naddress=/known.test/127.0.0.1\naddress=/known.test/::1\n\
                 address=/four.test/192.0.2.4\ntxt-record=known.test,hello\n",
                address.port(),
                address.ip()
            )
        };
        Some(Self::start(&program, config, "-C").await)
    }

    /// `unbound`, which knows names below `zone.test`, with an alias and the time of their absence.
    async fn unbound(test: &str) -> Option<Self> {
        let program = programs::require("unbound", test)?;
        let config = |address: SocketAddr, folder: &Path| {
            format!(
                "server:\n  interface: {}@{}\n  access-control: 127.0.0.0/8 allow\n  do-daemonize: no\n  username: \"\"\n  \
                 chroot: \"\"\n  directory: \"{folder}\"\n  pidfile: \"\"\n  use-syslog: no\n  \
                 do-not-query-localhost: no\n  local-zone: \"zone.test.\" static\n  \
                 local-data: \"zone.test. 600 IN SOA ns.zone.test. admin.zone.test. 1 60 60 60 60\"\n  \
                 local-data: \"www.zone.test. 300 IN A 192.0.2.80\"\n  \
                 local-data: \"www.zone.test. 300 IN AAAA 2001:db8::80\"\n  \
                 local-data: \"mail.zone.test. 300 IN MX 10 www.zone.test.\"\n\
                 remote-control:\n  control-enable: no\n",
                address.ip(),
                address.port(),
                folder = folder.display()
            )
        };
        Some(Self::start(&program, config, "-c").await)
    }
}

/// An address that is free for both datagrams and streams.
async fn free_address() -> SocketAddr {
    loop {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        if UdpSocket::bind(address).await.is_ok() {
            return address;
        }
    }
}

/// Doors whose questions go to the `dns` outbound, and a SOCKS inbound for everything else.
fn config(dns: &Value, outbounds: &[Value], rules: &[Value]) -> String {
    let door = |tag: &str, network: &str| {
        json!({
            "tag": tag, "protocol": "dokodemo-door", "listen": "127.0.0.1", "port": 0,
            "settings": {"address": "192.0.2.53", "port": 53, "network": network}
        })
    };
    let doors = [door("door", "tcp"), door("udp-door", "udp")];
    let socks = json!({"tag": "socks", "protocol": "socks", "listen": "127.0.0.1", "port": 0});
    let mut all =
        vec![json!({"tag": "direct", "protocol": "freedom"}), json!({"tag": "dns-out", "protocol": "dns"})];
    all.extend_from_slice(outbounds);
    let mut all_rules = vec![json!({"inboundTag": ["door", "udp-door"], "outboundTag": "dns-out"})];
    all_rules.extend_from_slice(rules);
    json!({"dns": dns, "inbounds": [doors[0], doors[1], socks], "outbounds": all, "routing": {"rules": all_rules}})
        .to_string()
}

/// What `dig` makes of an answer: its status, and the records without the spaces between their fields.
/// A time to live of which the cache has used up some seconds is shown as it was.
async fn dig(program: &Path, server: SocketAddr, arguments: &[&str]) -> (String, Vec<String>) {
    let mut command = Command::new(program);
    command.args(["+tcp", "+time=10", "+tries=1", "-p", &server.port().to_string()]);
    command.arg(format!("@{}", server.ip())).args(arguments).kill_on_drop(true);
    let output = timeout(LIMIT, command.output()).await.expect("dig ends").unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let status =
        text.split("status: ").nth(1).and_then(|rest| rest.split(',').next()).unwrap_or(&text).to_owned();
    let records = text.lines().filter(|line| !line.starts_with(';') && !line.is_empty());
    let fields = |line: &str| {
        let original = |field: &str| match field.parse::<u32>() {
            Ok(270..=300) => "300".to_owned(),
            _ => field.to_owned(),
        };
        line.split_whitespace().map(original).collect::<Vec<_>>().join(" ")
    };
    (status, records.map(fields).collect())
}

#[track_caller]
fn check((found_status, found): &(String, Vec<String>), status: &str, records: &[&str]) {
    assert_eq!(
        (found_status.as_str(), found.as_slice()),
        (status, records.iter().map(|&line| line.to_owned()).collect::<Vec<_>>().as_slice())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn dig_gets_answers_from_the_servers_of_the_file() {
    let test = "dig through a door";
    let Some(program) = programs::require("dig", test) else { return };
    let Some(server) = NameServer::dnsmasq(test).await else { return };
    let dns = json!({
        "hosts": {"listed.test": "192.0.2.99", "alias.test": "known.test"},
        "servers": [server.address.to_string()]
    });
    let waypost = Waypost::start(&config(&dns, &[], &[]), None).await;
    let (door, udp_door) = (waypost.address("door"), waypost.address("udp-door"));
    for (name, kind, status, records) in [
        ("known.test", "A", "NOERROR", &["known.test. 300 IN A 127.0.0.1"][..]),
        ("known.test", "AAAA", "NOERROR", &["known.test. 300 IN AAAA ::1"]),
        ("alias.test", "A", "NOERROR", &["alias.test. 300 IN A 127.0.0.1"]),
        ("listed.test", "A", "NOERROR", &["listed.test. 60 IN A 192.0.2.99"]),
        ("listed.test", "AAAA", "NOERROR", &[]),
        ("unknown.test", "A", "NXDOMAIN", &[]),
        // What is not an address is asked as it is.
        ("known.test", "TXT", "NOERROR", &["known.test. 300 IN TXT \"hello\""]),
    ] {
        check(&dig(&program, door, &[name, kind]).await, status, records);
        check(&dig(&program, udp_door, &["+notcp", name, kind]).await, status, records);
    }
    // Two questions in one stream.
    let found = dig(&program, door, &["+keepopen", "four.test", "A", "+keepopen", "listed.test", "A"]).await;
    assert_eq!(found.1, ["four.test. 300 IN A 192.0.2.4", "listed.test. 60 IN A 192.0.2.99"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_go_where_the_rules_send_their_tag() {
    let test = "DNS queries through an outbound";
    let Some(program) = programs::require("dig", test) else { return };
    let Some(server) = NameServer::unbound(test).await else { return };
    let node = Socks5Node::start("node", Behaviour::Relay).await;
    let proxy = json!({"tag": "proxy", "protocol": "socks", "settings": {
        "address": node.address.ip().to_string(), "port": node.address.port()
    }});
    let rules = [json!({"inboundTag": ["dns-in"], "outboundTag": "proxy"})];
    for (address, through) in [
        (server.address.to_string(), true),
        (format!("tcp://{}", server.address), true),
        (format!("tcp+local://{}", server.address), false),
    ] {
        let before = node.seen().len();
        let dns = json!({"tag": "dns-in", "servers": [address]});
        let waypost = Waypost::start(&config(&dns, std::slice::from_ref(&proxy), &rules), None).await;
        let door = waypost.address("door");
        check(
            &dig(&program, door, &["www.zone.test", "A"]).await,
            "NOERROR",
            &["www.zone.test. 300 IN A 192.0.2.80"],
        );
        check(&dig(&program, door, &["nothing.zone.test", "A"]).await, "NXDOMAIN", &[]);
        check(
            &dig(&program, door, &["mail.zone.test", "MX"]).await,
            "NOERROR",
            &["mail.zone.test. 300 IN MX 10 www.zone.test."],
        );
        let seen = node.seen();
        let targets: Vec<String> = seen[before..].iter().map(|seen| seen.target.to_string()).collect();
        // One connection carries all questions.
        assert_eq!(targets, vec![server.address.to_string(); usize::from(through)], "{address}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_the_rules_send_back_to_the_resolver_goes_to_its_server() {
    let test = "a rule that catches the proxy's own queries";
    let Some(program) = programs::require("dig", test) else { return };
    let Some(server) = NameServer::dnsmasq(test).await else { return };
    for address in [server.address.to_string(), format!("tcp://{}", server.address)] {
        let rule = json!({"port": server.address.port(), "outboundTag": "dns-out"});
        let waypost = Waypost::start(&config(&json!({"servers": [address]}), &[], &[rule]), None).await;
        let found = dig(&program, waypost.address("door"), &["known.test", "A"]).await;
        check(&found, "NOERROR", &["known.test. 300 IN A 127.0.0.1"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_and_outbounds_ask_the_same_servers() {
    let test = "rules and outbounds with DNS servers";
    let Some(curl) = programs::require("curl", test) else { return };
    let Some(server) = NameServer::dnsmasq(test).await else { return };
    let origin = HttpOrigin::start("hello").await;
    let outbounds = [
        json!({"tag": "resolving", "protocol": "freedom", "settings": {"domainStrategy": "UseIPv4"}}),
        json!({"tag": "block", "protocol": "blackhole"}),
    ];
    let rules = [
        json!({"ip": ["127.0.0.1"], "inboundTag": ["socks"], "outboundTag": "resolving"}),
        json!({"inboundTag": ["socks"], "outboundTag": "block"}),
    ];
    let dns = json!({"servers": ["192.0.2.1", {"address": server.address.to_string(), "domains": ["domain:test"]}]});
    let text = config(&dns, &outbounds, &rules).replacen(
        "\"rules\"",
        "\"domainStrategy\":\"IPOnDemand\",\"rules\"",
        1,
    );
    let waypost = Waypost::start(&text, None).await;
    let mut command = Command::new(curl);
    let proxy = format!("socks5h://{}", waypost.address("socks"));
    command.args(["-q", "--silent", "--show-error", "--noproxy", "", "--proxy", &proxy]);
    command.arg(format!("http://known.test:{}/", origin.address.port())).kill_on_drop(true);
    let found = timeout(LIMIT, command.output()).await.expect("curl ends").unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "hello", "{}", waypost.log());

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    std::fs::write(&path, &text).unwrap();
    let arguments = ["explain", "--config", path.to_str().unwrap(), "--inbound", "socks", "known.test:80"];
    let explained = output(arguments).await;
    let explained = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(explained.contains("? known.test is 127.0.0.1, ::1"), "{explained}");
    assert!(explained.contains("=> resolving"), "{explained}");
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_that_are_not_for_addresses_can_be_refused_or_go_elsewhere() {
    let test = "settings of a `dns` outbound";
    let Some(program) = programs::require("dig", test) else { return };
    let Some(server) = NameServer::dnsmasq(test).await else { return };
    let (host, port) = (server.address.ip().to_string(), server.address.port());
    for (settings, servers, status, records) in [
        (json!({"nonIPQuery": "reject"}), json!([server.address.to_string()]), "REFUSED", &[][..]),
        (
            json!({"address": host, "port": port, "network": "udp"}),
            json!(["localhost"]),
            "NOERROR",
            &["known.test. 300 IN TXT \"hello\""],
        ),
        (
            json!({"address": host, "port": port}),
            json!(["192.0.2.1"]),
            "NOERROR",
            &["known.test. 300 IN TXT \"hello\""],
        ),
    ] {
        let other = json!({"tag": "other", "protocol": "dns", "settings": settings});
        let text = config(&json!({"servers": servers}), &[other], &[])
            .replace("\"outboundTag\":\"dns-out\"", "\"outboundTag\":\"other\"");
        let waypost = Waypost::start(&text, None).await;
        check(&dig(&program, waypost.address("door"), &["known.test", "TXT"]).await, status, records);
    }
}
