//! What is known of rule sets while they change.

use std::{path::Path, time::Duration};

use serde_json::json;
use tokio::time::{Instant, sleep};
use waypost_config::{Options, Source};
use waypost_proxy::{
    Proxy, RuleSetKind, RuleSetReport, Workers,
    build::{Assets, load},
};

fn set_of(rule: &serde_json::Value) -> String {
    json!({"version": 3, "rules": [rule]}).to_string()
}

async fn launch(folder: &Path, sets: &serde_json::Value) -> Proxy {
    let configuration = json!({
        "inbounds": [{"type": "mixed", "listen": "127.0.0.1", "listen_port": 0}],
        "outbounds": [{"type": "direct", "tag": "direct"}, {"type": "block", "tag": "no"}],
        "route": {
            "rule_set": sets,
            "rules": [{"rule_set": ["one", "two", "three"], "outbound": "no"}],
            "final": "direct",
        },
    });
    let name = folder.join("config.json").display().to_string();
    let source = Source::new(name, configuration.to_string()).unwrap();
    let loaded = load(&source, &Options::default(), &Assets::default());
    assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
    let ready = loaded.ready.unwrap();
    Proxy::launch(Workers::current(), ready).await.unwrap()
}

async fn until(proxy: &Proxy, seen: impl Fn(&[RuleSetReport]) -> bool) {
    let begin = Instant::now();
    while !seen(&proxy.rule_sets()) {
        assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", proxy.rule_sets());
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_change_together_the_good_one_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["one.json", "two.json"] {
        std::fs::write(path(name), set_of(&json!({"domain": ["a.example", "b.example"]}))).unwrap();
    }
    let proxy = launch(
        folder.path(),
        &json!([
            {"type": "local", "tag": "one", "path": "one.json"},
            {"type": "local", "tag": "two", "path": "two.json"},
            {"tag": "three", "rules": [{"ip_cidr": "10.0.0.0/8", "port": [80, 443]}]},
        ]),
    )
    .await;
    let reports = proxy.rule_sets();
    let short: Vec<_> = reports
        .iter()
        .map(|report| (report.tag.as_str(), report.kind, report.n_rules, report.n_entries, report.version))
        .collect();
    assert_eq!(
        short,
        [
            ("one", RuleSetKind::Local, 1, 2, 3),
            ("two", RuleSetKind::Local, 1, 2, 3),
            ("three", RuleSetKind::Inline, 1, 3, 5),
        ]
    );

    std::fs::write(path("one.json"), set_of(&json!({"domain_regex": "("}))).unwrap();
    std::fs::write(path("two.json"), set_of(&json!({"domain": "c.example"}))).unwrap();
    until(&proxy, |reports| reports[0].last_error.is_some() && reports[1].n_entries == 1).await;
    let reports = proxy.rule_sets();
    let error = reports[0].last_error.as_deref().unwrap();
    assert!(error.contains("regular expression `(`"), "{error}");
    assert_eq!((reports[0].n_entries, &reports[1].last_error), (2, &None));

    std::fs::write(path("one.json"), set_of(&json!({"domain_regex": "^x"}))).unwrap();
    until(&proxy, |reports| reports[0].n_entries == 1 && reports[0].last_error.is_none()).await;
    proxy.stop(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_that_cannot_be_fetched_says_why_and_when_it_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let refused = waypost_testkit::refused_address().await;
    let inline = |tag: &str| json!({"tag": tag, "rules": [{"domain": "a.example"}]});
    let remote = json!({"type": "remote", "tag": "three", "url": format!("http://{refused}/set.srs")});
    let proxy = launch(folder.path(), &json!([inline("one"), inline("two"), remote])).await;
    until(&proxy, |reports| reports[2].last_error.is_some()).await;
    let report = proxy.rule_sets().pop().unwrap();
    assert_eq!((report.kind, report.n_rules, report.fetched_at), (RuleSetKind::Remote, 0, None));
    let error = report.last_error.unwrap();
    assert!(error.starts_with("the server cannot be reached: "), "{error}");
    assert!(report.next_update.is_some());
    proxy.stop(Duration::ZERO).await;
}
