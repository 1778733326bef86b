use std::net::Ipv4Addr;

use tonic::Code;
use waypost_grpc::proto::v2ray::core::app::router::command::{
    BalancerMsg, GetBalancerInfoRequest, GetBalancerInfoResponse, OverrideBalancerTargetRequest,
    OverrideBalancerTargetResponse, RoutingContext, SubscribeRoutingStatsRequest, TestRouteRequest,
};
use waypost_testkit::EchoServer;

use crate::world::{CONFIG, LIMIT, World, echo, refused, socks};

const SERVICE: &str = "v2ray.core.app.router.command.RoutingService";

fn to(domain: &str) -> RoutingContext {
    RoutingContext {
        network: 2,
        target_domain: domain.to_owned(),
        target_port: 443,
        ..RoutingContext::default()
    }
}

async fn test(
    world: &World,
    context: RoutingContext,
    fields: &[&str],
) -> Result<RoutingContext, tonic::Status> {
    let request = TestRouteRequest {
        routing_context: Some(context),
        field_selectors: fields.iter().map(|&field| field.to_owned()).collect(),
        publish_result: false,
    };
    world.call(&format!("{SERVICE}/TestRoute"), request).await
}

#[tokio::test]
async fn a_connection_is_decided_as_if_it_came_in() {
    let world = World::start(CONFIG).await;
    let answer = test(&world, to("Bad.Example"), &[]).await.unwrap();
    assert_eq!(answer, RoutingContext { outbound_tag: "block".to_owned(), ..to("Bad.Example") });
    let asked = RoutingContext {
        inbound_tag: "login".to_owned(),
        user: "ann".to_owned(),
        source_ips: vec![vec![127, 0, 0, 1]],
        ..RoutingContext::default()
    };
    let answer = test(&world, asked.clone(), &["outbound", "us"]).await.unwrap();
    let expected =
        RoutingContext { outbound_tag: "a1".to_owned(), user: "ann".to_owned(), ..RoutingContext::default() };
    assert_eq!(answer, expected);
    let answer = test(&world, RoutingContext { user: "bob".to_owned(), ..asked }, &[]).await;
    assert_eq!(refused(answer).0, Code::Unknown);
}

#[tokio::test]
async fn the_groups_on_the_way_are_told() {
    let world = World::start(CONFIG).await;
    let answer = test(&world, to("many.example"), &["outbound"]).await.unwrap();
    assert_eq!(answer.outbound_group_tags, ["lb"]);
    assert!(answer.outbound_tag.starts_with('a'), "{answer:?}");
}

#[tokio::test]
async fn what_no_rule_matches_is_an_error() {
    let world = World::start(CONFIG).await;
    let answer = test(&world, to("other.example"), &[]).await;
    let message = "no rule matches, so that it is left to the default outbound".to_owned();
    assert_eq!(refused(answer), (Code::Unknown, message));
}

#[tokio::test]
async fn a_context_that_cannot_be_is_refused() {
    let world = World::start(CONFIG).await;
    let odd = RoutingContext { target_ips: vec![vec![1, 2, 3, 4, 5]], ..RoutingContext::default() };
    assert_eq!(
        refused(test(&world, odd, &[]).await),
        (Code::InvalidArgument, "an address has 4 or 16 bytes, not 5".to_owned())
    );
    let answer =
        world.call::<_, RoutingContext>(&format!("{SERVICE}/TestRoute"), TestRouteRequest::default()).await;
    assert_eq!(refused(answer).0, Code::InvalidArgument);
}

async fn info(world: &World, tag: &str) -> Result<BalancerMsg, tonic::Status> {
    let request = GetBalancerInfoRequest { tag: tag.to_owned() };
    let answer: GetBalancerInfoResponse = world.call(&format!("{SERVICE}/GetBalancerInfo"), request).await?;
    Ok(answer.balancer.unwrap())
}

async fn choose(world: &World, tag: &str, target: &str) -> Result<(), tonic::Status> {
    let request = OverrideBalancerTargetRequest { balancer_tag: tag.to_owned(), target: target.to_owned() };
    let method = format!("{SERVICE}/OverrideBalancerTarget");
    world.call::<_, OverrideBalancerTargetResponse>(&method, request).await.map(|_| ())
}

fn parts(info: BalancerMsg) -> (String, Vec<String>) {
    (info.r#override.unwrap().target, info.principle_target.unwrap().tag)
}

#[tokio::test]
async fn a_balancer_takes_a_choice_and_gives_it_back() {
    let world = World::start(CONFIG).await;
    let both = vec!["a1".to_owned(), "a2".to_owned()];
    assert_eq!(parts(info(&world, "lb").await.unwrap()), (String::new(), both.clone()));
    for target in ["a2", "a1"] {
        choose(&world, "lb", target).await.unwrap();
        assert_eq!(parts(info(&world, "lb").await.unwrap()).0, target);
        for _ in 0..8 {
            let answer = test(&world, to("many.example"), &[]).await.unwrap();
            assert_eq!(answer.outbound_tag, target);
        }
    }
    choose(&world, "lb", "").await.unwrap();
    assert_eq!(parts(info(&world, "lb").await.unwrap()), (String::new(), both));
}

#[tokio::test]
async fn unknown_balancers_and_targets_are_refused() {
    let world = World::start(CONFIG).await;
    let unknown = (Code::NotFound, "there is no balancer `none`".to_owned());
    assert_eq!(refused(info(&world, "none").await), unknown);
    assert_eq!(refused(choose(&world, "none", "a1").await), unknown);
    assert_eq!(refused(choose(&world, "none", "").await), unknown);
    let member = (Code::FailedPrecondition, "`lb` has no member `block`".to_owned());
    assert_eq!(refused(choose(&world, "lb", "block").await), member);
}

#[tokio::test]
async fn subscribers_see_connections_and_what_is_published() {
    let (world, target) = (World::start(CONFIG).await, EchoServer::start().await);
    let fields =
        vec!["inbound".to_owned(), "outbound".to_owned(), "port_target".to_owned(), "ip_".to_owned()];
    let request = SubscribeRoutingStatsRequest { field_selectors: fields };
    let mut decisions = world
        .stream::<_, RoutingContext>(&format!("{SERVICE}/SubscribeRoutingStats"), request)
        .await
        .unwrap();
    let mut stream = socks(world.inbound("in").unwrap(), None, &target.address.to_string()).await.unwrap();
    echo(&mut stream, b"hello").await;
    let decision = tokio::time::timeout(LIMIT, decisions.message()).await.unwrap().unwrap().unwrap();
    let expected = RoutingContext {
        inbound_tag: "in".to_owned(),
        outbound_tag: "direct".to_owned(),
        target_port: target.address.port().into(),
        source_ips: vec![Ipv4Addr::LOCALHOST.octets().to_vec()],
        target_ips: vec![Ipv4Addr::LOCALHOST.octets().to_vec()],
        ..RoutingContext::default()
    };
    assert_eq!(decision, expected);
    let request = TestRouteRequest {
        routing_context: Some(to("bad.example")),
        field_selectors: Vec::new(),
        publish_result: true,
    };
    let _answer: RoutingContext = world.call(&format!("{SERVICE}/TestRoute"), request).await.unwrap();
    let published = tokio::time::timeout(LIMIT, decisions.message()).await.unwrap().unwrap().unwrap();
    let expected =
        RoutingContext { outbound_tag: "block".to_owned(), target_port: 443, ..RoutingContext::default() };
    assert_eq!(published, expected);
}

#[tokio::test]
async fn a_subscriber_that_does_not_read_loses_decisions_and_nobody_waits() {
    const N_PUBLISHED: usize = 2000;
    let world = World::start(CONFIG).await;
    let method = format!("{SERVICE}/SubscribeRoutingStats");
    let mut decisions =
        world.stream::<_, RoutingContext>(&method, SubscribeRoutingStatsRequest::default()).await.unwrap();
    // More than the windows of HTTP/2 and all that may wait take together.
    let context = RoutingContext { user: "u".repeat(2000), ..to("bad.example") };
    let publish = async |context: RoutingContext| {
        let request = TestRouteRequest {
            routing_context: Some(context),
            field_selectors: vec!["outbound".to_owned()],
            publish_result: true,
        };
        let _answer: RoutingContext = world.call(&format!("{SERVICE}/TestRoute"), request).await.unwrap();
    };
    for _ in 0..N_PUBLISHED {
        publish(context.clone()).await;
    }
    // Each one that is read makes room for another one, so that at last the marker comes.
    let mut n_read = 0;
    loop {
        publish(to("bad.example")).await;
        let next = tokio::time::timeout(LIMIT, decisions.message()).await.unwrap().unwrap().unwrap();
        assert_eq!(next.outbound_tag, "block");
        if next.user.is_empty() {
            break;
        }
        n_read += 1;
    }
    assert!((1..N_PUBLISHED).contains(&n_read), "{n_read}");
}

#[tokio::test]
async fn subscribers_are_bounded_and_so_is_what_they_get() {
    let world = World::start(CONFIG).await;
    let method = format!("{SERVICE}/SubscribeRoutingStats");
    let subscribe = || world.stream::<_, RoutingContext>(&method, SubscribeRoutingStatsRequest::default());
    let mut all = Vec::new();
    for _ in 0..64 {
        all.push(subscribe().await.unwrap());
    }
    assert_eq!(refused(subscribe().await).0, Code::ResourceExhausted);
    all.pop();
    let later = async {
        while subscribe().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, later).await.expect("the place of one that went is free");
    let request = TestRouteRequest {
        routing_context: Some(RoutingContext { user: "u".repeat(5000), ..to("bad.example") }),
        field_selectors: Vec::new(),
        publish_result: true,
    };
    let answer = world.call::<_, RoutingContext>(&format!("{SERVICE}/TestRoute"), request).await;
    assert_eq!(refused(answer).0, Code::InvalidArgument);
}
