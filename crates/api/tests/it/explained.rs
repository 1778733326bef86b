//! What would become of a connection.

use serde_json::{Value, json};

use crate::world::World;

async fn explain(world: &World, asked: Value) -> Value {
    world.ask("POST", "/waypost/explain").body(asked.to_string()).json().await
}

#[tokio::test]
async fn every_condition_has_its_verdict() {
    let world = World::start().await;
    let explained = explain(&world, json!({"target": "a.pick:443"})).await;
    assert_eq!((&explained["network"], &explained["target"]), (&json!("tcp"), &json!("a.pick:443")));
    assert!(explained["rule"].as_str().unwrap().starts_with("rule 2 (line"), "{explained}");
    let rules = explained["rules"].as_array().unwrap();
    let verdict = |rule: usize| &rules[rule]["conditions"][0]["verdict"];
    assert_eq!((verdict(0), verdict(1)), (&json!("fails"), &json!("holds")));
    assert_eq!(explained["outbounds"][0]["outbound"], "n0");
    assert_eq!(explained["group"]["tag"], "pick");
    assert!(explained["text"].as_str().unwrap().contains("decided by rule 2"));
    let whole = json!({
        "target": "[2001:db8::1]:53", "network": "udp", "source": "192.0.2.9:1234", "inbound": "in", "user": "u",
        "protocol": "dns",
    });
    assert_eq!(explain(&world, whole).await["network"], "udp");
    assert_eq!(explain(&world, json!({"target": "x:1", "source": "::1"})).await["group"]["tag"], "lb");
    let is_probe = |seen: &waypost_testkit::Seen| seen.target.to_string() == world.origin.address.to_string();
    assert!(world.nodes.iter().all(|node| node.seen().iter().all(is_probe)), "nothing was dialled");
}

#[tokio::test]
async fn what_is_known_of_members_is_used() {
    let world = World::start().await;
    world.control.select("pick", "n1").await.unwrap();
    assert_eq!(explain(&world, json!({"target": "a.pick:443"})).await["outbounds"][0]["outbound"], "n1");
    world.control.set_mode("Direct").await.unwrap();
    assert_eq!(explain(&world, json!({"target": "a.pick:443"})).await["outbounds"][0]["outbound"], "direct");
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused() {
    let world = World::start().await;
    for (body, begin) in [
        ("", "Body invalid"),
        ("{}", "Body invalid"),
        (r#"{"target": 7}"#, "Body invalid"),
        (r#"{"target": "a:1", "color": "red"}"#, "Body invalid"),
        (r#"{"target": "a"}"#, "target: "),
        (r#"{"target": ":1"}"#, "target: "),
        (r#"{"target": "a:99999"}"#, "target: "),
        (r#"{"target": "a:1", "network": "icmp"}"#, "network: "),
        (r#"{"target": "a:1", "source": "home"}"#, "source: "),
    ] {
        let reply = world.ask("POST", "/waypost/explain").body(body).send().await;
        assert!(reply.status == 400 && reply.message().starts_with(begin), "{body}: {}", reply.text());
    }
    assert_eq!(world.get("/waypost/explain").status().await, 405);
    let nested = format!(r#"{{"target": {}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(world.ask("POST", "/waypost/explain").body(nested).status().await, 400);
}
