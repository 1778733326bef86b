//! Programs that people use as clients: curl, ncat, proxychains and PySocks.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, process::Command, time::timeout};
use waypost_testkit::HttpOrigin;

use crate::{binary::Waypost, programs};

const USER: &str = "alice";
const PASSWORD: &str = "s3cret!";

/// How long a client may take.
const LIMIT: Duration = Duration::from_secs(30);

/// A name that only the proxy knows: a client that resolves it itself fails.
const NAME: &str = "origin.test";

/// The binary with an open and a closed inbound of each protocol, and an origin server.
struct Network {
    waypost: Waypost,
    origin: HttpOrigin,
}

impl Network {
    async fn start() -> Self {
        let accounts = json!([{"user": USER, "pass": PASSWORD}]);
        let inbounds: Vec<Value> = ["socks", "http", "mixed"]
            .into_iter()
            .flat_map(|protocol| {
                let settings = if protocol == "http" {
                    json!({"accounts": accounts})
                } else {
                    json!({"auth": "password", "accounts": accounts})
                };
                let open = json!({"tag": protocol, "protocol": protocol, "listen": "127.0.0.1", "port": 0});
                let mut closed = open.clone();
                (closed["tag"], closed["settings"]) = (json!(format!("{protocol}-users")), settings);
                [open, closed]
            })
            .collect();
        let config = json!({
            "dns": {"hosts": {NAME: "127.0.0.1"}},
            "inbounds": inbounds,
            "outbounds": [{"protocol": "freedom", "settings": {"domainStrategy": "UseIP"}}]
        });
        let waypost = Waypost::start(&config.to_string(), None).await;
        Self { waypost, origin: HttpOrigin::start("hello").await }
    }

    fn proxy(&self, tag: &str) -> SocketAddr {
        self.waypost.address(tag)
    }

    fn url(&self, host: &str) -> String {
        format!("http://{host}:{}/path?query", self.origin.address.port())
    }
}

/// Runs a client that is to find no other proxy in its environment.
async fn run(mut command: Command) -> Output {
    for name in
        ["http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]
    {
        command.env_remove(name);
    }
    command.env_remove("NO_PROXY").kill_on_drop(true);
    timeout(LIMIT, command.output()).await.expect("the client ends").unwrap()
}

async fn curl(program: &Path, arguments: &[&str], url: &str) -> Output {
    let mut command = Command::new(program);
    command.args(["-q", "--silent", "--show-error", "--noproxy", ""]).args(arguments).arg(url);
    run(command).await
}

#[track_caller]
fn check(output: &Output, what: &dyn std::fmt::Debug) {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && stdout == "hello", "{what:?}: {}\n{stdout}\n{stderr}", output.status);
}

/// The ways of curl to use a proxy at an address: protocol of the inbound, host of the URL, arguments.
fn ways(address: SocketAddr) -> [(&'static str, &'static str, Vec<String>); 9] {
    let address = address.to_string();
    let with = |options: &[&str]| {
        options.iter().map(|&option| option.replace("PROXY", &address)).collect::<Vec<_>>()
    };
    [
        ("socks", "127.0.0.1", with(&["--socks4", "PROXY"])),
        ("socks", NAME, with(&["--socks4a", "PROXY"])),
        ("socks", "127.0.0.1", with(&["--socks5", "PROXY"])),
        ("socks", NAME, with(&["--socks5-hostname", "PROXY"])),
        ("socks", NAME, with(&["--proxy", "socks5h://PROXY"])),
        ("http", "127.0.0.1", with(&["--proxy", "http://PROXY"])),
        ("http", NAME, with(&["--proxy", "http://PROXY"])),
        ("http", "127.0.0.1", with(&["--proxytunnel", "--proxy", "http://PROXY"])),
        ("http", NAME, with(&["--proxytunnel", "--proxy", "http://PROXY"])),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_gets_through_every_inbound() {
    let Some(program) = programs::require("curl", "curl") else { return };
    let network = Network::start().await;
    for inbound in ["socks", "http", "mixed"] {
        for (protocol, host, arguments) in ways(network.proxy(inbound)) {
            if inbound == protocol || inbound == "mixed" {
                let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                let output = curl(&program, &arguments, &network.url(host)).await;
                check(&output, &(inbound, arguments));
            }
        }
    }
    let heads = network.origin.heads();
    assert_eq!(heads.len(), 18);
    for head in heads {
        assert!(head.starts_with("GET /path?query HTTP/1.1\r\n"), "{head}");
        assert!(!head.to_lowercase().contains("proxy"), "{head}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_logs_in_and_is_refused_with_a_wrong_password() {
    let Some(program) = programs::require("curl", "curl with passwords") else { return };
    let network = Network::start().await;
    let good = format!("{USER}:{PASSWORD}");
    let wrong = format!("{USER}:{PASSWORD}x");
    // Exit codes of curl: 97 for a SOCKS handshake that fails, 56 for a CONNECT that is refused.
    for inbound in ["socks", "http", "mixed"] {
        for (protocol, host, arguments) in ways(network.proxy(&format!("{inbound}-users"))) {
            // SOCKS4 has no passwords.
            if (inbound != protocol && inbound != "mixed") || arguments[0].starts_with("--socks4") {
                continue;
            }
            let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let tunnel = arguments[0] == "--proxytunnel";
            arguments.extend(["--proxy-user", &good]);
            let output = curl(&program, &arguments, &network.url(host)).await;
            check(&output, &(inbound, &arguments));
            arguments.pop();
            for refused in [&[&*wrong][..], &["somebody:else"], &[]] {
                let mut arguments = arguments.clone();
                arguments.extend(refused);
                if refused.is_empty() {
                    arguments.pop();
                }
                arguments.extend(["--output", "/dev/null", "--write-out", "%{http_code} %{http_connect}"]);
                let output = curl(&program, &arguments, &network.url(host)).await;
                let (code, written) = match (protocol, tunnel) {
                    ("socks", _) => (97, "000 000"),
                    (_, true) => (56, "000 407"),
                    (_, false) => (0, "407 000"),
                };
                let found = (output.status.code(), String::from_utf8_lossy(&output.stdout));
                assert_eq!(found, (Some(code), written.into()), "{inbound} {arguments:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn proxychains_gets_through_every_inbound() {
    let test = "proxychains";
    let Some(program) = programs::require("proxychains4", test) else { return };
    let Some(curl) = programs::require("curl", test) else { return };
    let network = Network::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxychains.conf");
    for (inbound, kinds) in
        [("socks", &["socks4", "socks5"][..]), ("http", &["http"]), ("mixed", &["socks4", "socks5", "http"])]
    {
        for &kind in kinds {
            for login in ["", " alice s3cret!"] {
                if kind == "socks4" && !login.is_empty() {
                    continue;
                }
                let tag = if login.is_empty() { inbound.to_owned() } else { format!("{inbound}-users") };
                let port = network.proxy(&tag).port();
                let list = format!("strict_chain\nproxy_dns\n[ProxyList]\n{kind} 127.0.0.1 {port}{login}\n");
                std::fs::write(&path, &list).unwrap();
                for host in ["127.0.0.1", NAME] {
                    let mut command = Command::new(&program);
                    command.args(["-q", "-f"]).arg(&path).arg(&curl).args(["-q", "-sS", "--noproxy", "*"]);
                    command.arg(network.url(host));
                    check(&run(command).await, &(&list, host));
                }
            }
        }
    }
}

/// Connects through a proxy and prints the body of the response.
const PYSOCKS: &str = r#"
import socks, sys
kind, proxy_port, rdns, user, password, host, port = sys.argv[1:]
s = socks.socksocket()
s.settimeout(20)
s.set_proxy(getattr(socks, kind), "127.0.0.1", int(proxy_port), rdns == "1", user or None, password or None)
s.connect((host, int(port)))
s.sendall(b"GET / HTTP/1.1\r\nHost: " + host.encode() + b"\r\n\r\n")
data = b""
while chunk := s.recv(4096):
    data += chunk
sys.stdout.write(data.split(b"\r\n\r\n", 1)[1].decode())
"#;

#[tokio::test(flavor = "multi_thread")]
async fn pysocks_gets_through_every_inbound() {
    let Some(python) = programs::require_pysocks("PySocks").await else { return };
    let network = Network::start().await;
    let port = network.origin.address.port().to_string();
    for (inbound, kinds) in
        [("socks", &["SOCKS4", "SOCKS5"][..]), ("http", &["HTTP"]), ("mixed", &["SOCKS4", "SOCKS5", "HTTP"])]
    {
        for &kind in kinds {
            for (tag, password) in [
                (inbound.to_owned(), ""),
                (format!("{inbound}-users"), PASSWORD),
                (format!("{inbound}-users"), "no"),
            ] {
                // SOCKS4 has no passwords, and PySocks sends none by HTTP.
                if kind != "SOCKS5" && !password.is_empty() {
                    continue;
                }
                let proxy_port = network.proxy(&tag).port().to_string();
                let user = if password.is_empty() { "" } else { USER };
                for (host, rdns) in [("127.0.0.1", "0"), (NAME, "1")] {
                    let mut command = Command::new(&python);
                    command.args(["-c", PYSOCKS, kind, &proxy_port, rdns, user, password, host, &port]);
                    let output = run(command).await;
                    if password == "no" {
                        let stderr = String::from_utf8_lossy(&output.stderr);
                        assert!(stderr.contains("SOCKS5AuthError"), "{tag} {kind}: {stderr}");
                    } else {
                        check(&output, &(tag.as_str(), kind, host));
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn ncat_comes_through_every_protocol_it_speaks() {
    let Some(program) = programs::require("ncat", "clients::ncat") else { return };
    let network = Network::start().await;
    let login = format!("{USER}:{PASSWORD}");
    for (tag, kind, auth) in [
        ("socks", "socks4", None),
        ("socks", "socks5", None),
        ("http", "http", None),
        ("mixed", "socks5", None),
        ("socks-users", "socks5", Some(&login)),
        ("http-users", "http", Some(&login)),
        ("mixed-users", "http", Some(&login)),
    ] {
        let mut command = Command::new(&program);
        command.arg("--proxy").arg(network.proxy(tag).to_string()).args(["--proxy-type", kind]);
        if let Some(login) = auth {
            command.args(["--proxy-auth", login]);
        }
        let origin = network.origin.address;
        command.args([origin.ip().to_string(), origin.port().to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"GET / HTTP/1.1\r\nHost: origin\r\nConnection: close\r\n\r\n").await.unwrap();
        // It closes its side then, and ends when the origin has closed, too.
        drop(stdin);
        let output = timeout(LIMIT, child.wait_with_output()).await.expect("the client ends").unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(stdout.ends_with("hello"), "{tag} {kind} {auth:?}: {output:?}");
    }
}
