//! The description of the control interface, and whether the interface does what it says: by Schemathesis, a
//! Python program that asks everything that a description allows and much that it does not.

use std::{fs, path::PathBuf, process::Stdio, time::Duration};

use serde_json::{Value, json};
use tokio::{net::TcpListener, process::Command, time::timeout};
use waypost_testkit::{Behaviour, Socks5Node, workspace_root};

use crate::{
    binary::{Waypost, command},
    programs::skip,
};

const SECRET: &str = "s3cret";
const LIMIT: Duration = Duration::from_secs(170);

fn committed() -> PathBuf {
    workspace_root().join("docs/reference/openapi.json")
}

#[test]
fn the_committed_description_is_the_one_that_the_interface_gives() {
    let text = fs::read_to_string(committed()).unwrap();
    let written: Value = serde_json::from_str(&text).unwrap();
    assert!(
        written == waypost_api::openapi(),
        "docs/reference/openapi.json is stale: run `cargo xtask docs`"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_no_error_of_the_server() {
    let test = "schemathesis_finds_no_error_of_the_server";
    #[expect(clippy::disallowed_methods, reason = "where programs are is told so")]
    let given = std::env::var_os("SCHEMATHESIS").map(PathBuf::from);
    let packages = given.unwrap_or_else(|| workspace_root().join("target/ci-schemathesis"));
    if !packages.join("schemathesis").is_dir() {
        return skip(test, "the Python package `schemathesis` is not in target/ci-schemathesis");
    }
    let node = Socks5Node::start("n", Behaviour::Label).await;
    let control = { TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap() };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    let members = ["a", "b"].map(
        |tag| json!({"type": "socks", "tag": tag, "server": "127.0.0.1", "server_port": node.address.port()}),
    );
    let groups = [
        json!({"type": "selector", "tag": "pick", "outbounds": ["a", "b"]}),
        json!({"type": "urltest", "tag": "auto", "outbounds": ["a", "b"],
            "url": format!("http://{}/", node.address)}),
    ];
    let config = json!({
        "inbounds": [{"type": "mixed", "tag": "in", "listen": "127.0.0.1", "listen_port": 0}],
        "outbounds": groups.iter().chain(&members).collect::<Vec<_>>(),
        "route": {
            "rule_set": [{"tag": "set", "rules": [{"domain": "a.example"}]}],
            "rules": [{"rule_set": "set", "outbound": "pick"}, {"clash_mode": "Global", "outbound": "a"}],
        },
        "experimental": {"clash_api": {"external_controller": control.to_string(), "secret": SECRET}},
    });
    fs::write(&path, config.to_string()).unwrap();
    let mut run = command();
    run.args(["run", "--log-format", "json", "-c"]).arg(&path);
    let mut waypost = Waypost::spawn(run, tempfile::tempdir().unwrap(), 1).await;
    waypost.wait_for(|waypost| waypost.log().contains("the control interface listens")).await;

    let mut ask = Command::new("/usr/bin/python3");
    ask.args(["-m", "schemathesis.cli", "run"])
        .arg(committed())
        .args(["--url", &format!("http://{control}")]);
    ask.args(["--header", &format!("Authorization: Bearer {SECRET}"), "--checks", "not_a_server_error"]);
    ask.args(["--max-examples", "25", "--phases", "examples,coverage,fuzzing", "--request-timeout", "3"]);
    ask.args(["--seed", "1", "--generation-database", "none", "--warnings", "off", "--max-time", "30"]);
    // A stream has no end, and 503 and 504 say that a member does not answer.
    ask.args(["--exclude-path-regex", "^/(traffic|memory|logs)$|/delay$|healthcheck$"]);
    ask.env("PYTHONPATH", &packages).env("NO_COLOR", "1").current_dir(folder.path());
    ask.stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(LIMIT, ask.output()).await.expect("it ends").unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{said}");
    let generated = said.lines().find(|line| line.contains("generated")).unwrap_or_default();
    println!("{generated}");
    assert!(said.contains("generated") || said.contains("Test cases"), "{said}");
    assert!(!waypost.log().contains("panicked"), "{}", waypost.log());
    waypost.terminate().await;
    assert!(waypost.wait().await.success());
}
