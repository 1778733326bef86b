//! `waypost simulate`.

use serde_json::Value;
use waypost_testkit::workspace_root;

use crate::{binary::output, examples};

const TRACE: &str = "testdata/simulate/four-faults.json";

/// Runs a trace against the example with backups.
async fn simulate(more: &[&str]) -> (Option<i32>, String, String) {
    let config = examples::folder().join("lb-primary-backup.json").display().to_string();
    let trace = workspace_root().join(TRACE).display().to_string();
    let mut arguments = vec!["simulate", &trace, "--config", &config];
    arguments.extend(more);
    let output = output(arguments).await;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn the_same_seed_prints_the_same_figures_and_another_one_others() {
    let (code, table, errors) = simulate(&["--group", "lb"]).await;
    assert!(code == Some(0) && table.contains("kill proxy-a, proxy-b, proxy-c"), "{table}{errors}");
    assert_eq!(simulate(&["--group", "lb"]).await.1, table);
    assert_ne!(simulate(&["--group", "lb", "--seed", "2"]).await.1, table);
}

#[tokio::test]
async fn json_says_that_backups_served_and_nothing_that_may_be_repeated_was_lost() {
    let (code, text, errors) = simulate(&["--group", "lb", "--json"]).await;
    assert_eq!(code, Some(0), "{errors}");
    let report: Value = serde_json::from_str(&text).unwrap();
    let connections = &report["connections"];
    assert!(connections["total"].as_u64().unwrap() > 4000, "{connections}");
    // One in ten is a request that may not be sent twice; the faults catch a few of those half done.
    assert!(connections["lost"].as_u64().unwrap() <= 5, "{connections}");
    let members = report["members"].as_array().unwrap();
    let carried =
        |tag: &str| members.iter().find(|member| member["tag"] == tag).unwrap()["carried"].as_u64().unwrap();
    assert!(carried("backup-1") + carried("backup-2") > 100, "{members:?}");
}

#[tokio::test]
async fn the_timeline_is_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("timeline.svg");
    let (code, _, errors) = simulate(&["--group", "lb", "--plot", path.to_str().unwrap()]).await;
    assert_eq!(code, Some(0), "{errors}");
    let picture = std::fs::read_to_string(path).unwrap();
    assert!(picture.starts_with("<svg") && picture.contains("proxy-b") && picture.contains("time [s]"));
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let (code, _, errors) = simulate(&["--group", "ld"]).await;
    assert_eq!(code, Some(2));
    assert!(errors.contains("no group is called `ld`, there are `lb`"), "{errors}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.json");
    std::fs::write(&path, "{\n  \"duration\": \"10s\",\n  \"evnts\": []\n}").unwrap();
    let config = examples::folder().join("lb-random.json").display().to_string();
    let output = output(["simulate", path.to_str().unwrap(), "--config", &config, "--group", "lb"]).await;
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && errors.contains("line 3"), "{errors}");
}
