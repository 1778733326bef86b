//! Frames without end.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};
use tracing::{debug, info};
use tracing_subscriber::layer::SubscriberExt as _;
use waypost_api::LogFeed;

use crate::{
    client::{LIMIT, SECRET, frame, json_line, websocket},
    world::World,
};

#[tokio::test]
async fn traffic_is_told_each_interval() {
    let world = World::start().await;
    let path = format!("/traffic?token={SECRET}&interval=100");
    let mut socket = websocket(world.api, &path, &[]).await.unwrap();
    let mut lines = world.get("/traffic?interval=100").begin().await;
    let mut tunnel = world.tunnel("127.0.0.1").await;
    world.echo_through(&mut tunnel, 50_000).await;
    let mut has_rate = false;
    loop {
        let shown = frame(&mut socket).await.unwrap();
        has_rate |= shown["up"].as_u64().unwrap() > 0;
        if shown["upTotal"] == 50_000 && shown["downTotal"] == 50_000 {
            break;
        }
    }
    assert!(has_rate);
    while json_line(&mut lines).await.unwrap()["downTotal"] != 50_000 {}
    for query in ["interval=0", "interval=x"] {
        assert_eq!(world.get(&format!("/traffic?{query}")).status().await, 400);
    }
}

#[tokio::test]
async fn memory_is_told_at_once() {
    let world = World::start().await;
    let mut lines = world.get("/memory").begin().await;
    let shown = json_line(&mut lines).await.unwrap();
    assert!(shown["inuse"].as_u64().unwrap() > 0 && shown["oslimit"] == 0);
    let mut socket = websocket(world.api, &format!("/memory?token={SECRET}"), &[]).await.unwrap();
    assert!(frame(&mut socket).await.unwrap()["inuse"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn the_log_is_followed_by_its_level() {
    let feed = LogFeed::new();
    let _logging = tracing::subscriber::set_default(tracing_subscriber::registry().with(feed.layer()));
    let world = World::with_feed(feed, &|_| {}).await;
    let path = format!("/logs?token={SECRET}&level=debug");
    let mut all = websocket(world.api, &path, &[]).await.unwrap();
    let mut lines = world.get("/logs?level=info&format=structured").begin().await;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(LIMIT, lines.read_u8()).await.unwrap().unwrap());
    }
    debug!(target: "waypost::test", number = 1, "said quietly");
    info!(target: "waypost::test", number = 2, "said aloud");
    loop {
        let shown = frame(&mut all).await.unwrap();
        if shown["type"] == "debug" && shown["payload"] == "said quietly number=1" {
            break;
        }
    }
    loop {
        let shown = json_line(&mut lines).await.unwrap();
        assert_ne!(shown["level"], "debug");
        if shown["message"] == "said aloud" {
            assert_eq!(shown["fields"], serde_json::json!([{"key": "number", "value": "2"}]));
            assert!(shown["time"].as_str().unwrap().ends_with('Z'));
            break;
        }
    }
    for level in ["undefined", "loud", "INFO"] {
        let reply = world.get(&format!("/logs?level={level}")).send().await;
        assert_eq!((reply.status, &*reply.message()), (400, "Body invalid"), "{level}");
    }
}

#[tokio::test]
async fn no_secret_gets_into_the_log() {
    let feed = LogFeed::new();
    let _logging = tracing::subscriber::set_default(tracing_subscriber::registry().with(feed.layer()));
    let world = World::with_feed(feed, &|_| {}).await;
    let mut all = websocket(world.api, &format!("/logs?token={SECRET}&level=debug"), &[]).await.unwrap();
    assert_eq!(world.get("/configs?token=s3cret").status().await, 200);
    assert_eq!(world.get("/proxies/n0/delay?token=s3cret").status().await, 400);
    assert_eq!(
        world.stranger("GET", "/s3cret").header("Authorization", "Bearer s3cret!").status().await,
        401
    );
    assert_eq!(world.ask("PUT", "/configs").body(r#"{"payload":"{"}"#).status().await, 400);
    let broken = world.ask("POST", "/waypost/explain").header("Content-Length", "99");
    drop(broken.begin().await);
    info!(target: "waypost::test", "the end");
    loop {
        let shown = frame(&mut all).await.unwrap().to_string();
        assert!(!shown.contains("s3cret"), "{shown}");
        if shown.contains("the end") {
            break;
        }
    }
}

#[tokio::test]
async fn who_does_not_read_is_dropped_and_who_reads_is_not() {
    let feed = LogFeed::new();
    let _logging = tracing::subscriber::set_default(tracing_subscriber::registry().with(feed.layer()));
    let stall = Duration::from_millis(300);
    let world = World::with_feed(feed, &|settings| {
        settings.bounds.stall = stall;
        settings.bounds.connections = 3;
    })
    .await;
    let path = format!("/logs?token={SECRET}");
    let mut reading = websocket(world.api, &path, &[]).await.unwrap();
    let deaf_socket = websocket(world.api, &path, &[]).await.unwrap();
    let deaf_lines = world.get("/logs").begin().await;
    let long = "x".repeat(4000);
    // The two that do not read hold two of three places, until they are dropped.
    let waiting = world.get("/version");
    let mut answer = Box::pin(waiting.send());
    let answered = async {
        loop {
            for _ in 0..100 {
                info!(target: "waypost::test", long);
            }
            let read = async { while frame(&mut reading).await.is_some() {} };
            tokio::select! {
                reply = answer.as_mut() => return reply,
                () = read => panic!("the one that reads was dropped"),
                () = tokio::time::sleep(Duration::from_millis(5)) => {}
            }
        }
    };
    assert_eq!(timeout(LIMIT, answered).await.expect("a place in time").status, 200);
    drop((deaf_socket, deaf_lines));
}

#[tokio::test]
async fn streams_end_when_the_interface_stops() {
    let world = World::start().await;
    let mut socket = websocket(world.api, &format!("/memory?token={SECRET}"), &[]).await.unwrap();
    let mut lines = world.get("/traffic").begin().await;
    assert!(frame(&mut socket).await.is_some());
    let slow = world.get("/proxies/n0/delay?timeout=2000&url=http%3A%2F%2F192.0.2.1%2F");
    world.nodes[0].set_behaviour(waypost_testkit::Behaviour::HangAfterAccept);
    let mut answer = Box::pin(slow.send());
    assert!(timeout(Duration::from_millis(200), answer.as_mut()).await.is_err());
    world.stop.cancel();
    while frame(&mut socket).await.is_some() {}
    while json_line(&mut lines).await.is_some() {}
    assert_eq!(answer.await.status, 504, "what was asked before is answered");
    timeout(LIMIT, world.running).await.expect("an end in time").unwrap();
    assert!(tokio::net::TcpStream::connect(world.api).await.is_err());
}

#[tokio::test]
async fn those_who_want_the_same_are_sent_the_same_frames() {
    let world = World::start().await;
    let path = format!("/waypost/live?token={SECRET}&interval=100");
    let mut first = websocket(world.api, &path, &[]).await.unwrap();
    let mut second = websocket(world.api, &path, &[]).await.unwrap();
    let mut times = Vec::new();
    for _ in 0..6 {
        for socket in [&mut first, &mut second] {
            times.push(frame(socket).await.unwrap()["time"].as_str().unwrap().to_owned());
        }
    }
    let same = times.iter().filter(|time| times.iter().filter(|other| other == time).count() == 2).count();
    assert!(same >= 8, "{times:?}");
}

#[tokio::test]
async fn a_broken_handshake_is_refused() {
    let world = World::start().await;
    for path in ["/traffic", "/memory", "/logs", "/connections", "/waypost/live"] {
        let reply = world.get(path).header("Upgrade", "websocket").send().await;
        assert_eq!((reply.status, &*reply.message()), (400, "WebSocket handshake invalid"), "{path}");
    }
}

#[tokio::test]
async fn a_client_that_sends_much_over_a_websocket_is_left() {
    let world = World::start().await;
    let mut socket = websocket(world.api, &format!("/logs?token={SECRET}"), &[]).await.unwrap();
    // A frame of a mebibyte is announced.
    let announced = [0x82, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 0, 1, 2, 3, 4];
    socket.get_mut().write_all(&announced).await.unwrap();
    assert_eq!(frame(&mut socket).await, None);
}

#[tokio::test]
async fn the_whole_picture_is_told_once_and_again() {
    let world = World::start().await;
    let mut tunnel = world.tunnel("127.0.0.1").await;
    world.echo_through(&mut tunnel, 1000).await;
    let once = world.get("/waypost/live").json().await;
    let mut socket =
        websocket(world.api, &format!("/waypost/live?token={SECRET}&interval=100"), &[]).await.unwrap();
    let again = frame(&mut socket).await.unwrap();
    assert!(frame(&mut socket).await.is_some());
    for picture in [once, again] {
        assert_eq!((&picture["generation"], &picture["connections"]), (&1.into(), &1.into()));
        let inbound = &picture["inbounds"][0];
        assert_eq!(
            (&inbound["tag"], &inbound["protocol"], &inbound["connections"]),
            (&"in".into(), &"mixed".into(), &1.into())
        );
        assert_eq!(inbound["address"], world.proxy.addresses()[0].address.to_string());
        assert_eq!((&inbound["up"], &inbound["down"]), (&1000.into(), &1000.into()));
        let rule = &picture["rules"][3];
        assert_eq!(
            (&rule["to"], &rule["hits"], &rule["action"]),
            (&"pick".into(), &1.into(), &"route(pick)".into())
        );
        assert!(picture["rules"][2]["to"].is_null());
        assert_eq!(picture["default"], serde_json::json!({"to": "lb", "hits": 0}));
        let group = &picture["groups"][2];
        assert_eq!(
            (&group["tag"], &group["type"], &group["now"]),
            (&"lb".into(), &"LoadBalance".into(), &"".into())
        );
        let member = &picture["groups"][0]["members"][0];
        assert_eq!((&member["tag"], &member["role"]), (&"n0".into(), &"selected".into()));
        assert_eq!(
            (&member["connections"], &member["up"], &member["carried"]),
            (&1.into(), &1000.into(), &1.into())
        );
        let tags: Vec<&str> = picture["outbounds"]
            .as_array()
            .unwrap()
            .iter()
            .map(|outbound| outbound["tag"].as_str().unwrap())
            .collect();
        assert_eq!(tags, ["direct", "block", "n0", "n1", "n2"]);
    }
}
