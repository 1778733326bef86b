//! Figures for Prometheus.

use std::collections::BTreeSet;

use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn everything_that_is_counted_is_told() {
    let world = World::start().await;
    let mut tunnel = world.tunnel("127.0.0.1").await;
    world.echo_through(&mut tunnel, 1000).await;
    assert_eq!(world.get(&format!("/proxies/n2/delay?timeout=5000&url={}", world.url())).status().await, 200);
    let reply = world.get("/metrics").send().await;
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!((reply.status, reply.header("content-type")), (200, Some(content_type)));
    let text = reply.text();
    assert!(text.ends_with("# EOF\n"));
    let lines: BTreeSet<&str> = text.lines().collect();
    let rule = lines.iter().find(|line| line.starts_with("waypost_rule_hits_total{rule=\"rule 4 ")).unwrap();
    assert!(rule.ends_with(",action=\"route(pick)\"} 1"), "{rule}");
    for line in [
        concat!("waypost_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        "waypost_connections 1",
        "waypost_connections_entered_total 1",
        "waypost_bytes_total{direction=\"up\"} 1000",
        "waypost_inbound_bytes_total{inbound=\"in\",direction=\"down\"} 1000",
        "waypost_outbound_bytes_total{outbound=\"n0\",direction=\"up\"} 1000",
        "waypost_dial_attempts_total{outbound=\"n0\",outcome=\"carried\"} 1",
        "waypost_dial_attempts_total{outbound=\"n1\",outcome=\"failed\"} 0",
        "waypost_outbound_connections{outbound=\"n0\"} 1",
        "waypost_member_state{group=\"lb\",member=\"n2\",state=\"down\"} 0",
        "waypost_group_backup{group=\"lb\"} 0",
        "waypost_rule_hits_total{rule=\"final\",action=\"route\"} 0",
        "waypost_probe_failures_total{outbound=\"n2\"} 0",
        "waypost_reloads_total{result=\"taken\"} 0",
        "waypost_configuration_generation 1",
        "waypost_hedges_total 0",
        "waypost_replays_total 0",
        "waypost_rule_set_entries{rule_set=\"listed\"} 1",
    ] {
        assert!(lines.contains(line), "{line} is not in\n{text}");
    }
    let value = |begin: &str| {
        let found =
            lines.iter().find_map(|line| line.strip_prefix(begin)).unwrap_or_else(|| panic!("{begin}"));
        found.trim().parse::<u64>().unwrap()
    };
    // Groups ask as well.
    let n_delays = value("waypost_probe_delay_seconds_count{outbound=\"n2\"}");
    assert_eq!(value("waypost_probe_delay_seconds_bucket{le=\"+Inf\",outbound=\"n2\"}"), n_delays);
    assert!(n_delays >= 1);
    for begin in ["waypost_resident_memory_bytes ", "waypost_dns_lookups_total ", "waypost_uptime_seconds "] {
        assert!(lines.iter().any(|line| line.starts_with(begin)), "{begin}");
    }
    for state in ["unknown", "up", "suspect", "ejected", "down"] {
        let begin = format!("waypost_outbound_transitions_total{{outbound=\"n0\",state=\"{state}\"}} ");
        assert!(lines.iter().any(|line| line.starts_with(&begin)), "{begin}");
    }
    assert_eq!(world.stranger("GET", "/metrics").status().await, 401);
}

#[tokio::test]
async fn each_sample_is_of_a_family_that_was_described() {
    let world = World::start().await;
    let text = world.get("/metrics").send().await.text();
    let described: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    let helped = text.lines().filter(|line| line.starts_with("# HELP ")).count();
    assert_eq!(described.len(), helped, "a family is described once");
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let is_known = ["", "_total", "_info", "_sum", "_count", "_bucket"]
            .iter()
            .any(|end| name.strip_suffix(end).is_some_and(|name| described.contains(name)));
        assert!(is_known, "{line}");
        assert!(line.rsplit(' ').next().unwrap().parse::<f64>().is_ok(), "{line}");
    }
}

#[tokio::test]
async fn outbounds_without_a_tag_and_rules_of_one_name_are_one_series() {
    let world = World::of(&|_, _| {
        json!({
            "inbounds": [{"protocol": "socks", "tag": "in", "listen": "127.0.0.1", "port": 0}],
            "outbounds": [{"protocol": "freedom"}, {"protocol": "blackhole"}, {"protocol": "freedom", "tag": "d"}],
            "routing": {"rules": [
                {"ruleTag": "local", "ip": ["192.0.2.1"], "outboundTag": "d"},
                {"ruleTag": "local", "ip": ["127.0.0.1"], "outboundTag": "d"},
            ]},
        })
    })
    .await;
    let mut tunnels = Vec::new();
    for _ in 0..2 {
        tunnels.push(world.tunnel("127.0.0.1").await);
    }
    let text = world.get("/metrics").send().await.text();
    let mut seen = BTreeSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, _) = line.rsplit_once(' ').unwrap();
        assert!(seen.insert(series), "twice: {line}");
    }
    assert!(seen.contains("waypost_outbound_connections{outbound=\"(untagged)\"}"), "{text}");
    assert!(text.contains("waypost_rule_hits_total{rule=\"local\",action=\"route(d)\"} 2\n"), "{text}");
}
