//! Files of V2Ray, where outbounds and inbounds may do without a tag and balancers are no outbounds.

use std::net::SocketAddr;

use serde_json::{Value, json};
use waypost_testkit::Socks5Node;

use crate::world::{World, until};

const UNTAGGED: &str = "(untagged)";

fn configuration(nodes: &[Socks5Node], _: SocketAddr) -> Value {
    let servers: Vec<Value> = nodes
        .iter()
        .map(|node| json!({"servers": [{"address": node.address.ip(), "port": node.address.port()}]}))
        .collect();
    json!({
        "inbounds": [{"protocol": "socks", "listen": "127.0.0.1", "port": 0}],
        "outbounds": [
            {"protocol": "freedom"},
            {"protocol": "socks", "tag": "n0", "settings": servers[0]},
            {"protocol": "socks", "tag": "n1", "settings": servers[1]},
        ],
        "routing": {
            "balancers": [{"tag": "spread", "selector": ["n"]}],
            "rules": [
                {"type": "field", "domain": ["full:a.example"], "balancerTag": "spread"},
                {"type": "field", "domain": ["full:b.example"], "outboundTag": "n1"},
            ],
        },
    })
}

#[tokio::test]
async fn what_has_no_tag_has_a_name_all_the_same() {
    let world = World::of(&configuration).await;
    let proxies = world.get("/proxies").json().await["proxies"].clone();
    let names: Vec<&String> = proxies.as_object().unwrap().keys().collect();
    assert_eq!(names, [UNTAGGED, "GLOBAL", "n0", "n1", "spread"]);
    assert_eq!(
        (&proxies[UNTAGGED]["type"], &proxies["spread"]["type"]),
        (&json!("Direct"), &json!("LoadBalance"))
    );
    assert_eq!((&proxies["GLOBAL"]["now"], &proxies["spread"]["now"]), (&json!(UNTAGGED), &json!("")));
    assert_eq!(proxies["spread"]["all"], json!(["n0", "n1"]));
    let rules = world.get("/rules").json().await["rules"].clone();
    let ways: Vec<&str> =
        rules.as_array().unwrap().iter().map(|rule| rule["proxy"].as_str().unwrap()).collect();
    assert_eq!(ways, ["route(spread)", "route(n1)", "route((untagged))"]);

    let mut tunnel = world.tunnel("127.0.0.1").await;
    world.echo_through(&mut tunnel, 100).await;
    until(async || world.get("/connections").json().await["downloadTotal"] == 100).await;
    let shown = world.get("/connections").json().await["connections"][0].clone();
    assert_eq!(shown["chains"], json!([UNTAGGED]));
    assert_eq!(
        (&shown["metadata"]["type"], &shown["metadata"]["inboundName"]),
        (&json!("inbound"), &json!(""))
    );
    let live = world.get("/waypost/live").json().await;
    assert_eq!((&live["default"]["to"], &live["inbounds"][0]["tag"]), (&json!(UNTAGGED), &json!(UNTAGGED)));
    assert_eq!(live["inbounds"][0]["connections"], 1);
    let text = world.get("/metrics").send().await.text();
    assert!(text.contains("waypost_outbound_connections{outbound=\"(untagged)\"}"), "{text}");
}

#[tokio::test]
async fn a_balancer_has_a_target_that_somebody_chose() {
    let world = World::of(&configuration).await;
    let show = async || world.get("/proxies/spread").json().await;
    let reply = world.ask("PUT", "/proxies/spread").body(r#"{"name": "n1"}"#).send().await;
    assert_eq!(reply.status, 204, "{}", reply.text());
    assert_eq!((&show().await["now"], &show().await["fixed"]), (&json!("n1"), &json!("n1")));
    let asked = world.ask("POST", "/waypost/explain").body(r#"{"target": "a.example:443"}"#);
    assert_eq!(asked.json().await["outbounds"][0]["outbound"], "n1");
    assert_eq!(world.ask("DELETE", "/proxies/spread").status().await, 204);
    assert_eq!((&show().await["now"], &show().await["fixed"]), (&json!(""), &json!("")));
}

#[tokio::test]
async fn a_file_without_modes_has_one() {
    let world = World::of(&configuration).await;
    let configs = world.get("/configs").json().await;
    assert_eq!((&configs["mode"], &configs["mode-list"]), (&json!("Rule"), &json!(["Rule"])));
    let port = world.proxy.addresses()[0].address.ip().unwrap().port();
    assert_eq!(configs["socks-port"], port);
    assert_eq!(world.ask("PATCH", "/configs").body(r#"{"mode": "rule"}"#).status().await, 204);
    assert_eq!(world.ask("PATCH", "/configs").body(r#"{"mode": "Global"}"#).status().await, 400);
}
