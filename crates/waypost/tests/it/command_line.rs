//! What the README shows, and what the binary says when something is wrong.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
    time::timeout,
};
use waypost_testkit::{EchoServer, HttpOrigin};

use crate::{
    binary::{Waypost, output},
    namespace,
    oracle::connect_socks,
    programs,
};

const OPEN: &str = r#"{
  "inbounds": [{"tag": "in", "protocol": "mixed", "listen": "127.0.0.1", "port": 0}],
  "outbounds": [{"protocol": "freedom"}]
}"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_first_command_of_the_readme_needs_no_file() {
    let test = "command_line::the_first_command_of_the_readme_needs_no_file";
    let Some(curl) = programs::require("curl", test) else { return };
    if !namespace::entered(test, &[]).await {
        return;
    }
    let mut waypost = Waypost::start_built_in().await;
    assert_eq!(
        waypost.addresses().into_values().collect::<Vec<_>>(),
        [SocketAddr::from(([127, 0, 0, 1], 1080))]
    );
    let origin = HttpOrigin::start("through the proxy").await;
    let mut command = Command::new(curl);
    command.args(["-q", "-sS", "--noproxy", "", "-x", "socks5h://127.0.0.1:1080"]);
    command.arg(format!("http://{}/", origin.address)).kill_on_drop(true);
    let output = timeout(Duration::from_secs(20), command.output()).await.unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "through the proxy", "{output:?}");
    waypost.terminate().await;
    assert_eq!(waypost.wait().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_to_stop_lets_connections_finish() {
    let mut waypost = Waypost::start(OPEN, None).await;
    let address = waypost.address("in");
    let echo = EchoServer::start().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    connect_socks(&mut stream, &echo.address.into(), None).await.unwrap();
    waypost.terminate().await;
    waypost.wait_for(|waypost| waypost.log().contains("stopping")).await;
    let refused = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(5), refused).await.expect("new connections are refused");
    stream.write_all(b"still here").await.unwrap();
    let mut answer = [0; 10];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"still here");
    drop(stream);
    let status =
        timeout(Duration::from_secs(5), waypost.wait()).await.expect("ends with its last connection");
    assert_eq!(status.code(), Some(0), "{}", waypost.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_stops_at_once() {
    let mut waypost = Waypost::start(OPEN, None).await;
    let echo = EchoServer::start().await;
    let mut stream = TcpStream::connect(waypost.address("in")).await.unwrap();
    connect_socks(&mut stream, &echo.address.into(), None).await.unwrap();
    waypost.terminate().await;
    waypost.wait_for(|waypost| waypost.log().contains("stopping")).await;
    waypost.terminate().await;
    let status = timeout(Duration::from_secs(5), waypost.wait()).await.expect("ends before its connections");
    assert_eq!(status.code(), Some(0), "{}", waypost.log());
}

#[tokio::test]
async fn a_wrong_configuration_is_reported_and_nothing_listens() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    let path_text = path.to_str().unwrap();
    // Whoever listened on it would have to take it from this listener.
    let reserved = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = reserved.local_addr().unwrap().port();
    let text = OPEN.replace("\"port\": 0", &format!("\"port\": {port}"));
    let broken = text.replace("\"outbounds\"", "\"outbunds\"");
    std::fs::write(&path, &broken).unwrap();
    for arguments in [&["run", "--config", path_text][..], &["check", path_text]] {
        let output = output(arguments.iter().copied()).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        for part in [format!("{path_text}:3:3"), "outbunds".to_owned(), "outbounds".to_owned()] {
            assert!(said.contains(&part), "{part}: {said}");
        }
        assert!(!said.contains("listening") && !said.contains("in use"), "{said}");
    }
    // The same file without the mistake gets as far as the port.
    std::fs::write(&path, &text).unwrap();
    let output = output(["run", "--config", path_text]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(&port.to_string()) && said.contains("in use"), "{said}");
}

#[tokio::test]
async fn a_file_that_is_not_there_is_named() {
    for arguments in [
        &["run", "--config", "/nowhere/config.json"][..],
        &["check", "/nowhere/config.json"],
        &["geo", "stat", "/nowhere/config.json"],
    ] {
        let output = output(arguments.iter().copied()).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("/nowhere/config.json"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[tokio::test]
async fn a_cause_is_told_once() {
    let run = output(["run", "-c", "/nowhere/at-all.json"]).await;
    assert_eq!(
        String::from_utf8(run.stderr).unwrap(),
        "waypost: cannot read `/nowhere/at-all.json`: No such file or directory (os error 2)\n"
    );
}

#[tokio::test]
async fn options_say_what_they_are_to_a_command() {
    let help = String::from_utf8(output(["reload", "--help"]).await.stdout).unwrap();
    assert!(help.contains("to be checked first") && !help.contains("built-in"), "{help}");
    let both = output(["explain", "-c", "x", "--live", "http://127.0.0.1:1", "a.example:1"]).await;
    let said = String::from_utf8(both.stderr).unwrap();
    assert!(both.status.code() == Some(2) && said.contains("cannot be used with"), "{said}");
}

#[tokio::test]
async fn help_mentions_every_subcommand() {
    let help = output(["--help"]).await;
    let said = String::from_utf8_lossy(&help.stdout);
    assert!(help.status.success());
    for command in ["run", "check", "explain", "geo", "version"] {
        assert!(
            said.lines().any(|line| line.trim_start().starts_with(&format!("{command} "))),
            "{command}: {said}"
        );
        let help = output([command, "--help"]).await;
        assert!(help.status.success(), "{command}");
    }
    let version = output(["version"]).await;
    assert_eq!(version.stdout, format!("waypost {}\n", env!("CARGO_PKG_VERSION")).into_bytes());
}
