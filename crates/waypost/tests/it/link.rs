//! `waypost link`: what it reads, writes and refuses, and whether what it writes carries connections.

use std::{os::unix::fs::PermissionsExt as _, path::PathBuf, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use waypost_testkit::{EchoServer, HttpOrigin, refused_address};

use crate::{
    binary::{Waypost, command, output},
    oracle::connect_socks,
};

const ID: &str = "23ad6b10-8d1a-40f7-8ad0-e3e35cd38297";

/// Five lines, of which three can be used.
const LIST: &str = "\
# of a provider
trojan://Geheim-1@a.example:443?sni=b.example#Tokyo 🗼
vless://23ad6b10-8d1a-40f7-8ad0-e3e35cd38297@a.example:443?security=reality&pbk=x&type=tcp#Osaka
ss://YWVzLTI1Ni1nY206R2VoZWltLTI@192.0.2.1:8388#Tokyo 🗼
hysteria2://Geheim-3@a.example:443#Fast
trojan://Geheim-1@a.example:443?sni=b.example#again
vmess://23ad6b10-8d1a-40f7-8ad0-e3e35cd38297@a.example:8443?security=tls&type=ws&path=/ray
";

/// The list in base64, as providers send it.
const ENCODED: &str = "\
IyBvZiBhIHByb3ZpZGVyCnRyb2phbjovL0dlaGVpbS0xQGEuZXhhbXBsZTo0NDM/c25pPWIuZXhh
bXBsZSNUb2t5bwp0dWljOi8veEBhLmV4YW1wbGU6MSNGYXN0Cg==
";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }
}

/// Runs `waypost link`: its exit code, and what it said on either way.
async fn link(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = output([&["link"], arguments].concat()).await;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn assert_no_secret(said: &str) {
    for secret in ["Geheim", "R2VoZWlt", ID, "token"] {
        assert!(!said.contains(secret), "{said}");
    }
}

#[tokio::test]
async fn a_list_becomes_a_configuration_that_can_run() {
    let folder = Folder::new(&[("list.txt", LIST)]);
    let list = folder.path("list.txt");
    for dialect in ["v2ray", "sing-box"] {
        let result = folder.path(&format!("{dialect}.json"));
        let (code, text, said) = link(&[&list, "--to", dialect, "-o", &result, "--group", "proxy"]).await;
        assert_eq!((code, &*text), (Some(0), ""), "{said}");
        let lines: Vec<&str> = said.lines().collect();
        assert!(
            lines[0].starts_with(&format!(
                "{list}:3: Osaka: REALITY is not available in this version: `reality` ("
            )),
            "{said}"
        );
        assert!(lines[1].starts_with(&format!("{list}:5: Fast: `hysteria2` is not available")), "{said}");
        assert_eq!(lines[2], "again: the same as `Tokyo 🗼`");
        assert_eq!(lines.len(), 3, "{said}");
        assert_no_secret(&said);
        let written: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(&result).unwrap()).unwrap();
        let tags: Vec<&str> =
            written["outbounds"].as_array().unwrap().iter().map(|one| one["tag"].as_str().unwrap()).collect();
        assert_eq!(tags, ["proxy", "Tokyo 🗼", "Tokyo 🗼 2", "vmess-a.example:8443"]);
        assert_eq!(std::fs::metadata(&result).unwrap().permissions().mode() & 0o077, 0);
        let checked = output(["check", &result]).await;
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
}

#[tokio::test]
async fn strict_writes_nothing_if_something_cannot_be_used() {
    let folder = Folder::new(&[("list.txt", LIST)]);
    let (list, result) = (folder.path("list.txt"), folder.path("result.json"));
    let (code, text, said) = link(&[&list, "--strict", "-o", &result]).await;
    assert_eq!((code, &*text), (Some(1), ""));
    assert!(said.ends_with("nothing is written: 2 cannot be used (--strict)\n"), "{said}");
    assert!(!PathBuf::from(&result).exists());
    let (code, _, said) = link(&["trojan://x@a.example:443#one", "--strict"]).await;
    assert_eq!(code, Some(0), "{said}");
}

#[tokio::test]
async fn what_holds_nothing_usable_fails() {
    let folder = Folder::new(&[("text", "once upon a time"), ("bad.json", "{\"outbonds\": []}")]);
    for (argument, part) in [
        (&*folder.path("text"), "it holds no links; expected links such as `vmess://…`"),
        (&folder.path("bad.json"), "bad.json:1:2: "),
        ("ssr://abc", "argument 1:1: `ssr` is not available in this version"),
        ("trojan://Geheim@a.example:0#x", "argument 1:1: x: its port cannot be read"),
    ] {
        let (code, text, said) = link(&[argument]).await;
        assert_eq!((code, &*text), (Some(1), ""), "{said}");
        assert!(said.contains(part) && said.contains("nothing is written"), "{said}");
        assert_no_secret(&said);
    }
    let (code, _, said) = link(&["/nowhere/list.txt"]).await;
    assert!(code == Some(2) && said.contains("cannot read `/nowhere/list.txt`"), "{said}");
    let (code, _, said) = link(&["x", "--to", "clash"]).await;
    assert!(code == Some(2) && said.contains("expected `v2ray`, `sing-box` or `links`"), "{said}");
}

#[tokio::test]
async fn standard_input_is_read() {
    let mut command = command();
    command.args(["link", "-", "--to", "links"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(ENCODED.as_bytes()).await.unwrap();
    let output = timeout(Duration::from_secs(20), child.wait_with_output()).await.unwrap().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text, "trojan://Geheim-1@a.example:443?type=tcp&security=tls&sni=b.example#Tokyo\n");
}

#[tokio::test]
async fn outbounds_become_links_again() {
    let config = format!(
        r#"{{"inbounds": [{{"protocol": "socks", "listen": "127.0.0.1", "port": 1}}], "outbounds": [
        {{"protocol": "freedom", "tag": "direct"}},
        {{"protocol": "vless", "tag": "v", "settings": {{"vnext": [{{"address": "a.example", "port": 443, "users": [{{"id": "{ID}", "encryption": "none"}}]}}]}},
          "streamSettings": {{"security": "tls", "network": "grpc", "grpcSettings": {{"serviceName": "s"}}}}}},
        {{"protocol": "socks", "tag": "s", "settings": {{"address": "a.example", "port": 1080}}, "proxySettings": {{"tag": "v"}}}}
        ]}}"#
    );
    let folder = Folder::new(&[("config.json", &config), ("list.txt", LIST)]);
    let (code, text, said) = link(&[&folder.path("config.json"), "--to", "links"]).await;
    assert_eq!(code, Some(0), "{said}");
    let expected = format!(
        "vless://{ID}@a.example:443?encryption=none&type=grpc&serviceName=s&mode=gun&security=tls#v\n"
    );
    assert_eq!(text, expected);
    assert!(said.contains(":5: s: its connections take another outbound: `v`"), "{said}");
    // Outbounds alone are read as well.
    let (bare, again) = (folder.path("bare.json"), folder.path("again.txt"));
    for dialect in ["v2ray", "sing-box"] {
        link(&[&folder.path("list.txt"), "--outbounds-only", "--to", dialect, "-o", &bare]).await;
        let (code, _, said) = link(&[&bare, "--to", "links", "-o", &again]).await;
        assert_eq!((code, &*said), (Some(0), ""));
        let (code, config, said) = link(&[&again, "--to", "v2ray"]).await;
        assert_eq!((code, &*said), (Some(0), ""));
        assert!(
            config.contains("Geheim-1") && config.contains("Geheim-2") && config.contains(ID),
            "{config}"
        );
    }
}

/// Answers every request with this head, and with nothing behind it.
async fn serve(head: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _n_bytes = stream.read(&mut request).await;
            let _gone = stream.write_all(head.as_bytes()).await;
        }
    });
    format!("http://{address}/path-token?q=token")
}

#[tokio::test]
async fn a_subscription_is_fetched_and_its_url_is_not_shown() {
    let origin = HttpOrigin::start(ENCODED).await;
    let url = format!("http://{}/sub/token?q=token", origin.address);
    let (code, text, said) = link(&[&url]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(text.contains("Geheim-1"), "{text}");
    assert!(
        said.starts_with(&format!("http://{}/…:3: Fast: `tuic` is not available", origin.address)),
        "{said}"
    );
    assert_no_secret(&said);
    let head = origin.heads().remove(0).to_ascii_lowercase();
    assert!(head.starts_with("get /sub/token?q=token http/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("user-agent: waypost/{}\r\n", env!("CARGO_PKG_VERSION"))), "{head}");

    let there = serve(format!("HTTP/1.1 302 Found\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n")).await;
    let (code, text, said) = link(&[&there]).await;
    assert!(code == Some(0) && text.contains("Geheim-1"), "{said}");
}

#[tokio::test]
async fn a_subscription_that_cannot_be_fetched_says_why() {
    let refused = refused_address().await;
    let circle =
        serve("HTTP/1.1 302 Found\r\nLocation: /token\r\nContent-Length: 0\r\n\r\n".to_owned()).await;
    let missing = serve("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned()).await;
    let large = serve("HTTP/1.1 200 OK\r\nContent-Length: 16777217\r\n\r\n".to_owned()).await;
    let cut = serve("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc".to_owned()).await;
    for (url, part) in [
        (format!("http://{refused}/token"), "the server cannot be reached"),
        (circle, "there are more than 5 redirects"),
        (missing, "the server answers with the status 404 Not Found"),
        (large, "the answer has more than 16777216 bytes"),
        (cut, "there was no whole HTTP answer"),
        ("https://me:token@a.example/".to_owned(), "not a URL that can be fetched"),
    ] {
        let (code, text, said) = link(&[&url]).await;
        assert_eq!((code, &*text), (Some(2), ""), "{said}");
        assert!(said.contains(part), "{part}: {said}");
        assert_no_secret(&said);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_goes_through_what_is_written() {
    let server = format!(
        r#"{{"inbounds": [{{"tag": "server", "protocol": "vmess", "listen": "127.0.0.1", "port": 0,
            "settings": {{"clients": [{{"id": "{ID}"}}]}}, "streamSettings": {{"network": "ws", "wsSettings": {{"path": "/ray"}}}}}}],
        "outbounds": [{{"protocol": "freedom"}}]}}"#
    );
    let server = Waypost::start(&server, None).await;
    let share = format!("vmess://{ID}@{}?type=ws&path=/ray&encryption=auto#mine", server.address("server"));
    let echo = EchoServer::start().await;
    for dialect in ["v2ray", "sing-box"] {
        let (code, text, said) = link(&[&share, "--to", dialect]).await;
        assert_eq!(code, Some(0), "{said}");
        let text = text
            .replace("\"port\": 1080", "\"port\": 0")
            .replace("\"listen_port\": 1080", "\"listen_port\": 0");
        let folder = Folder::new(&[("config.json", &text)]);
        let mut run = command();
        run.args([
            "run",
            "--log-level",
            "info",
            "--log-format",
            "json",
            "--config",
            &folder.path("config.json"),
        ]);
        let client = Waypost::spawn(run, folder.0, 1).await;
        let mut stream = TcpStream::connect(client.address("in")).await.unwrap();
        connect_socks(&mut stream, &echo.address.into(), None).await.unwrap();
        stream.write_all(b"through it").await.unwrap();
        let mut answer = [0; 10];
        timeout(Duration::from_secs(20), stream.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(&answer, b"through it");
    }
}
