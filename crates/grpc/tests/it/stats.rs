use tonic::Code;
use waypost_grpc::proto::v2ray::core::app::stats::command::{
    GetAllOnlineUsersRequest, GetAllOnlineUsersResponse, GetStatsOnlineIpListResponse, GetStatsRequest,
    GetStatsResponse, GetUsersStatsRequest, GetUsersStatsResponse, QueryStatsRequest, QueryStatsResponse,
    SysStatsRequest, SysStatsResponse,
};
use waypost_testkit::EchoServer;

use crate::world::{CONFIG, World, echo, refused, socks};

const SERVICE: &str = "v2ray.core.app.stats.command.StatsService";

async fn get(world: &World, name: &str, reset: bool) -> i64 {
    let request = GetStatsRequest { name: name.to_owned(), reset };
    let answer: GetStatsResponse = world.call(&format!("{SERVICE}/GetStats"), request).await.unwrap();
    let stat = answer.stat.unwrap();
    assert_eq!(stat.name, name);
    stat.value
}

async fn query(world: &World, request: QueryStatsRequest) -> Vec<(String, i64)> {
    let answer: QueryStatsResponse = world.call(&format!("{SERVICE}/QueryStats"), request).await.unwrap();
    answer.stat.into_iter().map(|stat| (stat.name, stat.value)).collect()
}

fn containing(pattern: &str) -> QueryStatsRequest {
    QueryStatsRequest { pattern: pattern.to_owned(), ..QueryStatsRequest::default() }
}

#[tokio::test]
async fn counters_are_read_and_set_back() {
    let (world, target) = (World::start(CONFIG).await, EchoServer::start().await);
    let up = "inbound>>>in>>>traffic>>>uplink";
    assert_eq!(get(&world, up, false).await, 0);
    let mut stream = socks(world.inbound("in").unwrap(), None, &target.address.to_string()).await.unwrap();
    echo(&mut stream, &[7; 1000]).await;
    assert_eq!(get(&world, up, false).await, 1000);
    assert_eq!(get(&world, up, true).await, 1000);
    assert_eq!(get(&world, up, true).await, 0);
    echo(&mut stream, &[7; 11]).await;
    assert_eq!(get(&world, up, false).await, 11);
    assert_eq!(get(&world, "inbound>>>in>>>traffic>>>downlink", false).await, 1011);
    assert_eq!(get(&world, "outbound>>>direct>>>traffic>>>uplink", false).await, 1011);
}

#[tokio::test]
async fn a_counter_that_is_not_there_is_not_found() {
    let world = World::start(CONFIG).await;
    for name in ["", "inbound>>>in>>>traffic", "inbound>>>none>>>traffic>>>uplink"] {
        let request = GetStatsRequest { name: name.to_owned(), reset: true };
        let answer = world.call::<_, GetStatsResponse>(&format!("{SERVICE}/GetStats"), request).await;
        assert_eq!(refused(answer), (Code::NotFound, format!("{name} not found.")));
    }
}

#[tokio::test]
async fn counters_are_found_by_parts_of_names_and_by_expressions() {
    let world = World::start(CONFIG).await;
    assert_eq!(query(&world, QueryStatsRequest::default()).await.len(), (3 + 4) * 2);
    let names: Vec<String> =
        query(&world, containing("outbound>>>a")).await.into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "outbound>>>a1>>>traffic>>>downlink",
            "outbound>>>a1>>>traffic>>>uplink",
            "outbound>>>a2>>>traffic>>>downlink",
            "outbound>>>a2>>>traffic>>>uplink",
        ]
    );
    let several = QueryStatsRequest {
        patterns: vec!["a1".to_owned(), "door".to_owned()],
        ..containing("block>>>traffic>>>up")
    };
    assert_eq!(query(&world, several).await.len(), 5);
    let expression = QueryStatsRequest { regexp: true, ..containing("^inbound>>>(in|login)>>>.*uplink$") };
    assert_eq!(query(&world, expression).await.len(), 2);
    let wrong = QueryStatsRequest { regexp: true, ..containing("(") };
    let answer = world.call::<_, QueryStatsResponse>(&format!("{SERVICE}/QueryStats"), wrong).await;
    assert_eq!(refused(answer), (Code::InvalidArgument, "not a regular expression: `(`".to_owned()));
}

#[tokio::test]
async fn what_is_not_switched_on_is_not_there() {
    let silent = CONFIG.replace("\"stats\": {},", "").replace("\"statsInbound", "\"statsOutbound");
    let silent = silent.replace("true", "false");
    let world = World::start(&silent).await;
    assert_eq!(query(&world, QueryStatsRequest::default()).await, []);
}

#[tokio::test]
async fn users_are_counted_and_listed_while_they_are_connected() {
    let (world, target) = (World::start(CONFIG).await, EchoServer::start().await);
    let target = target.address.to_string();
    let inbound = world.inbound("login").unwrap();
    let none: GetAllOnlineUsersResponse =
        world.call(&format!("{SERVICE}/GetAllOnlineUsers"), GetAllOnlineUsersRequest {}).await.unwrap();
    assert_eq!(none.users, Vec::<String>::new());
    let mut ann = socks(inbound, Some(("ann", "a")), &target).await.unwrap();
    echo(&mut ann, &[1; 100]).await;
    assert_eq!(get(&world, "user>>>ann>>>traffic>>>uplink", false).await, 100);
    let all: GetAllOnlineUsersResponse =
        world.call(&format!("{SERVICE}/GetAllOnlineUsers"), GetAllOnlineUsersRequest {}).await.unwrap();
    assert_eq!(all.users, ["user>>>ann>>>online"]);
    let name = || GetStatsRequest { name: "user>>>ann>>>online".to_owned(), reset: false };
    let count: GetStatsResponse = world.call(&format!("{SERVICE}/GetStatsOnline"), name()).await.unwrap();
    assert_eq!(count.stat.unwrap().value, 1);
    let ips: GetStatsOnlineIpListResponse =
        world.call(&format!("{SERVICE}/GetStatsOnlineIpList"), name()).await.unwrap();
    assert!(ips.ips["127.0.0.1"] > 1_700_000_000, "{ips:?}");
    let request = GetUsersStatsRequest { include_traffic: true, reset: false };
    let stats: GetUsersStatsResponse =
        world.call(&format!("{SERVICE}/GetUsersStats"), request).await.unwrap();
    let [user] = &stats.users[..] else { panic!("{stats:?}") };
    assert_eq!((user.email.as_str(), user.ips[0].ip.as_str()), ("ann", "127.0.0.1"));
    assert_eq!(user.traffic.as_ref().map(|traffic| (traffic.uplink, traffic.downlink)), Some((100, 100)));
    let bob = GetStatsRequest { name: "user>>>bob>>>online".to_owned(), reset: false };
    let answer = world.call::<_, GetStatsResponse>(&format!("{SERVICE}/GetStatsOnline"), bob).await;
    assert_eq!(refused(answer).0, Code::NotFound);
}

#[tokio::test]
async fn the_process_has_memory() {
    let world = World::start(CONFIG).await;
    let stats: SysStatsResponse =
        world.call(&format!("{SERVICE}/GetSysStats"), SysStatsRequest {}).await.unwrap();
    assert!(stats.sys >= stats.alloc && stats.alloc > 0, "{stats:?}");
    assert!(stats.uptime < 3600, "{stats:?}");
}
