//! What outbounds and inbounds with keys of their own become, and their transports.

use std::time::Duration;

use waypost_config::model::{
    ClientTls, Config, EarlyData, Inbound, InboundProtocol, Layer, Outbound, OutboundProtocol, Pem, Pin,
    ShadowsocksMethod, TlsVersion, UserId, VmessSecurity,
};

use crate::read;

macro_rules! good {
    ($name:literal) => {{
        let text = include_str!(concat!("../../../../testdata/config/good/", $name, ".json"));
        let (outcome, rendered) = read($name, text);
        outcome.config.unwrap_or_else(|| panic!("{rendered}"))
    }};
}

const ID: UserId = UserId::new([
    0x23, 0xad, 0x6b, 0x10, 0x8d, 0x1a, 0x40, 0xf7, 0x8a, 0xd0, 0xe3, 0xe3, 0x5c, 0xd3, 0x82, 0x97,
]);

#[track_caller]
fn outbound<'a>(config: &'a Config, tag: &str) -> &'a Outbound {
    let is_it = |outbound: &&Outbound| outbound.tag.as_ref().is_some_and(|known| known.value.as_str() == tag);
    config.outbounds.iter().find(is_it).expect("the file has it")
}

#[track_caller]
fn inbound<'a>(config: &'a Config, tag: &str) -> &'a Inbound {
    let is_it = |inbound: &&Inbound| inbound.tag.as_ref().is_some_and(|known| known.value.as_str() == tag);
    config.inbounds.iter().find(is_it).expect("the file has it")
}

#[track_caller]
fn tls(outbound: &Outbound) -> &ClientTls {
    outbound.transport.tls.as_deref().expect("TLS is spoken")
}

fn detour(outbound: &Outbound) -> Option<&str> {
    outbound.detour.as_ref().map(|tag| tag.value.as_str())
}

#[test]
fn outbounds_of_a_front_end_are_understood() {
    let config = good!("150-v2ray-tunnels");
    let vless = outbound(&config, "proxy");
    assert!(matches!(&vless.protocol, OutboundProtocol::Vless(servers) if servers[0].account == ID));
    assert_eq!(tls(vless).server_name.as_ref().map(ToString::to_string).as_deref(), Some("cdn.example.com"));
    let Layer::WebSocket(web_socket) = &vless.transport.layer else { panic!("{:?}", vless.transport) };
    assert_eq!((&*web_socket.path, web_socket.host.as_deref()), ("/tunnel", Some("cdn.example.com")));
    assert_eq!(web_socket.headers, [("User-Agent".into(), "Mozilla/5.0".into())]);
    let early = EarlyData { max_bytes: 2048, header: Some("Sec-WebSocket-Protocol".into()) };
    assert_eq!(web_socket.early_data, Some(early));
}

#[test]
fn a_text_stands_for_an_id_and_hyphens_do_not_matter() {
    let config = good!("150-v2ray-tunnels");
    let vmess = outbound(&config, "vmess");
    let OutboundProtocol::Vmess(servers) = &vmess.protocol else { panic!("{vmess:?}") };
    // UUIDv5 in the namespace of noughts.
    assert_eq!(servers[0].account.id.expose()[..4], [0x17, 0x97, 0xa6, 0x8e]);
    assert_eq!(servers[0].account.security, VmessSecurity::Chacha20Poly1305);
    assert_eq!((servers[1].account.id, servers[1].port), (ID, 8443));
    assert_eq!(servers[1].account.security, VmessSecurity::Auto);
    let Layer::Grpc(grpc) = &vmess.transport.layer else { panic!("{:?}", vmess.transport) };
    assert_eq!((&*grpc.service_name, grpc.idle_timeout), ("tunnel", Some(Duration::from_secs(60))));
    assert!(grpc.permit_without_stream);
    let tls = tls(vmess);
    assert!(matches!(&*tls.authorities, [Pem::File(path)] if *path.value == *"/etc/waypost/ca.pem"));
    assert!(tls.only_own_authorities && tls.identity.is_some());
    assert_eq!(tls.versions.least, TlsVersion::V1_3);
    assert_eq!(tls.alpn, ["h2".into(), "http/1.1".into()]);
}

#[test]
fn certificates_are_known_by_their_hashes() {
    let config = good!("150-v2ray-tunnels");
    let tls = tls(outbound(&config, "trojan"));
    assert!(matches!(&*tls.pins, [Pin::Certificate([0xf2, 0xbc, ..]), Pin::Chain([0xad, 0x79, ..])]));
    assert!(tls.allow_insecure, "a certificate that is known needs no authority");
    let config = good!("152-sing-box-tunnels");
    assert!(matches!(&*self::tls(outbound(&config, "vless")).pins, [Pin::PublicKey([0xad, 0x79, ..])]));
}

#[test]
fn an_authority_of_sing_box_stands_alone() {
    let config = good!("152-sing-box-tunnels");
    let tls = tls(outbound(&config, "trojan"));
    assert!(tls.only_own_authorities && tls.disable_sni);
    assert_eq!(tls.versions.most, TlsVersion::V1_2);
    let Some(Pem::Inline(text)) = self::tls(outbound(&config, "vmess")).authorities.first() else {
        panic!("the certificate is in the file")
    };
    let expected = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----";
    assert_eq!(text.value.expose(), expected);
}

#[test]
fn outbounds_go_through_others() {
    let config = good!("150-v2ray-tunnels");
    let detours = ["trojan", "shadowsocks", "upgraded", "vmess"].map(|tag| detour(outbound(&config, tag)));
    assert_eq!(detours, [Some("vmess"), Some("auto"), Some("trojan"), None]);
    let config = good!("152-sing-box-tunnels");
    assert_eq!(detour(outbound(&config, "vless")), Some("trojan"));
}

#[test]
fn keys_of_shadowsocks_are_in_one_password() {
    let config = good!("150-v2ray-tunnels");
    let key = |tag: &str, index: usize| {
        let OutboundProtocol::Shadowsocks(servers) = &outbound(&config, tag).protocol else {
            panic!("{tag}")
        };
        servers[index].account.clone()
    };
    assert_eq!(key("shadowsocks", 0).method, ShadowsocksMethod::Aes256Gcm);
    assert_eq!(key("shadowsocks", 1).password.expose(), "a2tra2tra2tra2tra2traw==:a2tra2tra2tra2tra2traw==");
    let first = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=";
    assert_eq!(key("ss2022", 0).password.expose(), format!("{first}:{first}"));
}

#[test]
fn users_of_an_inbound_have_names_and_one_level() {
    let config = good!("151-v2ray-tunnel-servers");
    let vless = inbound(&config, "vless-ws");
    let InboundProtocol::Vless(users) = &vless.protocol else { panic!("{vless:?}") };
    let names: Vec<Option<&str>> = users.iter().map(|user| user.name.as_deref()).collect();
    assert_eq!(names, [Some("one@example.com"), Some("two@example.com")]);
    assert_eq!(vless.policy.idle, Some(Duration::from_secs(120)));
    assert_eq!(inbound(&config, "ss").policy.idle, Some(Duration::from_secs(120)));
    assert_eq!(inbound(&config, "vmess-grpc").policy.idle, None);
    let listens_everywhere = inbound(&config, "vmess-grpc").listen.ip().is_some_and(|ip| ip.is_unspecified());
    assert!(listens_everywhere, "nobody else comes in");
}

#[test]
fn others_are_taken_to_a_web_site() {
    let config = good!("151-v2ray-tunnel-servers");
    let fallback = |inbound: &Inbound| {
        let InboundProtocol::Trojan(trojan) = &inbound.protocol else { panic!("{inbound:?}") };
        trojan.fallback.as_ref().map(|site| format!("{}:{}", site.host, site.port))
    };
    assert_eq!(fallback(inbound(&config, "trojan")).as_deref(), Some("127.0.0.1:80"));
    let last = config.inbounds.last().expect("there are inbounds");
    assert_eq!(fallback(last).as_deref(), Some("www.example.com:80"));
}

#[test]
fn several_users_share_a_port_of_shadowsocks() {
    let config = good!("151-v2ray-tunnel-servers");
    let shadowsocks = |tag: &str| {
        let InboundProtocol::Shadowsocks(shadowsocks) = &inbound(&config, tag).protocol else {
            panic!("{tag}")
        };
        shadowsocks.clone()
    };
    let users = shadowsocks("ss-users");
    assert_eq!((users.users.len(), users.password), (2, None));
    assert_eq!((users.method, users.networks.udp), (ShadowsocksMethod::Aes128Gcm, false));
    let single = shadowsocks("ss");
    assert_eq!((single.users.len(), single.name.as_deref(), single.networks.udp), (0, Some("me"), true));
    let modern = shadowsocks("ss-2022");
    assert!(modern.password.is_some() && modern.users.len() == 1);
}

#[test]
fn inbounds_show_certificates_and_ask_for_them() {
    let config = good!("151-v2ray-tunnel-servers");
    let tls = |inbound: &Inbound| inbound.transport.tls.clone().expect("TLS is spoken");
    assert!(tls(inbound(&config, "vmess-grpc")).reject_unknown_sni);
    let trojan = tls(inbound(&config, "trojan"));
    assert_eq!((trojan.identities.len(), trojan.client_authorities.len()), (1, 1));
    assert_eq!(tls(inbound(&config, "secure-socks")).identities.len(), 1);
    let config = good!("153-sing-box-tunnel-servers");
    assert_eq!(tls(inbound(&config, "vless")).client_authorities.len(), 2);
}

#[test]
fn no_secret_is_in_debug_output() {
    for config in
        [good!("150-v2ray-tunnels"), good!("151-v2ray-tunnel-servers"), good!("152-sing-box-tunnels")]
    {
        let shown = format!("{config:?}");
        for secret in ["a long password", "MIGH", "a2tra2tr", "23ad6b10", "23, ad"] {
            assert!(!shown.contains(secret), "{secret}");
        }
    }
}

/// What is said of a file.
fn said(inbound: &str, outbound: &str) -> String {
    let (_, rendered) = read("test", &format!("{{\"inbounds\": [{inbound}],\n\"outbounds\": [{outbound}]}}"));
    rendered
}

const SOCKS: &str = r#"{"protocol": "socks", "listen": "127.0.0.1", "port": 1}"#;
const FREEDOM: &str = r#"{"protocol": "freedom"}"#;

#[test]
fn no_message_has_a_key_of_vless() {
    let key = "k".repeat(43);
    let vless = |settings: &str| format!(r#"{{"protocol": "vless", "port": 1, "settings": {settings}}}"#);
    let keyed = format!("mlkem768x25519plus.native.600s.{key}");
    let inbound = vless(&format!(r#"{{"clients": [{{"id": "x"}}], "decryption": "{keyed}"}}"#));
    let outbound = vless(&format!(r#"{{"address": "a", "id": "x", "encryption": "{keyed}"}}"#));
    for text in [said(&inbound, FREEDOM), said(SOCKS, &outbound)] {
        assert!(text.contains("`mlkem768x25519plus.native.600s.*"), "{text}");
        assert!(!text.contains(&key), "{text}");
    }
}

#[test]
fn an_inbound_does_not_vanish_for_an_empty_method() {
    let inbound = r#"{"protocol": "shadowsocks", "port": 1, "settings": {"method": "", "password": "x"}}"#;
    let text = said(inbound, FREEDOM);
    assert!(text.contains("error: a `shadowsocks` inbound needs `method`"), "{text}");
}

#[test]
fn what_stands_beside_a_list_is_not_ignored_in_silence() {
    let id = "23ad6b10-8d1a-40f7-8ad0-e3e35cd38297";
    let vnext = format!(
        r#"{{"protocol": "vmess", "settings": {{"id": "{id}", "security": "none",
            "vnext": [{{"address": "a", "port": 1, "users": [{{"id": "{id}"}}]}}]}}}}"#
    );
    let text = said(SOCKS, &vnext);
    for key in ["id", "security"] {
        assert!(
            text.contains(&format!("`{key}` has no effect: each server of `vnext` has its own")),
            "{text}"
        );
    }
    let socks = r#"{"protocol": "socks", "settings": {"user": "u", "pass": "p", "servers": [{"address": "a", "port": 1}]}}"#;
    let text = said(SOCKS, socks);
    for key in ["user", "pass"] {
        assert!(
            text.contains(&format!("`{key}` has no effect: each server of `servers` has its own")),
            "{text}"
        );
    }
    let clients = r#"{"protocol": "shadowsocks", "port": 1, "settings":
        {"method": "aes-128-gcm", "email": "e", "level": 1, "clients": [{"password": "a"}]}}"#;
    let text = said(clients, FREEDOM);
    for key in ["email", "level"] {
        assert!(text.contains(&format!("`{key}` has no effect: each of `clients` has its own")), "{text}");
    }
}

#[test]
fn a_mistake_in_early_data_has_its_place() {
    let ws = |settings: &str| {
        format!(
            r#"{{"protocol": "vmess", "settings": {{"address": "a", "port": 1, "id": "x"}}, "streamSettings": {{"network": "ws", "wsSettings": {settings}}}}}"#
        )
    };
    let text = said(SOCKS, &ws(r#"{"path": "/speed=1?bed=2&ed=much"}"#));
    let (shown, caret) =
        text.lines().zip(text.lines().skip(1)).find(|(line, _)| line.contains("bed=2")).unwrap();
    assert_eq!(shown.find("much").map(|at| shown[..at].chars().count()), caret.find('^'), "{text}");
    let text = said(SOCKS, &ws(r#"{"path": "/?ed=2048", "earlyDataHeaderName": "sec-websocket-protocol"}"#));
    assert!(!text.contains("this header is for early data"), "{text}");
    let text = said(SOCKS, &ws(r#"{"path": "/?ed=2048", "earlyDataHeaderName": "X"}"#));
    assert!(text.contains("means the header `Sec-WebSocket-Protocol`, not this one"), "{text}");
}
