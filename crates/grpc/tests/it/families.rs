//! Every method answers under both names of its service.

use std::sync::atomic::Ordering;

use tokio::{net::TcpListener, time::timeout};
use tokio_util::sync::CancellationToken;
use tonic::Code;
use waypost_grpc::{
    Exposure, GrpcServices,
    proto::v2ray::core::app::{
        log::command::{RestartLoggerRequest, RestartLoggerResponse},
        observatory::command::{GetOutboundStatusRequest, GetOutboundStatusResponse},
        proxyman::command::{ListInboundsRequest, ListInboundsResponse},
        router::command::{ListRuleRequest, ListRuleResponse},
        stats::command::{QueryStatsRequest, QueryStatsResponse},
    },
};
use waypost_testkit::EchoServer;

use crate::world::{CONFIG, LIMIT, World, call, connect, echo, refused, socks};

#[tokio::test]
async fn every_service_has_two_names() {
    let world = World::start(CONFIG).await;
    for (program, observatory) in [("v2ray.core", "v2ray.core"), ("xray", "xray.core")] {
        let name = |service: &str| format!("{program}.app.{service}");
        let rules: ListRuleResponse =
            world.call(&name("router.command.RoutingService/ListRule"), ListRuleRequest {}).await.unwrap();
        assert_eq!(rules.rules.len(), 3);
        let stats: QueryStatsResponse = world
            .call(&name("stats.command.StatsService/QueryStats"), QueryStatsRequest::default())
            .await
            .unwrap();
        assert_eq!(stats.stat.len(), 14);
        let inbounds: ListInboundsResponse = world
            .call(&name("proxyman.command.HandlerService/ListInbounds"), ListInboundsRequest::default())
            .await
            .unwrap();
        assert_eq!(inbounds.inbounds.len(), 3);
        let _done: RestartLoggerResponse = world
            .call(&name("log.command.LoggerService/RestartLogger"), RestartLoggerRequest {})
            .await
            .unwrap();
        let method = format!("{observatory}.app.observatory.command.ObservatoryService/GetOutboundStatus");
        let status: GetOutboundStatusResponse =
            world.call(&method, GetOutboundStatusRequest::default()).await.unwrap();
        assert_eq!(status.status.unwrap().status, []);
    }
    assert_eq!(world.n_restarts.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn only_the_services_that_are_named_answer() {
    let world = World::with(CONFIG, GrpcServices::from_names(["statsservice"])).await;
    let stats = "xray.app.stats.command.StatsService/QueryStats";
    world.call::<_, QueryStatsResponse>(stats, QueryStatsRequest::default()).await.unwrap();
    for program in ["v2ray.core", "xray"] {
        let method = format!("{program}.app.router.command.RoutingService/ListRule");
        let answer = world.call::<_, ListRuleResponse>(&method, ListRuleRequest {}).await;
        assert_eq!(refused(answer).0, Code::Unimplemented);
    }
}

#[tokio::test]
async fn other_services_go_on_with_the_same_counters() {
    let (world, target) = (World::start(CONFIG).await, EchoServer::start().await);
    let mut stream = socks(world.inbound("in").unwrap(), None, &target.address.to_string()).await.unwrap();
    echo(&mut stream, &[1; 500]).await;
    let method = "v2ray.core.app.stats.command.StatsService/QueryStats";
    let request = || QueryStatsRequest {
        pattern: "inbound>>>in>>>traffic>>>uplink".to_owned(),
        reset: true,
        ..QueryStatsRequest::default()
    };
    let before: QueryStatsResponse = world.call(method, request()).await.unwrap();
    assert_eq!(before.stat[0].value, 500);
    let api = world.api.offering(GrpcServices::from_names(["StatsService"]));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let until = stop.clone();
    let serving = tokio::spawn(async move { api.serve(listener, Exposure::Loopback, until).await });
    let channel = connect(address).await;
    let after: QueryStatsResponse = call(&channel, method, request()).await.unwrap();
    assert_eq!(after.stat[0].value, 0);
    let rules = "xray.app.router.command.RoutingService/ListRule";
    let answer = call::<_, ListRuleResponse>(&channel, rules, ListRuleRequest {}).await;
    assert_eq!(refused(answer).0, Code::Unimplemented);
    stop.cancel();
    timeout(LIMIT, serving).await.expect("stopped in time").unwrap().unwrap();
}
