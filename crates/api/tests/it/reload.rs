//! Another configuration by the interface.

use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::world::{World, configuration};

async fn put(world: &World, body: &Value) -> (u16, String) {
    let reply = world.ask("PUT", "/configs?force=true").body(body.to_string()).send().await;
    let message = if reply.status == 204 { String::new() } else { reply.message() };
    (reply.status, message)
}

fn changed(world: &World) -> Value {
    let mut config = configuration(&world.nodes, world.origin.address);
    config["route"]["final"] = "n2".into();
    config
}

#[tokio::test]
async fn the_files_are_read_again_and_what_is_the_same_changes_nothing() {
    let world = World::start().await;
    for body in [json!({}), json!({"path": "", "payload": ""}), json!({"path": null})] {
        assert_eq!(put(&world, &body).await, (204, String::new()), "{body}");
    }
    assert_eq!(world.ask("PUT", "/configs").status().await, 204);
    let before = world.control.generation();
    let mut tunnel = world.tunnel("127.0.0.1").await;
    std::fs::write(world.path("config.json"), changed(&world).to_string()).unwrap();
    assert_eq!(put(&world, &json!({})).await, (204, String::new()));
    assert_eq!(world.control.generation(), before + 1);
    assert_eq!(world.get("/proxies/GLOBAL").json().await["now"], "n2");
    world.echo_through(&mut tunnel, 10).await;
}

#[tokio::test]
async fn a_file_of_the_data_folder_or_a_text_is_taken() {
    let world = World::start().await;
    std::fs::create_dir(world.path("more")).unwrap();
    std::fs::write(world.path("more/other.json"), changed(&world).to_string()).unwrap();
    assert_eq!(put(&world, &json!({"path": "more/other.json"})).await, (204, String::new()));
    assert_eq!(world.get("/proxies/GLOBAL").json().await["now"], "n2");
    let text = configuration(&world.nodes, world.origin.address).to_string();
    assert_eq!(put(&world, &json!({"payload": text})).await, (204, String::new()));
    assert_eq!(world.get("/proxies/GLOBAL").json().await["now"], "lb");
    let absolute = world.path("more/other.json");
    assert_eq!(put(&world, &json!({"path": absolute})).await, (204, String::new()));
    assert_eq!(world.get("/proxies/GLOBAL").json().await["now"], "n2");
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_everything_is_told() {
    let world = World::start().await;
    let before = world.get("/rules").json().await;
    let mut config = changed(&world);
    config["route"]["final"] = "nobody".into();
    config["route"]["rules"][0]["outbound"] = "no one".into();
    let body = json!({"payload": config.to_string()}).to_string();
    let reply = world.ask("PUT", "/configs").body(body).send().await;
    let answer = reply.json();
    assert_eq!(reply.status, 400);
    let message = answer["message"].as_str().unwrap();
    assert!(message.contains("nobody") && message.contains("no one"), "{message}");
    assert!(answer["diagnostics"].to_string().contains("nobody"), "{answer}");
    for payload in ["{", "\u{0}", "[]", "vmess://"] {
        assert_eq!(put(&world, &json!({"payload": payload})).await.0, 400, "{payload}");
    }
    for body in ["{", "[1]", "[null, null]", "7", r#"{"path": 7}"#, "\"x\""] {
        let reply = world.ask("PUT", "/configs").body(body).send().await;
        assert_eq!((reply.status, &*reply.message()), (400, "Body invalid"), "{body}");
    }
    assert_eq!(world.control.generation(), 1);
    assert_eq!(world.get("/rules").json().await, before);
}

#[tokio::test]
async fn no_file_outside_of_the_data_folder_is_read() {
    let outside = tempfile::tempdir().unwrap();
    let world = World::start().await;
    let good = changed(&world).to_string();
    std::fs::write(outside.path().join("good.json"), good).unwrap();
    symlink(outside.path().join("good.json"), world.path("link.json")).unwrap();
    symlink(outside.path(), world.path("up")).unwrap();
    let name = outside.path().file_name().unwrap().to_str().unwrap();
    for path in [
        outside.path().join("good.json").to_str().unwrap(),
        &format!("../{name}/good.json"),
        "link.json",
        "up/good.json",
        "/etc/passwd",
        "..",
        ".",
        "none.json",
        "config.json/..",
        "config.json\u{0}",
    ] {
        let expected = (400, "path: there is no such file in the data folder".to_owned());
        assert_eq!(put(&world, &json!({"path": path})).await, expected, "{path}");
    }
    assert_eq!(world.control.generation(), 1);
}

#[tokio::test]
async fn a_program_that_cannot_reload_says_so() {
    let world = World::with(&|settings| settings.reading = None).await;
    let expected = (400, "this program cannot be given another configuration".to_owned());
    assert_eq!(put(&world, &json!({})).await, expected);
}
