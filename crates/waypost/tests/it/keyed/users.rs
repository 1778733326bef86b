//! Two users of one port go two ways.

use serde_json::{Value, json};

use super::{Certificate, IDS, KEYS, PASSWORDS, SERVER_KEY, SERVER_NAME, ask, origin};
use crate::binary::Waypost;

const NAMES: [&str; 2] = ["anna@test", "ben@test"];

/// An inbound with both users, and the outbounds of each.
fn protocols(certificate: &Certificate) -> Vec<(&'static str, Value, [Value; 2])> {
    let both = |user: fn(usize) -> Value| json!([user(0), user(1)]);
    let ids = |index: usize| json!({"id": IDS[index], "email": NAMES[index]});
    let passwords = |index: usize| json!({"password": PASSWORDS[index], "email": NAMES[index]});
    let keys = |index: usize| json!({"password": KEYS[index], "email": NAMES[index]});
    let tls = (certificate.server(), certificate.client(SERVER_NAME));
    let shadowsocks = |method: &str, password: [String; 2]| {
        password.map(|password| {
            json!({"protocol": "shadowsocks",
                   "settings": {"servers": [{"method": method, "password": password}]}})
        })
    };
    vec![
        (
            "vmess",
            json!({"protocol": "vmess", "settings": {"clients": both(ids)}}),
            IDS.map(|id| json!({"protocol": "vmess", "settings": {"vnext": [{"users": [{"id": id}]}]}})),
        ),
        (
            "vless",
            json!({"protocol": "vless", "settings": {"decryption": "none", "clients": both(ids)},
                   "streamSettings": tls.0}),
            IDS.map(|id| {
                let users = json!([{"id": id, "encryption": "none"}]);
                json!({"protocol": "vless", "settings": {"vnext": [{"users": users}]},
                       "streamSettings": tls.1})
            }),
        ),
        (
            "trojan",
            json!({"protocol": "trojan", "settings": {"clients": both(passwords)}, "streamSettings": tls.0}),
            PASSWORDS.map(|password| {
                json!({"protocol": "trojan", "settings": {"servers": [{"password": password}]},
                       "streamSettings": tls.1})
            }),
        ),
        (
            "shadowsocks",
            json!({"protocol": "shadowsocks", "settings": {"method": "aes-256-gcm", "clients": both(passwords)}}),
            shadowsocks("aes-256-gcm", PASSWORDS.map(str::to_owned)),
        ),
        (
            "shadowsocks 2022",
            json!({"protocol": "shadowsocks", "settings": {
                "method": "2022-blake3-aes-128-gcm", "password": SERVER_KEY, "clients": both(keys)}}),
            shadowsocks("2022-blake3-aes-128-gcm", KEYS.map(|key| format!("{SERVER_KEY}:{key}"))),
        ),
    ]
}

/// A server whose rules send the users to two origins.
async fn server(inbounds: Vec<Value>, origins: [std::net::SocketAddr; 2]) -> Waypost {
    let inbounds: Vec<Value> = inbounds
        .into_iter()
        .enumerate()
        .map(|(index, mut inbound)| {
            inbound["tag"] = json!(format!("in{index}"));
            inbound["listen"] = json!("127.0.0.1");
            inbound["port"] = json!(0);
            inbound
        })
        .collect();
    let outbounds: Vec<Value> = origins
        .iter()
        .enumerate()
        .map(|(index, origin)| {
            json!({"tag": format!("to{index}"), "protocol": "freedom",
                   "settings": {"redirect": origin.to_string()}})
        })
        .collect();
    let rules: Vec<Value> =
        (0..2).map(|index| json!({"user": [NAMES[index]], "outboundTag": format!("to{index}")})).collect();
    let outbounds = [vec![json!({"protocol": "blackhole"})], outbounds].concat();
    let config = json!({"inbounds": inbounds, "outbounds": outbounds, "routing": {"rules": rules}});
    Waypost::start(&config.to_string(), None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_by_user_sends_two_users_of_one_port_two_ways() {
    let certificate = Certificate::new(SERVER_NAME);
    let origins = [origin("anna").await, origin("ben").await];
    let protocols = protocols(&certificate);
    let server = server(protocols.iter().map(|(_, inbound, _)| inbound.clone()).collect(), origins).await;
    let (mut inbounds, mut outbounds, mut rules) = (Vec::new(), Vec::new(), Vec::new());
    for (index, (_, _, of_users)) in protocols.iter().enumerate() {
        let address = server.address(&format!("in{index}"));
        for (user, outbound) in of_users.iter().enumerate() {
            let tag = format!("{index}-{user}");
            let mut outbound = outbound.clone();
            outbound["tag"] = json!(tag);
            let settings = outbound["settings"].as_object_mut().unwrap();
            let servers = settings.values_mut().next().unwrap();
            servers[0]["address"] = json!(address.ip());
            servers[0]["port"] = json!(address.port());
            outbounds.push(outbound);
            inbounds.push(json!({"tag": tag, "protocol": "socks", "listen": "127.0.0.1", "port": 0}));
            rules.push(json!({"inboundTag": [tag], "outboundTag": tag}));
        }
    }
    let config = json!({"inbounds": inbounds, "outbounds": outbounds, "routing": {"rules": rules}});
    let client = Waypost::start(&config.to_string(), None).await;
    for (index, (name, ..)) in protocols.iter().enumerate() {
        for (user, who) in ["anna", "ben"].into_iter().enumerate() {
            // Wherever the client wants to go, the server decides by who it is.
            let said = ask(client.address(&format!("{index}-{user}")), None, origins[1 - user]).await;
            assert_eq!(said.as_deref(), Ok(who), "{name}\n{}\n{}", client.log(), server.log());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_of_socks_are_users_as_well() {
    let origins = [origin("anna").await, origin("ben").await];
    let accounts: Vec<Value> =
        (0..2).map(|index| json!({"user": NAMES[index], "pass": PASSWORDS[index]})).collect();
    let inbound = json!({"protocol": "socks", "settings": {"auth": "password", "accounts": accounts}});
    let server = server(vec![inbound], origins).await;
    for (user, who) in ["anna", "ben"].into_iter().enumerate() {
        let login = Some((NAMES[user], PASSWORDS[user]));
        assert_eq!(ask(server.address("in0"), login, origins[1 - user]).await.as_deref(), Ok(who));
    }
}
