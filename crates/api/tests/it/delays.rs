//! How long requests through outbounds take.

use serde_json::Value;
use waypost_testkit::Behaviour;

use crate::world::{World, configuration};

async fn history(world: &World, name: &str) -> Vec<Value> {
    world.get(&format!("/proxies/{name}")).json().await["history"].as_array().unwrap().clone()
}

/// How often the origin was asked what only a client asks for.
fn asked(world: &World) -> usize {
    world.origin.heads().iter().filter(|head| head.starts_with("HEAD /generate_204 HTTP/1.1")).count()
}

#[tokio::test]
async fn a_request_through_an_outbound_is_timed_and_filed() {
    let world = World::start().await;
    for path in ["/proxies/n2/delay", "/providers/proxies/default/n2/healthcheck"] {
        let before = asked(&world);
        let answer = world.get(&format!("{path}?timeout=5000&url={}", world.url())).json().await;
        assert!(answer["delay"].as_u64().unwrap() >= 1);
        assert_eq!(asked(&world), before + 1);
    }
    assert!(!world.nodes[2].seen().is_empty(), "they went through the outbound");
    let filed = history(&world, "n2").await;
    assert!(filed.len() >= 2);
    assert!(filed[1]["delay"].as_u64().unwrap() >= 1 && filed[1]["time"].as_str().unwrap().ends_with('Z'));
    let expecting =
        |codes: &str| format!("/proxies/n2/delay?timeout=5000&expected={codes}&url={}", world.url());
    assert_eq!(world.get(&expecting("200-299")).status().await, 200);
    let other = world.get(&expecting("204")).send().await;
    assert_eq!((other.status, &*other.message()), (503, "An error occurred in the delay test"));
}

#[tokio::test]
async fn a_group_runs_its_own_test_and_the_member_that_serves_is_told() {
    let world = World::start().await;
    let answer = world.get("/proxies/lb/delay?timeout=5000").json().await;
    assert!(answer["delay"].as_u64().unwrap() >= 1);
    assert!(world.origin.heads().iter().any(|head| head.starts_with("HEAD /probe ")), "its own URL");
    for node in ["n0", "n1", "n2"] {
        assert!(!history(&world, node).await.is_empty(), "{node}");
    }
    let delays = world.get("/group/fast/delay?timeout=5000").json().await;
    let known: Vec<&String> = delays.as_object().unwrap().keys().collect();
    assert_eq!(known, ["n0", "n1"]);
    assert!(delays["n0"].as_u64().unwrap() >= 1);
    // A selector has no test of its own, and takes the URL that is given.
    let picked = world.get(&format!("/group/pick/delay?timeout=5000&url={}", world.url())).json().await;
    assert_eq!(picked.as_object().unwrap().len(), 3);
    let fast = world.get("/proxies/fast").json().await;
    assert!(["n0", "n1"].contains(&fast["now"].as_str().unwrap()));
    assert!(!fast["history"].as_array().unwrap().is_empty(), "that of the member that serves");
}

#[tokio::test]
async fn global_is_what_takes_what_no_rule_matches() {
    let world = World::start().await;
    let answer = world.get("/proxies/GLOBAL/delay?timeout=5000").json().await;
    assert!(answer["delay"].as_u64().unwrap() >= 1);
    let of_lb = world.get("/group/GLOBAL/delay?timeout=5000").json().await;
    assert_eq!(of_lb.as_object().unwrap().keys().collect::<Vec<_>>(), ["n0", "n1", "n2"]);
    assert_eq!(world.get("/group/GLOBAL/delay?timeout=x").status().await, 400);

    // An outbound, without a group.
    let world = World::of(&|nodes, origin| {
        let mut config = configuration(nodes, origin);
        config["route"]["final"] = "n1".into();
        config
    })
    .await;
    for path in ["/proxies/GLOBAL/delay", "/group/GLOBAL/delay"] {
        let answer = world.get(&format!("{path}?timeout=5000&url={}", world.url())).json().await;
        let key = if path.starts_with("/group") { "n1" } else { "delay" };
        assert!(answer[key].as_u64().unwrap() >= 1, "{path}: {answer}");
    }
    assert_eq!(asked(&world), 2);
    world.nodes[1].set_behaviour(Behaviour::Close);
    assert_eq!(world.get("/group/GLOBAL/delay?timeout=5000").status().await, 504);
}

#[tokio::test]
async fn members_that_do_not_answer_are_told_apart_from_those_that_do() {
    let world = World::start().await;
    world.nodes[0].set_behaviour(Behaviour::HangAfterAccept);
    world.nodes[1].set_behaviour(Behaviour::Refuse(1));
    let one = |name: &str| world.get(&format!("/proxies/{name}/delay?timeout=300&url={}", world.url()));
    let late = one("n0").send().await;
    assert_eq!((late.status, &*late.message()), (504, "Timeout"));
    let refused = one("n1").send().await;
    assert_eq!((refused.status, &*refused.message()), (503, "An error occurred in the delay test"));
    assert_eq!(history(&world, "n0").await.last().unwrap()["delay"], 0);
    assert_eq!(world.get("/proxies/n0").json().await["alive"], false);
    let nobody = world.get("/group/fast/delay?timeout=300").send().await;
    assert_eq!((nobody.status, &*nobody.message()), (504, "get delay: all proxies timeout"));
    assert_eq!(one("fast").status().await, 504);
    let some = world.get("/group/lb/delay?timeout=300").json().await;
    assert_eq!(some.as_object().unwrap().keys().collect::<Vec<_>>(), ["n2"]);
}

#[tokio::test]
async fn what_is_asked_is_checked_first() {
    let world = World::start().await;
    let url = world.url();
    for name in ["proxies/n0", "providers/proxies/default/n0"] {
        let last = if name.starts_with("proxies") { "delay" } else { "healthcheck" };
        for arguments in [
            "",
            "timeout=",
            "timeout=x",
            "timeout=32768",
            "timeout=-1",
            "timeout=0",
            "timeout=1.5",
            "timeout=%201",
            "timeout=99999999999999999999",
            "timeout=500&expected=x",
            "timeout=500&expected=99",
        ] {
            let reply = world.get(&format!("/{name}/{last}?url={url}&{arguments}")).send().await;
            assert_eq!((reply.status, &*reply.message()), (400, "Body invalid"), "{name} {arguments}");
        }
        for wrong in
            ["ftp%3A%2F%2Fx%2F", "x", "http%3A%2F%2F", "http%3A%2F%2Fa%3Ab%40x%2F", "http%3A%2F%2Fx%2F%0D%0A"]
        {
            let reply = world.get(&format!("/{name}/{last}?timeout=500&url={wrong}")).send().await;
            assert!(reply.status == 400 && reply.message().starts_with("url: "), "{wrong}: {}", reply.text());
        }
    }
    for arguments in ["", "timeout=2147483648", "timeout=x"] {
        assert_eq!(world.get(&format!("/group/lb/delay?{arguments}")).status().await, 400, "{arguments}");
    }
    for path in
        ["/proxies/none/delay", "/group/none/delay", "/group/n0/delay", "/proxies/none/delay?timeout=x"]
    {
        assert_eq!(world.get(path).status().await, 404, "{path}");
    }
    let block = world.get("/proxies/block/delay?timeout=500").send().await;
    assert_eq!(block.status, 503);
    assert_eq!(asked(&world), 0, "nothing was dialled");
}

#[tokio::test]
async fn a_check_of_the_provider_asks_through_everybody() {
    let world = World::start().await;
    world.nodes[1].set_behaviour(Behaviour::Close);
    assert_eq!(world.get("/providers/proxies/default/healthcheck").status().await, 204);
    for (name, works) in [("n0", true), ("n1", false), ("n2", true), ("direct", true)] {
        let filed = history(&world, name).await;
        assert_eq!(filed.last().unwrap()["delay"].as_u64().unwrap() > 0, works, "{name}");
    }
    assert!(history(&world, "block").await.is_empty());
}
