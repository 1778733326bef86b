//! Configurations of more than one file.

use std::path::Path;

use serde_json::Value;
use tokio::net::TcpStream;
use waypost_testkit::EchoServer;

use crate::{
    binary::{Waypost, command, output},
    oracle::connect_socks,
};

const INBOUND: &str =
    r#"{"inbounds": [{"tag": "in", "protocol": "socks", "listen": "127.0.0.1", "port": 0}]}"#;
const OUTBOUNDS: &str = r#"{"outbounds": [{"protocol": "freedom"}, {"tag": "no", "protocol": "blackhole"}]}"#;
const RULES: &str = r#"{
  "routing": {"rules": [
    {"domain": ["full:refused.example"], "outboundTag": "no"}
  ]}
}"#;

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        std::fs::write(folder.join(name), text).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_runs_as_one_configuration() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[("2.jsonc", OUTBOUNDS), ("1.json", INBOUND), ("3.json", RULES)]);
    // None of these is read.
    write(folder.path(), &[(".hidden.json", "{"), ("notes.txt", "{"), ("old.json.bak", "{")]);
    std::fs::create_dir(folder.path().join("sub.json")).unwrap();
    let mut command = command();
    command.args(["run", "--log-format", "json", "--config"]).arg(folder.path());
    let waypost = Waypost::spawn(command, tempfile::tempdir().unwrap(), 1).await;
    let echo = EchoServer::start().await;
    let mut stream = TcpStream::connect(waypost.address("in")).await.unwrap();
    connect_socks(&mut stream, &echo.address.into(), None).await.unwrap();
}

#[tokio::test]
async fn files_and_folders_are_joined_in_the_order_of_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let sub = folder.path().join("rules");
    std::fs::create_dir(&sub).unwrap();
    write(folder.path(), &[("in.json", INBOUND), ("out.json", OUTBOUNDS)]);
    write(&sub, &[("a.json", RULES)]);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (inbound, outbounds, rules) = (path("in.json"), path("out.json"), path("rules"));
    let explained =
        output(["explain", "-c", &rules, "-c", &inbound, "-c", &outbounds, "refused.example:443"]).await;
    let said = String::from_utf8_lossy(&explained.stdout);
    assert!(explained.status.success(), "{}", String::from_utf8_lossy(&explained.stderr));
    assert!(said.contains("=> no (named by the rule)"), "{said}");
    assert!(said.contains(&format!("decided by rule 1 (line 3 of {rules}/a.json)\n")), "{said}");
    let single = folder.path().join("single.json");
    let members = [INBOUND, OUTBOUNDS].map(|text| text.trim_matches(['{', '}']));
    std::fs::write(&single, format!("{{{},{},\n{}", members[0], members[1], &RULES[1..])).unwrap();
    let explained = output(["explain", "-c", single.to_str().unwrap(), "refused.example:443"]).await;
    let said = String::from_utf8_lossy(&explained.stdout);
    assert!(said.contains("decided by rule 1 (line 4)\n"), "{said}");
    let checked = output(["check", &inbound, &outbounds, &rules]).await;
    let said = String::from_utf8_lossy(&checked.stdout);
    assert_eq!(said, "", "nothing is to be said of files that are right");
}

#[tokio::test]
async fn every_broken_file_is_reported_by_name() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[("1.json", INBOUND), ("2.json", "{\n  \"log\" {}}"), ("3.json", "{\n\n\"x\": ]")]);
    let path = folder.path().display().to_string();
    let checked = output(["check", &path]).await;
    let said = String::from_utf8_lossy(&checked.stderr);
    assert_eq!(checked.status.code(), Some(1), "{said}");
    for place in ["2.json:2:9: error: ", "3.json:3:6: error: "] {
        assert!(said.contains(&format!("{path}/{place}")), "{place}: {said}");
    }
    let checked = output(["check", "--format", "json", &path]).await;
    let report: Value = serde_json::from_slice(&checked.stdout).unwrap();
    let problems = report["diagnostics"].as_array().unwrap();
    let names: Vec<_> = problems.iter().map(|problem| problem["file"].as_str().unwrap()).collect();
    assert_eq!(names, [format!("{path}/2.json"), format!("{path}/3.json")]);
    assert_eq!((&problems[0]["offset"], &problems[0]["endOffset"]), (&Value::from(10), &Value::from(11)));
}

#[tokio::test]
async fn files_of_two_dialects_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[("1.json", INBOUND), ("2.json", OUTBOUNDS), ("3.json", "{\n\"route\": {}}")]);
    let path = folder.path().display().to_string();
    let checked = output(["run", "--config", &path]).await;
    let said = String::from_utf8_lossy(&checked.stderr);
    assert_eq!(checked.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("{path}/3.json:2:1: error: `route` belongs to sing-box")), "{said}");
    assert!(said.contains(&format!("on line 1 of `{path}/1.json` to V2Ray")), "{said}");
}

#[tokio::test]
async fn a_folder_without_files_is_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display().to_string();
    let run = output(["run", "--config", &path]).await;
    let said = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(2), "{said}");
    assert_eq!(said, format!("waypost: there is no `.json` or `.jsonc` file in `{path}`\n"));
}
