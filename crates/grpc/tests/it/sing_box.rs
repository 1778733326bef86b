//! A proxy whose configuration is in the dialect of sing-box.

use tonic::Code;
use waypost_grpc::proto::{
    v2ray::core::app::router::command::{
        AddRuleRequest, AddRuleResponse, GetBalancerInfoRequest, GetBalancerInfoResponse, ListRuleRequest,
        ListRuleResponse,
    },
    waypost::{
        common::TypedMessage,
        rules::{Router, XrayRule, xray_rule},
    },
};

use crate::world::{World, refused, typed};

const SERVICE: &str = "xray.app.router.command.RoutingService";

/// A file with this rule.
fn file(rule: &str) -> String {
    format!(
        r#"{{
            "inbounds": [{{"type": "mixed", "tag": "in", "listen": "127.0.0.1", "listen_port": 0}}],
            "outbounds": [
                {{"type": "direct", "tag": "direct"}}, {{"type": "block", "tag": "block"}},
                {{"type": "selector", "tag": "choice", "outbounds": ["direct", "block"]}}
            ],
            "route": {{"rules": [{rule}]}}
        }}"#
    )
}

fn added() -> AddRuleRequest {
    let rule = XrayRule {
        target_tag: Some(xray_rule::TargetTag::Tag("block".to_owned())),
        rule_tag: "new".to_owned(),
        inbound_tag: vec!["in".to_owned()],
        ..XrayRule::default()
    };
    let router = Router { rule: vec![prost::Message::encode_to_vec(&rule)], ..Router::default() };
    let config: Option<TypedMessage> = typed("xray.app.router.Config", &router);
    AddRuleRequest { config, should_append: true }
}

async fn n_rules(world: &World) -> usize {
    let rules: ListRuleResponse =
        world.call(&format!("{SERVICE}/ListRule"), ListRuleRequest {}).await.unwrap();
    rules.rules.len()
}

#[tokio::test]
async fn what_v2ray_can_say_as_well_can_be_changed() {
    let world = World::start(&file(r#"{"domain": ["a.example"], "outbound": "choice"}"#)).await;
    world.call::<_, AddRuleResponse>(&format!("{SERVICE}/AddRule"), added()).await.unwrap();
    assert_eq!(n_rules(&world).await, 2);
    assert_eq!(world.outbounds(), ["direct", "block", "choice"]);
}

#[tokio::test]
async fn what_v2ray_cannot_say_is_not_lost() {
    let world = World::start(&file(r#"{"clash_mode": "direct", "outbound": "choice"}"#)).await;
    let answer = world.call::<_, AddRuleResponse>(&format!("{SERVICE}/AddRule"), added()).await;
    let (code, message) = refused(answer);
    assert_eq!(code, Code::FailedPrecondition);
    assert!(
        message.starts_with("the configuration cannot be changed over this API: V2Ray cannot say"),
        "{message}"
    );
    assert_eq!((n_rules(&world).await, world.control.generation()), (1, 1));
}

#[tokio::test]
async fn a_selector_is_no_override() {
    let world = World::start(&file(r#"{"domain": ["a.example"], "outbound": "choice"}"#)).await;
    world.control.select("choice", "block").await.unwrap();
    let request = GetBalancerInfoRequest { tag: "choice".to_owned() };
    let answer: GetBalancerInfoResponse =
        world.call(&format!("{SERVICE}/GetBalancerInfo"), request).await.unwrap();
    let balancer = answer.balancer.unwrap();
    assert_eq!(balancer.r#override.unwrap().target, "");
    assert_eq!(balancer.principle_target.unwrap().tag, ["block"]);
}
