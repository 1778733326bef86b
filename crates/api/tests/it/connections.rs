//! The live connections.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    io::AsyncReadExt as _,
    time::{Instant, timeout},
};
use waypost_proxy::{
    ConnectionInfo, Path,
    net::{Network, Tag},
};

use crate::{
    client::{LIMIT, SECRET, frame, websocket},
    world::{World, until},
};

async fn listed(world: &World) -> Vec<Value> {
    world.get("/connections").json().await["connections"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_connection_is_shown_with_the_way_that_it_takes() {
    let world = World::start().await;
    assert_eq!(listed(&world).await, Vec::<Value>::new());
    let mut tunnel = world.tunnel("127.0.0.1").await;
    world.echo_through(&mut tunnel, 1000).await;
    until(async || listed(&world).await.first().is_some_and(|shown| shown["download"] == 1000)).await;
    let all = world.get("/connections").json().await;
    assert_eq!((&all["uploadTotal"], &all["downloadTotal"]), (&json!(1000), &json!(1000)));
    assert!(all["memory"].as_u64().unwrap() > 0);
    let shown = &all["connections"][0];
    let port = world.echo.address.port().to_string();
    assert_eq!(shown["chains"], json!(["n0", "pick"]));
    assert_eq!((&shown["upload"], &shown["download"]), (&json!(1000), &json!(1000)));
    assert!(shown["rule"].as_str().unwrap().starts_with("rule 4 (line"), "{shown}");
    assert_eq!(shown["rulePayload"], "ip_cidr=127.0.0.0/8");
    assert!(shown["start"].as_str().unwrap().ends_with('Z'));
    let metadata = &shown["metadata"];
    for (field, expected) in [
        ("network", "tcp"),
        ("type", "mixed/in"),
        ("sourceIP", "127.0.0.1"),
        ("destinationIP", "127.0.0.1"),
        ("destinationPort", &port),
        ("host", ""),
        ("dnsMode", "normal"),
        ("processPath", ""),
        ("inboundName", "in"),
        ("inboundUser", ""),
    ] {
        assert_eq!(metadata[field], expected, "{field}");
    }
    assert!(metadata["sourcePort"].as_str().unwrap().parse::<u16>().is_ok());

    let id = shown["id"].as_str().unwrap();
    let why = world.get(&format!("/waypost/why/{id}")).json().await;
    assert_eq!((&why["id"], &why["chains"]), (&json!(id), &json!(["n0", "pick"])));
    assert_eq!(why["attempts"][0]["outbound"], "n0");
    assert!(why["attempts"][0]["took_ms"].is_u64() && why["attempts"][0]["end"].is_string(), "{why}");
    for unknown in ["0", "99", "x", "-1", "18446744073709551616"] {
        assert_eq!(world.get(&format!("/waypost/why/{unknown}")).status().await, 404, "{unknown}");
    }
}

#[tokio::test]
async fn one_or_all_are_closed() {
    let world = World::start().await;
    let mut tunnels = Vec::new();
    for _ in 0..3 {
        tunnels.push(world.tunnel("127.0.0.1").await);
    }
    for unknown in ["99", "x", "%20", "1e3"] {
        assert_eq!(world.ask("DELETE", &format!("/connections/{unknown}")).status().await, 204);
    }
    assert_eq!(listed(&world).await.len(), 3, "nothing was closed");
    let id = listed(&world).await[1]["id"].as_str().unwrap().to_owned();
    assert_eq!(world.ask("DELETE", &format!("/connections/{id}")).status().await, 204);
    until(async || listed(&world).await.len() == 2).await;
    assert!(listed(&world).await.iter().all(|shown| shown["id"] != *id));
    assert_eq!(world.ask("DELETE", "/connections").status().await, 204);
    until(async || listed(&world).await.is_empty()).await;
    for mut tunnel in tunnels {
        let ended = timeout(LIMIT, tunnel.read(&mut [0])).await.unwrap();
        assert!(matches!(ended, Ok(0) | Err(_)));
    }
}

#[tokio::test]
async fn a_dashboard_is_sent_a_frame_each_interval() {
    let world = World::start().await;
    let path = format!("/connections?token={SECRET}&interval=100");
    let mut socket = websocket(world.api, &path, &[]).await.unwrap();
    let first = frame(&mut socket).await.unwrap();
    assert_eq!(first["connections"], json!([]));
    let _tunnel = world.tunnel("127.0.0.1").await;
    loop {
        let next = frame(&mut socket).await.unwrap();
        if let Some(shown) = next["connections"].get(0) {
            assert_eq!(shown["chains"], json!(["n0", "pick"]));
            break;
        }
    }
    for interval in ["0", "-1", "x", "1.5"] {
        assert_eq!(world.get(&format!("/connections?interval={interval}")).status().await, 400, "{interval}");
        let path = format!("/connections?token={SECRET}&interval={interval}");
        assert_eq!(websocket(world.api, &path, &[]).await.err(), Some(400), "{interval}");
    }
}

#[tokio::test]
async fn ten_thousand_connections_are_shown() {
    const N: usize = 10_000;
    let world = World::start().await;
    let through = Path { outbound: Some(Tag::from("n0")), chain: vec![Tag::from("lb")], ..Path::default() };
    let info = |number: usize| ConnectionInfo {
        network: Network::Tcp,
        inbound: Some(Tag::from("in")),
        source: Some(([192, 0, 2, 1], 1024).into()),
        target: format!("host-{number}.example.com:443").parse().unwrap(),
        user: None,
        rule: "final".into(),
        rule_index: None,
        sniffed: None,
        protocol: None,
    };
    let guards: Vec<_> =
        (0..N).map(|number| world.control.connections().insert(info(number), through.clone())).collect();
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let begin = Instant::now();
        let reply = world.get("/connections").send().await;
        best = best.min(begin.elapsed());
        assert_eq!(reply.json()["connections"].as_array().unwrap().len(), N);
    }
    // What an optimised build takes at most is 50 ms; this build and this machine may be ten times slower.
    assert!(best < Duration::from_millis(if cfg!(debug_assertions) { 500 } else { 50 }), "{best:?}");
    println!("{N} connections in {best:?}");
    drop(guards);
    assert_eq!(listed(&world).await.len(), 0);
}
