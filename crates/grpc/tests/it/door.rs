//! Clients whom somebody else has accepted.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::Code;
use waypost_grpc::{
    Exposure,
    proto::v2ray::core::app::{
        proxyman::command::{
            ListOutboundsRequest, ListOutboundsResponse, RemoveInboundRequest, RemoveInboundResponse,
            RemoveOutboundRequest, RemoveOutboundResponse,
        },
        stats::command::{QueryStatsRequest, QueryStatsResponse, SysStatsRequest, SysStatsResponse},
    },
};

use crate::world::{CONFIG, LIMIT, World, call, connect, refused};

const STATS: &str = "xray.app.stats.command.StatsService/GetSysStats";
const QUERY: &str = "v2ray.core.app.stats.command.StatsService/QueryStats";
const LIST: &str = "xray.app.proxyman.command.HandlerService/ListOutbounds";
const REMOVE: &str = "v2ray.core.app.proxyman.command.HandlerService/RemoveOutbound";
const REMOVE_INBOUND: &str = "v2ray.core.app.proxyman.command.HandlerService/RemoveInbound";

#[tokio::test]
async fn a_stream_is_served_until_its_client_goes() {
    let world = World::start(CONFIG).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let api = world.api.clone();
    let serving = tokio::spawn(async move {
        let (stream, _client) = listener.accept().await.unwrap();
        api.serve_stream(stream, CancellationToken::new()).await;
    });
    let channel = connect(address).await;
    let _stats: SysStatsResponse = call(&channel, STATS, SysStatsRequest {}).await.unwrap();
    drop(channel);
    timeout(LIMIT, serving).await.expect("ends with its client").unwrap();
}

#[tokio::test]
async fn a_stream_ends_when_the_api_stops() {
    let world = World::start(CONFIG).await;
    let (client, server) = tokio::io::duplex(1024);
    let stop = CancellationToken::new();
    stop.cancel();
    timeout(LIMIT, world.api.serve_stream(server, stop)).await.expect("ends at once");
    drop(client);
}

/// The API by an inbound, as files of V2Ray have it.
pub(crate) fn with_door() -> String {
    let door = r#"{"tag": "api-in", "protocol": "dokodemo-door", "listen": "127.0.0.1", "port": 0, "settings": {"address": "127.0.0.1"}},"#;
    let rule = r#"{"inboundTag": ["api-in"], "outboundTag": "api"},"#;
    CONFIG
        .replacen('{', r#"{"api": {"tag": "api", "services": ["StatsService", "HandlerService"]},"#, 1)
        .replacen(r#""inbounds": ["#, &format!(r#""inbounds": [{door}"#), 1)
        .replacen(r#""rules": ["#, &format!(r#""rules": [{rule}"#), 1)
}

/// Serves whom rules lead to the API, until `stop`.
pub(crate) fn serve_door(world: &World, stop: CancellationToken) -> impl Future<Output = ()> + use<> {
    let (api, mut streams) = (world.api.clone(), world.control.take_api_streams().unwrap());
    async move {
        let tasks = TaskTracker::new();
        while let Some(Some(stream)) = stop.run_until_cancelled(streams.recv()).await {
            let (api, stop, stream) = (api.clone(), stop.clone(), UnixStream::from_std(stream).unwrap());
            tasks.spawn(async move { api.serve_stream(stream, stop).await });
        }
        tasks.close();
        tasks.wait().await;
    }
}

#[tokio::test]
async fn the_port_is_free_at_once_while_a_client_lingers() {
    let world = World::start(CONFIG).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (api, stop) = (world.api.clone(), CancellationToken::new());
    let until = stop.clone();
    let serving = tokio::spawn(async move { api.serve(listener, Exposure::Loopback, until).await });
    // It has begun, with empty settings, and answers nothing.
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let _settings = timeout(LIMIT, client.read_u8()).await.unwrap().unwrap();
    stop.cancel();
    let begin = Instant::now();
    while let Err(error) = TcpListener::bind(address).await {
        assert!(begin.elapsed() < LIMIT, "{error}");
        sleep(Duration::from_millis(5)).await;
    }
    assert!(!serving.is_finished(), "the client has its time");
    timeout(LIMIT, serving).await.expect("stopped in time").unwrap().unwrap();
    drop(client);
}

#[tokio::test]
async fn clients_whom_rules_lead_here_are_served() {
    let world = World::start(&with_door()).await;
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve_door(&world, stop.clone()));
    let address = world.inbound("api-in").unwrap();
    let channel = connect(address).await;
    for _ in 0..3 {
        let stats: SysStatsResponse = call(&channel, STATS, SysStatsRequest {}).await.unwrap();
        assert!(stats.sys > 0);
    }
    // It is there after a change that came this way, and does not count or list itself.
    let request = RemoveOutboundRequest { tag: "block".to_owned() };
    let answer = call::<_, RemoveOutboundResponse>(&channel, REMOVE, request).await;
    assert_eq!(refused(answer).0, Code::InvalidArgument);
    let request = RemoveInboundRequest { tag: "door".to_owned() };
    let _done: RemoveInboundResponse = call(&channel, REMOVE_INBOUND, request).await.unwrap();
    assert_eq!(world.inbound("door"), None);
    let later = connect(address).await;
    let all: QueryStatsResponse = call(&later, QUERY, QueryStatsRequest::default()).await.unwrap();
    assert!(all.stat.iter().any(|stat| stat.name == "inbound>>>api-in>>>traffic>>>uplink" && stat.value > 0));
    let outbounds: ListOutboundsResponse = call(&later, LIST, ListOutboundsRequest {}).await.unwrap();
    assert!(outbounds.outbounds.iter().all(|outbound| outbound.tag != "api"), "{outbounds:?}");
    stop.cancel();
    timeout(LIMIT, serving).await.expect("stopped in time").unwrap();
}
