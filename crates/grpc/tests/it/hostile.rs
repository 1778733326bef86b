//! Clients that send what they should not.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tonic::Code;
use waypost_grpc::{
    Exposure, GrpcApi, RestartLogger, ServeError,
    proto::{
        v2ray::core::app::stats::command::{
            GetStatsResponse, QueryStatsRequest, QueryStatsResponse, SysStatsRequest, SysStatsResponse,
        },
        waypost::common::TypedMessage,
    },
};

use crate::world::{ALL, CONFIG, LIMIT, World, connect, refused};

const STATS: &str = "v2ray.core.app.stats.command.StatsService";

async fn answers(world: &World) -> bool {
    let stats: Result<SysStatsResponse, _> =
        world.call(&format!("{STATS}/GetSysStats"), SysStatsRequest {}).await;
    stats.is_ok()
}

#[tokio::test]
async fn a_message_that_is_none_is_refused() {
    let world = World::start(CONFIG).await;
    // The second field is a flag where this has bytes.
    let garbage = TypedMessage { r#type: "x".to_owned(), value: vec![0xff; 10] };
    let answer = world.call::<_, GetStatsResponse>(&format!("{STATS}/GetStats"), garbage).await;
    assert_eq!(refused(answer).0, Code::Internal);
    assert!(answers(&world).await);
}

#[tokio::test]
async fn a_message_that_is_too_long_is_refused() {
    let world = World::start(CONFIG).await;
    let long = QueryStatsRequest { pattern: "x".repeat(5 << 20), ..QueryStatsRequest::default() };
    let answer = world.call::<_, QueryStatsResponse>(&format!("{STATS}/QueryStats"), long).await;
    assert_eq!(refused(answer).0, Code::OutOfRange);
    let many = QueryStatsRequest { patterns: vec!["x".to_owned(); 65], ..QueryStatsRequest::default() };
    let answer = world.call::<_, QueryStatsResponse>(&format!("{STATS}/QueryStats"), many).await;
    assert_eq!(refused(answer).0, Code::InvalidArgument);
    assert!(answers(&world).await);
}

#[tokio::test]
async fn an_expression_that_takes_too_much_memory_is_refused() {
    let world = World::start(CONFIG).await;
    let large = QueryStatsRequest { pattern: "(a{999}){999}".to_owned(), regexp: true, ..Default::default() };
    let answer = world.call::<_, QueryStatsResponse>(&format!("{STATS}/QueryStats"), large).await;
    assert_eq!(refused(answer).0, Code::InvalidArgument);
}

#[tokio::test]
async fn unknown_services_and_methods_are_unimplemented() {
    let world = World::start(CONFIG).await;
    for method in [
        "v2ray.core.app.stats.command.StatsService/Nothing",
        "v2ray.core.app.proxyman.command.HandlerService/AlterOutbound",
        "v2ray.core.app.Nothing/GetStats",
        "xray.app./x",
        "x/y",
    ] {
        let answer = world.call::<_, GetStatsResponse>(method, SysStatsRequest {}).await;
        assert_eq!(refused(answer).0, Code::Unimplemented, "{method}");
    }
}

/// What the API says until it closes.
async fn talk(world: &World, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut said = Vec::new();
    // A reset is an end as well.
    let _end = timeout(LIMIT, stream.read_to_end(&mut said)).await.expect("closed in time");
    said
}

#[tokio::test]
async fn other_protocols_are_closed_without_a_word() {
    let world = World::start(CONFIG).await;
    assert_eq!(talk(&world, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await, b"");
    assert_eq!(talk(&world, &[0; 64]).await, b"");
    assert_eq!(talk(&world, b"\x16\x03\x01\x02\x00\x01").await, b"");
    assert_eq!(talk(&world, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r?").await, b"");
    // Behind the preface no frame is this long.
    let mut odd = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    odd.extend([0xff; 64]);
    assert_ne!(talk(&world, &odd).await, b"");
    assert!(answers(&world).await);
}

#[tokio::test]
async fn clients_that_say_nothing_do_not_shut_others_out() {
    let world = World::start(CONFIG).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(world.address).await.unwrap());
    }
    let late = timeout(LIMIT, connect(world.address)).await.expect("in time");
    let method = format!("{STATS}/GetSysStats");
    crate::world::call::<_, SysStatsResponse>(&late, &method, SysStatsRequest {}).await.unwrap();
}

#[tokio::test]
async fn only_loopback_is_listened_on_unless_more_is_allowed() {
    let world = World::start(CONFIG).await;
    let stop = CancellationToken::new();
    let everywhere = || TcpListener::bind("0.0.0.0:0");
    let refusal = world.api.serve(everywhere().await.unwrap(), Exposure::Loopback, stop.clone()).await;
    assert!(matches!(refusal, Err(ServeError::Exposed { .. })), "{refusal:?}");
    let listener = everywhere().await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (api, until) = (world.api.clone(), stop.clone());
    let serving = tokio::spawn(async move { api.serve(listener, Exposure::Everybody, until).await });
    let channel = connect(([127, 0, 0, 1], port).into()).await;
    let method = format!("{STATS}/GetSysStats");
    crate::world::call::<_, SysStatsResponse>(&channel, &method, SysStatsRequest {}).await.unwrap();
    stop.cancel();
    timeout(LIMIT, serving).await.expect("stopped in time").unwrap().unwrap();
    let error = crate::world::call::<_, SysStatsResponse>(&channel, &method, SysStatsRequest {}).await;
    assert_eq!(refused(error).0, Code::Unavailable);
}

#[tokio::test]
async fn a_log_that_cannot_be_opened_is_told() {
    use waypost_grpc::proto::v2ray::core::app::log::command::{RestartLoggerRequest, RestartLoggerResponse};
    let world = World::start(CONFIG).await;
    let logger = RestartLogger::new(|| Err(std::io::Error::from(std::io::ErrorKind::PermissionDenied)));
    let reading = waypost_proxy::Reading {
        paths: Vec::new(),
        unknown_keys: waypost_config::UnknownKeys::Error,
        assets: waypost_proxy::build::Assets::default(),
        env: |_| None,
        confined_to: None,
    };
    let api = GrpcApi::new(&world.control, reading, ALL, logger);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let until = stop.clone();
    let serving = tokio::spawn(async move { api.serve(listener, Exposure::Loopback, until).await });
    let channel = connect(address).await;
    let method = "xray.app.log.command.LoggerService/RestartLogger";
    let answer =
        crate::world::call::<_, RestartLoggerResponse>(&channel, method, RestartLoggerRequest {}).await;
    let expected = "the log cannot be opened again: permission denied".to_owned();
    assert_eq!(refused(answer), (Code::Internal, expected));
    stop.cancel();
    timeout(LIMIT + Duration::from_secs(1), serving).await.expect("in time").unwrap().unwrap();
}
