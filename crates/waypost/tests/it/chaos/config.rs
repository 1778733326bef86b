//! One group in front of the members.

use std::net::SocketAddr;

use serde_json::{Value, json};

pub(crate) fn config(members: &[SocketAddr], n_primary: usize, origin: SocketAddr, extra: &Value) -> Value {
    let tags = tags(members);
    let (primary, backup) = tags.split_at(n_primary);
    let mut settings = json!({
        "primary_outbounds": primary, "backup_outbounds": backup,
        "url": format!("http://{origin}/generate_204"),
    });
    settings.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    let group = json!({"protocol": "loadbalance", "tag": "lb", "settings": settings});
    behind(vec![group], members)
}

pub(crate) fn tags(members: &[SocketAddr]) -> Vec<String> {
    (0..members.len()).map(|index| format!("m{index}")).collect()
}

/// One group before these members.
pub(crate) fn behind_members(members: Vec<Value>, origin: SocketAddr) -> Value {
    let tags: Vec<Value> = members.iter().map(|member| member["tag"].clone()).collect();
    let settings = json!({"primary_outbounds": tags, "url": format!("http://{origin}/generate_204")});
    let group = json!({"protocol": "loadbalance", "tag": "lb", "settings": settings});
    let outbounds = [vec![group], members].concat();
    json!({
        "inbounds": [{"protocol": "socks", "tag": "in", "listen": "127.0.0.1", "port": 0}],
        "outbounds": outbounds,
    })
}

/// A file with these groups before the members.
pub(crate) fn behind(groups: Vec<Value>, members: &[SocketAddr]) -> Value {
    let member = |(tag, address): (&String, &SocketAddr)| {
        let server = json!({"address": address.ip(), "port": address.port()});
        json!({"protocol": "socks", "tag": tag, "settings": {"servers": [server]}})
    };
    let outbounds: Vec<Value> =
        groups.into_iter().chain(tags(members).iter().zip(members).map(member)).collect();
    json!({
        "inbounds": [{"protocol": "socks", "tag": "in", "listen": "127.0.0.1", "port": 0}],
        "outbounds": outbounds,
    })
}
