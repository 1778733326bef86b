//! Outbounds that lead through others.

use serde_json::json;

use super::{IDS, PASSWORDS, ask, origin};
use crate::binary::Waypost;

#[tokio::test(flavor = "multi_thread")]
async fn an_outbound_leads_through_another_one_and_through_a_group_whose_first_member_is_dead() {
    let target = origin("the origin").await;
    let settings = json!({"method": "aes-128-gcm", "password": PASSWORDS[0]});
    let config = json!({
        "inbounds": [
            {"tag": "far", "protocol": "vmess", "listen": "127.0.0.1", "port": 0,
             "settings": {"clients": [{"id": IDS[0]}]}},
            {"tag": "near", "protocol": "shadowsocks", "listen": "127.0.0.1", "port": 0, "settings": settings},
        ],
        "outbounds": [{"protocol": "freedom"}],
    });
    let server = Waypost::start(&config.to_string(), None).await;
    let (far, near) = (server.address("far"), server.address("near"));
    let vmess = |tag: &str| {
        json!({"tag": tag, "protocol": "vmess", "settings": {"vnext": [
            {"address": far.ip(), "port": far.port(), "users": [{"id": IDS[0]}]}]}})
    };
    let near = json!({"tag": "near", "protocol": "shadowsocks", "settings": {"servers": [
        {"address": near.ip(), "port": near.port(), "method": "aes-128-gcm", "password": PASSWORDS[0]}]}});
    // Nobody listens at port 1.
    let dead = json!({"tag": "dead", "protocol": "socks",
                      "settings": {"servers": [{"address": "127.0.0.1", "port": 1}]}});
    let group = json!({"tag": "group", "protocol": "loadbalance", "settings": {
        "primary_outbounds": ["dead"], "backup_outbounds": ["near"],
        "url": format!("http://{target}/generate_204")}});
    let (mut by_outbound, mut by_socket, mut by_group) = (vmess("a"), vmess("b"), vmess("c"));
    by_outbound["proxySettings"] = json!({"tag": "near"});
    by_socket["streamSettings"] = json!({"sockopt": {"dialerProxy": "near"}});
    by_group["proxySettings"] = json!({"tag": "group"});
    let tags = ["a", "b", "c"];
    let config = json!({
        "inbounds": tags.map(|tag| json!({"tag": tag, "protocol": "socks", "listen": "127.0.0.1", "port": 0})),
        "outbounds": [by_outbound, by_socket, by_group, near, dead, group],
        "routing": {"rules": tags.map(|tag| json!({"inboundTag": [tag], "outboundTag": tag}))},
    });
    let client = Waypost::start(&config.to_string(), None).await;
    for tag in tags {
        let said = ask(client.address(tag), None, target).await;
        assert_eq!(said.as_deref(), Ok("the origin"), "{tag}\n{}\n{}", client.log(), server.log());
    }
}
