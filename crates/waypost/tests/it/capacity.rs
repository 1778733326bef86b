//! Many clients at once, few descriptors, and faults without end.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use waypost_testkit::EchoServer;

use crate::{
    binary::Waypost,
    soak::{Footprint, judge, soak},
};

const LIMIT: Duration = Duration::from_secs(60);

fn door(echo: &EchoServer) -> String {
    let settings = json!({"address": Ipv4Addr::LOCALHOST, "port": echo.address.port()});
    json!({
        "inbounds": [{"protocol": "dokodemo-door", "tag": "in", "listen": "127.0.0.1", "port": 0,
            "settings": settings}],
        "outbounds": [{"protocol": "freedom"}],
    })
    .to_string()
}

async fn echoes(stream: &mut TcpStream) {
    stream.write_all(b"hello").await.unwrap();
    let mut echo = [0; 5];
    timeout(LIMIT, stream.read_exact(&mut echo)).await.expect("an echo in time").unwrap();
    assert_eq!(&echo, b"hello");
}

#[tokio::test]
async fn two_thousand_clients_are_served_at_once_and_leave_nothing() {
    waypost_proxy::raise_descriptor_limit();
    let echo = EchoServer::start().await;
    let proxy = Waypost::start(&door(&echo), None).await;
    let address = proxy.address("in");
    let before = Footprint::of(proxy.pid());
    let mut clients = JoinSet::new();
    for _ in 0..2000 {
        clients.spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            echoes(&mut stream).await;
            stream
        });
    }
    let mut all = Vec::new();
    while let Some(client) = clients.join_next().await {
        all.push(client.unwrap());
    }
    let during = Footprint::of(proxy.pid());
    assert!(during.descriptors >= before.descriptors + 4000, "{during:?}");
    for stream in &mut all {
        echoes(stream).await;
    }
    drop(all);
    let after = Footprint::at_rest(proxy.pid(), Some(before), LIMIT).await;
    assert!(after.descriptors <= before.descriptors, "{before:?} {after:?}");
}

#[tokio::test]
async fn clients_beyond_the_descriptors_wait_and_are_served_later() {
    let echo = EchoServer::start().await;
    // Room for 22 connections.
    let proxy = Waypost::start_with_descriptors(&door(&echo), 300).await;
    let address = proxy.address("in");
    let served = Arc::new(AtomicUsize::new(0));
    let (go, gone) = watch::channel(false);
    let mut clients = JoinSet::new();
    for _ in 0..200 {
        let (served, mut gone) = (served.clone(), gone.clone());
        clients.spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            echoes(&mut stream).await;
            served.fetch_add(1, Ordering::Relaxed);
            gone.wait_for(|go| *go).await.unwrap();
        });
    }
    // A worker that has nobody to accept holds the room for one.
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    while served.load(Ordering::Relaxed) < 22_usize.saturating_sub(workers).max(1) {
        sleep(Duration::from_millis(10)).await;
    }
    sleep(Duration::from_millis(300)).await;
    assert!(served.load(Ordering::Relaxed) <= 22, "{served:?}");
    assert!(Footprint::of(proxy.pid()).descriptors < 300);
    go.send(true).unwrap();
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    assert_eq!(served.load(Ordering::Relaxed), 200);
    assert!(!proxy.log().contains("panicked"), "{}", proxy.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_soak_of_faults_leaves_nothing() {
    let soaked = soak(Duration::from_secs(12), 4).await;
    assert!(soaked.visits.iter().all(|(_, count)| *count > 10), "{:?}", soaked.visits);
    judge(&soaked).unwrap();
}
