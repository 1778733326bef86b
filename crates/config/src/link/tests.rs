use base64::{Engine as _, engine::general_purpose::STANDARD};

mod any;
mod lists;

use super::*;
use crate::{
    Dialect, Options, Source,
    model::{Config, EarlyData, Layer, LoadBalanceStrategy, OutboundProtocol, VmessSecurity},
    user_id, write,
};

const ID: &str = "23ad6b10-8d1a-40f7-8ad0-e3e35cd38297";

fn list(text: &str) -> Subscription {
    read(&Source::new("list", text).unwrap(), &Options::default()).unwrap()
}

#[track_caller]
fn node(text: &str) -> Node {
    let mut list = list(text);
    assert_eq!((list.nodes.len(), &*list.rejected), (1, &[][..]), "{text}");
    list.nodes.remove(0)
}

/// What is said of a link that cannot be used.
#[track_caller]
fn refusal(text: &str) -> String {
    let list = list(text);
    assert!(list.nodes.is_empty(), "{text}: {:?}", list.nodes);
    list.rejected[0].error.to_string()
}

/// A link in the words of V2Ray, on one line.
#[track_caller]
fn words(text: &str) -> String {
    let outbound = node(text).outbound;
    let written = write(&Config { outbounds: vec![outbound], ..Config::default() }, Dialect::V2ray);
    let text = written.text.split_whitespace().collect::<Vec<_>>().join(" ");
    let inside = text.split_once("\"outbounds\": [ ").unwrap().1;
    inside.trim_end_matches(" ] }").trim_end_matches(" ]}").to_owned()
}

fn v2rayn(json: &str) -> String {
    format!("vmess://{}", STANDARD.encode(json))
}

#[test]
fn v2rayn_writes_vmess_as_json() {
    let json = format!(
        r#"{{"v":"2","ps":"🇯🇵 東京 1","add":"203.0.113.7","port":"443","id":"{ID}","aid":"0","scy":"auto","net":"ws","type":"none","host":"cdn.example","path":"/ray?ed=2048","tls":"tls","sni":"","alpn":"h2,http/1.1","fp":"chrome"}}"#
    );
    let node = node(&v2rayn(&json));
    assert_eq!(&*node.name, "🇯🇵 東京 1");
    let OutboundProtocol::Vmess(servers) = &node.outbound.protocol else { panic!("{node:?}") };
    assert_eq!((servers[0].host.to_string(), servers[0].port), ("203.0.113.7".to_owned(), 443));
    assert_eq!(user_id::format(&servers[0].account.id), ID);
    let tls = node.outbound.transport.tls.as_ref().unwrap();
    assert_eq!(tls.server_name.as_ref().unwrap().to_string(), "cdn.example", "the host is the name");
    assert_eq!(*tls.alpn, ["http/1.1".into()]);
    let Layer::WebSocket(ws) = &node.outbound.transport.layer else { panic!("{node:?}") };
    assert_eq!((&*ws.path, ws.host.as_deref()), ("/ray", Some("cdn.example")));
    let early = EarlyData { max_bytes: 2048, header: Some("Sec-WebSocket-Protocol".into()) };
    assert_eq!(ws.early_data, Some(early));
}

#[test]
fn numbers_in_vmess_may_be_numbers_or_texts() {
    let json = format!(
        r#"{{"v":2,"ps":"x","add":"a.example","port":8443,"id":"{ID}","aid":0,"net":"tcp","tls":"none","scy":"chacha20-poly1305"}}"#
    );
    let OutboundProtocol::Vmess(servers) = node(&v2rayn(&json)).outbound.protocol else { panic!() };
    assert_eq!((servers[0].port, servers[0].account.security), (8443, VmessSecurity::Chacha20Poly1305));
    let unpadded = v2rayn(&json).trim_end_matches('=').to_owned();
    assert_eq!(words(&unpadded), words(&v2rayn(&json)));
}

#[test]
fn a_service_of_grpc_is_the_path_in_vmess() {
    let json = format!(
        r#"{{"v":"2","ps":"","add":"a.example","port":"443","id":"{ID}","aid":"0","net":"grpc","type":"gun","host":"a.example","path":"svc","tls":"tls","allowInsecure":true}}"#
    );
    let node = node(&v2rayn(&json));
    let Layer::Grpc(grpc) = &node.outbound.transport.layer else { panic!() };
    assert_eq!((&*grpc.service_name, &grpc.authority), ("svc", &None));
    assert!(node.outbound.transport.tls.as_ref().unwrap().allow_insecure);
    assert!(
        node.warnings.iter().any(|warning| warning.contains("pretend to be the server")),
        "{:?}",
        node.warnings
    );
    assert_eq!(&*default_name(&node), "vmess-a.example:443");
}

#[test]
fn vless_and_vmess_have_a_standard() {
    let ws = format!(
        "vless://{ID}@a.example:443?encryption=none&security=tls&sni=b.example&fp=chrome&type=ws&host=c.example&path=%2Fp%20q#%F0%9F%97%BC"
    );
    let node = node(&ws);
    assert_eq!(&*node.name, "🗼");
    let Layer::WebSocket(layer) = &node.outbound.transport.layer else { panic!() };
    assert_eq!((&*layer.path, layer.host.as_deref()), ("/p%20q", Some("c.example")));
    let grpc = words(&format!(
        "vless://{ID}@[2001:db8::1]:8443/?type=grpc&serviceName=s&mode=gun&security=tls&alpn=h2#g"
    ));
    assert!(
        grpc.contains("\"address\": \"2001:db8::1\"") && grpc.contains("\"serviceName\": \"s\""),
        "{grpc}"
    );
    let upgrade = words(&format!("vless://{ID}@a.example:80?type=httpupgrade&path=/up&host=h.example#u"));
    assert!(upgrade.contains("\"network\": \"httpupgrade\""), "{upgrade}");
    let vmess = words(&format!("vmess://{ID}@a.example:443?encryption=aes-128-gcm&security=tls&type=tcp#v"));
    assert!(
        vmess.contains("\"security\": \"aes-128-gcm\"") && vmess.contains("\"security\": \"tls\""),
        "{vmess}"
    );
    let panel = format!(
        "vless://{ID}@a.example:2053?type=tcp&amp;security=tls&amp;fp=&amp;alpn=h3%2Ch2%2Chttp%2F1.1&allowInsecure=1#3x-ui"
    );
    assert!(words(&panel).contains("\"allowInsecure\": true"));
}

#[test]
fn trojan_has_tls_without_saying_so() {
    let plain = words("trojan://p%40ss@a.example#T");
    assert!(plain.contains("\"password\": \"p@ss\"") && plain.contains("\"security\": \"tls\""), "{plain}");
    assert!(plain.contains("\"port\": 443"), "{plain}");
    let old = words("trojan://pass@a.example:8443?allowInsecure=1&peer=b.example&sni=#T");
    assert!(old.contains("\"serverName\": \"b.example\", \"allowInsecure\": true"), "{old}");
    let rocket =
        words("trojan://pass@a.example:443?peer=b.example&obfs=websocket&obfsParam=c.example&path=/w#T");
    assert!(rocket.contains("\"network\": \"ws\"") && rocket.contains("\"host\": \"c.example\""), "{rocket}");
    assert!(!words("trojan://pass@a.example:443?security=none#T").contains("tls"));
}

#[test]
fn shadowsocks_has_two_forms() {
    let expected = words("ss://YWVzLTI1Ni1nY206cGFzczp3b3Jk@a.example:8388#new");
    assert!(expected.contains("\"method\": \"aes-256-gcm\", \"password\": \"pass:word\""), "{expected}");
    let old = format!("ss://{}#old", STANDARD.encode("aes-256-gcm:pass:word@a.example:8388"));
    let plain = "ss://aes-256-gcm:pass%3Aword@a.example:8388/?outline=1#plain";
    let escaped = "ss://YWVzLTI1Ni1nY206cGFzczp3b3Jk%3D@a.example:8388/?plugin=none#escaped";
    for link in [&*old, plain, escaped, "ss://YWVzLTI1Ni1nY206cGFzczp3b3Jk@a.example:8388?type=tcp"] {
        assert_eq!(words(link), expected, "{link}");
    }
    let key = STANDARD.encode([7; 16]);
    let chain =
        format!("ss://2022-blake3-aes-128-gcm:{}@a.example:80#k", text::escape(&format!("{key}:{key}")));
    assert!(words(&chain).contains(&format!("\"password\": \"{key}:{key}\"")));
    let v6 = words(&format!("ss://{}", STANDARD.encode("chacha20-ietf-poly1305:x/?#@y@[2001:db8::2]:1")));
    assert!(v6.contains("2001:db8::2") && v6.contains("\"password\": \"x/?#@y\""), "{v6}");
}

#[test]
fn shadowrocket_writes_its_own_form() {
    let body = STANDARD.encode(format!("auto:{ID}@203.0.113.9:443"));
    let node = node(&format!(
        "vmess://{body}?remarks=%E6%9D%B1%E4%BA%AC&obfs=websocket&obfsParam=h.example&path=/p&tls=1&peer=s.example&alterId=0"
    ));
    assert_eq!(&*node.name, "東京");
    let OutboundProtocol::Vmess(_) = &node.outbound.protocol else { panic!() };
    let headers = words(&format!(
        "vmess://{body}?obfs=websocket&obfsParam={}&path=/p",
        text::escape(r#"{"Host":"h.example"}"#)
    ));
    assert!(headers.contains("\"host\": \"h.example\""), "{headers}");
    let vision = format!("vless://{body}?remarks=x&tls=1&peer=s.example&xtls=2");
    assert!(refusal(&vision).contains("XTLS Vision"), "{}", refusal(&vision));
    let reality = format!("vless://{body}?remarks=x&tls=1&pbk=abc&sid=1");
    assert!(refusal(&reality).contains("REALITY"), "{}", refusal(&reality));
}

#[test]
fn socks_and_http_are_links_too() {
    let login = words("socks://dXNlcjpwYXNz@a.example:1080#s");
    assert!(login.contains("\"user\": \"user\", \"pass\": \"pass\""), "{login}");
    assert_eq!(words("socks5://user:pass@a.example:1080#s"), login);
    assert!(words("http://a.example:3128").contains("\"protocol\": \"http\""));
    assert!(words("https://u:p@a.example:443#h").contains("\"security\": \"tls\""));
    assert!(refusal("https://provider.example:443/sub/token").contains("address of the web"));
}

#[test]
fn what_cannot_be_used_is_listed_with_its_reason() {
    for (link, part) in [
        (format!("vless://{ID}@a:443?security=reality&pbk=x&type=tcp#r"), "REALITY is not available"),
        (format!("vless://{ID}@a:443?security=tls&flow=xtls-rprx-vision#r"), "XTLS Vision is not available"),
        (format!("vless://{ID}@a:443?security=xtls#r"), "XTLS is not available"),
        (format!("vless://{ID}@a:443?type=kcp#r"), "the transport `kcp` is not available"),
        (format!("vless://{ID}@a:443?type=quic#r"), "the transport `quic` is not available"),
        (format!("vless://{ID}@a:443?type=xhttp#r"), "the transport `xhttp` is not available"),
        (format!("vless://{ID}@a:443?type=tcp&headerType=http#r"), "the header type `http`"),
        (format!("vless://{ID}@a:443?type=grpc&mode=multi#r"), "multiMode"),
        (format!("vless://{ID}@a:443?encryption=mlkem768x25519plus#r"), "as `encryption` is not available"),
        (
            v2rayn(&format!(r#"{{"v":"2","add":"a","port":1,"id":"{ID}","aid":"64","net":"tcp"}}"#)),
            "legacy VMess is not available",
        ),
        (v2rayn(&format!(r#"{{"v":"2","add":"a","port":1,"id":"{ID}","net":"h2"}}"#)), "the transport `h2`"),
        (v2rayn(r#"{"v":"2","add":"a","port":1}"#), "it has no id"),
        (v2rayn(r#"{"v":"2","add":"a","port":0,"id":"x"}"#), "its port cannot be read"),
        (v2rayn(r#"{"v":"2","add":"#), "its JSON cannot be read"),
        ("vmess://***".to_owned(), "its base64 cannot be read"),
        (
            "ss://YWVzLTI1Ni1nY206R2VoZWlt@a:1/?plugin=obfs-local%3Bobfs%3Dhttp#p".to_owned(),
            "the plugin `obfs-local`",
        ),
        ("ss://aes-256-cfb:Geheim@a:1#p".to_owned(), "this is a stream cipher"),
        ("ss://x:Geheim@a:1#p".to_owned(), "unknown method: `x`"),
        ("trojan://@a:1".to_owned(), "it has no password"),
        ("trojan://Geheim@a:99999".to_owned(), "its port cannot be read"),
        ("trojan://x@:443".to_owned(), "it has no server"),
        ("ssr://abc".to_owned(), "`ssr` is not available"),
        ("hysteria2://x@a:1?sni=b#h".to_owned(), "`hysteria2` is not available"),
        ("tuic://x:y@a:1#h".to_owned(), "`tuic` is not available"),
        ("wireguard://x@a:1".to_owned(), "`wireguard` is not available"),
        ("gopher://x".to_owned(), "unknown protocol: `gopher`"),
    ] {
        let said = refusal(&link);
        assert!(said.contains(part), "{link}: {said}");
        let shown = format!("{said} {:?}", list(&link).rejected);
        assert!(!shown.contains(ID) && !shown.contains("Geheim") && !shown.contains("R2Vo"), "{shown}");
    }
}

const CLASH: &str = "\
port: 7890
common: &common {server: a.example, port: 443}
proxies:
  - {name: \"ss 1\", type: ss, server: 192.0.2.1, port: 8388, cipher: aes-128-gcm, password: 0123, udp: false}
  - name: vmess ws
    type: vmess
    <<: *common
    uuid: 23ad6b10-8d1a-40f7-8ad0-e3e35cd38297
    alterId: 0
    cipher: auto
    tls: true
    skip-cert-verify: true
    servername: s.example
    network: ws
    ws-opts:
      path: /ray
      headers: {Host: h.example, User-Agent: curl}
      max-early-data: 2048
      early-data-header-name: Sec-WebSocket-Protocol
  - {name: upgrade, type: vless, <<: *common, uuid: 23ad6b10-8d1a-40f7-8ad0-e3e35cd38297, network: ws, ws-opts: {path: /u, v2ray-http-upgrade: true}}
  - {name: grpc, type: trojan, <<: *common, password: secret, sni: s.example, alpn: [h2], network: grpc, grpc-opts: {grpc-service-name: svc}}
  - {name: socks, type: socks5, server: 2001:db8::1, port: 1080, username: u, password: p}
  - {name: web, type: http, server: b.example, port: 443, tls: true, sni: c.example}
  - {name: plugin, type: ss, server: a, port: 1, cipher: aes-128-gcm, password: x, plugin: obfs, plugin-opts: {mode: http}}
  - {name: reality, type: vless, server: a, port: 1, uuid: x, tls: true, reality-opts: {public-key: x}}
  - {name: vision, type: vless, server: a, port: 1, uuid: x, tls: true, flow: xtls-rprx-vision}
  - {name: h2, type: vmess, server: a, port: 1, uuid: x, alterId: 0, cipher: auto, network: h2}
  - {name: old, type: vmess, server: a, port: 1, uuid: x, alterId: 64, cipher: auto}
  - {name: hy, type: hysteria2, server: a, port: 1, password: x}
  - {name: chained, type: trojan, server: a, port: 1, password: x, dialer-proxy: other}
  - {name: no port, type: trojan, server: a, password: x}
  - {name: DIRECT, type: direct}
proxy-groups:
  - {name: auto, type: url-test, proxies: [ss 1]}
rules: [\"MATCH,auto\"]
";

#[test]
fn what_stands_behind_an_old_link_of_shadowsocks_is_read() {
    let link =
        |behind: &str| format!("ss://{}#n", STANDARD.encode(format!("aes-128-gcm:p/w?x@a:8388{behind}")));
    assert_eq!(list(&link("")).nodes.len(), 1);
    assert_eq!(list(&link("/")).nodes.len(), 1);
    let refused = &list(&link("/?plugin=obfs-local%3Bobfs%3Dhttp")).rejected;
    assert_eq!(refused[0].error, LinkError::Plugin("obfs-local".into()));
}

#[test]
fn tags_are_unique_and_duplicates_are_told() {
    let text =
        "trojan://p@a:1#x\ntrojan://p@b:1#x\ntrojan://p@a:1#y\ntrojan://q@a:1#auto\ntrojan://r@[::1]:2\n";
    let (nodes, duplicates) = without_duplicates(list(text).nodes);
    assert_eq!(duplicates, [Duplicate { name: "y".into(), of: "x".into() }]);
    let assembly = Assembly { group: "auto".into(), strategy: LoadBalanceStrategy::LeastPing };
    let config = assemble(nodes, &assembly);
    let tags: Vec<_> =
        config.outbounds.iter().filter_map(|one| one.tag.as_ref()).map(|tag| tag.value.to_string()).collect();
    assert_eq!(tags, ["auto", "x", "x 2", "auto 2", "trojan-[::1]:2"]);
    for dialect in [Dialect::V2ray, Dialect::SingBox] {
        let written = write(&config, dialect);
        assert!(written.losses.is_empty(), "{:?}", written.losses);
        let source = Source::new("written.json", written.text).unwrap();
        let outcome = crate::parse(&source, &Options::default());
        assert!(
            outcome.config.is_some(),
            "{}",
            crate::render(&source, &outcome.diagnostics, crate::Style::Plain)
        );
    }
}

#[test]
fn early_data_is_in_the_header_unless_a_link_names_another() {
    let early = |query: &str| {
        let node = node(&format!("vless://{ID}@a.example:443?security=tls&type=ws&{query}"));
        let Layer::WebSocket(ws) = node.outbound.transport.layer else { panic!() };
        ws.early_data.map(|early| (early.max_bytes, early.header.unwrap().into_string()))
    };
    let standard = "Sec-WebSocket-Protocol".to_owned();
    assert_eq!(early("path=/p"), None);
    assert_eq!(early("path=/p&ed=100"), Some((100, standard.clone())));
    assert_eq!(early("path=/p&ed=100&eh=X-Early"), Some((100, "X-Early".to_owned())));
    assert_eq!(early("path=/p%3Fed%3D2048&ed=100"), Some((2048, standard)), "the path comes first");
}

#[test]
fn a_colon_may_be_in_a_login() {
    for link in
        ["socks://us%3Aer:p%3Aw@a.example:1", "http://us:p%3Aw@a.example:1", "http://us%3Ap%3Aw@a.example:1"]
    {
        let outbound = node(link).outbound;
        let (OutboundProtocol::Socks(servers) | OutboundProtocol::Http(servers)) = &outbound.protocol else {
            panic!("{outbound:?}")
        };
        let account = servers[0].account.as_ref().unwrap();
        let user = if link.starts_with("socks") { "us:er" } else { "us" };
        assert_eq!((&*account.user, account.password.expose()), (user, "p:w"), "{link}");
    }
}

#[test]
fn a_login_without_its_mark_is_not_shown() {
    for link in ["http://user:Geheim:a.example:3128", "socks://user:Geheim:a.example:1080"] {
        let rejected = list(link).rejected;
        assert_eq!(rejected[0].error, LinkError::Unreadable(Part::Host), "{link}");
        assert!(!format!("{rejected:?}").contains("Geheim"), "{rejected:?}");
    }
}

/// Links of a link say the same as it does.
#[track_caller]
fn round_trip(link: &str) {
    let mut first = node(link);
    first.outbound.tag = Some(crate::Spanned::new("名 #1".into(), crate::Span::default()));
    let links = to_links(&first.outbound).unwrap();
    assert_eq!(links.len(), 1);
    assert_eq!(&*node(&links[0]).name, "名 #1", "{}", links[0]);
    assert_eq!(words(&links[0]), words(link), "{}", links[0]);
}

#[test]
fn links_come_back() {
    let key = text::escape(&STANDARD.encode([9; 32]));
    for link in [
        "ss://YWVzLTI1Ni1nY206cGFzczp3b3Jk@a.example:8388#new".to_owned(),
        format!("ss://2022-blake3-aes-256-gcm:{key}@[2001:db8::1]:8388#new"),
        format!("vless://{ID}@a.example:443?security=tls&sni=b.example&alpn=h2,http/1.1&type=tcp#v"),
        format!("vless://{ID}@a.example:443?security=tls&type=ws&host=c.example&path=/p?ed=2048%26x=1#v"),
        format!("vless://{ID}@192.0.2.1:443?security=tls&type=grpc&serviceName=s/t&authority=c.example#v"),
        format!("vmess://{ID}@a.example:443?encryption=zero&security=tls&type=httpupgrade&path=/u#v"),
        format!("vmess://{ID}@a.example:443?security=tls&type=grpc&serviceName=s&allowInsecure=1#v"),
        "trojan://p%40%23%2F@a.example:443?sni=b.example#t".to_owned(),
        "trojan://p@a.example:443?security=none&type=ws&path=/#t".to_owned(),
        "socks://dXNlcjpwYXNz@a.example:1080#s".to_owned(),
        "http://u:p@a.example:3128#h".to_owned(),
        "https://u:p@a.example:443?sni=b.example#h".to_owned(),
        "socks://us%3Aer:pa%3Ass@a.example:1080#s".to_owned(),
        format!("vless://{ID}@a.example:443?security=tls&type=ws&path=/p&ed=2048#v"),
    ] {
        round_trip(&link);
    }
}

#[test]
fn what_has_no_link_is_refused() {
    let of = |text: &str| to_links(&node(text).outbound);
    assert_eq!(of(&format!("vless://{ID}@a:1?type=ws&ed=100&eh=X")), Err(NoLink::EarlyData));
    let pinned = format!("vless://{ID}@a:1?security=tls&pcs={}", "ab".repeat(32));
    assert_eq!(of(&pinned), Err(NoLink::Certificates));
    let headers = "proxies:\n- {name: x, type: trojan, server: a, port: 1, password: x, network: ws, ws-opts: {headers: {A: b}}}";
    assert_eq!(of(headers), Err(NoLink::Headers));
    let config = crate::parse(
        &Source::new("x", r#"{"inbounds": [{"protocol": "socks", "port": 1, "listen": "::1"}], "outbounds": [{"protocol": "freedom"}]}"#).unwrap(),
        &Options::default(),
    );
    assert_eq!(to_links(&config.config.unwrap().outbounds[0]), Err(NoLink::NoServer));
}
