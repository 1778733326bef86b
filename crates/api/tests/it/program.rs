//! What the program says of itself, and what may be set.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::json;
use waypost_api::{LevelControl, LogFeed};
use waypost_config::model::LogLevel;

use crate::{client::Asking, world::World};

#[tokio::test]
async fn it_says_who_it_is() {
    let world = World::start().await;
    assert_eq!(world.get("/").json().await, json!({"hello": "clash"}));
    let version = format!("waypost {}", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        world.get("/version").json().await,
        json!({"version": version, "premium": true, "meta": true})
    );
}

#[tokio::test]
async fn configs_have_what_dashboards_read() {
    let world = World::start().await;
    let configs = world.get("/configs").json().await;
    let port = world.proxy.addresses()[0].address.ip().unwrap().port();
    assert_eq!(
        configs,
        json!({
            "port": 0, "socks-port": 0, "redir-port": 0, "tproxy-port": 0, "mixed-port": port, "allow-lan": false,
            "bind-address": "*", "mode": "Rule", "mode-list": ["Rule", "Direct"], "modes": ["Rule", "Direct"],
            "log-level": "info", "ipv6": true, "tun": null,
        })
    );
}

#[tokio::test]
async fn the_mode_and_the_level_of_the_log_can_be_changed() {
    let level = Arc::new(AtomicUsize::new(0));
    let set = level.clone();
    let control = LevelControl::new(LogLevel::Info, move |_| {
        set.fetch_add(1, Ordering::Relaxed);
        true
    });
    let world = World::with_feed(LogFeed::new().with_level(control), &|_| {}).await;
    let patch = |body: &str| world.ask("PATCH", "/configs").body(body);
    assert_eq!(patch(r#"{"mode": "dIRECT", "log-level": "debug"}"#).status().await, 204);
    let configs = world.get("/configs").json().await;
    assert_eq!((&configs["mode"], &configs["log-level"]), (&json!("Direct"), &json!("debug")));
    assert_eq!(level.load(Ordering::Relaxed), 1);
    assert_eq!(patch("{}").status().await, 204);

    for (body, message) in [
        ("", "Body invalid"),
        ("{", "Body invalid"),
        ("[]", "Body invalid"),
        ("7", "Body invalid"),
        (r#"{"mode": 1}"#, "Body invalid"),
        (r#"{"log-level": "loud"}"#, "Body invalid"),
        (r#"{"mode": "Script"}"#, "there is no such mode; there are Rule, Direct"),
        (r#"{"mode": "Rule", "tun": {"enable": true}}"#, "`tun` cannot be changed while running"),
        (r#"{"log-level": "error", "mode": "Script"}"#, "there is no such mode; there are Rule, Direct"),
    ] {
        let reply = patch(body).send().await;
        assert_eq!((reply.status, &*reply.message()), (400, message), "{body}");
    }
    assert_eq!(world.get("/configs").json().await, configs, "nothing changed");
    assert_eq!(level.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_log_whose_level_is_fixed_says_so() {
    let world = World::start().await;
    let reply = world.ask("PATCH", "/configs").body(r#"{"log-level": "debug"}"#).send().await;
    assert_eq!((reply.status, &*reply.message()), (400, "the level of this log cannot be changed"));
}

#[tokio::test]
async fn what_it_does_not_do_is_said() {
    let world = World::start().await;
    let post = |path: &str| world.ask("POST", path);
    let page = post("/upgrade/ui").send().await;
    assert_eq!((page.status, &*page.message()), (404, "external UI not enabled"));
    let restart = post("/restart").send().await;
    assert!(restart.status == 403 && restart.message().contains("does not restart itself"));
    for path in ["/upgrade", "/storage/zashboard", "/configs/geo", "/debug/gc", "/profile/tracing", "/script"]
    {
        let reply = post(path).send().await;
        assert_eq!((reply.status, &*reply.message()), (404, "Resource not found"), "{path}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let world = World::with(&|settings| settings.external_ui = Some(path.clone())).await;
    let page = world.ask("POST", "/upgrade/ui").send().await;
    assert!(page.status == 403 && page.message().contains("pages are not fetched"));
}

#[tokio::test]
async fn names_are_looked_up() {
    let world = World::start().await;
    let query = |arguments: &str| world.get(&format!("/dns/query?{arguments}"));
    let answer = query("name=name.test&type=A").json().await;
    assert_eq!(answer["Status"], 0, "{answer}");
    assert_eq!(answer["Question"], json!([{"Name": "name.test.", "Qtype": 1, "Qclass": 1}]));
    let record = &answer["Answer"][0];
    assert_eq!((&record["type"], &record["data"]), (&json!(1), &json!("192.0.2.7")));
    assert!(record["TTL"].is_u64() && answer["Server"] == "internal" && answer["RD"] == true);
    assert_eq!(query("name=name.test").json().await["Answer"][0]["data"], "192.0.2.7");
    for (arguments, message) in [
        ("", "invalid name"),
        ("type=A", "invalid name"),
        ("name=", "invalid name"),
        ("name=a..b", "invalid name"),
        ("name=name.test&type=BANANA", "invalid query type"),
    ] {
        let reply = query(arguments).send().await;
        assert_eq!((reply.status, &*reply.message()), (400, message), "{arguments}");
    }
    assert_eq!(world.ask("POST", "/cache/dns/flush").status().await, 204);
    assert_eq!(world.ask("POST", "/cache/fakeip/flush").status().await, 204);
}

#[tokio::test]
async fn errors_are_json_whatever_is_asked() {
    let world = World::start().await;
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        let reply = Asking::new(world.api, method, "/no/such/thing").send().await;
        assert_eq!((reply.status, &*reply.message()), (404, "Resource not found"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
    }
    let reply = world.ask("DELETE", "/version").send().await;
    assert_eq!((reply.status, &*reply.message()), (405, "Method not allowed"));
    assert_eq!(reply.header("allow"), Some("GET,HEAD"));
}
