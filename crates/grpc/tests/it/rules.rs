use prost::Message;
use tonic::Code;
use waypost_config::model::{ApiService, Config};
use waypost_grpc::proto::{
    v2ray::core::app::router::command::{
        AddRuleRequest, AddRuleResponse, ListRuleRequest, ListRuleResponse, RemoveRuleRequest,
        RemoveRuleResponse, RoutingContext, TestRouteRequest,
    },
    waypost::{
        common::TypedMessage,
        rules::{
            Balancer, Domain, Router, V2rayRule, XrayDomain, XrayRule, v2ray_rule, xray_domain, xray_rule,
        },
    },
};
use waypost_testkit::EchoServer;

use crate::world::{CONFIG, World, echo, refused, socks, typed};

const SERVICE: &str = "xray.app.router.command.RoutingService";

async fn add(world: &World, config: Option<TypedMessage>, should_append: bool) -> Result<(), tonic::Status> {
    let request = AddRuleRequest { config, should_append };
    world.call::<_, AddRuleResponse>(&format!("{SERVICE}/AddRule"), request).await.map(|_| ())
}

async fn remove(world: &World, tag: &str) -> Result<(), tonic::Status> {
    let request = RemoveRuleRequest { rule_tag: tag.to_owned() };
    world.call::<_, RemoveRuleResponse>(&format!("{SERVICE}/RemoveRule"), request).await.map(|_| ())
}

/// Where the rules lead, and what they are called.
async fn list(world: &World) -> Vec<(String, String)> {
    let rules: ListRuleResponse =
        world.call(&format!("{SERVICE}/ListRule"), ListRuleRequest {}).await.unwrap();
    rules.rules.into_iter().map(|rule| (rule.tag, rule.rule_tag)).collect()
}

async fn way(world: &World, domain: &str) -> Result<String, Code> {
    let context =
        RoutingContext { target_domain: domain.to_owned(), target_port: 80, ..RoutingContext::default() };
    let request = TestRouteRequest { routing_context: Some(context), ..TestRouteRequest::default() };
    let answer: Result<RoutingContext, _> = world.call(&format!("{SERVICE}/TestRoute"), request).await;
    answer.map(|answer| answer.outbound_tag).map_err(|status| status.code())
}

fn full(name: &str) -> Domain {
    Domain { r#type: 3, value: name.to_owned() }
}

fn xray(tag: &str, domain: &str, target: xray_rule::TargetTag) -> XrayRule {
    let domain = XrayDomain { value: Some(xray_domain::Value::Custom(full(domain))) };
    XrayRule {
        target_tag: Some(target),
        rule_tag: tag.to_owned(),
        domain: vec![domain],
        ..XrayRule::default()
    }
}

fn outbound(tag: &str) -> xray_rule::TargetTag {
    xray_rule::TargetTag::Tag(tag.to_owned())
}

fn router(rule: &impl Message, balancing_rule: Vec<Balancer>) -> Router {
    Router { domain_strategy: 0, rule: vec![rule.encode_to_vec()], balancing_rule }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(to, tag)| ((*to).to_owned(), (*tag).to_owned())).collect()
}

#[tokio::test]
async fn rules_are_added_and_removed() {
    let world = World::start(CONFIG).await;
    let before = pairs(&[("block", "bad"), ("lb", "many"), ("a1", "ann")]);
    assert_eq!(list(&world).await, before);
    assert_eq!(way(&world, "new.example").await, Err(Code::Unknown));
    let rule = xray("new", "new.example", outbound("a2"));
    add(&world, typed("xray.app.router.Config", &router(&rule, Vec::new())), true).await.unwrap();
    assert_eq!(way(&world, "new.example").await, Ok("a2".to_owned()));
    assert_eq!(way(&world, "bad.example").await, Ok("block".to_owned()));
    assert_eq!(list(&world).await.last(), pairs(&[("a2", "new")]).first());
    let again = add(&world, typed("xray.app.router.Config", &router(&rule, Vec::new())), true).await;
    assert_eq!(refused(again), (Code::AlreadyExists, "there is a rule `new` already".to_owned()));
    remove(&world, "new").await.unwrap();
    assert_eq!(list(&world).await, before);
    let generation = world.control.generation();
    remove(&world, "new").await.unwrap();
    assert_eq!(world.control.generation(), generation);
    assert_eq!(refused(remove(&world, "").await).0, Code::InvalidArgument);
}

#[tokio::test]
async fn a_change_leaves_everything_else_as_it_is() {
    let (world, target) = (World::start(CONFIG).await, EchoServer::start().await);
    let addresses = world.control.addresses();
    let mut stream = socks(world.inbound("in").unwrap(), None, &target.address.to_string()).await.unwrap();
    echo(&mut stream, b"before").await;
    let rule = xray("new", "new.example", outbound("a2"));
    add(&world, typed("xray.app.router.Config", &router(&rule, Vec::new())), true).await.unwrap();
    assert_eq!(world.control.addresses(), addresses);
    echo(&mut stream, b"after").await;
    let mut later = socks(world.inbound("in").unwrap(), None, &target.address.to_string()).await.unwrap();
    echo(&mut later, b"later").await;
}

#[tokio::test]
async fn remote_control_is_not_switched_off_by_a_change() {
    let sections = r#""api": {"tag": "control", "services": ["StatsService"]},
        "clashApi": {"external_controller": "127.0.0.1:9", "secret": "s"},"#;
    let config = CONFIG.replacen('{', &format!("{{{sections}"), 1);
    let world = World::start(&config).await;
    let before = world.control.config();
    let rule = xray("new", "new.example", outbound("control"));
    add(&world, typed("xray.app.router.Config", &router(&rule, Vec::new())), true).await.unwrap();
    let after = world.control.config();
    let services = |config: &Config| config.api.as_ref().map(|api| api.services.clone());
    assert_eq!(services(&after), Some(vec![ApiService::Stats]));
    let listen = |config: &Config| {
        config.experimental.clash_api.as_ref()?.listen.as_ref().map(|listen| listen.value.clone())
    };
    assert!(listen(&before).is_some());
    assert_eq!(listen(&after), listen(&before));
}

#[tokio::test]
async fn all_rules_and_balancers_are_replaced() {
    let world = World::start(CONFIG).await;
    let balancer = Balancer {
        tag: "other".to_owned(),
        outbound_selector: vec!["a2".to_owned()],
        strategy: "random".to_owned(),
        ..Balancer::default()
    };
    let rule = xray("only", "new.example", xray_rule::TargetTag::BalancingTag("other".to_owned()));
    add(&world, typed("xray.app.router.Config", &router(&rule, vec![balancer])), false).await.unwrap();
    assert_eq!(list(&world).await, pairs(&[("other", "only")]));
    assert_eq!(way(&world, "new.example").await, Ok("a2".to_owned()));
    assert_eq!(way(&world, "bad.example").await, Err(Code::Unknown));
}

#[tokio::test]
async fn rules_of_v2ray_are_taken_as_well() {
    let world = World::start(CONFIG).await;
    let rule = V2rayRule {
        target_tag: Some(v2ray_rule::TargetTag::Tag("block".to_owned())),
        domain: vec![full("old.example")],
        ..V2rayRule::default()
    };
    for name in ["v2ray.core.app.router.Config", "types.v2fly.org/v2ray.core.app.router.Config"] {
        add(&world, typed(name, &router(&rule, Vec::new())), true).await.unwrap();
    }
    assert_eq!(way(&world, "old.example").await, Ok("block".to_owned()));
    assert_eq!(list(&world).await.len(), 5);
}

#[tokio::test]
async fn what_is_wrong_changes_nothing() {
    let world = World::start(CONFIG).await;
    let (before, generation) = (list(&world).await, world.control.generation());
    let lost = xray("new", "new.example", outbound("gone"));
    let (code, message) =
        refused(add(&world, typed("xray.app.router.Config", &router(&lost, Vec::new())), true).await);
    assert_eq!(code, Code::InvalidArgument);
    assert!(message.contains("there is no outbound with the tag `gone`"), "{message}");
    let nothing = XrayRule { target_tag: Some(outbound("a1")), ..XrayRule::default() };
    let (code, message) =
        refused(add(&world, typed("xray.app.router.Config", &router(&nothing, Vec::new())), false).await);
    assert_eq!(code, Code::InvalidArgument);
    assert!(message.contains("this rule has no condition"), "{message}");
    let garbage = TypedMessage { r#type: "xray.app.router.Config".to_owned(), value: vec![0xff; 40] };
    assert_eq!(refused(add(&world, Some(garbage), true).await).0, Code::InvalidArgument);
    let other = TypedMessage { r#type: "google.protobuf.Any".to_owned(), value: Vec::new() };
    assert_eq!(refused(add(&world, Some(other), true).await).0, Code::InvalidArgument);
    assert_eq!(refused(add(&world, None, true).await).0, Code::InvalidArgument);
    assert_eq!((list(&world).await, world.control.generation()), (before, generation));
}

#[tokio::test]
async fn many_who_change_at_once_all_have_their_rule() {
    let world = World::start(CONFIG).await;
    let rules: Vec<_> =
        (0..8).map(|number| xray(&format!("r{number}"), "new.example", outbound("a1"))).collect();
    let adding = rules
        .iter()
        .map(|rule| add(&world, typed("xray.app.router.Config", &router(rule, Vec::new())), true));
    let mut all = Box::pin(join_all(adding.collect()));
    assert_eq!((&mut all).await, 8);
    assert_eq!(list(&world).await.len(), 3 + 8);
}

/// Awaits all at the same time, and counts those that went well.
async fn join_all<F: Future<Output = Result<(), tonic::Status>>>(futures: Vec<F>) -> usize {
    let mut pending: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut n_good = 0;
    std::future::poll_fn(move |context| {
        pending.retain_mut(|future| match future.as_mut().poll(context) {
            std::task::Poll::Ready(result) => {
                n_good += usize::from(result.is_ok());
                false
            }
            std::task::Poll::Pending => true,
        });
        if pending.is_empty() { std::task::Poll::Ready(n_good) } else { std::task::Poll::Pending }
    })
    .await
}
