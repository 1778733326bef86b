//! Outbounds, groups, providers and rules.

use serde_json::{Value, json};

use crate::world::World;

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect()
}

#[tokio::test]
async fn every_outbound_and_group_is_a_proxy() {
    let world = World::start().await;
    world.settle().await;
    let proxies = world.get("/proxies").json().await["proxies"].clone();
    let kinds: Vec<(String, String)> = proxies
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, proxy)| (name.clone(), proxy["type"].as_str().unwrap().to_owned()))
        .collect();
    let kinds: Vec<(&str, &str)> = kinds.iter().map(|(name, kind)| (name.as_str(), kind.as_str())).collect();
    let expected = [
        ("GLOBAL", "Fallback"),
        ("block", "Reject"),
        ("direct", "Direct"),
        ("fast", "URLTest"),
        ("lb", "LoadBalance"),
        ("n0", "Socks5"),
        ("n1", "Socks5"),
        ("n2", "Socks5"),
        ("pick", "Selector"),
    ];
    assert_eq!(kinds, expected);
    for (name, proxy) in proxies.as_object().unwrap() {
        assert_eq!(proxy["name"], **name);
        assert!(proxy["history"].is_array() && proxy["udp"].is_boolean() && proxy["alive"].is_boolean());
        let is_group = ["GLOBAL", "fast", "lb", "pick"].contains(&name.as_str());
        assert_eq!((proxy["all"].is_array(), proxy["now"].is_string()), (is_group, is_group), "{name}");
        assert_eq!(*proxy, world.get(&format!("/proxies/{name}")).json().await);
    }
    assert_eq!(names(&proxies["GLOBAL"]["all"]), ["lb", "pick", "fast", "n0", "n1", "n2"]);
    assert_eq!(proxies["GLOBAL"]["now"], "lb");
    assert_eq!(names(&proxies["pick"]["all"]), ["n0", "n1", "direct"]);
    let lb = &proxies["lb"];
    assert_eq!(
        (&lb["now"], &lb["tier"], &lb["strategy"]),
        (&json!(""), &json!("primary"), &json!("round_robin"))
    );
    assert_eq!((names(&lb["all"]), names(&lb["candidates"])), (vec!["n0", "n1", "n2"], vec!["n0", "n1"]));
    assert_eq!((&lb["ejected"], &lb["attempts"]), (&json!([]), &json!(0)));
    assert_eq!(lb["testUrl"], format!("http://{}/probe", world.origin.address));
}

#[tokio::test]
async fn groups_are_listed_and_nothing_else_is_one() {
    let world = World::start().await;
    let groups = world.get("/group").json().await;
    let listed: Vec<&str> =
        groups["proxies"].as_array().unwrap().iter().map(|group| group["name"].as_str().unwrap()).collect();
    assert_eq!(listed, ["pick", "fast", "lb"]);
    assert_eq!(world.get("/group/lb").json().await["type"], "LoadBalance");
    for path in ["/group/n0", "/group/none", "/proxies/none"] {
        let reply = world.get(path).send().await;
        assert_eq!((reply.status, &*reply.message()), (404, "Resource not found"), "{path}");
    }
}

#[tokio::test]
async fn a_member_is_chosen_and_the_choice_taken_back() {
    let world = World::start().await;
    let now = async || world.get("/proxies/pick").json().await["now"].clone();
    assert_eq!(now().await, "n0");
    assert_eq!(world.ask("PUT", "/proxies/pick").body(r#"{"name":"n1"}"#).status().await, 204);
    assert_eq!(now().await, "n1");
    for (path, body, status, message) in [
        ("/proxies/pick", r#"{"name":"nope"}"#, 400, "Selector update error: not found"),
        ("/proxies/pick", r#"{"name":"n2"}"#, 400, "Selector update error: not found"),
        ("/proxies/pick", r#"{"name":7}"#, 400, "Body invalid"),
        ("/proxies/pick", "{}", 400, "Body invalid"),
        ("/proxies/pick", r#"["n0"]"#, 400, "Body invalid"),
        ("/proxies/pick", "", 400, "Body invalid"),
        ("/proxies/pick", "\u{feff}{}", 400, "Body invalid"),
        ("/proxies/n0", r#"{"name":"n1"}"#, 400, "Must be a Selector"),
        ("/proxies/GLOBAL", r#"{"name":"n1"}"#, 400, "Must be a Selector"),
        ("/proxies/none", r#"{"name":"n1"}"#, 404, "Resource not found"),
        ("/proxies/none", "{", 404, "Resource not found"),
    ] {
        let reply = world.ask("PUT", path).body(body).send().await;
        assert_eq!((reply.status, &*reply.message()), (status, message), "{path} {body}");
    }
    let invalid = world.ask("PUT", "/proxies/pick").body(b"{\"name\":\"\xff\"}").send().await;
    assert_eq!((invalid.status, &*invalid.message()), (400, "Body invalid"));
    assert_eq!(now().await, "n1", "nothing changed");
    assert_eq!(world.ask("DELETE", "/proxies/pick").status().await, 204);
    assert_eq!(now().await, "n0");
    assert_eq!(world.ask("DELETE", "/proxies/n0").status().await, 400);
    assert_eq!(world.ask("DELETE", "/proxies/none").status().await, 404);
}

#[tokio::test]
async fn the_default_provider_has_all_members() {
    let world = World::start().await;
    let providers = world.get("/providers/proxies").json().await["providers"].clone();
    assert_eq!(providers.as_object().unwrap().len(), 1);
    let provider = &providers["default"];
    assert_eq!((&provider["type"], &provider["vehicleType"]), (&json!("Proxy"), &json!("Compatible")));
    let proxies: Vec<&str> =
        provider["proxies"].as_array().unwrap().iter().map(|proxy| proxy["name"].as_str().unwrap()).collect();
    assert_eq!(proxies, ["pick", "fast", "lb", "direct", "block", "n0", "n1", "n2"]);
    assert_eq!(world.get("/providers/proxies/default").json().await["name"], "default");
    assert_eq!(world.get("/providers/proxies/default/n1").json().await["type"], "Socks5");
    assert_eq!(world.ask("PUT", "/providers/proxies/default").status().await, 204);
    for path in ["x", "default/none", "x/n0", "x/healthcheck", "x/n0/healthcheck?timeout=1"] {
        assert_eq!(world.get(&format!("/providers/proxies/{path}")).status().await, 404, "{path}");
    }
    assert_eq!(world.ask("PUT", "/providers/proxies/x").status().await, 404);
}

#[tokio::test]
async fn rule_sets_are_providers_of_rules() {
    let world = World::start().await;
    let sets = world.get("/providers/rules").json().await;
    let set = &sets["providers"]["listed"];
    assert_eq!((&set["vehicleType"], &set["ruleCount"]), (&json!("Inline"), &json!(1)));
    assert_eq!((&set["entryCount"], &set["error"]), (&json!(1), &Value::Null));
    assert_eq!(world.ask("PUT", "/providers/rules/none").status().await, 404);
    assert_eq!(world.ask("PUT", "/providers/rules/listed").status().await, 204);
}

#[tokio::test]
async fn rules_are_listed_with_their_hits() {
    let world = World::start().await;
    let mut tunnel = world.tunnel("127.0.0.1").await;
    world.echo_through(&mut tunnel, 1).await;
    let rules = world.get("/rules").json().await["rules"].clone();
    let shown: Vec<Value> = rules
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| json!([rule["type"], rule["payload"], rule["proxy"], rule["hits"], rule["index"]]))
        .collect();
    assert_eq!(
        Value::from(shown),
        json!([
            ["default", "clash_mode=Direct", "route(direct)", 0, 0],
            ["default", "domain_suffix=.pick", "route(pick)", 0, 1],
            ["default", "ip_cidr=127.0.0.0/8 port=1", "reject", 0, 2],
            ["default", "ip_cidr=127.0.0.0/8", "route(pick)", 1, 3],
            ["logical", "rule_set=listed", "route(fast)", 0, 4],
            ["final", "", "route(lb)", 0, 5],
        ])
    );
    assert!(rules[0]["line"].is_u64() && rules[0]["size"] == -1 && rules[5]["line"].is_null());
}
