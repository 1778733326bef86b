//! Another configuration while the program runs: by signal, by its control interface, by the files.

use std::{fs, net::SocketAddr, os::unix::fs::symlink, path::PathBuf, time::Duration};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    process::Command,
    time::{Instant, sleep, timeout},
};
use waypost_testkit::{Behaviour, EchoServer, Socks5Node};

use crate::{
    binary::{Waypost, command},
    oracle::connect_socks,
    soak::Footprint,
};

const LIMIT: Duration = Duration::from_secs(30);
const SECRET: &str = "s3cret";

/// A program with its file.
struct Stage {
    folder: TempDir,
    waypost: Waypost,
}

impl Stage {
    async fn start(config: &Value, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        fs::write(&path, config.to_string()).unwrap();
        let mut run = command();
        run.args(["run", "--log-level", "info", "--log-format", "json", "--config"])
            .arg(&path)
            .args(arguments);
        let n_inbounds = config["inbounds"].as_array().unwrap().len();
        let waypost = Waypost::spawn(run, tempfile::tempdir().unwrap(), n_inbounds).await;
        Self { folder, waypost }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("config.json")
    }

    fn write(&self, config: &Value) {
        // As editors do it.
        let draft = self.folder.path().join("draft");
        fs::write(&draft, config.to_string()).unwrap();
        fs::rename(draft, self.path()).unwrap();
    }

    /// Runs `waypost reload`; yields the exit code and what it says.
    async fn reload(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = command().arg("reload").args(arguments).output().await.unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    }

    async fn said(&mut self, message: &str, times: usize) {
        self.waypost.wait_for(|waypost| waypost.log().matches(message).count() >= times).await;
    }
}

async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

fn config(node: &Socks5Node, rules: &Value, control: Option<&str>) -> Value {
    let mut config = json!({
        "inbounds": [{"type": "mixed", "tag": "in", "listen": "127.0.0.1", "listen_port": 0}],
        "outbounds": [
            {"type": "socks", "tag": "node", "server": "127.0.0.1", "server_port": node.address.port()},
            {"type": "block", "tag": "no"},
        ],
        "route": {"rules": rules},
    });
    if let Some(address) = control {
        config["experimental"] = json!({"clash_api": {"external_controller": address, "secret": SECRET}});
    }
    config
}

/// Whether a connection through the proxy comes about.
async fn carried(proxy: SocketAddr, target: &str) -> bool {
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    connect_socks(&mut stream, &target.parse().unwrap(), None).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_and_an_edited_file_bring_another_configuration() {
    let node = Socks5Node::start("n", Behaviour::Label).await;
    let mut stage = Stage::start(&config(&node, &json!([]), None), &["--watch"]).await;
    let address = stage.waypost.address("in");
    assert!(carried(address, "192.0.2.1:80").await);

    stage.write(&config(&node, &json!([{"port": 80, "outbound": "no"}]), None));
    stage.said("configuration taken", 1).await;
    assert!(!carried(address, "192.0.2.1:80").await);

    // A file that is wrong leaves everything as it is, and says where it is wrong.
    fs::write(stage.path(), "{\"inbounds\": [}").unwrap();
    stage.said("the configuration stays as it is", 1).await;
    stage.said("config.json:1:15", 1).await;
    assert!(!carried(address, "192.0.2.1:80").await && carried(address, "192.0.2.1:81").await);

    stage.write(&config(&node, &json!([{"port": 81, "outbound": "no"}]), None));
    stage.said("configuration taken", 2).await;
    let pid = stage.waypost.pid().to_string();
    assert_eq!(stage.reload(&["--pid", &pid]).await.0, Some(0));
    stage.said("SIGHUP", 1).await;
    stage.said("the configuration is the one in force", 1).await;
    assert!(carried(address, "192.0.2.1:80").await && !carried(address, "192.0.2.1:81").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_leads_to_another_release_brings_another_configuration() {
    let node = Socks5Node::start("n", Behaviour::Label).await;
    let releases = tempfile::tempdir().unwrap();
    let current = releases.path().join("current");
    for (release, rules) in [("one", json!([])), ("two", json!([{"port": 80, "outbound": "no"}]))] {
        fs::create_dir(releases.path().join(release)).unwrap();
        let text = config(&node, &rules, None).to_string();
        fs::write(releases.path().join(release).join("config.json"), text).unwrap();
    }
    let lead_to = |release: &str| {
        let draft = releases.path().join("draft");
        symlink(release, &draft).unwrap();
        fs::rename(draft, &current).unwrap();
    };
    lead_to("one");
    let mut run = command();
    run.args(["run", "--log-level", "info", "--log-format", "json", "--watch", "--config"])
        .arg(current.join("config.json"));
    let mut waypost = Waypost::spawn(run, tempfile::tempdir().unwrap(), 1).await;
    for (n_taken, release) in ["two", "one"].into_iter().enumerate() {
        lead_to(release);
        waypost.wait_for(|waypost| waypost.log().matches("configuration taken").count() > n_taken).await;
        assert_eq!(carried(waypost.address("in"), "192.0.2.1:80").await, release == "one");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_says_what_came_of_it() {
    let node = Socks5Node::start("n", Behaviour::Label).await;
    let control = format!("127.0.0.1:{}", free_port().await);
    let of = |rules: Value| config(&node, &rules, Some(&control));
    let stage = Stage::start(&of(json!([])), &[]).await;
    let (path, address) = (stage.path().display().to_string(), stage.waypost.address("in"));

    stage.write(&of(json!([{"port": 80, "outbound": "no"}])));
    let (code, said) = stage.reload(&["-c", &path]).await;
    assert_eq!((code, said.as_str()), (Some(0), "the configuration is in force\n"));
    assert!(!carried(address, "192.0.2.1:80").await);

    stage.write(&of(json!([{"port": 80, "outbound": "nobody"}])));
    let (code, said) = stage.reload(&["-c", &path]).await;
    assert!(code == Some(1) && said.contains("there is no outbound with the tag `nobody`"), "{said}");
    // Also where the file is not at hand.
    let url = format!("http://{control}");
    let (code, said) = stage.reload(&["--live", &url, "--secret", SECRET]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("config.json:1:") && said.contains("no outbound with the tag `nobody`"), "{said}");
    assert!(said.ends_with("the configuration stays as it was\n"), "{said}");

    let (code, said) = stage.reload(&["--live", &url, "--secret", "wrong"]).await;
    assert!(code == Some(2) && said.contains("wants another secret"), "{said}");
    let (code, said) = stage.reload(&["--live", "http://127.0.0.1:1"]).await;
    assert!(code == Some(2) && said.contains("no control interface answers at http://127.0.0.1:1"), "{said}");
    let (code, said) = stage.reload(&[]).await;
    assert!(code == Some(2) && said.contains("which program?"), "{said}");
    assert!(!carried(address, "192.0.2.1:80").await, "nothing has changed");
    assert!(!stage.waypost.log().contains(SECRET), "{}", stage.waypost.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_control_interface_follows_the_file_as_well() {
    let node = Socks5Node::start("n", Behaviour::Label).await;
    let (one, two) = (format!("127.0.0.1:{}", free_port().await), format!("127.0.0.1:{}", free_port().await));
    let stage = Stage::start(&config(&node, &json!([]), Some(&one)), &[]).await;
    let live = |address: &str| format!("http://{address}");
    stage.write(&config(&node, &json!([]), Some(&two)));
    assert_eq!(stage.reload(&["--live", &live(&one), "--secret", SECRET]).await.0, Some(0));
    let (code, said) = stage.reload(&["--live", &live(&two), "--secret", SECRET]).await;
    assert_eq!(code, Some(0), "{said}");

    // An address that is taken refuses the whole file.
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken_at = taken.local_addr().unwrap().to_string();
    stage.write(&config(&node, &json!([{"port": 80, "outbound": "no"}]), Some(&taken_at)));
    let (code, said) = stage.reload(&["--live", &live(&two), "--secret", SECRET]).await;
    assert!(code == Some(1) && said.contains("cannot listen"), "{said}");
    assert!(carried(stage.waypost.address("in"), "192.0.2.1:80").await);

    // Another secret at the same address.
    let mut other = config(&node, &json!([]), Some(&two));
    other["experimental"]["clash_api"]["secret"] = "another".into();
    stage.write(&other);
    assert_eq!(stage.reload(&["--live", &live(&two), "--secret", SECRET]).await.0, Some(0));
    let begin = Instant::now();
    while stage.reload(&["--live", &live(&two), "--secret", "another"]).await.0 != Some(0) {
        assert!(begin.elapsed() < LIMIT);
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(stage.reload(&["--live", &live(&two), "--secret", SECRET]).await.0, Some(2));
}

/// Sends so many bytes to whoever comes, and says how many came back.
async fn flood(n_bytes: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let chunk = vec![7; 1 << 18];
        let mut left = n_bytes;
        while left > 0 {
            let n = left.min(chunk.len());
            stream.write_all(&chunk[..n]).await.unwrap();
            left -= n;
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_and_idle_tunnels_survive_a_hundred_and_a_thousand_leave_nothing() {
    const N_BYTES: usize = 4 << 30;
    let echo = EchoServer::start().await;
    let node = Socks5Node::start("n", Behaviour::Relay).await;
    let of = |round: usize| config(&node, &json!([{"port": 1 + round, "outbound": "no"}]), None);
    let mut stage = Stage::start(&of(0), &[]).await;
    let (address, pid) = (stage.waypost.address("in"), stage.waypost.pid());
    let mut idle = Vec::new();
    for _ in 0..200 {
        let mut tunnel = TcpStream::connect(address).await.unwrap();
        connect_socks(&mut tunnel, &echo.address.into(), None).await.unwrap();
        idle.push(tunnel);
    }
    let source = flood(N_BYTES).await;
    let download = tokio::spawn(async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        connect_socks(&mut stream, &source.into(), None).await.unwrap();
        let (mut buffer, mut n_read) = (vec![0; 1 << 18], 0);
        loop {
            match stream.read(&mut buffer).await.unwrap() {
                0 => return n_read,
                n => n_read += n,
            }
        }
    });
    let hang_up = async || {
        let status = Command::new("/bin/kill").args(["-HUP", &pid.to_string()]).status().await.unwrap();
        assert!(status.success());
    };
    for round in 1..=100 {
        stage.write(&of(round));
        hang_up().await;
        stage.said("configuration taken", round).await;
    }
    assert_eq!(timeout(LIMIT * 4, download).await.unwrap().unwrap(), N_BYTES);
    for tunnel in &mut idle {
        tunnel.write_all(b"still").await.unwrap();
        let mut back = [0; 5];
        timeout(LIMIT, tunnel.read_exact(&mut back)).await.unwrap().unwrap();
        assert_eq!(&back, b"still");
    }

    // And a thousand more, under connections that come and go.
    let load = tokio::spawn(async move {
        let mut n_served = 0_u32;
        loop {
            let mut tunnel = TcpStream::connect(address).await.unwrap();
            connect_socks(&mut tunnel, &echo.address.into(), None).await.unwrap();
            tunnel.write_all(b"ping").await.unwrap();
            let mut back = [0; 4];
            timeout(LIMIT, tunnel.read_exact(&mut back)).await.unwrap().unwrap();
            n_served += 1;
            if n_served >= 20_000 {
                return n_served;
            }
            tokio::task::yield_now().await;
        }
    });
    sleep(Duration::from_millis(200)).await;
    let before = Footprint::of(pid);
    for round in 101..=1100 {
        stage.write(&of(round));
        hang_up().await;
        stage.said("configuration taken", round).await;
    }
    load.await.unwrap();
    let after = Footprint::at_rest(pid, Some(before), Duration::from_secs(20)).await;
    assert!(after.descriptors <= before.descriptors + 2, "{before:?}, and then {after:?}");
    assert!(after.rss_kb <= before.rss_kb + 2048, "{before:?}, and then {after:?}");
    println!("1,000 reloads: {} KB resident before, {} KB after", before.rss_kb, after.rss_kb);
}
