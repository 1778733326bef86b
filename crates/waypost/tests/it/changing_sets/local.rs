//! Sets in files.

use std::fs;

use serde_json::json;
use waypost_geodata::rule_set::{RuleSet, write_srs};
use waypost_testkit::workspace_root;

use super::{Stage, ask, count, eventually, set_of};

const TARGETS: [&str; 2] = ["one.example:443", "two.example:443"];

fn local() -> serde_json::Value {
    json!({"type": "local", "tag": "set", "path": "sets/set.json"})
}

#[tokio::test(flavor = "multi_thread")]
async fn new_connections_follow_a_file_that_is_edited() {
    let stage = Stage::new().await;
    stage.configure(&local(), &[]);
    fs::create_dir(stage.path().join("sets")).unwrap();
    let path = stage.path().join("sets/set.json");
    fs::write(&path, set_of("one.example")).unwrap();
    let [one, two] = TARGETS;
    let mut waypost = stage.run().await;
    assert_eq!((ask(&waypost, one).await, ask(&waypost, two).await), ("b".into(), "a".into()));

    // In place.
    fs::write(&path, set_of("two.example")).unwrap();
    eventually(&waypost, two, "b").await;
    assert_eq!(ask(&waypost, one).await, "a");

    // By a file that takes its place, as editors do.
    let draft = stage.path().join("sets/.set.json.swp");
    fs::write(&draft, set_of("one.example")).unwrap();
    fs::rename(&draft, &path).unwrap();
    eventually(&waypost, one, "b").await;
    assert_eq!(ask(&waypost, two).await, "a");

    // What is broken changes nothing, and is said once, with its place.
    fs::write(&path, r#"{"version": 2, "rules": [{"domian": "two.example"}]}"#).unwrap();
    waypost.wait_for(|waypost| waypost.log().contains("set.json:1:27: error: unknown key `domian`")).await;
    assert_eq!((ask(&waypost, one).await, ask(&waypost, two).await), ("b".into(), "a".into()));
    // So does what can be read, but not compiled.
    fs::write(&path, r#"{"version": 2, "rules": [{"domain_regex": "("}]}"#).unwrap();
    waypost.wait_for(|waypost| waypost.log().contains("regular expression `(`")).await;
    assert_eq!((ask(&waypost, one).await, ask(&waypost, two).await), ("b".into(), "a".into()));
    // And so does a file that is gone.
    fs::remove_file(&path).unwrap();
    waypost.wait_for(|waypost| waypost.log().contains("No such file")).await;
    assert_eq!((ask(&waypost, one).await, ask(&waypost, two).await), ("b".into(), "a".into()));

    fs::write(&path, set_of("two.example")).unwrap();
    eventually(&waypost, two, "b").await;
    assert_eq!(count(&waypost, "a rule set cannot be read again"), 3, "{}", waypost.log());
    assert_eq!(count(&waypost, "rule set changed"), 3, "{}", waypost.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn compiled_sets_are_followed_as_well() {
    let stage = Stage::new().await;
    stage.configure(&json!({"type": "local", "tag": "set", "path": "set.srs"}), &[]);
    let compiled = fs::read(workspace_root().join("testdata/rule-set/version-2.srs")).unwrap();
    let path = stage.path().join("set.srs");
    let none = write_srs(&RuleSet { version: 2, rules: Vec::new() }).unwrap();
    fs::write(&path, none).unwrap();
    let mut waypost = stage.run().await;
    assert_eq!(ask(&waypost, "www.example.org:443").await, "a");
    fs::write(&path, &compiled).unwrap();
    eventually(&waypost, "www.example.org:443", "b").await;
    fs::write(&path, &compiled[..compiled.len() / 2]).unwrap();
    waypost.wait_for(|waypost| waypost.log().contains("cannot be read again")).await;
    assert_eq!(ask(&waypost, "www.example.org:443").await, "b");
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_for_dns_servers_follow_a_file_too() {
    let stage = Stage::new().await;
    let path = stage.path().join("set.json");
    fs::write(&path, set_of("other.example")).unwrap();
    stage.configure(&json!({"type": "local", "tag": "set", "path": "set.json"}), &[]);
    let file = stage.path().join("config.json");
    let mut configuration: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let hosts = |tag: &str, address: &str| json!({"type": "hosts", "tag": tag, "predefined": {"one.example": address}});
    configuration["dns"] = json!({
        "servers": [hosts("usual", "192.0.2.1"), hosts("special", "192.0.2.2")],
        "rules": [{"rule_set": "set", "server": "special"}],
        "final": "usual",
    });
    configuration["route"]["rules"] =
        json!([{"action": "resolve"}, {"ip_cidr": "192.0.2.2", "outbound": "b"}]);
    configuration["route"]["default_domain_resolver"] = "usual".into();
    fs::write(&file, configuration.to_string()).unwrap();
    let waypost = stage.run().await;
    assert_eq!(ask(&waypost, TARGETS[0]).await, "a");
    fs::write(&path, set_of("one.example")).unwrap();
    eventually(&waypost, TARGETS[0], "b").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_used_is_an_error_at_its_place() {
    let stage = Stage::new().await;
    stage.configure(&local(), &[]);
    let run = async || {
        let output = stage.command("check").output().await.unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let said = run().await;
    assert!(said.contains("config.json:1:"), "{said}");
    assert!(said.contains("error: cannot read the rule set `") && said.contains("sets/set.json`"), "{said}");

    fs::create_dir(stage.path().join("sets")).unwrap();
    let path = stage.path().join("sets/set.json");
    fs::write(&path, "{\n  \"version\": 2,\n  \"rules\": [{\"domian\": \"a\"}]\n}").unwrap();
    let said = run().await;
    assert!(said.contains("sets/set.json` is no rule set that can be used"), "{said}");
    for line in [
        "sets/set.json:3:14: error: unknown key `domian`",
        "3 |   \"rules\": [{\"domian\": \"a\"}]",
        "|              ^^^^^^^^",
        "= help: did you mean `domain`?",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }

    fs::write(&path, r#"{"version": 2, "rules": [{"domain_regex": "("}]}"#).unwrap();
    let said = run().await;
    assert!(said.contains("regular expression `(`"), "{said}");

    fs::write(&path, set_of("one.example")).unwrap();
    assert_eq!(stage.command("check").output().await.unwrap().status.code(), Some(0));
}
